"""Much that is new, read as lines, of which most are not parsed. What this leaves, `fill` takes.

1. The index needs of most events their id and place alone, which a known segment has at fixed
   places (see `streams.lines`). It takes them in no particular order.
2. A fold with `needles` needs only the lines that contain one of these: those are parsed, and all
   that are not plain.
"""

from __future__ import annotations

import heapq
import itertools

from coord_envelope import codec, event
from coord_kernel.streams import lines
from coord_kernel.views import fill

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence

    from coord_kernel.store.directory import Store
    from coord_kernel.streams.lines import Block
    from coord_kernel.streams.stream import Stream

    Position = tuple[str | int | None, ...]
    Take = Callable[[sqlite3.Connection, list[tuple[list[bytes], bool, int, list[int]]]], None]
    """Takes in groups of lines: the lines, whether they are plain, their segment, the offsets."""

BATCH = 100_000
"""Lines to a transaction."""
_PUT = f"INSERT OR REPLACE INTO position VALUES ({fill.POSITION})"


def fill_lines(
    store: Store, db: sqlite3.Connection, streams: fill.Streams, take: Take, name: str
) -> None:
    """Give `take` what is new, and remember the positions. Raises StaleError."""
    new, _ = fill.resumed(store, db, streams)
    ahead = sum(stream.size() for stream in new)
    codec.bulk()
    known = lines.KnownSegments(store)
    read = _in_turns(new, known)
    with fill.undisturbed(), store.progress(f"reading the journal into {name}", ahead) as advance:
        for first in read:
            groups, positions, count, size = [], {}, 0, 0
            with fill.writing(db):
                for stream, block in itertools.chain((first,), read):
                    offsets = _offsets(block)
                    segment = fill.segment_no(db, stream.path, stream.segment)
                    groups.append((block.rows, block.plain, segment, offsets[:-1]))
                    positions[stream.path] = _position(stream, block, offsets)
                    count, size = count + len(block.rows), size + offsets[-1] - offsets[0]
                    if count >= BATCH:
                        break
                take(db, groups)
                db.executemany(_PUT, positions.values())
            advance(size)
    known.save(others=True)


def fill_matching(
    store: Store,
    db: sqlite3.Connection,
    streams: fill.Streams,
    add: fill.Add,
    needles: Sequence[bytes],
) -> None:
    """As `fill.fill`, but may leave out events whose plain line has no needle.

    Raises StaleError.
    """
    found, _ = fill.resumed(store, db, streams)
    new = [stream for stream in found if stream.end is None]
    ahead = sum(stream.size() for stream in new)
    codec.bulk()
    known, ends = lines.KnownSegments(store), dict[str, "Position"]()
    rows = heapq.merge(*(_rows(stream, known, needles, ends) for stream in new))
    with fill.undisturbed(), store.progress("reading the journal", ahead) as advance:
        fill.commit(db, add, rows, advance)
    # Only now: what was read is not yet taken in.
    with fill.writing(db):
        db.executemany(_PUT, ends.values())
    known.save(others=True)


def _rows(
    stream: Stream,
    known: lines.KnownSegments,
    needles: Sequence[bytes],
    ends: dict[str, Position],
) -> Iterator[fill.Row]:
    """The events that may be needed; `ends` has how far the stream was read."""
    for block in lines.blocks(stream, known, ()):
        offsets = _offsets(block)
        ends[stream.path] = _position(stream, block, offsets)
        place, cost = (stream.path, stream.segment), block.bad_cost
        found = list(zip(block.rows, offsets, strict=False))
        if block.plain:
            every = b"\n".join(block.rows)
            here = [needle for needle in needles if needle in every]
            found = [pair for pair in found if any(map(pair[0].__contains__, here))] if here else []
        items = event.parse_all([raw for raw, _ in found])
        for (raw, start), item in zip(found, items, strict=True):
            if isinstance(item, event.Event):
                item.stream = stream.name
                yield item.id, *place, start, start + len(raw) + 1, cost, item


def _offsets(block: Block) -> list[int]:
    """Where its lines begin in their segment, and where the last one ends."""
    ends = itertools.accumulate(map(len, block.rows), initial=block.begin)
    return [end + number for number, end in enumerate(ends)]


def _in_turns(streams: list[Stream], known: lines.KnownSegments) -> Iterator[tuple[Stream, Block]]:
    """The blocks of the streams, the stream that was read least far first.

    So ids come in about their order, for which a B-tree is grateful.
    """
    sources = [lines.blocks(stream, known, ()) for stream in streams]
    ends = [(b"", number) for number in range(len(sources))]
    while ends:
        _, number = heapq.heappop(ends)
        block = next(sources[number], None)
        if block:
            yield streams[number], block
            heapq.heappush(ends, (block.end, number))


def _position(stream: Stream, block: Block, offsets: list[int]) -> Position:
    newest = event.parse(block.rows[-1])
    place = stream.path, stream.segment, offsets[-1], newest["seq"], offsets[-2], newest.id
    return *place, 0, block.bad_cost, None
