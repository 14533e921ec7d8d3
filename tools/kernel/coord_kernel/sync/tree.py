"""What a ref of ours holds, and how one is written: a commit whose tree has the layout of a store."""

from __future__ import annotations

import io
import re

from coord_envelope import world
from coord_kernel.sync.git import DamagedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from git.db import GitDB

_WRITER = r"journal/((?:agent|human|bridge|arbiter)\.[a-z0-9][a-z0-9._-]{0,62}~[0-9a-z]{8}(?:![0-9a-f]{8})?)"
JOURNAL = re.compile(rf"{_WRITER}/([0-9]{{12}})\.jsonl")
BLOB = re.compile(r"blobs/sha256/([0-9a-f]{2})/([0-9a-f]{62})")
_DIRECTORY = re.compile(rf"journal|blobs|blobs/sha256|blobs/sha256/[0-9a-f]{{2}}|{_WRITER}")
SEGMENT_BYTES = 1 << 26
BLOB_BYTES = 1 << 20
_TREE_BYTES = 1 << 24
_MOST = 1 << 18
"""Entries of a ref: a few trees that name each other could stand for any number of files."""
_SAID = 5
_UNSAFE = frozenset(("", ".", "..", ".git"))
_FILE, _TREE = 0o100644, 0o040000


def limit(path: str) -> int:
    """Most bytes of a file that is synced."""
    return BLOB_BYTES if path.startswith("blobs/") else SEGMENT_BYTES


class Manifest:
    """What a ref holds: files of the layout as path → object, what is to be carried as path → (mode, object).

    That a file is a blob, and how large, is known when it is read: so a look costs the trees alone.
    """

    def __init__(self) -> None:
        self.root: str | None = None
        self.files: dict[str, str] = {}
        self.others: dict[str, tuple[int, str]] = {}
        self.refused: dict[str, str] = {}
        """What should be of the layout and is not: path → why."""

    def entries(self) -> dict[str, tuple[int, str]]:
        """All of it, for `write_tree`."""
        return {path: regular(oid) for path, oid in self.files.items()} | self.others

    def report(self, name: str) -> list[str]:
        """What was refused of the ref, in a few sentences, however much it is."""
        some = list(self.refused.items())[:_SAID]
        said = [f"{name}: {path or 'its tip'} {why}, not taken" for path, why in some]
        more = len(self.refused) - len(some)
        return [*said, f"{name}: and {more:,} more like these, not taken"] if more else said


def manifest(objects: GitDB, tip: str) -> Manifest:
    """Read the tree of a commit. Total on any tree: no path of it is ever opened as a file. Raises DamagedError."""
    found = Manifest()
    root = _tree_of(objects, tip)
    todo = [] if root is None else [("", root)]
    count = 0
    while todo:
        above, oid = todo.pop()
        rows = _entries(_load(objects, oid, "tree", _TREE_BYTES))
        count += len(rows or ())
        if rows is None:
            found.refused[above] = "is no tree"
        if count > _MOST:
            nothing = Manifest()
            nothing.refused[above] = f"has more than {_MOST:,} entries"
            return nothing
        for mode, name, sha in rows or ():
            path = f"{above}/{name}" if above else name
            if mode == _TREE and _DIRECTORY.fullmatch(path):
                todo.append((path, sha))
            else:
                _sort(found, path, mode, sha)
    if root is None:
        found.refused[""] = "is no commit with a tree"
    found.root = root
    return found


def _sort(found: Manifest, path: str, mode: int, sha: str) -> None:
    if not BLOB.fullmatch(path) and not JOURNAL.fullmatch(path):
        safe = _UNSAFE.isdisjoint(path.lower().split("/"))
        if not safe or path.startswith(("journal/", "blobs/")):
            found.refused[path] = "is no place of a store"
        if safe:  # a later version may know it
            found.others[path] = (mode, sha)
    elif mode == _FILE:
        found.files[path] = sha
    else:
        found.refused[path] = f"has mode {mode:o}"


def _tree_of(objects: GitDB, tip: str) -> str | None:
    head = _load(objects, tip, "commit", _TREE_BYTES)
    return head[5:45].decode() if head and head.startswith(b"tree ") else None


def written_ms(objects: GitDB, tip: str) -> int:
    """When the commit says it was made, Unix milliseconds; 0 if it does not say."""
    head = bytes(objects.stream(bytes.fromhex(tip)).read()).partition(b"\n\n")[0]
    found = re.search(rb"^committer .*> ([0-9]{1,12}) ", head, re.MULTILINE)
    return int(found[1]) * 1000 if found else 0


def _entries(data: bytes | None) -> list[tuple[int, str, str]] | None:
    """Mode, name and object of each entry of a tree; None if these bytes are none.

    Read here and not by GitPython, some of whose releases raise on a name like `..`, and then on the whole tree.
    """
    if data is None:
        return None
    found, at = [], 0
    while at < len(data):
        blank, end = data.find(b" ", at), data.find(b"\0", at)
        mode = data[at:blank]
        if not at < blank < end <= len(data) - 21 or mode.strip(b"01234567") or len(mode) > 6:
            return None
        name = data[blank + 1 : end].decode("utf-8", "surrogateescape")
        found.append((int(mode, 8), name, data[end + 1 : end + 21].hex()))
        at = end + 21
    return found


def _about(objects: GitDB, oid: str) -> tuple[str, int]:
    """An object's kind and size. Raises DamagedError."""
    try:
        info = objects.info(bytes.fromhex(oid))
        return info.type.decode(), info.size
    except Exception as reason:  # gitdb's, zlib's, mmap's: each of many means the same
        raise DamagedError(f"object {oid} cannot be read") from reason


def _load(objects: GitDB, oid: str, kind: str, most: int) -> bytes | None:
    """An object's bytes; None if it is of another kind, or has more. Raises DamagedError."""
    found, size = _about(objects, oid)
    if found != kind or size > most:
        return None
    try:
        data = bytes(objects.stream(bytes.fromhex(oid)).read())
    except Exception as reason:  # as above
        raise DamagedError(f"object {oid} cannot be read") from reason
    if _id(kind, data) != oid:
        raise DamagedError(f"object {oid} is not what its id says")
    return data


def read(objects: GitDB, oid: str, most: int = SEGMENT_BYTES) -> bytes:
    """The bytes of a file of a `Manifest`. Raises ValueError if it is no blob of at most so many; DamagedError."""
    data = _load(objects, oid, "blob", most)
    if data is None:
        kind, size = _about(objects, oid)
        raise ValueError(f"has {size:,} bytes" if kind == "blob" else f"is a {kind}")
    return data


def write(objects: GitDB, kind: str, data: bytes) -> str:
    """Store an object, if it is not there yet; its id."""
    from gitdb import IStream

    oid = _id(kind, data)
    if not objects.has_object(bytes.fromhex(oid)):
        objects.store(IStream(kind.encode(), len(data), io.BytesIO(data)))
    return oid


def _id(kind: str, data: bytes) -> str:
    import hashlib

    return hashlib.sha1(b"%s %d\0" % (kind.encode(), len(data)) + data).hexdigest()


def blob_id(data: bytes) -> str:
    """The id that git gives a blob of these bytes."""
    return _id("blob", data)


def write_tree(objects: GitDB, files: dict[str, tuple[int, str]]) -> str:
    """Store a tree of path → (mode, object), with all the trees below it; its id."""
    below: dict[str, dict[str, tuple[int, str]]] = {}
    here: dict[str, tuple[int, str]] = {}
    for path, what in files.items():
        name, slash, rest = path.partition("/")
        if slash:
            below.setdefault(name, {})[rest] = what
        else:
            here[name] = what
    here |= {name: (_TREE, write_tree(objects, inside)) for name, inside in below.items()}
    ordered = sorted(here.items(), key=lambda one: one[0].encode() + b"/" * (one[1][0] == _TREE))
    rows = (
        b"%o %s\0" % (mode, name.encode("utf-8", "surrogateescape")) + bytes.fromhex(oid)
        for name, (mode, oid) in ordered
    )
    return write(objects, "tree", b"".join(rows))


def write_commit(objects: GitDB, tree: str, parents: list[str], why: str) -> str:
    """Store a commit; its id. By nobody in particular: who did what stands in the events."""
    who = f"coord <coord@localhost> {world.now_ms() // 1000} +0000"
    head = [
        f"tree {tree}",
        *(f"parent {one}" for one in parents),
        f"author {who}",
        f"committer {who}",
    ]
    return write(objects, "commit", "\n".join([*head, "", why, ""]).encode())


def opened(path: str) -> GitDB:
    """A repository's objects: loose ones and packs, read in this process.

    Not by way of a `git.Repo`, which heeds GIT_OBJECT_DIRECTORY: in a hook that is the user's repository.
    """
    from git.db import GitDB

    return GitDB(f"{path}/objects")


def regular(oid: str) -> tuple[int, str]:
    """A file of our layout, for `write_tree`."""
    return _FILE, oid
