"""The commands of coord-hooks: two for a user, three for a program's hooks."""

from __future__ import annotations

import sys

from coord_envelope import Usage
from coord_kernel.cli import complaints, process
from coord_kernel.store.disk import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_hooks import options as o
    from coord_kernel.cli.call import Call


def settings(call: Call, program: o.Program) -> None:
    """Print hooks to paste into a program's settings.

    For the agent of --as or COORD_AGENT. It says where they go, and changes nothing. They tell the agent what mail
    waits, refuse an edit of what another holds a lease on, and give back at the end of a session what it holds.
    """
    import json  # it is read by a person, and json.tool's form is theirs

    from coord_hooks import pieces

    if program not in pieces.WHERE:
        raise Usage(f"{program}: no such program", todo=f"one of {', '.join(pieces.WHERE)}")
    found = pieces.settings(program, call.actor()["agent_id"].removeprefix("agent:"))
    complaints.warn(f"paste it into {pieces.WHERE[program]}; nothing was changed")
    write_all(1, json.dumps(found, indent=2).encode() + b"\n")


def prime(call: Call) -> None:
    """Print what an agent has to know of the tools."""
    from coord_hooks.prime import PRIME

    write_all(1, PRIME.encode())


def start(call: Call) -> None:
    """Begin a session, for a SessionStart hook.

    It prints what an agent has to know, makes the agent known, and lets its shell commands act for it where the
    program can (Claude Code, by CLAUDE_ENV_FILE). Always exit 0.
    """
    from coord_hooks import turn

    turn.answer(call, turn.start)


def edit(call: Call) -> None:
    """Refuse an edit of leased files, for a PreToolUse hook.

    Only for what another holds; whatever else is wrong is said, and stops nothing. Always exit 0.
    """
    from coord_hooks import turn

    turn.answer(call, turn.edit)


def end(call: Call) -> None:
    """Give back what a session holds, for a SessionEnd hook.

    Its leases, and its work for others to go on with. Always exit 0.
    """
    from coord_hooks import turn

    turn.answer(call, turn.end)


COMMANDS = (settings, prime, start, edit, end)
ABOUT = "Hooks for coding agents: what to paste, and what it runs."


def main() -> None:
    from coord_hooks.argv import TABLE

    try:
        process.run("coord-hooks", ABOUT, COMMANDS, "coord_hooks.options", TABLE)
    except SystemExit as ended:
        if not ended.code or sys.argv[1:2] not in (["start"], ["edit"], ["end"]):
            raise
        write_all(
            1, b"{}\n"
        )  # what is wrong has been said; a status of 2 would stop what the agent is doing
        sys.exit(0)
