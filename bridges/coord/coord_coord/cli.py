"""The commands of coord, and the way to the commands coord-NAME."""

from __future__ import annotations

import os
import sys

from coord_coord import groups as g
from coord_coord import tools
from coord_envelope import world
from coord_envelope.errors import Fault, Usage
from coord_kernel.cli import intent, process
from coord_kernel.cli.command import name_of
from coord_kernel.store.disk import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_coord import options as o
    from coord_coord.status import Known
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call

HELP = """\
coord: agents, scripts and people share work through five commands and .coord/.
  wk     work items           wk new TITLE; wk ready --claim; wk close ID
  lease  files and the like   lease with 'file:src/**' -- COMMAND
  msg    mail                 msg send --to NAME --subject TEXT; msg recv
  ev     events and sync      ev init; ev tail -f; ev sync --remote origin
  run    jobs                 run request -- COMMAND; run worker
coord status shows who does what, coord doctor what is wrong.
coord setup claude (codex, …) makes an agent use this; coord man NAME explains.
`ev init` makes .coord/; coord NAME runs coord-NAME\
"""


def status(call: Call) -> None:
    """Show who is active, what they hold, what waits.

    Agents with their work items, leases and mail; jobs; the last sync; problems with what to do. A
    page on a terminal, one JSON object in a pipe.
    """
    from coord_coord import sight
    from coord_coord.status import COMMANDS, brief, problem, report
    from coord_envelope.ids import AHEAD_MS
    from coord_kernel.sync import remotes

    store, now_ms = call.journal.store, world.now_ms()
    answers = tools.ask(COMMANDS)
    known: Known = {
        "seen": sight.seen(store, world.format_ts(now_ms + AHEAD_MS)),
        "sync": remotes.oldest(store),
        "me": _me(call),
    }
    faults = []
    try:
        known["sessions"] = sight.sessions(store)
    except Fault as fault:  # of the settings of the patrol
        faults.append(problem(fault.what, fault.todo or "correct coord.toml"))
    done = report(answers, known, now_ms)
    done["problems"][:0] = [*sight.stopped(store), *faults]
    done = {"project": store.project, "store": store.path, **done}
    if call.out.form == "table":
        from coord_coord import board  # Rich: 60 ms, for people only

        call.out.write(1, board.status(done, now_ms, call.out))
    elif call.out.form == "brief":
        _print(call, brief(done))
    else:
        call.put([done])


def _print(call: Call, lines: Iterable[str]) -> None:
    from coord_kernel.cli.escape import visible

    call.out.write(1, "".join(f"{visible(line)}\n" for line in lines).encode())


def _me(call: Call) -> str | None:
    try:
        return str(call.actor()["agent_id"])
    except Fault:
        return None


def doctor(call: Call) -> int:
    """Check store, machine, remote, name and hooks.

    Each problem is printed with its remedy. Exits 1 if there is a problem; a note is none. Asks the
    remote, so it may take some seconds.
    """
    from coord_coord.doctor import examine

    rows: list[Json] = []
    for row in examine(call):
        rows.append(row)
        if call.out.form == "brief":
            todo = f"; {row['todo']}" if row["todo"] else ""
            _print(call, [f"{row['check']} {row['status']} · {row['what']}{todo}"])
        elif call.out.form != "table":
            call.put([row])
    if call.out.form == "table":
        from coord_coord import board  # Rich: 60 ms, for people only

        call.out.write(1, board.checks(rows, call.out))
    return int(any(row["status"] == "problem" for row in rows))


def man(call: Call, name: o.Page = None) -> None:
    """Show a manual page, wherever it is installed.

    Without NAME it lists the pages.
    """
    from coord_coord import manual

    known = manual.pages()
    if name is None:
        call.put({"page": page, "file": file} for page, file in known.items())
    else:
        manual.show(manual.page(name, known))


def setup(call: Call, program: o.Program, changing: g.Changing) -> int:
    """Set up hooks and MCP server of a coding agent.

    Shows how the program's settings in this repository would change, asks, and keeps a copy. The
    agent is called PROGRAM-1, or as --as or COORD_AGENT name it. Running it again changes nothing.
    With --check it only prints what would become of each file, and exits 1 if one would change.
    """
    from coord_coord.setup import Setup

    work = Setup(call, program, changing.undo, call.asked)
    if changing.check:
        call.put(work.rows())
        return int(work.needed)
    if work.needed:
        work.show(1 if changing.dry_run else 2)
    if changing.dry_run:
        return 0
    if work.needed and not changing.yes:
        work.confirm()
    call.put(work.apply())
    if work.needed and not changing.undo:
        work.advise()
    return 0


COMMANDS = (status, doctor, man, setup)
ABOUT = "Find, see, check and set up the tools that agents share work with."


def dispatch(words: list[str]) -> None:
    """Become `coord-NAME` if that is what the words begin with. Raises Usage, Fault.

    Returns if they are for a command of coord's own.
    """
    if words[:1] == ["help"] and len(words) > 1:
        words = [words[1], "--help"]
    own = [name_of(command) for command in COMMANDS]
    if not words or words[0].startswith("-") or words[0] in (*own, "help"):
        return
    name, *rest = words
    program = tools.found(f"coord-{name}") if tools.is_name(name) else None
    if program:
        try:
            os.execv(program, [f"coord-{name}", *rest])
        except OSError as error:
            raise tools.not_run(program, error) from None
    raise Usage(f"No such command: {name}", todo=_instead(name, own))


def _instead(name: str, own: list[str]) -> str:
    if name in tools.NAMES:
        return f"it is a command by itself: `{name}`"
    near = intent.nearest(name.lower(), [*own, *tools.bridges()])
    near = f"coord {near}" if near else intent.nearest(name.lower(), tools.NAMES)
    return f"use `{near}`" if near else "see `coord`"


def _act() -> int:
    from coord_coord.argv import TABLE

    words, completing = sys.argv[1:], "_COORD_COMPLETE" in os.environ
    if not (words or completing):
        import textwrap  # 12 ms

        names = textwrap.wrap(", ".join(tools.bridges()), 78)
        more = "".join(f"\n  {line}" for line in names)
        write_all(1, f"{HELP}{':' if names else ''}{more}.\n".encode())
        return 0
    dispatch(words)
    return process.act("coord", ABOUT, COMMANDS, "coord_coord.options", TABLE)


def main() -> None:
    process.end("coord", _act)
