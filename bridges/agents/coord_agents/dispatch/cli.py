"""The commands of coord-dispatch: it starts agents by itself, and a person clears what failed."""

from __future__ import annotations

import os
import sys

from coord_agents.dispatch import groups as g
from coord_kernel.cli import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_agents.dispatch import options as o
    from coord_kernel.cli.call import Call


def run(call: Call, limits: g.Limits, once: o.Once = False, dry_run: o.DryRun = False) -> None:
    """Start an agent for each ready work item.

    The first preset that can do what the item needs, and has room. After a failure an item waits,
    after three it is held, and a person has mail. Stays in the foreground; prints what it starts.
    Acts as bridge:dispatch. Run coord-patrol beside it: that gives back what dead sessions held.
    """
    from coord_agents.dispatch.dispatcher import Dispatcher
    from coord_agents.dispatch.policy import load
    from coord_kernel.cli.turns import serve

    dispatcher = Dispatcher(call, load(call.journal.store, limits), os.getcwd())
    if dry_run:
        call.put(dispatcher.rows())
        return

    serve(call, dispatcher, once)


def clear(call: Call, works: o.Works) -> None:
    """Let items be tried again that failed too often.

    Their failures count no more, and they are no longer on hold. Exits 1 if one was not passed
    over.
    """
    from coord_agents.dispatch.dispatcher import forget
    from coord_agents.tools import Tools

    tools = Tools(call.actor()["agent_id"], os.getcwd())
    for work in works:
        call.put(forget(call.journal, tools, work))


COMMANDS = (run, clear)
ABOUT = "Start an agent for each ready work item, no more than allowed at once."


def main() -> None:
    # Without a command it dispatches: `coord-dispatch --once` is `coord-dispatch run --once`.
    first = sys.argv[1:2]
    if not first or (first[0].startswith("-") and first[0] not in ("-h", "--help", "--version")):
        sys.argv.insert(1, "run")
    process.run("coord-dispatch", ABOUT, COMMANDS, "coord_agents.dispatch.options", {})
