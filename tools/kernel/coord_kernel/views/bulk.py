"""Much that is new, given to a database as lines, in no particular order.

The index needs of most events their id and place alone, which a known segment has at fixed places
(see `streams.lines`). So nothing of it is parsed. What this leaves, `fill` takes.
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
    from collections.abc import Callable, Iterator

    from coord_kernel.store.directory import Store
    from coord_kernel.streams.lines import Block
    from coord_kernel.streams.stream import Stream

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
                    ends = list(itertools.accumulate(map(len, block.rows), initial=block.begin))
                    offsets = [end + number for number, end in enumerate(ends)]
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


def _position(stream: Stream, block: Block, offsets: list[int]) -> tuple[str | int | None, ...]:
    newest = event.parse(block.rows[-1])
    place = stream.path, stream.segment, offsets[-1], newest["seq"], offsets[-2], newest.id
    return *place, 0, stream.bad_cost, None
