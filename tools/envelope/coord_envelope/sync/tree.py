"""What a ref of ours holds, and how one is written: a commit whose tree has the layout of a store."""

from __future__ import annotations

import io
import re

from coord_envelope import world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from git import Repo

_WRITER = r"journal/((?:agent|human|bridge|arbiter)\.[a-z0-9][a-z0-9._-]{0,62}~[0-9a-z]{8}(?:![0-9a-f]{8})?)"
JOURNAL = re.compile(rf"{_WRITER}/([0-9]{{12}})\.jsonl")
BLOB = re.compile(r"blobs/sha256/([0-9a-f]{2})/([0-9a-f]{62})")
_DIRECTORY = re.compile(rf"journal|blobs|blobs/sha256|blobs/sha256/[0-9a-f]{{2}}|{_WRITER}")
SEGMENT_BYTES = 1 << 26
BLOB_BYTES = 1 << 20
_TREE_BYTES = 1 << 24
_FILE, _TREE = 0o100644, 0o040000


class Holding:
    """What a ref holds: files of the layout as path → (blob, bytes), everything else as path → (mode, object)."""

    def __init__(self) -> None:
        self.root: str | None = None
        self.files: dict[str, tuple[str, int]] = {}
        self.others: dict[str, tuple[int, str]] = {}
        self.refused: dict[str, str] = {}
        """Of the others, what looks like the layout's and is not: path → why."""


def holding(repo: Repo, tip: str) -> Holding:
    """Read the tree of a commit. Total on any tree: no path of it is ever opened as a file."""
    found = Holding()
    found.root = root = _tree_of(repo, tip)
    if root is None:
        found.refused[""] = "is no commit with a tree"
        return found
    todo = [("", root)]
    while todo:
        above, oid = todo.pop()
        for mode, name, sha in _entries(repo, oid):
            path = f"{above}/{name}" if above else name
            if mode == _TREE and _DIRECTORY.fullmatch(path):
                todo.append((path, sha))
            else:
                _sort(repo, found, path, mode, sha)
    return found


def _sort(repo: Repo, found: Holding, path: str, mode: int, sha: str) -> None:
    blob = BLOB.fullmatch(path)
    if not blob and not JOURNAL.fullmatch(path):
        found.others[path] = (mode, sha)
        return
    size = repo.odb.info(bytes.fromhex(sha)).size if mode == _FILE else 0
    if mode != _FILE:
        reason = f"has mode {mode:o}"
    elif size > (BLOB_BYTES if blob else SEGMENT_BYTES):
        reason = f"has {size:,} bytes"
    else:
        found.files[path] = (sha, size)
        return
    found.refused[path] = reason
    found.others[path] = (mode, sha)


def _tree_of(repo: Repo, tip: str) -> str | None:
    from git.exc import BadObject

    try:
        stream = repo.odb.stream(bytes.fromhex(tip))
    except (BadObject, ValueError, KeyError):
        return None
    if stream.type != b"commit" or stream.size > _TREE_BYTES:
        return None
    line = bytes(stream.read(46))
    return line[5:45].decode() if line.startswith(b"tree ") else None


def _entries(repo: Repo, oid: str) -> Iterator[tuple[int, str, str]]:
    from git.objects.fun import tree_entries_from_data

    stream = repo.odb.stream(bytes.fromhex(oid))
    if stream.type != b"tree" or stream.size > _TREE_BYTES:
        return
    for sha, mode, name in tree_entries_from_data(stream.read()):
        if isinstance(name, str):
            yield mode, name, sha.hex()


def read(repo: Repo, oid: str) -> bytes:
    """The bytes of a blob."""
    return bytes(repo.odb.stream(bytes.fromhex(oid)).read())


def write(repo: Repo, kind: str, data: bytes) -> str:
    """Store an object, if it is not there yet; its id."""
    import hashlib

    from git.db import GitDB
    from gitdb import IStream

    oid = hashlib.sha1(b"%s %d\0" % (kind.encode(), len(data)) + data).digest()
    odb = repo.odb
    assert isinstance(odb, GitDB)
    if not odb.has_object(oid):
        odb.store(IStream(kind.encode(), len(data), io.BytesIO(data)))
    return oid.hex()


def blob_id(data: bytes) -> str:
    """The id that git gives a blob of these bytes."""
    import hashlib

    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def write_tree(repo: Repo, files: dict[str, tuple[int, str]]) -> str:
    """Store a tree of path → (mode, object), with all the trees below it; its id."""
    below: dict[str, dict[str, tuple[int, str]]] = {}
    here: dict[str, tuple[int, str]] = {}
    for path, what in files.items():
        name, slash, rest = path.partition("/")
        if slash:
            below.setdefault(name, {})[rest] = what
        else:
            here[name] = what
    here |= {name: (_TREE, write_tree(repo, inside)) for name, inside in below.items()}
    ordered = sorted(here.items(), key=lambda one: one[0].encode() + b"/" * (one[1][0] == _TREE))
    rows = (
        b"%o %s\0" % (mode, name.encode("utf-8", "surrogateescape")) + bytes.fromhex(oid)
        for name, (mode, oid) in ordered
    )
    return write(repo, "tree", b"".join(rows))


def write_commit(repo: Repo, tree: str, parents: list[str], why: str) -> str:
    """Store a commit; its id. By nobody in particular: who did what stands in the events."""
    who = f"coord <coord@localhost> {world.now_ms() // 1000} +0000"
    head = [f"tree {tree}", *(f"parent {one}" for one in parents), f"author {who}", f"committer {who}"]
    return write(repo, "commit", "\n".join([*head, "", why, ""]).encode())


def opened(path: str) -> Repo:
    """The repository's objects: loose ones and packs, read in this process."""
    from git import Repo
    from git.db import GitDB

    return Repo(path, odbt=GitDB)


def regular(oid: str) -> tuple[int, str]:
    """A file of our layout, for `write_tree`."""
    return _FILE, oid
