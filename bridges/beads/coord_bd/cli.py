"""`bd`: parse as bd does, look or change, print as bd does."""

from __future__ import annotations

import os
import sys

from coord_bd.verbs import ALIASES, COMMON, ON_STDOUT, VERBS
from coord_envelope import Fault, Unreachable, Usage, world
from coord_kernel.cli import process
from coord_kernel.cli.escape import printable
from coord_kernel.cli.flags import parse
from coord_kernel.store.disk import fault_of, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coord_bd.answer import Answer
    from coord_wk.desk import Desk

    Values = dict[str, Any]

CHANGING = {
    "create": ("write", "create"),
    "q": ("write", "quick"),
    "update": ("change", "update"),
    "close": ("change", "close"),
    "reopen": ("change", "reopen"),
    "delete": ("change", "delete"),
    "epic close-eligible": ("change", "close_eligible"),
    "dep add": ("link", "dep_add"),
    "dep": ("link", "dep"),
    "dep remove": ("link", "dep_remove"),
    "label add": ("link", "label_add"),
    "label remove": ("link", "label_remove"),
    "comments add": ("link", "comment"),
    "comment": ("link", "comment"),
    "mol pour": ("mol", "pour"),
    "mol wisp": ("mol", "wisp"),
    "mol current": ("mol", "current"),
    "mol show": ("mol", "show"),
    "mol squash": ("mol", "squash"),
    "mol burn": ("mol", "burn"),
    "sync": ("store", "sync"),
    "export": ("store", "export"),
    "import": ("store", "import_"),
    "where": ("store", "where"),
    "info": ("store", "where"),
    "config get": ("store", "config_get"),
    "config set": ("store", "config_set"),
}
"""Verb → the module and the function that do it. Most that only read are in `read`."""
OUTSIDE = {"init": "init", "prime": "prime", "version": "version"}
"""Verbs that need no store."""


def main() -> None:
    if sys.argv[1:2] == ["link"] and os.path.basename(sys.argv[0]) == "coord-bd":
        from coord_kernel.cli.link import linked

        process.end("coord-bd", lambda: linked("bd", sys.argv[2:]))
    process.end("coord-bd", lambda: run(sys.argv[1:]))


def run(argv: list[str]) -> int:
    """The exit status of a command line."""
    verb, json, asked = "", "--json" in argv, False
    try:
        table = VERBS | {alias: VERBS[name] for alias, name in ALIASES.items()}
        verb, args, values = parse(table, COMMON, argv)
        verb = ALIASES.get(verb, verb)
        json = bool(values.get("json")) or values.get("format") == "json"
        if values.get("version"):
            verb = "version"
        if values.get("help") or verb in ("", "help"):
            status = 0 if verb or values.get("help") or not argv else 1
            answer, values = helped(verb, status), {}
        else:
            asked = True
            answer = answered(verb, args, values)
    except Usage as fault:
        return complain(str(fault), verb if asked else "", json)
    except Unreachable as fault:
        return complain(str(fault), "", False)
    except Fault as fault:
        from coord_bd.answer import said

        return complain(said(fault), verb, json)
    except OSError as error:
        return complain(str(fault_of(error)), verb, json)
    return put(answer, json, bool(values.get("quiet")))


def helped(verb: str, status: int) -> Answer:
    """The help, or that of a verb."""
    from coord_bd.answer import Answer
    from coord_bd.store import usage

    answer = Answer("", usage(verb).rstrip("\n").split("\n"))
    answer.status = status
    return answer


def answered(verb: str, args: list[str], values: Values) -> Answer:
    """What a verb answers. Raises Fault, OSError."""
    go(values)
    if verb in OUTSIDE:
        from coord_bd import store

        answer: Answer = getattr(store, OUTSIDE[verb])(args, values)
        return answer
    from coord_bd.issue import Issues

    desk = opened(values)
    if verb == "ready" and values.get("claim"):
        from coord_bd.answer import Answer
        from coord_bd.change import claim_first

        claimed = claim_first(desk, values)
        lines = [f"✓ Claimed {claimed['id']}: {claimed['title']}"] if claimed else []
        return Answer([claimed] if claimed else [], lines or ["✨ No ready work found"])
    if verb in CHANGING:
        module, name = CHANGING[verb]
        place = __import__(f"coord_bd.{module}", fromlist=[name])
        changed: Answer = getattr(place, name)(desk, args, values)
        return changed
    from coord_bd.read import READING

    return READING[verb](Issues(desk, desk.items()), args, values)


def go(values: Values) -> None:
    """Change to the directory whose store is meant: -C, --db, BEADS_DIR, BEADS_DB."""
    if "directory" in values:
        os.chdir(values["directory"])
    path = values.get("db") or world.getenv("BEADS_DIR") or world.getenv("BEADS_DB")
    path = path or world.getenv("BD_DB")
    if not path or world.getenv("COORD_DIR"):
        return
    parts = os.path.abspath(path).split(os.sep)
    where = os.sep.join(parts[: parts.index(".beads")]) if ".beads" in parts else path
    if os.path.isdir(where):
        os.chdir(where)


def opened(values: Values) -> Desk:
    """The work items of the store, for the actor. Raises Unreachable, No."""
    from coord_kernel.cli.call import Call
    from coord_kernel.store import locate
    from coord_wk.desk import Desk, agent_of

    call = Call(agent_of(actor(values)))
    prefix = locate.section(call.journal.store, "beads").get("prefix", "")
    return Desk(call, prefix if isinstance(prefix, str) else "")


def actor(values: Values) -> str:
    """Who acts: --actor, BEADS_ACTOR, BD_ACTOR, COORD_AGENT, git's user.name, USER."""
    names = ("BEADS_ACTOR", "BD_ACTOR", "COORD_AGENT")
    name = values.get("actor") or next(filter(None, map(world.getenv, names)), None)
    if name:
        return str(name)
    from coord_kernel.cli.person import of_git  # 18 ms, only for who has named nobody

    return of_git() or world.getenv("USER") or "unknown"


def put(answer: Answer, json: bool, quiet: bool) -> int:
    """Print an answer; its status. Lines are printed without control characters, JSON as it is."""
    for failure in [*answer.failures, *filter(None, [answer.note])]:
        write_all(2, printable([failure]))
    if isinstance(answer.obj, str) or not json:
        text = answer.obj.encode("utf-8", "replace") if isinstance(answer.obj, str) else b""
        text = text or printable(answer.lines)
        if text and not (quiet and answer.status == 0):
            write_all(1, text)
    elif answer.obj is not None:
        write_all(1, f"{printed(answer.obj)}\n".encode("utf-8", "replace"))
    return answer.status


def printed(obj: Any) -> str:
    """The JSON of an object or array, in the envelope if that is asked for."""
    from coord_kernel.cli.pretty import pretty

    if world.getenv("BD_JSON_ENVELOPE") == "1":
        return pretty({"schema_version": 1, "data": obj})
    return pretty(obj | {"schema_version": 1} if isinstance(obj, dict) else obj)


def complain(what: str, verb: str, json: bool) -> int:
    """Print a failure where bd prints that of this verb; the status."""
    if json and verb:
        text = printed({"error": what})
        write_all(1 if verb.split()[0] in ON_STDOUT else 2, f"{text}\n".encode("utf-8", "replace"))
    else:
        write_all(2, printable([f"Error: {what}"]))
    return 1


__all__ = ["main", "run"]
