"""Where the store of this directory is, and how one is made."""

from __future__ import annotations

import os

from coord_envelope import world
from coord_envelope.errors import BadData, Refused, Unreachable
from coord_envelope.platform import suppress
from coord_kernel.store.directory import Store
from coord_kernel.store.disk import fault_of, known_local

EXCLUDE = "/.coord/"
CONFIG = "coord.toml"


def find() -> Store:
    """Open the store of the current directory. Raises Unreachable with the remedy if there is none.

    `$COORD_DIR`; else beside the git *common* directory if that is named `.git`, else (a bare repository, a
    submodule) inside it, so all worktrees share one; else the nearest `.coord/` upwards, not past `$HOME`.
    """
    path, common = place(os.getcwd())
    store = Store(path, project_name(path, common))
    store.mirrors = mirrors(path, common)
    return store


def place(start: str) -> tuple[str, str | None]:
    """The store's path for a directory, whether or not it is there yet, and the git common directory."""
    chosen, common = world.getenv("COORD_DIR"), common_dir(start)
    if chosen:
        return os.path.abspath(os.path.expanduser(chosen)), common
    if common:
        return os.path.join(_beside(common), ".coord"), common
    here, home = start, os.path.realpath(os.path.expanduser("~"))
    while here != os.path.dirname(here):
        if os.path.lexists(os.path.join(here, ".coord")):
            return os.path.join(here, ".coord"), None
        if os.path.realpath(here) == home:
            break
        here = os.path.dirname(here)
    return os.path.join(start, ".coord"), None


def common_dir(start: str) -> str | None:
    """The git common directory that `start` is in, found as git finds it, without running git."""
    here = os.path.realpath(start)
    while True:
        dot = os.path.join(here, ".git")
        if _is_store(here):
            here = os.path.dirname(here)
            continue
        if os.path.isdir(dot) and _is_repository(dot):
            return _common(dot)
        if os.path.isfile(dot):
            with open(dot, encoding="utf-8", errors="surrogateescape") as file:
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


def _is_store(path: str) -> bool:
    # Its .git is ours, and no repository of the user's.
    return os.path.isdir(os.path.join(path, "local", "replica"))


def _is_repository(path: str) -> bool:
    linked = os.path.isfile(os.path.join(path, "commondir"))
    own = all(os.path.isdir(os.path.join(path, name)) for name in ("objects", "refs"))
    return os.path.isfile(os.path.join(path, "HEAD")) and (linked or own)


def _common(git_dir: str) -> str:
    with suppress(OSError), open(os.path.join(git_dir, "commondir"), encoding="utf-8") as file:
        git_dir = os.path.join(git_dir, file.readline(4096).strip())
    return os.path.realpath(git_dir)


def project_name(path: str, common: str | None) -> str:
    """The project's slug: `project` of coord.toml in the root, else the root's name.

    The root is the repository's main work tree (a bare repository itself), else the directory of the store.
    """
    root = _root(path, common)
    name = _settings(root).get("project")
    if name is not None and not isinstance(name, str):
        raise BadData(
            "project is not a string", where=os.path.join(root, CONFIG), todo="mend the file"
        )
    return slug(name or os.path.basename(root).removesuffix(".git"))


def mirrors(path: str, common: str | None) -> tuple[str, ...]:
    """`mirror` of coord.toml: globs of the types that are kept in the journal though they would be live events."""
    root = _root(path, common)
    globs = _settings(root).get("mirror", [])
    if not isinstance(globs, list) or not all(isinstance(one, str) for one in globs):
        what = "mirror is not a list of strings"
        raise BadData(
            what, where=os.path.join(root, CONFIG), todo='mend the file: mirror = ["lease.*"]'
        )
    return tuple(globs)


def section(path: str, common: str | None, name: str) -> dict[str, object]:
    """A table of coord.toml; empty where there is none. Raises BadData."""
    root = _root(path, common)
    found = _settings(root).get(name, {})
    if not isinstance(found, dict):
        raise BadData(
            f"{name} is no table", where=os.path.join(root, CONFIG), todo=f"mend the file: [{name}]"
        )
    return found


def remote(store: Store) -> str | None:
    """The configured remote: what `ev sync --remote` was told here, else `[sync] remote` of coord.toml."""
    told = store.load("local", "remote")
    if told:
        return told.decode("utf-8", "replace").strip()
    found = section(store.path, common_dir(os.getcwd()), "sync").get("remote")
    if found is not None and not isinstance(found, str):
        raise BadData("[sync] remote is not a string", where=CONFIG, todo="mend the file")
    return found


def _root(path: str, common: str | None) -> str:
    return os.path.dirname(path) if common is None else _beside(common)


def _beside(common: str) -> str:
    return os.path.dirname(common) if os.path.basename(common) == ".git" else common


def _settings(root: str) -> dict[str, object]:
    path = os.path.join(root, CONFIG)
    if not os.path.exists(path):
        return {}
    import tomllib  # 22 ms, only for those who have the file

    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as reason:
        raise BadData(str(reason), where=path, todo="mend the file") from None


def slug(text: str) -> str:
    """Lower case, at most 64 of `a-z 0-9 . _ -`; `project` where nothing is left."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in text.lower())
    return kept.strip("._-")[:64] or "project"


def init(unsafe_fs: bool = False) -> tuple[Store, list[str]]:
    """Make the store of the current directory, or complete it; calling it again changes nothing.

    Returns the store and warnings. Besides the store it touches one file: the repository's info/exclude.
    """
    path, common = place(os.getcwd())
    if not known_local(os.path.dirname(path)) and not unsafe_fs:
        raise Refused(
            "is on a network file system",
            where=path,
            todo="`ev init --unsafe-fs` if you know better",
        )
    try:
        if not os.path.lexists(path):
            os.mkdir(path, 0o700)
        store = Store(path, project_name(path, common), new=True)
        _furnish(store, unsafe_fs)
    except FileNotFoundError:
        raise Unreachable(
            "no such directory", where=os.path.dirname(path), todo="make it first"
        ) from None
    except OSError as error:
        raise fault_of(error, where=path) from None
    beside = common is not None and path == os.path.join(os.path.dirname(common), ".coord")
    return store, _exclude(common) if common and beside else []


def _furnish(store: Store, unsafe_fs: bool) -> None:
    for names in (
        ("journal",),
        ("live",),
        ("blobs", "sha256"),
        ("local", "cursors"),
        ("local", "replica"),
    ):
        os.close(store.directory(*names, make=True))
    if unsafe_fs:
        store.save(b"", "local", "unsafe-fs")
    repository(store)
    with store.lock():
        store.replica()


def repository(store: Store) -> None:
    """Make the store's own repository, or what is missing of it, without git.

    There sync keeps its objects; and because of it `git clean -fdx` and `git stash -a` of the user's repository pass
    over the store.
    """
    for names in ((".git", "objects"), (".git", "refs")):
        os.close(store.directory(*names, make=True))
    if store.load(".git", "HEAD") is None:
        store.save(
            b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n",
            ".git",
            "config",
        )
        store.save(b"ref: refs/heads/main\n", ".git", "HEAD")


def _exclude(common: str) -> list[str]:
    path = os.path.join(common, "info", "exclude")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a+b") as file:
            file.seek(0)
            text = file.read()
            if EXCLUDE.encode() not in text.split(b"\n"):
                file.write(
                    (b"\n" if text and not text.endswith(b"\n") else b"") + EXCLUDE.encode() + b"\n"
                )
    except OSError as error:
        return [
            f"{path}: {(error.strerror or '').lower()}; add the line {EXCLUDE} there, or git will list the store"
        ]
    return []
