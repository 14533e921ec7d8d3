"""Where the store is, and what belongs to it. git is not run; its rules are followed.

The store is

1. $COORD_DIR, if it is set.
2. In a repository: `.coord` beside the git common directory if that is named `.git`, inside it
   otherwise (a bare repository, a submodule). So all work trees share one store.
3. Otherwise the nearest `.coord` upwards, but not above $HOME.

What belongs to a store (its repository, remotes, coord.toml, work tree) is found from where the
store lies, never from the current directory: with COORD_DIR that may be another project's.
"""

from __future__ import annotations

import os

from coord_envelope import world
from coord_envelope.errors import Unreachable
from coord_envelope.platform import suppress
from coord_kernel.store.config import Config
from coord_kernel.store.directory import Store


def find(directory: str | None = None) -> Store:
    """Open the store of the current directory, or of this one. Raises Unreachable if there is none.

    $COORD_DIR counts for the current directory only. A directory may be a store itself.
    """
    path = place() if directory is None else of(directory)
    store = Store(path, "")
    config = Config(root(path), store)
    store.project = config.project(recorded(store))
    store.mirrors = config.mirrors()
    return store


def recorded(store: Store) -> str:
    """The project's name when the store was made; "" if it is that of the directory."""
    return (store.load("local", "project") or b"").decode("ascii", "replace")


def place() -> str:
    """The path of the current directory's store, whether or not it exists."""
    chosen = world.getenv("COORD_DIR")
    if chosen and os.path.isabs(chosen := os.path.expanduser(chosen)):
        return os.path.normpath(chosen)
    try:
        start = os.getcwd()
    except FileNotFoundError:
        what = "the current directory was removed"
        raise Unreachable(what, todo="change to another one, or set COORD_DIR") from None
    if chosen:
        return os.path.normpath(os.path.join(start, chosen))
    return _near(start)


def of(directory: str) -> str:
    """The path of a directory's store, whether or not it exists. Raises Unreachable."""
    start = os.path.abspath(directory)
    if not os.path.isdir(start):
        raise Unreachable("no such directory", where=directory)
    return start if _is_store(start) else _near(start)


def _near(start: str) -> str:
    """2. and 3. above."""
    if found := repository(start):
        return os.path.join(_beside(found[1]), ".coord")
    here, home = start, os.path.realpath(os.path.expanduser("~"))
    while here != os.path.dirname(here):
        if os.path.lexists(os.path.join(here, ".coord")):
            return os.path.join(here, ".coord")
        if os.path.realpath(here) == home:
            break
        here = os.path.dirname(here)
    return os.path.join(start, ".coord")


def repository(start: str) -> tuple[str, str] | None:
    """The work tree that a directory is in (a bare repository itself), and the common directory.

    Found as git finds them.
    """
    here = os.path.realpath(start)
    while True:
        # A store has a `.git` of its own, which is not the user's repository.
        git_dir = None if _is_store(here) else _git_dir(here)
        if git_dir:
            return here, _common(git_dir)
        if here == os.path.dirname(here):
            return None
        here = os.path.dirname(here)


def common_dir(path: str) -> str | None:
    """The git common directory of the repository that the store at `path` lies in."""
    found = repository(os.path.dirname(path))
    return found[1] if found else None


def root(path: str) -> str:
    """The directory that the store at `path` belongs to.

    It is the main work tree of its repository (a bare repository itself), or without a repository
    the directory that the store is in.
    """
    common = common_dir(path)
    if common is None:
        return os.path.dirname(path)
    beside = _beside(common)
    return _worktree_of_config(common) or common if beside == common else beside


def here(root: str) -> str | None:
    """The current directory below the root of a work tree.

    None if it is the root itself, outside of it, or gone.
    """
    try:
        below = os.path.relpath(os.path.realpath(os.getcwd()), os.path.realpath(root))
    except FileNotFoundError:
        return None
    return None if below.split("/")[0] in (os.curdir, os.pardir) else below


def tree(store: Store) -> str:
    """The tree that jobs run in: the store's `root`.

    If the current directory is in another work tree of the store's repository, it is that one.
    """
    with suppress(FileNotFoundError):  # the current directory was removed
        found = repository(os.getcwd())
        if found and found[0] != found[1] and found[1] == common_dir(store.path):
            return found[0]
    return root(store.path)


def remote(store: Store) -> str | None:
    """The first of the configured remotes."""
    return next(iter(remotes(store)), None)


def remotes(store: Store) -> list[str]:
    """The configured remotes: set by `ev sync --remote`, or else `[sync] remote` of coord.toml."""
    from coord_kernel.store import consent  # most commands ask for no remote

    if names := consent.chosen(store):
        return names
    proposed = consent.proposed(section(store, "sync"), "remote")
    return [proposed] if proposed else []


def section(store: Store, name: str) -> dict[str, object]:
    """A table of the project's coord.toml; empty if it is missing. Raises as `Config`."""
    return Config(root(store.path), store).section(name)


def _beside(common: str) -> str:
    """The directory that holds a git common directory named `.git`; others are it themselves."""
    return os.path.dirname(common) if os.path.basename(common) == ".git" else common


def _worktree_of_config(common: str) -> str | None:
    """`core.worktree`, which git sets in submodules."""
    with suppress(OSError), open(os.path.join(common, "config"), errors="replace") as file:
        for line in file.read(1 << 16).split("\n"):
            name, _, value = line.partition("=")
            path = os.path.normpath(os.path.join(common, value.strip().strip('"')))
            if name.strip() == "worktree" and os.path.isdir(path):
                return path
    return None


def _is_store(path: str) -> bool:
    return os.path.isdir(os.path.join(path, "local", "replica"))


def _git_dir(path: str) -> str | None:
    """The git directory of the work tree, or of the bare repository, that `path` is the root of."""
    dot_git = os.path.join(path, ".git")
    if os.path.isdir(dot_git) and _is_repository(dot_git):
        return dot_git
    if os.path.isfile(dot_git):
        with open(dot_git, encoding="utf-8", errors="surrogateescape") as file:
            line = file.readline(4096).strip()
        if line.startswith("gitdir: "):
            return os.path.join(path, line[8:])
    return path if _is_repository(path) and not _is_store(os.path.dirname(path)) else None


def _is_repository(path: str) -> bool:
    linked = os.path.isfile(os.path.join(path, "commondir"))
    complete = all(os.path.isdir(os.path.join(path, name)) for name in ("objects", "refs"))
    return os.path.isfile(os.path.join(path, "HEAD")) and (linked or complete)


def _common(git_dir: str) -> str:
    with suppress(OSError), open(os.path.join(git_dir, "commondir"), encoding="utf-8") as file:
        git_dir = os.path.join(git_dir, file.readline(4096).strip())
    return os.path.realpath(git_dir)
