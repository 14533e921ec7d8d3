"""The commands of coord-hooks: two for a user, four for a program's hooks."""

from __future__ import annotations

import sys

from coord_envelope import Usage
from coord_kernel.cli import complaints, process
from coord_kernel.store.disk import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_hooks import options as o
    from coord_kernel.cli.call import Call


def settings(call: Call, program: o.Program, keep: o.Keep = False) -> None:
    """Print hooks to paste into a program's settings.

    They are for the agent of --as or COORD_AGENT. They report waiting mail to the agent, refuse
    edits of files that another agent leases, and release what a session holds at its end (not with
    --keep, or if COORD_KEEP is set then). Changes nothing; prints on stderr where to paste them.
    """
    import json  # a person reads it, in the layout of json.tool

    from coord_hooks import pieces

    if program not in pieces.WHERE:
        raise Usage(f"unknown program: {program}", todo=f"use {' or '.join(pieces.WHERE)}")
    hooks = pieces.settings(program, call.actor()["agent_id"].removeprefix("agent:"), keep)
    complaints.warn(f"paste this into {pieces.WHERE[program]}; nothing was changed")
    write_all(1, json.dumps(hooks, indent=2).encode() + b"\n")


def prime(call: Call) -> None:
    """Print an introduction to the tools, for an agent."""
    from coord_hooks.prime import PRIME

    write_all(1, PRIME.encode())


def start(call: Call) -> None:
    """Begin a session, for a SessionStart hook.

    Prints the introduction to the tools and registers the agent. With Claude Code, also makes the
    session's shell commands act for the agent (by CLAUDE_ENV_FILE). Always exits 0.
    """
    from coord_hooks import turn

    turn.answer(call, turn.start)


def edit(call: Call) -> None:
    """Refuse an edit of files that others lease.

    For a PreToolUse hook. Refuses only if another agent holds a lease; any other failure is printed
    and stops nothing. Always exits 0.
    """
    from coord_hooks import turn

    turn.answer(call, turn.edit)


def seen(call: Call) -> None:
    """Write that a session lives.

    For a hook at each step. An agent.seen, live: idle after Stop, waiting after a Notification,
    otherwise busy. At most one a minute, unless that changes. Always exits 0.
    """
    from coord_hooks import turn

    turn.answer(call, turn.seen)


def end(call: Call) -> None:
    """Give back what a session holds.

    For a SessionEnd hook. Releases its leases, and its work so that others can continue it. Always
    exits 0.
    """
    from coord_hooks import turn

    turn.answer(call, turn.end)


COMMANDS = (settings, prime, start, edit, seen, end)
ABOUT = "Hooks for coding agents: settings to paste, and the commands they run."


def main() -> None:
    from coord_hooks.argv import TABLE

    def act() -> int:
        return process.act("coord-hooks", ABOUT, COMMANDS, "coord_hooks.options", TABLE)

    process.end("coord-hooks", act, hook=sys.argv[1:2] in (["start"], ["edit"], ["seen"], ["end"]))
