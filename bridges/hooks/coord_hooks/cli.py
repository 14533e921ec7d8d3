"""The commands of coord-hooks: two for a user, four for a program's hooks."""

from __future__ import annotations

import sys

from coord_envelope import Usage
from coord_kernel.cli import complaints, dialects, process
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
    from coord_hooks.programs import PROGRAMS

    if program not in PROGRAMS:
        known = ", ".join(PROGRAMS)
        raise Usage(f"unknown program: {program}", todo=f"known programs: {known}")
    hooks = pieces.settings(program, call.actor()["agent_id"].removeprefix("agent:"), keep)
    text = hooks if isinstance(hooks, str) else json.dumps(hooks, indent=2)
    place, _ = dialects.HOOKED[program]
    complaints.warn(f"paste this into {place}; nothing was changed")
    write_all(1, text.encode() + b"\n")


def prime(call: Call, role: o.Role = None) -> None:
    """Print an introduction to the tools, for an agent.

    Before it, if there is a store: which work the agent holds, its last hand-over, how much mail
    waits; and with --role what the role is to do here, from .agents/roles/NAME.md.
    """
    from coord_hooks.prime import PRIME

    first = _opening(call)
    if role:
        from coord_hooks import roles

        first += roles.text(role)
    write_all(1, f"{first}{PRIME}".encode())


def _opening(call: Call) -> str:
    """What to tell an agent first; "" for a person, and without a store."""
    from coord_envelope import Fault

    try:
        actor = call.actor()
        if not actor["agent_id"].startswith("agent:"):
            return ""
        store = call.journal
    except Fault:
        return ""
    from coord_hooks import opening

    return opening.text(store, actor)


def start(call: Call, program: o.Known = "claude", role: o.Role = None) -> None:
    """Begin a session, for a hook at its start.

    Prints what the agent holds, its last hand-over and the introduction to the tools, and registers
    the agent. With Claude Code, also makes the session's shell commands act for the agent (by
    CLAUDE_ENV_FILE). Always exits 0.
    """
    from coord_hooks import acts

    acts.answer(call, lambda each: acts.start(each, role or ""), program)


def edit(call: Call, program: o.Known = "claude") -> None:
    """Refuse an edit of files that others lease.

    For a hook before a tool is used. Refuses only if another agent holds a lease, in the same work
    tree; any other failure is printed and stops nothing. Always exits 0.
    """
    from coord_hooks import acts

    acts.answer(call, acts.edit, program)


def seen(call: Call, program: o.Known = "claude") -> None:
    """Write that a session lives.

    For a hook at each step. An agent.seen, live: idle at the end of a turn, waiting when a person
    is asked, otherwise busy. At most one a minute, unless that changes. At the end of a turn also a
    handoff.written, if the session holds work. Always exits 0.
    """
    from coord_hooks import acts

    acts.answer(call, acts.seen, program)


def end(call: Call, program: o.Known = "claude") -> None:
    """Give back what a session holds.

    For a hook at its end. Writes a handoff.written, and releases its leases, and its work so that
    others can continue it. Always exits 0.
    """
    from coord_hooks import acts

    acts.answer(call, acts.end, program)


def checkpoint(call: Call, session: o.Session) -> None:
    """Save the work in progress of a dead session.

    As a commit behind refs/coord-wip/AGENT/SESSION, with all files of this work tree that git does
    not ignore; nothing else changes. AGENT is that of --as or COORD_AGENT. Only if coord.toml has
    `[agents] checkpoint = true`.
    """
    from coord_hooks import checkpoint as saving

    store, agent = call.journal.store, call.actor()["agent_id"]
    saving.refuse_living(store, agent, session)
    call.put([saving.save(store, agent, session)])


COMMANDS = (settings, prime, start, edit, seen, end, checkpoint)
ABOUT = "Hooks for coding agents: settings to paste, and the commands they run."


def main() -> None:
    from coord_hooks.argv import TABLE

    def act() -> int:
        return process.act("coord-hooks", ABOUT, COMMANDS, "coord_hooks.options", TABLE)

    process.end("coord-hooks", act, hook=sys.argv[1:2] in (["start"], ["edit"], ["seen"], ["end"]))
