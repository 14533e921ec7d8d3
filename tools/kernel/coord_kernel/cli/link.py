"""For commands that stand in for those of another program: its name, tools, settings."""

from __future__ import annotations

import os
import sys

from coord_envelope.errors import No, Refused, Unreachable, Usage
from coord_kernel.proc import beside
from coord_kernel.store import locate
from coord_kernel.store.disk import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def linked(name: str, words: Sequence[str]) -> int:
    """`coord-NAME link DIR`: install this command under a name; the exit status.

    Raises Usage, Refused, OSError.
    """
    if len(words) != 1:
        raise Usage("link needs one directory", todo=f"coord-{name} link DIR")
    write_all(1, f"{install(words[0], name, os.path.abspath(sys.argv[0]))}\n".encode())
    return 0


def install(directory: str, name: str, target: str) -> str:
    """Make a link of this name to a command in a directory; its path. Raises Refused, OSError."""
    path = os.path.join(directory, name)
    if os.path.islink(path) and os.path.realpath(path) == os.path.realpath(target):
        return path
    if os.path.lexists(path):
        raise Refused("is there already", where=path, todo="remove it, or use another directory")
    _refuse_missing(directory)
    try:
        os.symlink(target, path)
    except OSError as error:
        error.filename = path  # Python names the target
        raise
    return path


def _refuse_missing(directory: str) -> None:
    if not os.path.isdir(directory):
        raise Refused("no such directory", where=directory, todo="make it, or use another one")


def tool(*argv: str, agent: str | None = None, cwd: str | None = None) -> str:
    """Run one of the tools; its output. Its warnings are passed on.

    Raises No with the first line of what it says, Unreachable if it cannot be started.
    """
    import subprocess  # 18 ms

    env = {**os.environ, "PATH": beside.path(), **({"COORD_AGENT": agent} if agent else {})}
    try:
        done = subprocess.run(argv, env=env, cwd=cwd, capture_output=True, text=True)
    except OSError as error:
        what = f"{argv[0]}: {error.strerror}"
        raise Unreachable(what, todo="install coord-kernel again") from None
    if done.returncode:
        raise No(done.stderr.strip().partition("\n")[0] or f"exit status {done.returncode}")
    if done.stderr:
        write_all(2, done.stderr.encode())
    return done.stdout


def begin(section: str, prefix: str | None) -> str:
    """Make or complete the store, as `ev init`, and keep the prefix of ids; the store's path.

    The prefix is written to `[SECTION] prefix` of coord.toml. Raises Usage, Refused, No.
    """
    if prefix and not _is_prefix(prefix):
        what = f"invalid prefix {prefix!r}: letters, digits and hyphens, a letter first"
        raise Usage(what)
    tool("ev", "init")
    store = locate.find()
    known = locate.section(store, section)
    if prefix and known.get("prefix") != prefix:
        path = os.path.join(locate.root(store.path), "coord.toml")
        if known:
            raise Refused(f"has a [{section}] section", where=path, todo="edit its prefix")
        with open(path, "a", encoding="utf-8") as file:
            blank = "\n" if file.tell() else ""
            file.write(f'{blank}[{section}]\nprefix = "{prefix}"\n')
    return store.path


def _is_prefix(prefix: str) -> bool:
    plain = prefix.isascii() and all(char.isalnum() or char in "-_" for char in prefix)
    return plain and prefix[:1].isalpha() and len(prefix) <= 32


def script(directory: str, name: str, words: tuple[str, ...]) -> str:
    """Make a shell script of this name that is a command with arguments; its path.

    Raises Refused, OSError.
    """
    import shlex  # 6 ms

    path = os.path.join(directory, name)
    text = f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n'
    if os.path.lexists(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            if file.read(len(text) + 1) == text:
                return path
        raise Refused("is there already", where=path, todo="remove it, or use another directory")
    _refuse_missing(directory)
    with open(path, "x", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o755)
        file.write(text)
    return path
