"""Refs of git as manifests of files: read from a commit's tree, and written as one.

The tree of a ref has the layout of a store. Everything here is total on any tree: no path of it is
opened as a file.
"""

from __future__ import annotations

from coord_envelope import world
from coord_envelope.platform import sha1
from coord_kernel.sync.git import DamagedError
from coord_kernel.sync.layout import SEGMENT_BYTES, is_blob, is_directory, segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.sync.objects import Objects

_TREE_BYTES = 1 << 24
_MOST = 1 << 18
"""Entries of a ref: a few trees that name each other could stand for any number of files."""
_REPORTED = 5
_UNSAFE = frozenset(("", ".", "..", ".git"))
_FILE, _TREE = 0o100644, 0o040000


class Manifest:
    """What a ref holds. That a file is a blob, and how large, is found out when it is read."""

    def __init__(self) -> None:
        self.root: str | None = None
        """The tree; None if the ref is not a commit with a tree."""
        self.files: dict[str, str] = {}
        """Files of the layout: path → blob id."""
        self.others: dict[str, tuple[int, str]] = {}
        """What a later version may know, and is kept: path → mode, object id."""
        self.refused: dict[str, str] = {}
        """What is in the way of the layout: path → why."""

    def entries(self) -> dict[str, tuple[int, str]]:
        """All of it, for `write_tree`."""
        return {path: regular(oid) for path, oid in self.files.items()} | self.others

    def report(self, name: str) -> list[str]:
        """Warnings for what was refused: a few, however much it is."""
        some = list(self.refused.items())[:_REPORTED]
        warnings = [f"{name}: {path or 'its tip'}: {why}; ignored" for path, why in some]
        more = len(self.refused) - len(some)
        if more:
            warnings.append(f"{name}: {more:,} more like these; ignored")
        return warnings


def manifest(objects: Objects, tip: str) -> Manifest:
    """Read the tree of a commit. Raises DamagedError."""
    whole = Manifest()
    root = _tree_of(objects, tip)
    todo = [] if root is None else [("", root)]
    count = 0
    while todo:
        above, oid = todo.pop()
        rows = _entries(_load(objects, oid, "tree", _TREE_BYTES))
        count += len(rows or ())
        if rows is None:
            whole.refused[above] = "not a tree"
        if count > _MOST:
            nothing = Manifest()
            nothing.refused[above] = f"more than {_MOST:,} entries"
            return nothing
        for mode, name, sha in rows or ():
            path = f"{above}/{name}" if above else name
            if mode == _TREE and is_directory(path):
                todo.append((path, sha))
            else:
                _sort(whole, path, mode, sha)
    if root is None:
        whole.refused[""] = "not a commit with a tree"
    whole.root = root
    return whole


def _sort(whole: Manifest, path: str, mode: int, sha: str) -> None:
    if not is_blob(path) and not segment(path):
        safe = _UNSAFE.isdisjoint(path.lower().split("/"))
        if not safe or path.startswith(("journal/", "blobs/")):
            whole.refused[path] = "not a path of a store"
        if safe:
            whole.others[path] = (mode, sha)
    elif mode == _FILE:
        whole.files[path] = sha
    else:
        whole.refused[path] = f"mode {mode:o}"


def _tree_of(objects: Objects, tip: str) -> str | None:
    head = _load(objects, tip, "commit", _TREE_BYTES)
    return head[5:45].decode() if head and head.startswith(b"tree ") else None


def written_ms(objects: Objects, tip: str) -> int:
    """The commit's time, in Unix milliseconds; 0 if it has none."""
    import re

    head = objects.read(tip).partition(b"\n\n")[0]
    time = re.search(rb"^committer .*> ([0-9]{1,12}) ", head, re.MULTILINE)
    return int(time[1]) * 1000 if time else 0


def _entries(data: bytes | None) -> list[tuple[int, str, str]] | None:
    """Mode, name and object id of each entry of a tree; None if these bytes are not a tree.

    Read here and not by GitPython, some releases of which raise on a name like `..`, and then on
    the whole tree.
    """
    if data is None:
        return None
    entries, at = [], 0
    while at < len(data):
        blank, end = data.find(b" ", at), data.find(b"\0", at)
        mode = data[at:blank]
        if not at < blank < end <= len(data) - 21 or mode.strip(b"01234567") or len(mode) > 6:
            return None
        name = data[blank + 1 : end].decode("utf-8", "surrogateescape")
        entries.append((int(mode, 8), name, data[end + 1 : end + 21].hex()))
        at = end + 21
    return entries


def _about(objects: Objects, oid: str) -> tuple[str, int]:
    """An object's kind and size in bytes. Raises DamagedError."""
    try:
        return objects.about(oid)
    except Exception as reason:  # of gitdb, zlib or mmap: each means the same
        raise DamagedError(f"object {oid} cannot be read") from reason


def _load(objects: Objects, oid: str, kind: str, most: int) -> bytes | None:
    """An object's bytes; None if it is of another kind, or larger. Raises DamagedError."""
    actual, size = _about(objects, oid)
    if actual != kind or size > most:
        return None
    try:
        data = objects.read(oid)
    except Exception as reason:  # as above
        raise DamagedError(f"object {oid} cannot be read") from reason
    if _id(kind, data) != oid:
        raise DamagedError(f"object {oid} does not have the hash in its id")
    return data


def read(objects: Objects, oid: str, most: int = SEGMENT_BYTES) -> bytes:
    """The bytes of a file of a `Manifest`.

    Raises ValueError if it is not a blob of at most so many bytes; DamagedError.
    """
    data = _load(objects, oid, "blob", most)
    if data is None:
        kind, size = _about(objects, oid)
        raise ValueError(f"too large, {size:,} bytes" if kind == "blob" else f"is a {kind}")
    return data


def write(objects: Objects, kind: str, data: bytes) -> str:
    """Store an object, unless it is there already; its id."""
    oid = _id(kind, data)
    objects.add(oid, kind, data)
    return oid


def _id(kind: str, data: bytes) -> str:
    return str(sha1(b"%s %d\0" % (kind.encode(), len(data)) + data).hexdigest())


def blob_id(data: bytes) -> str:
    """The id that git gives a blob of these bytes."""
    return _id("blob", data)


def write_tree(objects: Objects, files: dict[str, tuple[int, str]]) -> str:
    """Store a tree of path → (mode, object id), with all trees below it; its id."""
    below: dict[str, dict[str, tuple[int, str]]] = {}
    here: dict[str, tuple[int, str]] = {}
    for path, what in files.items():
        name, slash, rest = path.partition("/")
        if slash:
            below.setdefault(name, {})[rest] = what
        else:
            here[name] = what
    here |= {name: (_TREE, write_tree(objects, inside)) for name, inside in below.items()}
    ordered = sorted(here.items(), key=_git_order)
    rows = (
        b"%o %s\0" % (mode, name.encode("utf-8", "surrogateescape")) + bytes.fromhex(oid)
        for name, (mode, oid) in ordered
    )
    return write(objects, "tree", b"".join(rows))


def _git_order(entry: tuple[str, tuple[int, str]]) -> bytes:
    """git sorts the name of a tree as if it ended with a slash."""
    name, (mode, _) = entry
    return name.encode() + b"/" * (mode == _TREE)


def write_commit(objects: Objects, tree: str, parents: list[str], why: str) -> str:
    """Store a commit; its id. Its author is nobody: the events have their actors."""
    who = f"coord <coord@localhost> {world.now_ms() // 1000} +0000"
    head = [
        f"tree {tree}",
        *(f"parent {parent}" for parent in parents),
        f"author {who}",
        f"committer {who}",
    ]
    return write(objects, "commit", "\n".join([*head, "", why, ""]).encode())


def regular(oid: str) -> tuple[int, str]:
    """A file of our layout, for `write_tree`."""
    return _FILE, oid
