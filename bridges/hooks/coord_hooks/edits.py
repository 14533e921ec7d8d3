"""May these files be edited? Not if another agent leased one of them, in the same work tree."""

from __future__ import annotations

import os

from coord_envelope import codec, ids
from coord_hooks.programs import PROGRAMS
from coord_kernel.store import locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_envelope.codec import Json
    from coord_hooks.turn import Turn
    from coord_kernel.views.presence import Sessions

FIELDS = ("file_path", "notebook_path", "path", "filePath")
"""Where editors name the file."""
SCRIPTS = ("command", "input", "patch", "patchText")
"""Where a patch may be: alone, or in a command of the shell."""
PATCHED = ("*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: ")


def changes(program: str, tool: str) -> bool:
    """May this tool change a file? Of a program whose hooks choose their tools themselves, yes."""
    known = PROGRAMS[program]
    return known["form"] != "list" or not tool or tool in known["editors"].split("|")


def paths_of(fields: object) -> list[str]:
    """The files that a tool with this input is about to change.

    Of a shell's command only those of a patch, where its `cd` leads.
    """
    if not isinstance(fields, dict):
        return []
    paths = [fields.get(name) for name in FIELDS]
    for script in map(fields.get, SCRIPTS):
        if isinstance(script, str) and "*** " in script:
            lines = script.split("\n")
            marked = [(line, mark) for line in lines for mark in PATCHED if line.startswith(mark)]
            where = _directory(script) if marked else ""
            paths += [os.path.join(where, line[len(mark) :].strip()) for line, mark in marked]
    return [path for path in paths if isinstance(path, str) and path]


def _directory(script: str) -> str:
    """Where the shell is after the `cd`s before the patch; "" if that is not known."""
    before = script.partition("*** Begin Patch")[0]
    if "cd" not in before:
        return ""
    import shlex  # 5 ms

    words = shlex.shlex(before, posix=True, punctuation_chars=";&|()\n")
    words.whitespace, words.whitespace_split, words.commenters = " \t\r", True, ""
    where, command = "", list[str]()
    try:
        for word in words:
            if not word.strip(";&|()\n"):
                where, command = _changed(where, command), []
            else:
                command.append(word)
    except ValueError:  # an open quote, such as that of what follows
        return where
    return where


def _changed(where: str, command: list[str]) -> str:
    if command[:1] != ["cd"]:
        return where
    names = [word for word in command[1:] if word not in ("--", "-L", "-P")]
    return os.path.join(where, os.path.expanduser(names[0] if names else "~"))


def by_tree(paths: Sequence[str]) -> dict[str, list[str]]:
    """Work tree of this directory's repository → files in it, as paths from there.

    A file behind a symbolic link counts with both its names. Without a repository the tree is "",
    and what is in another repository is left out.
    """
    here = locate.repository(os.getcwd())
    trees: dict[str, list[str]] = {}
    for path in paths:
        full = os.path.abspath(path)
        for name in dict.fromkeys((full, os.path.realpath(full))):
            found = locate.repository(os.path.dirname(name)) if here else None
            if here is None:
                trees.setdefault("", []).append(path)
            elif found and found[1] == here[1]:
                directory = os.path.realpath(os.path.dirname(name))
                inside = os.path.relpath(os.path.join(directory, os.path.basename(name)), found[0])
                trees.setdefault(found[0], []).append(inside)
    return {tree: list(dict.fromkeys(names)) for tree, names in trees.items()}


def conflict(turn: Turn, paths: Sequence[str]) -> str:
    """What is in the way of changing these files, a line for each; "" if nothing."""
    lines = list[str]()
    for tree, names in by_tree(paths).items():
        refused = list(_guard(turn, tree, names))
        lines += _here(turn, tree, refused) if refused and tree else refused
    return "\n".join(dict.fromkeys(lines))


def _guard(turn: Turn, tree: str, names: Sequence[str]) -> Iterator[str]:
    """What `lease guard` reports about leases of others on these files."""
    done = turn.run("lease", "guard", "--", *names, cwd=tree)
    if done.returncode == 65 and len(names) > 1:  # one of the names cannot be leased
        for name in names:
            yield from _guard(turn, tree, [name])
    elif done.returncode == 1:
        yield from done.stderr.decode("utf-8", "replace").strip().split("\n")
    elif done.returncode != 65:
        turn.complain(done)


def _here(turn: Turn, tree: str, lines: Sequence[str]) -> list[str]:
    """Of the refusals those of leases that count in this work tree.

    A lease of this machine does not, if its holder works in another tree and the project does not
    want that (`[agents] across_worktrees = true`).
    """
    from coord_kernel.views.presence import Sessions

    store = turn.journal.store
    if locate.section(store, "agents").get("across_worktrees") is True:
        return list(lines)
    done = turn.run("lease", "ls")
    turn.complain(done)
    leases = [codec.loads(line) for line in done.stdout.split(b"\n") if line]
    sessions, away = Sessions(store).refresh(), list[str]()
    for lease in leases:
        trees = _trees(sessions, lease, store.replicas()) if lease["scope"] == "local" else set()
        if trees and tree not in trees:
            away.append(f"({ids.short('ls', lease['lease_id'])})")
    return [line for line in lines if not any(name in line for name in away)]


def _trees(sessions: Sessions, lease: Json, ours: Sequence[str]) -> set[str]:
    """The work trees that its holder works in; none if that is not known of each of its sessions.

    Without a session in the lease, of all that have not ended.
    """
    from coord_kernel.rules import presence

    trees = set[str]()
    for state in sessions.of(lease["holder"]):
        named = lease.get("session") or state["session"]
        if state["replica"] not in ours or state["session"] != named:
            continue
        if not presence.is_open(state):
            continue
        cwd = state["started"][2].get("cwd")
        found = locate.repository(cwd) if isinstance(cwd, str) else None
        if found is None:
            return set()
        trees.add(found[0])
    return trees
