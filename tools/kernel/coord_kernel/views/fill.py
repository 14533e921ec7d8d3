"""The one fill loop: what is new in some streams, in one order, into a SQLite database.

1. Each stream that may have changed (`streams.changes`) goes on from the position that the database
   remembers, which is behind the last event or behind bad lines: they are read once. If the last
   line read no longer stands there, the journal is another one, and the database is rebuilt
   (`StaleError`).
2. The new events of all streams are merged by event_id.
3. In one transaction: BATCH of them, and the positions behind them. So a database says what the
   journal says up to its positions, whenever its writer is killed.
"""

from __future__ import annotations

import gc
import itertools
import os

from coord_envelope import codec, event
from coord_envelope.event import Event
from coord_envelope.platform import contextmanager, suppress
from coord_kernel.streams import changes
from coord_kernel.streams.stream import OVER, SUFFIX, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterator

    from coord_kernel.store.directory import Store

    Row = tuple[str, str, int, int, int, int, Event]
    """event_id, stream, segment, start and end of the line in it, what the segment's bad lines
    count for up to there, the event"""
    Located = tuple[Event, int, int]
    """An event, its segment's number in the database, and its offset in the segment."""
    Add = Callable[[sqlite3.Connection, Iterator[Located]], None]
    Streams = Callable[[Collection[str], Collection[str] | None], list[Stream]]
    """The streams to read, all or of some names, given the names of those that were read before."""

FEW = 16
"""Changed streams that are looked at again each time rather than written down."""
BATCH = 20_000
"""Events to a transaction."""
TABLES = """
CREATE TABLE meta (version TEXT, boot TEXT, place TEXT, streams INTEGER);
CREATE TABLE position (stream TEXT PRIMARY KEY, segment INTEGER, offset INTEGER, seq INTEGER,
                       start INTEGER, last_id TEXT, bad INTEGER, cost INTEGER, tail BLOB);
CREATE TABLE segment (no INTEGER PRIMARY KEY, stream TEXT, first INTEGER, UNIQUE (stream, first));
"""
"""What each database has: its version, the positions reached, and numbers for segments.

A `stream` is `journal/NAME` or `live/NAME`. Behind an event, `start` is where its line begins.
Behind bad lines it is where they end, and `tail` the bytes before that; `bad` is their number since
the last event, and `cost` as `Stream.bad_cost`.
"""
POSITION = "?,?,?,?,?,?,?,?,?"
LAYOUT = "3"
"""Of these tables: another one rebuilds every database."""
_TAIL = 64


class StaleError(Exception):
    """The database is missing, or says something that the journal does not."""


class Stored:
    """An event as it is stored: in which file, and at which offset."""

    __slots__ = ("event", "file", "offset")

    def __init__(self, event: Event, file: tuple[str, ...], offset: int) -> None:
        self.event, self.file, self.offset = event, file, offset


def read(store: Store, stream: str, first: int, offset: int) -> Stored | None:
    """The event that begins at this offset of a segment, if one does."""
    file = (*stream.split("/", 1), f"{first:012d}{SUFFIX}")
    try:
        raw = store.pread(event.LIMIT, offset, *file)
        stored = event.parse(raw[: raw.index(b"\n")])
        stored.stream = file[1]
        return Stored(stored, file, offset)
    except (OSError, ValueError):
        return None


def read_all(
    store: Store, stream: str, first: int, offsets: list[int]
) -> Iterator[tuple[int, Event]]:
    """The events that begin at these offsets, ascending, of a segment."""
    try:
        fd = store.open(*stream.split("/", 1), f"{first:012d}{SUFFIX}")
    except OSError:
        return
    try:
        rows, begin, data = [], 0, b""
        for offset in offsets:
            end = data.find(b"\n", offset - begin) if offset < begin + len(data) else -1
            if end < 0:
                begin, data = offset, os.pread(fd, event.LIMIT, offset)
                end = data.find(b"\n")
            rows.append(data[offset - begin : end] if end >= 0 else b"")
    finally:
        os.close(fd)
    for offset, item in zip(offsets, event.parse_all(rows), strict=True):
        if isinstance(item, Event):
            item.stream = stream.partition("/")[2]
            yield offset, item


def behind(store: Store, db: sqlite3.Connection, streams: Streams) -> int:
    """About how many bytes it has not read; 0 if no whole line is in them. Raises StaleError."""
    ours, place = resumed(store, db, streams)
    ahead = sum(stream.size() for stream in ours)
    if any(_news(stream) for stream in ours):
        return ahead
    _remember(db, place)
    return 0


def _news(stream: Stream) -> bool:
    """Is there an event, or are there bad lines whose place is not remembered?"""
    before = stream.segment, stream.offset
    event = any(isinstance(line, Event) for line in stream.read())
    return event or _ends_in_bad_lines(stream, before)


def _ends_in_bad_lines(stream: Stream, before: tuple[int, int]) -> bool:
    moved = (stream.segment, stream.offset) != before
    return moved and stream.offset > 0 and stream.bad_since > 0


def fill(store: Store, db: sqlite3.Connection, streams: Streams, add: Add, name: str) -> None:
    """Give `add` what is new, in order of event_id, and remember the positions.

    Raises StaleError.
    """
    ours, place = resumed(store, db, streams)
    ahead = sum(stream.size() for stream in ours)
    if ahead > codec.MANY:
        codec.bulk()
    before = [(stream.segment, stream.offset) for stream in ours]
    rows = itertools.chain.from_iterable(map(_rows, ours))
    if len(ours) > 1:
        from heapq import merge  # 0.4 ms

        rows = merge(*map(_rows, ours))  # type: ignore[assignment]
    with undisturbed(), store.progress(f"reading the journal into {name}", ahead) as advance:
        commit(db, add, rows, advance)
    places = zip(ours, before, strict=True)
    bad = [_behind_bad(stream) for stream, place in places if _ends_in_bad_lines(stream, place)]
    if bad:
        with writing(db):
            db.executemany(f"INSERT OR REPLACE INTO position VALUES ({POSITION})", bad)
    _remember(db, place)


@contextmanager
def writing(db: sqlite3.Connection) -> Iterator[None]:
    """A transaction of a database: all of the block is written, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _remember(db: sqlite3.Connection, place: str | None) -> None:
    """Remember that everything up to this place was read, if the file can be written now."""
    from coord_envelope.platform import sqlite3

    if place is not None:
        with suppress(sqlite3.OperationalError):
            sql = "UPDATE meta SET place = ?, streams = (SELECT count(*) FROM position)"
            db.execute(sql, (place,))


def resumed(
    store: Store, db: sqlite3.Connection, streams: Streams
) -> tuple[list[Stream], str | None]:
    """The streams that may have changed, each at its position; and the place to remember.

    The place is None if it need not be. Raises StaleError if the journal is not what was read.
    """
    was, count = db.execute("SELECT place, streams FROM meta").fetchone()
    since = changes.Changes(store, was, count)
    if since.none():
        return [], None
    known = "SELECT stream FROM position"
    names = since.among(lambda: [row[0] for row in db.execute(known)])
    if names is None:
        rows = db.execute("SELECT * FROM position").fetchall()
    else:
        sql = "SELECT * FROM position WHERE stream = ?"
        rows = [row for name in names for row in db.execute(sql, (name,))]
    positions = {row[0]: row[1:] for row in rows}
    found = streams(positions, names)
    for stream in found:
        key = stream.path
        if key not in positions:
            continue
        position = positions.pop(key)
        stream.segment, stream.offset, stream.seq, stream.start, stream.last_id = position[:5]
        stream.bad_since, stream.bad_cost, tail = position[5:]
        if tail is None:
            last = read(store, key, stream.segment, stream.start)
            stands = last is not None and last.event.id == stream.last_id
        else:
            stands = _tail(stream, stream.start) == tail
        if not stands:
            raise StaleError
    if positions:
        raise StaleError
    worth = len(found) >= (changes.MANY if names is None else FEW) or since.moved
    return found, since.place if worth else None


def _behind_bad(stream: Stream) -> tuple[str | int | bytes, ...]:
    """The row of the position of a stream whose last lines are bad."""
    end = stream.stopped if stream.offset >= OVER else stream.offset
    place = stream.path, stream.segment, stream.offset, stream.seq, end, stream.last_id
    return *place, stream.bad_since, stream.bad_cost, _tail(stream, end)


def _tail(stream: Stream, end: int) -> bytes:
    try:
        return stream.chunk(max(0, end - _TAIL), min(end, _TAIL))
    except OSError:
        return b""


def _rows(stream: Stream) -> Iterator[Row]:
    key = stream.path
    for line in stream.read():
        if isinstance(line, Event):
            place = key, stream.segment, stream.start, stream.offset
            yield line["event_id"], *place, stream.bad_cost, line


def commit(
    db: sqlite3.Connection, add: Add, rows: Iterator[Row], advance: Callable[[int], object]
) -> None:
    """Rows in order of event_id, BATCH of them in a transaction. `advance` learns the bytes."""
    for first in rows:
        advance(_commit(db, add, itertools.chain((first,), itertools.islice(rows, BATCH - 1))))


def _commit(db: sqlite3.Connection, add: Add, rows: Iterator[Row]) -> int:
    """Rows and the positions after them in one transaction. Returns how many bytes they are."""
    ends: dict[str, Row] = {}
    size, segment, number = 0, ("", 0), 0

    # An event is given and forgotten: kept ones would take new memory each time.
    def located() -> Iterator[Located]:
        nonlocal size, segment, number
        for row in rows:
            _, stream, first, start, end, _, event = row
            if first != segment[1] or stream != segment[0]:
                segment, number = (stream, first), segment_no(db, stream, first)
            ends[stream] = row
            size += end - start
            yield event, number, start

    with writing(db):
        add(db, located())
        positions = [
            (stream, first, end, event["seq"], start, event.id, 0, cost, None)
            for _, stream, first, start, end, cost, event in ends.values()
        ]
        db.executemany(f"INSERT OR REPLACE INTO position VALUES ({POSITION})", positions)
    return size


def segment_no(db: sqlite3.Connection, stream: str, first: int) -> int:
    """The number of a segment in the database. In a transaction."""
    segment = (stream, first)
    db.execute("INSERT OR IGNORE INTO segment (stream, first) VALUES (?, ?)", segment)
    sql = "SELECT no FROM segment WHERE stream = ? AND first = ?"
    return int(db.execute(sql, segment).fetchone()[0])


@contextmanager
def undisturbed() -> Iterator[None]:
    """Without the garbage collector."""
    # Events are trees: the garbage collector finds nothing in them, and looks at all of them again
    # and again for it.
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
