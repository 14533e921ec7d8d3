"""The verbs of bd about the store itself, and what it says of itself."""

from __future__ import annotations

import os
import subprocess
import sys

from coord_bd.answer import Answer
from coord_bd.verbs import ALIASES, VERBS
from coord_envelope import VERSION, BadData, No, Unreachable, Usage
from coord_envelope.errors import Refused
from coord_kernel.cli.flags import rows
from coord_kernel.store import locate
from coord_kernel.store.disk import write_all

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
    if prefix is not None and not prefix_ok(prefix):
        raise Usage(f"invalid prefix {prefix!r}: letters, digits and hyphens, a letter first")
    _tool("ev", "init")
    store = locate.find()
    if prefix:
        _configure(os.path.join(locate.root(store.path), "coord.toml"), prefix, store)
    lines = [f"✓ Initialized: {store.path}", f"  Issue prefix: {prefix or 'wk'}"]
    return Answer({"path": store.path, "prefix": prefix or "wk"}, lines)


def prefix_ok(prefix: str) -> bool:
    """Can this begin ids?"""
    plain = prefix.isascii() and all(c.isalnum() or c in "-_" for c in prefix)
    return plain and prefix[:1].isalpha() and len(prefix) <= 32


def _configure(path: str, prefix: str, store: Any) -> None:
    known = locate.section(store, "beads").get("prefix")
    if known == prefix:
        return
    if known is not None or locate.section(store, "beads"):
        raise Refused("has a [beads] section already", where=path, todo="edit its prefix")
    with open(path, "a", encoding="utf-8") as file:
        file.write(
            f'\n[beads]\nprefix = "{prefix}"\n'
            if file.tell()
            else f'[beads]\nprefix = "{prefix}"\n'
        )


def _tool(*argv: str) -> str:
    """Run a tool; its output. Raises No with what it says."""
    path = os.pathsep.join((os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)))
    env = {**os.environ, "PATH": path}
    try:
        done = subprocess.run(argv, env=env, capture_output=True, text=True)
    except OSError as error:
        raise Unreachable(
            f"{argv[0]}: {error.strerror}", todo="install coord-kernel again"
        ) from None
    if done.returncode:
        raise No(done.stderr.strip().partition("\n")[0] or f"exit status {done.returncode}")
    if done.stderr:
        write_all(2, done.stderr.encode())
    return done.stdout


def prime(args: list[str], values: Values) -> Answer:
    """prime: .beads/PRIME.md if it is there, else our own; nothing without a store"""
    try:
        root = locate.root(locate.find().path)
    except Unreachable:
        return Answer("", [])
    path = os.path.join(root, ".beads", "PRIME.md")
    if os.path.isfile(path) and not values.get("full"):
        with open(path, encoding="utf-8", errors="replace") as file:
            return Answer("", [file.read().rstrip("\n")])
    return Answer("", [PRIME.rstrip("\n")])


def version(args: list[str], values: Values) -> Answer:
    """version"""
    return Answer({"version": VERSION}, [f"bd (coord-kernel) {VERSION}"])


def sync(desk: Desk, args: list[str], values: Values) -> Answer:
    """sync: with the remote, if there is one"""
    if locate.remote(desk.call.journal.store) is None:
        return Answer({"status": "ok"}, ["Nothing to sync: no remote is configured"])
    _tool("ev", "sync")
    return Answer({"status": "ok"}, ["✓ Synced"])


def export(desk: Desk, args: list[str], values: Values) -> Answer:
    """export: JSON lines"""
    text = _tool("wk", "export", "--to", "beads")
    path = values.get("output")
    if not path:
        return Answer(text, text.rstrip("\n").split("\n") if text else [])
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return Answer("", [f"Exported {len(text.splitlines())} issues to {path}"])


def import_(desk: Desk, args: list[str], values: Values) -> Answer:
    """import: as `wk import --from beads`"""
    path = values.get("file") or next(iter(args), "-")
    if path != "-" and not os.path.exists(path):
        raise BadData("no such file", where=path)
    os.environ["COORD_AGENT"] = str(desk.actor()["agent_id"])
    _tool("wk", "import", "--from", "beads", path)
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
        lines = [f"  {option or verb}: {how}" for name, option, how in rows(VERBS) if name == verb]
        return f"bd {verb}, on a coord store; see coord-bd(1)\n\n" + "\n".join(lines) + "\n"
    names = sorted(name for name, entry in VERBS.items() if entry.most >= 0)
    also = ", ".join(f"{alias} is {name}" for alias, name in ALIASES.items())
    head = "bd, on a coord store: work items that wk(1) shows, too. See coord-bd(1).\n\n"
    every = "\n".join(f"  bd {name}" for name in names)
    return f"{head}{every}\n\n{also}\nEvery verb: --json --actor NAME -C DIR --db PATH --help\n"


def install(directory: str, name: str, target: str) -> str:
    """Make a link of this name to a command in a directory; its path. Raises Refused, OSError."""
    path = os.path.join(directory, name)
    if os.path.islink(path) and os.path.realpath(path) == os.path.realpath(target):
        return path
    if os.path.lexists(path):
        raise Refused("is there already", where=path, todo="remove it, or use another directory")
    os.symlink(target, path)
    return path
