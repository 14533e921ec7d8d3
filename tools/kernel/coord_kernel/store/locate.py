"""Where the store of the current directory is. git is not run; its rules are followed.

1. $COORD_DIR, if it is set.
2. In a repository: `.coord` beside the git common directory if that is named `.git`, inside it
   otherwise (a bare repository, a submodule). So all work trees share one store.
3. Otherwise the nearest `.coord` upwards, but not above $HOME.
"""

from __future__ import annotations

import os

from coord_envelope import world
from coord_envelope.errors import BadData
from coord_envelope.platform import suppress
from coord_kernel.store.config import CONFIG, Config, beside
from coord_kernel.store.directory import Store


def find() -> Store:
    """Open the store of the current directory. Raises Unreachable if there is none."""
    path, common = place(os.getcwd())
    config = Config(path, common)
    store = Store(path, config.project())
    store.mirrors = config.mirrors()
    return store


def place(start: str) -> tuple[str, str | None]:
    """The store's path for a directory, whether or not it exists, and the git common directory."""
    chosen, common = world.getenv("COORD_DIR"), common_dir(start)
    if chosen:
        return os.path.abspath(os.path.expanduser(chosen)), common
    if common:
        return os.path.join(beside(common), ".coord"), common
    here, home = start, os.path.realpath(os.path.expanduser("~"))
    while here != os.path.dirname(here):
        if os.path.lexists(os.path.join(here, ".coord")):
            return os.path.join(here, ".coord"), None
        if os.path.realpath(here) == home:
            break
        here = os.path.dirname(here)
    return os.path.join(start, ".coord"), None


def common_dir(start: str) -> str | None:
    """The git common directory that `start` is in, found as git finds it."""
    here = os.path.realpath(start)
    while True:
        dot_git = os.path.join(here, ".git")
        if _is_store(here):
            here = os.path.dirname(here)
            continue
        if os.path.isdir(dot_git) and _is_repository(dot_git):
            return _common(dot_git)
        if os.path.isfile(dot_git):
            with open(dot_git, encoding="utf-8", errors="surrogateescape") as file:
                line = file.readline(4096).strip()
            if line.startswith("gitdir: "):
                return _common(os.path.join(here, line[8:]))
        if _is_repository(here) and not _is_store(os.path.dirname(here)):
            return _common(here)
        if here == os.path.dirname(here):
            return None
        here = os.path.dirname(here)


def work_tree() -> str | None:
    """The root of the work tree that the current directory is in; None outside of one."""
    here = os.getcwd()
    if common_dir(here) is None:
        return None
    while not os.path.lexists(os.path.join(here, ".git")):
        if here == os.path.dirname(here):
            return None
        here = os.path.dirname(here)
    return here


def remote(store: Store) -> str | None:
    """The configured remote: set by `ev sync --remote`, or else `[sync] remote` of coord.toml."""
    saved = store.load("local", "remote")
    if saved:
        return saved.decode("utf-8", "replace").strip()
    name = section(store, "sync").get("remote")
    if name is not None and not isinstance(name, str):
        raise BadData("[sync] remote is not a string", where=CONFIG, todo="correct the file")
    return name


def section(store: Store, name: str) -> dict[str, object]:
    """A table of the project's coord.toml; empty if it is missing. Raises BadData."""
    return Config(store.path, common_dir(os.getcwd())).section(name)


def _is_store(path: str) -> bool:
    # A store has a `.git` of its own, which is not the user's repository.
    return os.path.isdir(os.path.join(path, "local", "replica"))


def _is_repository(path: str) -> bool:
    linked = os.path.isfile(os.path.join(path, "commondir"))
    complete = all(os.path.isdir(os.path.join(path, name)) for name in ("objects", "refs"))
    return os.path.isfile(os.path.join(path, "HEAD")) and (linked or complete)


def _common(git_dir: str) -> str:
    with suppress(OSError), open(os.path.join(git_dir, "commondir"), encoding="utf-8") as file:
        git_dir = os.path.join(git_dir, file.readline(4096).strip())
    return os.path.realpath(git_dir)
