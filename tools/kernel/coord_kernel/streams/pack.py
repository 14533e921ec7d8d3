"""Many small streams in one file, so that a replay of many writers opens one file, not each.

`local/packed` is a copy of the lines of small streams, merged, and disposable. Its first line says
up to which place in the log of changes it is right (`streams.changes`), its second which streams
are not in it, its third how far it read those that are. A replay reads the pack, the streams that
are not in it, and what was added to others since. A stream is packed if it has one segment, whose
lines are known to be plain (see `streams.lines`). Where `changes` says that all streams are to be
looked at, there is no pack.
"""

from __future__ import annotations

import os

from coord_envelope import codec
from coord_envelope.platform import suppress
from coord_kernel.streams import changes
from coord_kernel.streams.stream import Stream, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any, Self

    from coord_kernel.store.directory import Store

LARGEST = 1 << 26
"""Bytes of a pack: it is made in memory."""
SMALL = 1 << 17
"""Bytes of the largest stream that is worth it."""
_FILE = ("local", "packed")


class Pack:
    """The pack of a store, if there is one, and the streams to be read besides."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ends: dict[str, list[Any]] = {}
        self.begin, self.end = 0, 0
        """Where its lines begin and end in the file."""
        self.beside: list[Stream] = []
        self.forked = False
        """Has a writer two streams?"""
        self._fd: int | None = None  # kept, for another process may replace it
        self._since: changes.Changes | None = None
        with suppress(ValueError, OSError, TypeError, KeyError):
            self._open()
        if not self.end:
            self.beside = streams(store)
        self.forked = self.forked or _forked([stream.name for stream in self.beside])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            os.close(self._fd)

    def _open(self) -> None:
        self._fd = self._store.open(*_FILE)
        first = os.pread(self._fd, 1 << 12, 0).partition(b"\n")[0]
        head = codec.loads(first)
        others, ends = len(first) + 1, len(first) + 1 + head["others"]
        since = changes.Changes(self._store, head["place"], head["streams"])
        unpacked = codec.loads(os.pread(self._fd, head["others"], others))

        def known() -> Collection[str]:
            if not self._ends:
                self._ends = codec.loads(os.pread(self._fd or 0, head["ends"], ends))
            return {*unpacked, *self._ends}

        names = since.among(known)
        if names is None or os.fstat(self._fd).st_size != head["size"]:
            return
        self.begin, self.end = ends + head["ends"], head["size"]
        self.forked = head["forked"] or any("!" in name for name in names)
        for path in sorted({*names, *unpacked}):
            kind, _, name = path.partition("/")
            if kind == "journal" and not name.startswith("."):
                stream = Stream(self._store, kind, name)
                if path not in unpacked and path in known():
                    place = self._ends[path]
                    stream.segment, stream.offset, stream.seq, stream.last_id = place
                self.beside.append(stream)

    def chunk(self, offset: int, most: int) -> bytes:
        """Bytes of the lines from this offset in the file on."""
        return os.pread(self._fd or 0, min(most, self.end - offset), offset)

    def is_worn(self) -> bool:
        """Are there so many streams besides that making it again is worth it?"""
        return len(self.beside) >= changes.MANY


class Packing:
    """A pack that is being made. The place in the log is that of before the streams are read."""

    def __init__(self, store: Store) -> None:
        self._store, self.streams = store, streams(store)
        self._place = changes.Changes(store, "", len(self.streams)).place

    def save(self, packed: Sequence[Stream], lines: list[bytes]) -> None:
        """Make it of these lines of these streams, each of which is behind its own."""
        inside = {stream.path for stream in packed}
        ends = {
            stream.path: [stream.segment, stream.offset, stream.seq, stream.last_id]
            for stream in packed
        }
        others = [stream.path for stream in self.streams if stream.path not in inside]
        parts = [codec.dumps(others) + b"\n", codec.dumps(ends) + b"\n", b"\n".join([*lines, b""])]
        head = {
            "place": self._place,
            "streams": len(self.streams),
            "forked": _forked([stream.name for stream in self.streams]),
            "others": len(parts[0]),
            "ends": len(parts[1]),
        }
        length = sum(map(len, parts))
        first, size = b"", 0
        while length + len(first) != size:  # it counts itself
            size = length + len(first)
            first = codec.dumps({**head, "size": size}) + b"\n"
        if self._place and size <= LARGEST:
            with suppress(OSError):  # a full or read-only disk: each stream is read
                self._store.save(b"".join([first, *parts]), *_FILE, durable=False)


def _forked(names: Sequence[str]) -> bool:
    return len({name.partition("!")[0] for name in names}) < len(names)
