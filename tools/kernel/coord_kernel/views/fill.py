"""Reading the journal into a SQLite database that remembers how far it came: what is new, in one order, in batches."""

from __future__ import annotations

import gc
import heapq
import itertools

from coord_envelope import codec, event
from coord_envelope.event import Event
from coord_envelope.platform import contextmanager
from coord_kernel.streams.stream import SUFFIX, Stream, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from coord_kernel.store.directory import Store

    Row = tuple[
        str, str, int, int, int, Event
    ]  # event_id, stream, segment, start and end there, the event
    Found = tuple[Event, int, int]  # an event, its segment's number, its start there
    Add = Callable[[sqlite3.Connection, Iterator[Found]], None]

BATCH = 20_000
"""Events to a transaction."""
TABLES = """
CREATE TABLE made (version TEXT, boot TEXT);
CREATE TABLE place (stream TEXT PRIMARY KEY, segment INTEGER, offset INTEGER, seq INTEGER, start INTEGER, last_id TEXT);
CREATE TABLE segment (no INTEGER PRIMARY KEY, stream TEXT, first INTEGER, UNIQUE (stream, first));
"""
"""What such a database has besides its own: who made it, the places reached, and numbers for segments."""


@contextmanager
def _silent(what: str, size: int) -> Iterator[Callable[[int], object]]:
    yield lambda _done: None


progress = _silent
"""Shows a person how far it is, of so many bytes: set by `cli`, which alone may print."""


class StaleError(Exception):
    """The database is not there, or says something that the journal does not."""


class Place:
    """An event, the file it stands in, and where in it."""

    __slots__ = ("event", "file", "offset")

    def __init__(self, event: Event, file: tuple[str, ...], offset: int) -> None:
        self.event, self.file, self.offset = event, file, offset


def read(store: Store, stream: str, first: int, offset: int) -> Place | None:
    """The event that begins at this place, if one does."""
    file = ("journal", stream, f"{first:012d}{SUFFIX}")
    try:
        raw = store.pread(event.LIMIT, offset, *file)
        return Place(event.parse(raw[: raw.index(b"\n")]), file, offset)
    except (OSError, ValueError):
        return None


def behind(store: Store, db: sqlite3.Connection) -> int:
    """About how many bytes of the journal it has not read; 0 if there is no event in them. Raises StaleError."""
    found = _resumed(store, db)
    ahead = sum(stream.size() for stream in found)
    return ahead if any(isinstance(one, Event) for stream in found for one in stream.read()) else 0


def fill(store: Store, db: sqlite3.Connection, add: Add, name: str) -> None:
    """Give `add` what came since, in order of event_id, and remember the places. Raises StaleError."""
    found = _resumed(store, db)
    ahead = sum(stream.size() for stream in found)
    if ahead > codec.MANY:
        codec.bulk()
    rows = heapq.merge(*map(_rows, found))
    with _undisturbed(), progress(f"reading the journal into {name}", ahead) as advance:
        for first in rows:
            advance(_commit(db, add, itertools.chain((first,), itertools.islice(rows, BATCH - 1))))


def _resumed(store: Store, db: sqlite3.Connection) -> list[Stream]:
    """All streams, each at its place. Raises StaleError if the journal is not what was read."""
    places = {row[0]: row[1:] for row in db.execute("SELECT * FROM place")}
    found = streams(store)
    for stream in found:
        if stream.name in places:
            stream.segment, stream.offset, stream.seq, stream.start, stream.last_id = places.pop(
                stream.name
            )
            last = read(store, stream.name, stream.segment, stream.start)
            if last is None or last.event.id != stream.last_id:
                raise StaleError
    if places:
        raise StaleError
    return found


def _rows(stream: Stream) -> Iterator[Row]:
    for one in stream.read():
        if isinstance(one, Event):
            yield one["event_id"], stream.name, stream.segment, stream.start, stream.offset, one


def _commit(db: sqlite3.Connection, add: Add, rows: Iterator[Row]) -> int:
    """One transaction: rows and the places after them, or neither. Returns how many bytes they are."""
    ends: dict[str, Row] = {}
    size, at, number = 0, ("", 0), 0

    def found() -> Iterator[
        Found
    ]:  # an event is given and forgotten: kept ones would take new memory each time
        nonlocal size, at, number
        for row in rows:
            _, stream, first, start, end, one = row
            if first != at[1] or stream != at[0]:
                at, number = (stream, first), _segment_no(db, stream, first)
            ends[stream] = row
            size += end - start
            yield one, number, start

    db.execute("BEGIN IMMEDIATE")
    try:
        add(db, found())
        places = [
            (name, first, end, one["seq"], start, one.id)
            for _, name, first, start, end, one in ends.values()
        ]
        db.executemany("INSERT OR REPLACE INTO place VALUES (?,?,?,?,?,?)", places)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return size


def _segment_no(db: sqlite3.Connection, stream: str, first: int) -> int:
    db.execute("INSERT OR IGNORE INTO segment (stream, first) VALUES (?, ?)", (stream, first))
    row = db.execute(
        "SELECT no FROM segment WHERE stream = ? AND first = ?", (stream, first)
    ).fetchone()
    return int(row[0])


@contextmanager
def _undisturbed() -> Iterator[None]:
    # Events are trees: the collector finds nothing in them, and looks at all of them again and again for it.
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
