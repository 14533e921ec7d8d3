"""Making a store, or completing one."""

from __future__ import annotations

import os

from coord_envelope.errors import Refused, Unreachable
from coord_envelope.platform import suppress
from coord_kernel.store import consent
from coord_kernel.store.config import Config
from coord_kernel.store.directory import Store, sweep
from coord_kernel.store.disk import fault_of, known_local
from coord_kernel.store.locate import common_dir, place, recorded, root

EXCLUDE = "/.coord/"
_DIRECTORIES = (
    ("journal",),
    ("live",),
    ("blobs", "sha256"),
    ("local", "cursors"),
    ("local", "replica"),
)
_CONFIG = b"""\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
"""


def init(unsafe_fs: bool = False) -> tuple[Store, list[str]]:
    """Make the store of the current directory, or complete it. Idempotent.

    Returns the store and warnings. Outside the store it changes one file: the repository's
    info/exclude. Raises Refused, Unreachable, DiskFault, BadData.
    """
    path = place()
    common = common_dir(path)
    parent = os.path.dirname(path)
    if not known_local(parent) and not unsafe_fs:
        raise Refused(
            "on a network file system", where=path, todo="`ev init --unsafe-fs` allows it"
        )
    try:
        if not os.path.lexists(path):
            os.mkdir(path, 0o700)
        config = Config(root(path))
        store = Store(path, config.project(), new=True)
        _complete(store, unsafe_fs, common)
        store.project = config.project(recorded(store))
    except FileNotFoundError:
        raise Unreachable("no such directory", where=parent, todo="create it first") from None
    except OSError as error:
        raise fault_of(error, where=path) from None
    beside = common is not None and path == os.path.join(os.path.dirname(common), ".coord")
    return store, _exclude(common) if common and beside else []


def _complete(store: Store, unsafe_fs: bool, common: str | None) -> None:
    for names in _DIRECTORIES:
        os.close(store.directory(*names, make=True))
    blobs = [("blobs", "sha256", name) for name in store.listdir("blobs", "sha256")]
    for swept in (("local",), (".git",), *_DIRECTORIES, *blobs):
        with suppress(OSError):
            directory = store.directory(*swept)
            sweep(directory)
            os.close(directory)
    if unsafe_fs:
        store.save(b"", "local", "unsafe-fs")
    repository(store)
    with store.lock():
        # Before the first replica: the events of a store that has one keep their project.
        if common and not store.all_replicas():
            from coord_kernel.store import origin  # only a new store asks

            if name := origin.name(common):
                store.save(name.encode(), "local", "project")
        store.replica()


def repository(store: Store) -> None:
    """Create the store's own git repository, or its missing parts, without running git.

    Sync keeps its objects there. It also protects the store: `git clean -fdx` and `git stash -a`
    in the user's repository pass over a directory that is a repository itself.
    """
    for names in ((".git", "objects"), (".git", "refs")):
        os.close(store.directory(*names, make=True))
    if store.load(".git", "HEAD") is None:
        consent.begin(store)
        store.save(_CONFIG, ".git", "config")
        store.save(b"ref: refs/heads/main\n", ".git", "HEAD")


def _exclude(common: str) -> list[str]:
    """Add the store to the repository's info/exclude. Returns warnings."""
    path, line = os.path.join(common, "info", "exclude"), EXCLUDE.encode()
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a+b") as file:
            file.seek(0)
            text = file.read()
            if line not in text.split(b"\n"):
                file.write((b"\n" if text and not text.endswith(b"\n") else b"") + line + b"\n")
    except OSError as error:
        return [
            f"{path}: {(error.strerror or '').lower()}; "
            f"add the line {EXCLUDE} there, or git will list the store"
        ]
    return []
