"""A history as the lines it is stored in: merged by their bytes, with no object for an event.

A line as `event.build` writes it begins with its event_id, its type and its ts, each at its place: the order of such
plain lines is that of their bytes, and a type is found by a search. Whether lines are plain, and events of their
stream, is looked at once: `local/plain` remembers the segments, each with what `stat` says of its file. What was
changed since is looked at again; and wherever a line is in doubt, `Stream` reads it by its own rules.
"""

from __future__ import annotations

import operator
import os
from bisect import bisect_right
from itertools import chain, islice

from coord_envelope import codec, event, world
from coord_envelope.codec import Json
from coord_envelope.event import Event
from coord_envelope.platform import suppress
from coord_kernel.store import machine
from coord_kernel.store.disk import IrregularError
from coord_kernel.streams.stream import Bad, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from coord_kernel.store.directory import Store
    from coord_kernel.streams.redaction import Redactions
    from coord_kernel.streams.stream import Stream

CHUNK = 1 << 17
"""Bytes of a stream in memory."""
GROUP = 500
"""Lines in a block of those that were in doubt."""
PARTS = 16
"""So many blocks are given after one look for redactions."""
RACY_NS = 2_000_000_000
"""A file that changed less long ago may change again and keep its time (git's "racy" entries)."""
_FILE = ("local", "plain")
_HEAD = '{"event_id":"%s","type":"%s","ts":"'
_ID = slice(13, 39)


class Known:
    """The segments of which each line is plain, is an event of its stream, and has the next seq.

    A file that was changed is unknown again; after a reboot all are, as a power loss may have changed them.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._much = store, 0
        self._before, self._new, self._now = (
            dict[str, list[int]](),
            dict[str, list[int]](),
            dict[str, list[int]](),
        )
        with suppress(ValueError, KeyError, TypeError, OSError):
            saved = codec.loads(store.load(*_FILE, most=1 << 26) or b"{}")
            if saved["boot"] == machine.boot_id():
                self._before = dict(saved["segments"])

    def has(self, stream: Stream) -> bool:
        """Is the segment reached one of them? Raises OSError."""
        identity = self._identity(stream)
        if identity == self._before.get(stream.file):
            self._now[stream.file] = identity
            return True
        self._new[stream.file] = identity
        self._much += identity[0]
        if self._much > codec.MANY:
            codec.bulk()
        return False

    def add(self, stream: Stream) -> None:
        """The segment reached is one of them, as it was before it was read. Raises OSError."""
        identity = self._new[stream.file]
        if (
            identity == self._identity(stream)
            and identity[-1] < world.now_ms() * 1_000_000 - RACY_NS
        ):
            self._now[stream.file] = identity

    def save(self) -> None:
        if self._now != self._before:
            with suppress(OSError):  # a full or read-only disk: they are looked at again
                saved = codec.dumps({"boot": machine.boot_id(), "segments": self._now})
                self._store.save(saved, *_FILE, durable=False)

    def _identity(self, stream: Stream) -> list[int]:
        """What differs once the file was changed: its size, inode and time."""
        fd = self._store.open(stream.kind, stream.name, os.path.basename(stream.file))
        try:
            info = os.fstat(fd)
        finally:
            os.close(fd)
        return [info.st_size, info.st_ino, info.st_ctime_ns]


class Block:
    """Lines of one stream in order, of those that are wanted; and the id up to which it was read for them."""

    __slots__ = ("end", "plain", "rows")

    def __init__(self, rows: list[bytes], end: bytes, plain: bool) -> None:
        self.rows, self.end, self.plain = rows, end, plain

    def take(self, end: bytes) -> list[bytes]:
        """Take out the lines up to this id."""
        cut = (
            bisect_right(self.rows, end, key=_plain_id if self.plain else _id)
            if end < self.end
            else len(self.rows)
        )
        taken, self.rows = self.rows[:cut], self.rows[cut:]
        return taken


def replay(store: Store, redactions: Redactions, types: Collection[str]) -> Iterator[list[bytes]]:
    """The lines that `Journal.replay` gives as events, in order, many at a time: of these types, or all.

    Memory grows with the streams. Redactions are looked for after reading: what comes together with its own is
    never given.
    """
    known, found = Known(store), streams(store)
    copies = len({stream.writer for stream in found}) < len(
        found
    )  # else no line stands in two of them
    merged = _merged([_blocks(stream, known, types) for stream in found])
    while parts := list(islice(merged, PARTS)):
        targets = {target.encode() for target in redactions.refresh().by}
        for rows, plain in parts:
            if targets:
                rows = [
                    _shown(raw, redactions) if not plain or raw[_ID] in targets else raw
                    for raw in rows
                ]
            yield list(dict.fromkeys(rows)) if copies else rows
    known.save()


def _merged(sources: list[Iterator[Block]]) -> Iterator[tuple[list[bytes], bool]]:
    """All lines in order, in parts that go up to where all of the streams were read; and are they plain?

    They are sorted, which finds the runs and gallops through them (Timsort), in C.
    """
    held = [(block, source) for source in sources for block in _next(source)]
    while held:
        end = min(block.end for block, _ in held)
        plain = all(block.plain for block, _ in held)
        rows = list(chain.from_iterable(block.take(end) for block, _ in held))
        rows.sort(key=None if plain else _order)
        yield rows, plain
        held = [
            (one, source)
            for block, source in held
            for one in ([block] if block.end > end else _next(source))
        ]


def _next(source: Iterator[Block]) -> list[Block]:
    return [block] if (block := next(source, None)) else []


def _blocks(stream: Stream, known: Known, types: Collection[str]) -> Iterator[Block]:
    for sealed in stream.ahead():
        sound = False
        with suppress(IrregularError):
            if known.has(stream):
                yield from _unseen(stream, types)
            else:
                sound = True
        for found in chain(_seen(stream, types), _in_doubt(stream, sealed, types)):
            if isinstance(found, Block):
                yield found
            sound = sound and isinstance(found, Block) and found.plain
        if sound:
            known.add(stream)


def _unseen(stream: Stream, types: Collection[str]) -> Iterator[Block]:
    """The blocks of a known segment, if it begins where the one before it ended."""
    last = b""
    for data in _pieces(stream):
        if not last and stream.misfit(event.parse(data.partition(b"\n")[0])):
            return
        last = data[data.rfind(b"\n") + 1 :]
        stream.offset += len(data) + 1
        yield Block(_of_types(data, types) if types else data.split(b"\n"), last[_ID], True)
    if last:
        newest = event.parse(last)
        stream.seq, stream.last_id, stream.lost = newest["seq"], newest.id, 0


def _seen(stream: Stream, types: Collection[str]) -> Iterator[Block]:
    """Blocks for as long as all lines are plain and in step. The last line is left: the next may refute it."""
    left: list[bytes] = []
    for data in _pieces(stream):
        rows = [*left, *data.split(b"\n")]
        block = _looked_at(stream, rows, types)
        if not block:
            return
        left = rows[-1:]
        yield block


def _looked_at(stream: Stream, rows: list[bytes], types: Collection[str]) -> Block | None:
    """The block of all these lines but the last; the stream is behind them. None if one of them is in doubt."""
    found = event.fields_of_all(rows)
    if not found or not _in_step(stream, rows, found):
        return None
    last = found[-2]
    stream.offset += sum(map(len, rows)) + len(rows) - len(rows[-1]) - 1
    stream.seq, stream.last_id, stream.lost = last["seq"], last["event_id"], 0
    wanted = rows[:-1]
    if types:
        wanted = [raw for raw, one in zip(wanted, found, strict=False) if one["type"] in types]
    return Block(wanted, stream.last_id.encode(), True)


def _in_doubt(stream: Stream, sealed: bool, types: Collection[str]) -> Iterator[Block | Bad]:
    """What `Stream` finds in the rest of the segment."""
    group = list[Event]()
    for found in stream.read_segment(sealed):
        if isinstance(found, Bad):
            yield found
            continue
        group.append(found)
        if len(group) == GROUP:
            yield _block(group, types)
            group = []
    if group:
        yield _block(group, types)


def _block(group: list[Event], types: Collection[str]) -> Block:
    rows = [one.raw for one in group if not types or one["type"] in types]
    return Block(rows, group[-1].id.encode(), all(_is_plain(one.raw, one) for one in group))


def _pieces(stream: Stream) -> Iterator[bytes]:
    """Whole lines from where the stream is to its segment's end, or to one that is very long; no last newline."""
    position = stream.offset
    while (end := (data := stream.chunk(position, CHUNK)).rfind(b"\n")) >= 0:
        yield data[:end]
        position += end + 1


def _in_step(stream: Stream, rows: list[bytes], found: list[Json]) -> bool:
    """Are these lines plain, the stream's own, and each the next one?"""
    ids = [stream.last_id, *(one["event_id"] for one in found)]
    seqs = range(stream.seq + 1, stream.seq + 1 + len(found))
    return (
        {one["writer"] for one in found} == {stream.writer}
        and all(map(operator.eq, (one["seq"] for one in found), seqs))
        and all(map(operator.lt, ids, ids[1:]))
        and all(map(_is_plain, rows, found))
    )


def _is_plain(raw: bytes, fields: Json) -> bool:
    return raw.startswith((_HEAD % (fields["event_id"], fields["type"])).encode())


def _of_types(data: bytes, types: Collection[str]) -> list[bytes]:
    """The lines of these types among plain ones."""
    rows = list[bytes]()
    for name in types:
        mark = f'","type":"{name}","ts":"'.encode(errors="replace")
        at = data.find(mark)
        while at >= 0:
            stop = data.find(b"\n", at)
            stop = len(data) if stop < 0 else stop
            begin = data.rfind(b"\n", 0, at) + 1
            if at - begin == _ID.stop:
                rows.append(data[begin:stop])
            at = data.find(mark, stop)
    return sorted(rows) if len(types) > 1 else rows


def _shown(raw: bytes, redactions: Redactions) -> bytes:
    return redactions.shown(event.parse(raw)).raw


def _plain_id(raw: bytes) -> bytes:
    return raw[_ID]


def _id(raw: bytes) -> bytes:
    return event.parse(raw).id.encode()


def _order(raw: bytes) -> tuple[bytes, bytes]:
    return _id(raw), raw
