"""`tbd`: parse as tbd does, look or change, print as tbd does."""

from __future__ import annotations

import os
import sys

from coord_envelope import VERSION, Fault, Unreachable, Usage, codec, world
from coord_kernel.cli import process
from coord_kernel.cli.escape import printable
from coord_kernel.cli.flags import parse
from coord_kernel.store.disk import fault_of, write_all
from coord_tbd.verbs import COMMON, VERBS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coord_wk.desk import Desk

    Values = dict[str, Any]

MISSING = "Not a tbd repository (run 'tbd init --prefix=<name>' first)"
OUTSIDE = ("init", "prime", "sync")
"""Verbs that are in `store`."""


def main() -> None:
    if sys.argv[1:2] == ["link"] and os.path.basename(sys.argv[0]) == "coord-tbd":
        from coord_kernel.cli.link import linked

        process.end("coord-tbd", lambda: linked("tbd", sys.argv[2:]))
    process.end("coord-tbd", lambda: run(sys.argv[1:]))


def run(argv: list[str]) -> int:
    """The exit status of a command line."""
    try:
        verb, args, values = parse(VERBS, COMMON, argv)
    except Usage as fault:
        write_all(2, printable([f"error: {fault}"]))
        return 1
    if values.get("version"):
        write_all(1, f"{VERSION}\n".encode())
        return 0
    if values.get("help") or verb in ("", "help"):
        from coord_tbd.store import usage

        write_all(1, usage(verb).encode())
        return 0
    try:
        return answered(verb, args, values)
    except Unreachable as fault:
        what = MISSING if "no store" in fault.what else str(fault)
        return complain(what, "NotInitializedError", values, 1)
    except Usage as fault:
        return complain(str(fault), "ValidationError", values, 2)
    except Fault as fault:
        kind = "NotFoundError" if fault.code == "not_found" else "CLIError"
        return complain(str(fault), kind, values, 1)
    except OSError as error:
        return complain(str(fault_of(error)), "CLIError", values, 1)


def answered(verb: str, args: list[str], values: Values) -> int:
    """Do what a verb says, and print; the status. Raises Fault, OSError."""
    if verb in OUTSIDE:
        from coord_tbd import store

        obj, lines = getattr(store, verb)(args, values)
        return put(obj, lines, values)
    from coord_tbd.issue import Issues

    desk = opened(verb)
    from coord_tbd.read import READING

    if verb in READING:
        return put(*READING[verb](Issues(desk, desk.items()), args, values), values)
    from coord_tbd.write import WRITING

    act, what = WRITING[verb]
    if values.get("dry_run"):
        about = {k: v for k, v in values.items() if k not in ("dry_run", "json", "ignored")}
        obj = {"dryRun": True, "action": f"Would {what}", **about}
        line = codec.dumps(obj).decode() if values.get("json") else f"[DRY-RUN] Would {what}"
        write_all(1, f"{line}\n".encode("utf-8", "replace"))
        return 0
    done = act(desk, args, values)
    if done is None or (values.get("quiet") and not values.get("json")):
        return 0
    return put(done[0], [f"✓ {done[1]}"], values)


def opened(verb: str) -> Desk:
    """The work items of the store, for the actor. Raises Unreachable, No."""
    from coord_kernel.cli.call import Call
    from coord_kernel.store import locate
    from coord_wk.desk import Desk, agent_of

    call = Call(agent_of(actor()))
    store = call.journal.store
    prefixes = (locate.section(store, name).get("prefix") for name in ("tbd", "beads"))
    prefix = next(filter(None, prefixes), "")
    return Desk(call, prefix if isinstance(prefix, str) else "")


def actor() -> str:
    """Who acts: COORD_AGENT, git's user.name, USER. tbd itself does not ask."""
    name = world.getenv("COORD_AGENT")
    if name:
        return name
    from coord_kernel.cli.person import of_git  # 18 ms, only for who has named nobody

    return of_git() or world.getenv("USER") or "unknown"


def put(obj: object, lines: list[str], values: Values) -> int:
    """Print an answer: JSON as it is, lines without control characters."""
    if values.get("json"):
        from coord_kernel.cli.pretty import pretty

        write_all(1, f"{pretty(obj)}\n".encode("utf-8", "replace"))
    elif lines:
        write_all(1, printable(lines))
    return 0


def complain(what: str, kind: str, values: Values, status: int) -> int:
    """Print a failure; the status."""
    if values.get("json"):
        text = codec.dumps({"error": what, "type": kind}).decode()
        write_all(2, f"{text}\n".encode("utf-8", "replace"))
    else:
        write_all(2, printable([f"Error: {what}"]))
    return status
