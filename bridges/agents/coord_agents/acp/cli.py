"""The command of coord-acp: an editor starts it."""

from __future__ import annotations

import sys

from coord_agents import groups as g
from coord_envelope import Usage
from coord_kernel.cli import process, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_agents.acp import options as o
    from coord_kernel.cli.call import Call


def serve(call: Call, name: o.Name, task: g.Task, preset: o.Preset = None) -> None:
    """Connect the editor that started this to an agent.

    It speaks the Agent Client Protocol on standard input and output. The agent runs via acp, in its
    own job; if it does not run, --preset starts it. When the editor is gone it runs on.
    """
    from coord_agents.acp.connection import connect, running

    agent = values.agent_id(name, "NAME")
    state = running(call, agent)
    if state is None:
        from coord_agents import presets, starting

        if preset is None:
            raise Usage(f"{agent} does not run", todo="--preset P starts it")
        how = g.Running(preset=preset, via="acp")
        starting.start(call, agent, presets.named(preset), how, task)
        state = running(call, agent)
    connect(call, agent, state)


COMMANDS = (serve,)
ABOUT = "Connect an editor to an agent that coord supervises."


def main() -> None:
    # Without a command it serves: `coord-acp fixer` is `coord-acp serve fixer`.
    if sys.argv[1:2] not in ([], ["serve"], ["-h"], ["--help"], ["--version"]):
        sys.argv.insert(1, "serve")
    process.run("coord-acp", ABOUT, COMMANDS, "coord_agents.acp.options", {})
