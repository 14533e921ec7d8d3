"""The verbs of bd about the store itself, and what it says of itself."""

from __future__ import annotations

import os

from coord_bd.answer import Answer
from coord_bd.verbs import ALIASES, VERBS
from coord_envelope import VERSION, BadData, Unreachable, Usage
from coord_kernel.cli.flags import described
from coord_kernel.cli.link import begin, tool
from coord_kernel.store import locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coord_wk.desk import Desk

    Values = dict[str, Any]

PRIME = """\
# Work items (`bd`)

The items are in this repository's coord store; `bd` here is the command of coord-bd(1), and `wk`
shows the same items. Other agents work on them at the same time.

    bd ready                     what can be started now
    bd show ID                   everything about an item
    bd update ID --claim         take it: of several agents one gets it
    bd create "Title" -t bug -p 1 --deps discovered-from:ID
    bd dep add ID BLOCKER        ID waits on BLOCKER
    bd close ID --reason "..."   done
    bd list --status in_progress what is being worked on

Begin with `bd ready`, claim before you work, close when you are done. Add --json for programs.
Nothing has to be synced by hand at the end: what a command printed is on the disk.
"""


def init(args: list[str], values: Values) -> Answer:
    """init: `ev init`, and the prefix of ids in coord.toml"""
    prefix = values.get("prefix")
    path = begin("beads", prefix)
    lines = [f"✓ Initialized: {path}", f"  Issue prefix: {prefix or 'wk'}"]
    return Answer({"path": path, "prefix": prefix or "wk"}, lines)


def prime(args: list[str], values: Values) -> Answer:
    """prime: .beads/PRIME.md if it is there, else our own; nothing without a store"""
    try:
        root = locate.root(locate.find().path)
    except Unreachable:
        return Answer("", [])
    path = os.path.join(root, ".beads", "PRIME.md")
    if os.path.isfile(path) and not values.get("full"):
        with open(path, encoding="utf-8", errors="replace") as file:
            return Answer("", file.read().rstrip("\n").split("\n"))
    return Answer("", PRIME.rstrip("\n").split("\n"))


def version(args: list[str], values: Values) -> Answer:
    """version"""
    return Answer({"version": VERSION}, [f"bd (coord-kernel) {VERSION}"])


def sync(desk: Desk, args: list[str], values: Values) -> Answer:
    """sync: with the remote, if there is one"""
    if locate.remote(desk.call.journal.store) is None:
        return Answer({"status": "ok"}, ["Nothing to sync: no remote is configured"])
    tool("ev", "sync")
    return Answer({"status": "ok"}, ["✓ Synced"])


def export(desk: Desk, args: list[str], values: Values) -> Answer:
    """export: JSON lines"""
    text = tool("wk", "export", "--to", "beads")
    path = values.get("output")
    if not path:
        return Answer(text, [])
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return Answer("", [f"Exported {len(text.splitlines())} issues to {path}"])


def import_(desk: Desk, args: list[str], values: Values) -> Answer:
    """import: as `wk import --from beads`"""
    path = values.get("file") or next(iter(args), "-")
    if path != "-" and not os.path.exists(path):
        raise BadData("no such file", where=path)
    tool("wk", "import", "--from", "beads", path, agent=str(desk.actor()["agent_id"]))
    return Answer("", ["✓ Imported"])


def where(desk: Desk, args: list[str], values: Values) -> Answer:
    """where, info"""
    path = desk.call.journal.store.path
    return Answer({"path": path, "prefix": desk.prefix or "wk"}, [path])


def config_get(desk: Desk, args: list[str], values: Values) -> Answer:
    """config get issue_prefix"""
    known = {"issue_prefix": desk.prefix or "wk", "issue-prefix": desk.prefix or "wk"}
    text = known.get(args[0], "")
    return Answer({"key": args[0], "value": text}, [text or f"{args[0]} (not set)"])


def config_set(desk: Desk, args: list[str], values: Values) -> Answer:
    """config set: types and statuses need no configuration"""
    name, text = args
    if name.startswith(("types.", "status.")) or (name, text) == ("issue_prefix", desk.prefix):
        return Answer({"key": name, "value": text}, [f"Set {name} = {text}"])
    raise Usage(f"{name} cannot be set: write coord.toml by hand")


def usage(verb: str = "") -> str:
    """The help: the verbs, or the options of one."""
    if verb in VERBS:
        lines = "\n".join(described(VERBS, verb))
        return f"bd {verb}, on a coord store; see coord-bd(1)\n\n{lines}\n"
    names = sorted(name for name, entry in VERBS.items() if entry.most >= 0)
    also = ", ".join(f"{alias} is {name}" for alias, name in ALIASES.items())
    head = "bd, on a coord store: work items that wk(1) shows, too. See coord-bd(1).\n\n"
    every = "\n".join(f"  bd {name}" for name in names)
    return f"{head}{every}\n\n{also}\nEvery verb: --json --actor NAME -C DIR --db PATH --help\n"
