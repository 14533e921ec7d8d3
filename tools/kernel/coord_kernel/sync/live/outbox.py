"""What a store has to give to a log: of each file, the bytes that the log is not known to have."""

from __future__ import annotations

import os

from coord_kernel.rules import claims
from coord_kernel.rules.trust import STREAM
from coord_kernel.store import disk
from coord_kernel.sync import layout, publish
from coord_kernel.sync.live import chunk as chunks
from coord_kernel.sync.live import spans
from coord_kernel.sync.live.chunk import Chunk
from coord_kernel.sync.live.intake import whole_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_kernel.store.directory import Store
    from coord_kernel.sync.live.spans import Spans

    Missing = list[tuple[str, int, Spans]]
    """A file, its size, and the ranges that the log lacks."""


def missing(store: Store, has: dict[str, Spans]) -> Missing:
    """The files of which the log lacks something. Blobs too large to be synced are left out."""
    files = []
    for path in publish.paths(store):
        size = whole_size(store, path)
        if size <= layout.limit(path):
            ranges = [[*hole] for hole in spans.holes(has.get(path, []), size)]
            if ranges:
                files.append((path, size, ranges))
    return files


def lost(store: Store, has: dict[str, Spans]) -> bool:
    """Is less here than was taken in or given? Then the journal was restored from a backup."""
    return any(spans.end(ranges) > whole_size(store, path) for path, ranges in has.items())


def of_arbiter(path: str) -> bool:
    """Is it a file of the arbiter's stream? Of a fork of it: no, that is a file like others."""
    name = path.split("/")[1]
    return claims.is_arbiter(name) and "!" not in name


def written_here(path: str, replica: str) -> bool:
    """Is it a file of a stream that this store writes?"""
    return path.startswith("journal/") and path.split("/")[1].endswith(f"~{replica}")


def order(row: tuple[str, int, Spans]) -> tuple[bool, str]:
    """What is given first: statements, so that what they cover is judged when it comes."""
    return not row[0].startswith(f"journal/{STREAM}"), row[0]


def subject(path: str, replica: str) -> str:
    """The subject on which this replica gives a file."""
    return f"{replica}/{path.split('/')[1] if path.startswith('journal/') else 'blobs'}"


def read(store: Store, files: Missing, replica: str) -> Iterator[Chunk]:
    """The chunks of these ranges, in order of files and offsets."""
    for path, size, ranges in files:
        whole = size if path.startswith("blobs/") else 0
        for begin, end in ranges:
            data = store.pread(end - begin, begin, *path.split("/"))
            for piece in chunks.cut(data):
                yield Chunk(path, begin, whole, replica, piece)
                begin += len(piece)


class Tails:
    """The newest segments of the streams that this store writes, given up to some byte.

    What is appended there is given at once; all else is found by `missing`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[str, tuple[int, ...]]] = {}
        """By directory: its newest segment, and the mark of the directory while it is that."""

    def note(self, path: str) -> None:
        """A segment was given: it may be the newest one of its stream."""
        directory, _, file = path.rpartition("/")
        names = directory.split("/")
        mark = self._store.mark(*names)
        if max(self._store.listdir(*names), default="") == file:
            self._known[directory] = path, mark

    def grown(self, directory: str, has: dict[str, Spans], replica: str) -> Chunk | None:
        """What was appended, durably; of no bytes: nothing. None: it needs a look at everything."""
        path, mark = self._known.get(directory, ("", ()))
        end = spans.end(has.get(path, []))
        names = directory.split("/")
        if not path or has[path] != [[0, end]] or self._store.mark(*names) != mark:
            return None
        fd = self._store.open(*path.split("/"))
        try:
            data = os.pread(fd, chunks.MOST + 1, end)
            data = data[: data.rfind(b"\n") + 1]
            if len(data) > chunks.MOST or end + len(data) > layout.limit(path):
                return None
            if data:
                disk.fdatasync(fd)
        finally:
            os.close(fd)
        return Chunk(path, end, 0, replica, data)
