"""Replay as stored lines: streams merged by their bytes, without an object for each event.

1. A line is plain if it begins as `event.build` writes it: event_id, type and ts, at fixed
   places. So plain lines sort by their bytes as their events do, and a type is found by a
   search for bytes.
2. A segment is known if each of its lines was found to be plain, the stream's own and the next
   in seq and id. `local/plain` remembers the known segments, each with size, inode and ctime
   of its file. A file that has changed since is unknown.
3. The lines of a known segment are given out without being parsed.
4. In an unknown segment lines are parsed, many at a time, as long as they are as in 2. At the
   first line in doubt `Stream` takes over, with its own rules, up to the segment's end.
5. Streams are merged block by block, up to the smallest id to which all of them were read. A step
   costs what it gives out, not the number of streams.
"""

from __future__ import annotations

import heapq
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
from coord_kernel.streams.pack import LARGEST, SMALL, Pack, Packing
from coord_kernel.streams.stream import BadLine, Stream, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from coord_kernel.store.directory import Store
    from coord_kernel.streams.redaction import Redactions

    Identity = list[int]
    """Size, inode and ctime in ns of a file: different once it has changed."""

CHUNK = 1 << 17
"""Bytes of a stream in memory."""
GROUP = 500
"""Events in a block of those that `Stream` read."""
PARTS = 16
"""Parts of the merge that are given out after each look for redactions, in all streams."""
RACY_NS, COARSE_NS = 20_000_000, 2_000_000_000
"""A file that changed less long ago may change again and keep its ctime (git's "racy" entries).

A tick of the kernel's clock is 10 ms at most; some file systems keep whole seconds, or two.
"""
_FILE = ("local", "plain")
_HEAD = '{"event_id":"%s","type":"%s","ts":"'
_ID = slice(13, 39)


class KnownSegments:
    """The known segments of a store.

    After a reboot all are unknown, as a power loss may have changed them.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._unknown_bytes = store, 0
        self._saved: dict[str, Identity] = {}
        self._unknown: dict[str, Identity] = {}
        self._known: dict[str, Identity] = {}
        with suppress(ValueError, KeyError, TypeError, OSError):
            saved = codec.loads(store.load(*_FILE, most=1 << 26) or b"{}")
            if saved["boot"] == machine.boot_id():
                self._saved = dict(saved["segments"])

    def size(self, stream: Stream) -> int | None:
        """The size of the segment at the stream's position, if it is known. Raises OSError."""
        identity = self._identity(stream)
        if identity == self._saved.get(stream.file):
            self._known[stream.file] = identity
            return identity[0]
        self._unknown[stream.file] = identity
        self._unknown_bytes += identity[0]
        if self._unknown_bytes > codec.MANY:
            codec.bulk()
        return None

    def add(self, stream: Stream) -> None:
        """The segment was read and is as in 2., unless it has changed meanwhile. Raises OSError."""
        identity = self._unknown[stream.file]
        settled = is_settled(identity[-1], world.now_ms() * 1_000_000)
        if settled and identity == self._identity(stream):
            self._known[stream.file] = identity

    def save(self, others: bool = False) -> None:
        """Remember the known segments that were read this time, and no `others` unless asked."""
        known = {**self._saved, **self._known} if others else self._known
        if known != self._saved:
            with suppress(OSError):  # a full or read-only disk: they are parsed again
                saved = codec.dumps({"boot": machine.boot_id(), "segments": known})
                self._store.save(saved, *_FILE, durable=False)

    def _identity(self, stream: Stream) -> Identity:
        fd = self._store.open(stream.kind, stream.name, os.path.basename(stream.file))
        try:
            info = os.fstat(fd)
        finally:
            os.close(fd)
        return [info.st_size, info.st_ino, info.st_ctime_ns]


def is_settled(ctime_ns: int, now_ns: int) -> bool:
    """Will a file that changes from now on have another ctime?"""
    whole_seconds = ctime_ns % 1_000_000_000 == 0
    return ctime_ns < now_ns - (COARSE_NS if whole_seconds else RACY_NS)


class Block:
    """Lines of one stream in order, of the wanted types; and the id up to which it was read.

    Of all types they follow each other in the segment, from the offset `begin` on; `bad_cost` is
    what the segment's bad lines before them count for.
    """

    __slots__ = ("bad_cost", "begin", "end", "plain", "rows")

    def __init__(
        self, rows: list[bytes], end: bytes, plain: bool, begin: int = 0, bad_cost: int = 0
    ) -> None:
        self.rows, self.end, self.plain, self.begin = rows, end, plain, begin
        self.bad_cost = bad_cost

    def first(self) -> bytes:
        """The id of its first line."""
        return self.rows[0][_ID] if self.plain else _id(self.rows[0])

    def take(self, end: bytes) -> list[bytes]:
        """Remove and return the lines up to this id."""
        if end >= self.end:
            cut = len(self.rows)
        else:
            cut = bisect_right(self.rows, end, key=_plain_id if self.plain else _id)
        taken, self.rows = self.rows[:cut], self.rows[cut:]
        return taken


def replay(store: Store, redactions: Redactions, types: Collection[str]) -> Iterator[list[bytes]]:
    """The lines of `Journal.replay`'s events, in order, many at a time: of these types, or all.

    Memory grows with the number of streams. Redactions are looked for after reading: an event that
    arrives together with its redaction is not given out.
    """
    known = KnownSegments(store)
    with Pack(store) as pack:
        sources = [blocks(stream, known, types) for stream in pack.beside]
        merged = _merge([_packed(pack, types), *sources])
        while parts := list(islice(merged, PARTS)):
            targets = {target.encode() for target in redactions.refresh().targets}
            for rows, plain in parts:
                if targets:
                    rows = [
                        _redacted(raw, redactions) if not plain or raw[_ID] in targets else raw
                        for raw in rows
                    ]
                # Only where a writer has two streams (a fork) can a line be in two of them.
                yield list(dict.fromkeys(rows)) if pack.forked else rows
    known.save(others=pack.end > 0)
    if pack.is_worn():
        make_pack(store)


def _packed(pack: Pack, types: Collection[str]) -> Iterator[Block]:
    offset = pack.begin
    while offset < pack.end:
        data = pack.chunk(offset, CHUNK)
        end = data.rfind(b"\n")
        last = data[data.rfind(b"\n", 0, end) + 1 : end]
        rows = _of_types(data[:end], types) if types else data[:end].split(b"\n")
        offset += end + 1
        yield Block(rows, last[_ID], True)


def make_pack(store: Store) -> None:
    """Pack the small streams whose segment is known."""
    packing, known = Packing(store), KnownSegments(store)
    sizes: dict[Stream, int] = {}
    for stream in packing.streams:
        firsts = stream.segments()
        if len(firsts) == 1:
            stream.segment = firsts[0]
            size = known.size(stream)
            if size and size <= SMALL:
                sizes[stream] = size
        stream.segment = 0
    if sum(sizes.values()) > LARGEST:
        return
    lines = list[bytes]()
    for rows, plain in _merge([blocks(stream, known, ()) for stream in sizes]):
        lines += rows
        if not plain:
            return
    if all(stream.offset == size for stream, size in sizes.items()):
        packing.save(list(sizes), lines)


def check(store: Store, writers: Collection[str]) -> None:
    """Read the streams of these writers once, so that the next replay knows their segments."""
    known = KnownSegments(store)
    for stream in streams(store):
        if stream.writer in writers:
            for _ in blocks(stream, known, ()):
                pass
    known.save(others=True)


def _merge(sources: list[Iterator[Block]]) -> Iterator[tuple[list[bytes], bool]]:
    """All lines in order, in parts; and whether they are plain.

    Each part is sorted by list.sort, which finds the runs and merges them (Timsort), in C. Two
    heaps say which blocks are concerned, so that a step does not look at every stream.
    """
    least = len(sources) // PARTS  # lines: after each part all streams are looked at
    ends: list[tuple[bytes, int]] = []  # how far each block was read
    firsts: list[tuple[bytes, int]] = []  # where the lines of each begin that has any

    def enter(number: int) -> None:
        if block := next(sources[number], None):
            current[number] = block
            heapq.heappush(ends, (block.end, number))
            if block.rows:
                heapq.heappush(firsts, (block.first(), number))

    current = [Block([], b"", True)] * len(sources)
    for number in range(len(sources)):
        enter(number)
    rows, plain = list[bytes](), True
    while ends:
        end, taken, all_plain = ends[0][0], list[bytes](), True
        while firsts and firsts[0][0] <= end:
            number = heapq.heappop(firsts)[1]
            block = current[number]
            taken += block.take(end)
            all_plain = all_plain and block.plain
            if block.rows:
                heapq.heappush(firsts, (block.first(), number))
        taken.sort(key=None if all_plain else _order)
        rows += taken
        plain = plain and all_plain
        if len(rows) > least:
            yield rows, plain
            rows, plain = [], True
        while ends and ends[0][0] <= end:
            enter(heapq.heappop(ends)[1])
    yield rows, plain


def blocks(stream: Stream, known: KnownSegments, types: Collection[str]) -> Iterator[Block]:
    """What follows the stream's position, of these types or all. The position follows it."""
    for sealed in stream.segments_ahead():
        becomes_known = False
        with suppress(IrregularError):
            size = known.size(stream)
            if size is not None:
                yield from _of_known(stream, types)
                if stream.offset == size:
                    continue
            else:
                becomes_known = True
        # Of a known segment there is something left if it does not fit what precedes.
        for item in chain(_parsed(stream, types), _in_doubt(stream, sealed, types)):
            if isinstance(item, Block):
                yield item
            becomes_known = becomes_known and isinstance(item, Block) and item.plain
        if becomes_known:
            known.add(stream)


def _of_known(stream: Stream, types: Collection[str]) -> Iterator[Block]:
    """The blocks of a known segment; none if it does not continue the segment before it."""
    last = b""
    for data in _chunks(stream):
        if not last and stream.misfit(event.parse(data.partition(b"\n")[0])):
            return
        last = data[data.rfind(b"\n") + 1 :]
        stream.offset += len(data) + 1
        rows = _of_types(data, types) if types else data.split(b"\n")
        begin = stream.offset - len(data) - 1
        yield Block(rows, last[_ID], True, begin, stream.bad_cost)
    if last:
        newest = event.parse(last)
        stream.seq, stream.last_id, stream.bad_since = newest["seq"], newest.id, 0


def _parsed(stream: Stream, types: Collection[str]) -> Iterator[Block]:
    """Blocks as long as all lines are as in 2. The last line is left: the next may refute it."""
    unfinished: list[bytes] = []
    for data in _chunks(stream):
        rows = [*unfinished, *data.split(b"\n")]
        block = _checked(stream, rows, types)
        if not block:
            return
        unfinished = rows[-1:]
        yield block


def _checked(stream: Stream, rows: list[bytes], types: Collection[str]) -> Block | None:
    """The block of all rows but the last, and moves the stream past it; None if one is in doubt."""
    records = event.fields_of_all(rows)
    if not records or not _in_step(stream, rows, records):
        return None
    last, begin = records[-2], stream.offset
    stream.offset += sum(map(len, rows)) + len(rows) - len(rows[-1]) - 1
    stream.seq, stream.last_id, stream.bad_since = last["seq"], last["event_id"], 0
    wanted = rows[:-1]
    if types:
        wanted = [
            raw for raw, record in zip(wanted, records, strict=False) if record["type"] in types
        ]
    return Block(wanted, stream.last_id.encode(), True, begin, stream.bad_cost)


def _in_doubt(stream: Stream, sealed: bool, types: Collection[str]) -> Iterator[Block | BadLine]:
    """What `Stream` reads in the rest of the segment."""
    group, begin, cost = list[Event](), 0, 0
    for item in chain(stream.read_segment(sealed), (None,)):
        if group and (not isinstance(item, Event) or len(group) == GROUP):
            rows = [item.raw for item in group if not types or item["type"] in types]
            plain = all(_is_plain(item.raw, item) for item in group)
            yield Block(rows, group[-1].id.encode(), plain, begin, cost)
            group = []
        if isinstance(item, BadLine):
            yield item
        elif item:
            begin, cost = begin if group else stream.start, stream.bad_cost
            group.append(item)


def _chunks(stream: Stream) -> Iterator[bytes]:
    """Whole lines from the stream's position on, without the last newline.

    Ends at the segment's end, and before a line that is longer than a chunk.
    """
    position = stream.offset
    while (end := (data := stream.chunk(position, CHUNK)).rfind(b"\n")) >= 0:
        yield data[:end]
        if len(data) < CHUNK:
            break
        position += end + 1


def _in_step(stream: Stream, rows: list[bytes], records: list[Json]) -> bool:
    """Are these lines plain, the stream's own, and each the next in seq and id?"""
    ids = [stream.last_id, *(record["event_id"] for record in records)]
    seqs = range(stream.seq + 1, stream.seq + 1 + len(records))
    return (
        {record["writer"] for record in records} == {stream.writer}
        and all(map(operator.eq, (record["seq"] for record in records), seqs))
        and all(map(operator.lt, ids, ids[1:]))
        and all(map(_is_plain, rows, records))
    )


def _is_plain(raw: bytes, fields: Json) -> bool:
    return raw.startswith((_HEAD % (fields["event_id"], fields["type"])).encode())


def _of_types(data: bytes, types: Collection[str]) -> list[bytes]:
    """The lines of these types among plain lines."""
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


def _redacted(raw: bytes, redactions: Redactions) -> bytes:
    return redactions.apply(event.parse(raw)).raw


def _plain_id(raw: bytes) -> bytes:
    return raw[_ID]


def _id(raw: bytes) -> bytes:
    return event.parse(raw).id.encode()


def _order(raw: bytes) -> tuple[bytes, bytes]:
    return _id(raw), raw
