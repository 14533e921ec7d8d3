"""The index: where each event and each idempotency key is, so that looking one up is no scan.

`local/index.sqlite` is disposable. It remembers how far each stream was read and adds what came since; a
file of another version or boot, a damaged one, or one that remembers a line that is no longer there is made
anew. Whoever cannot write it now (another process does, the disk is read-only) reads the difference into
memory: slower, same answers.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from coord_envelope import clock, codec, event, world
from coord_envelope.errors import Usage
from coord_envelope.event import Event
from coord_envelope.stream import SUFFIX, Bad, Stream, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from coord_envelope.store import Store

    Row = tuple[Event, int, int, int]  # an event, its segment, its start and end there

VERSION = 1
BATCH = 5_000
_TABLES = """
CREATE TABLE made (version INTEGER, boot TEXT);
CREATE TABLE place (stream TEXT PRIMARY KEY, segment INTEGER, offset INTEGER, seq INTEGER, start INTEGER, last_id TEXT);
CREATE TABLE segment (no INTEGER PRIMARY KEY, stream TEXT, first INTEGER, UNIQUE (stream, first));
CREATE TABLE event (id TEXT PRIMARY KEY, segment INTEGER, offset INTEGER) WITHOUT ROWID;
CREATE TABLE key (type TEXT, key TEXT, id TEXT, PRIMARY KEY (type, key)) WITHOUT ROWID;
"""
_FIRST_KEY = "INSERT INTO key VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET id = min(id, excluded.id)"


class Place:
    """An event and the file it stands in."""

    __slots__ = ("event", "file")

    def __init__(self, event: Event, file: tuple[str, ...]) -> None:
        self.event, self.file = event, file


class _StaleError(Exception):
    """The index says something that the journal does not."""


class Index:
    """Look-ups over all durable events of a store, as of the last `refresh`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = os.path.join(store.path, "local", "index.sqlite")
        self._disk: sqlite3.Connection | None = None
        self._layers: list[sqlite3.Connection] = []

    def refresh(self) -> Index:
        """Read what came since. Costs what is new; the first time and after damage, the whole history."""
        import sqlite3  # 7 ms

        try:
            self._disk = self._disk or self._opened()
            self._layers = [self._disk]
            if not self._behind(self._disk):
                return self
        except (sqlite3.Error, _StaleError):
            self._layers = []
        with self._writing() as ours:
            if ours:
                with contextlib.suppress(sqlite3.Error, OSError):
                    self._layers = [self._mended()]
                    return self
        self._layers.append(self._overlay(self._layers))
        return self

    def by_key(self, kind: str, key: str) -> Place | None:
        """The first event (by event_id) that has this type and idempotency key."""
        found = self._query("SELECT id FROM key WHERE type = ? AND key = ?", kind, key)
        return self.by_id(min(row[0] for row in found)) if found else None

    def by_id(self, event_id: str) -> Place | None:
        """The event with this full id."""
        sql = "SELECT stream, first, offset FROM event JOIN segment ON no = segment WHERE id = ?"
        for stream, first, offset in self._query(sql, event_id):
            return _read(self._store, stream, first, offset)
        return None

    def resolve(self, text: str) -> str | None:
        """The full id for a full id, a short one (`wk-k3f9x2ab`) or any unique ending of 4 characters or more.

        None if no event's id ends so. Raises Usage with the candidates if several do: never a guess.
        """
        ending = text.rpartition("-")[2].upper()
        if len(ending) < 4 or ending.strip(clock.CROCKFORD):
            return None
        if clock.valid(ending):
            return ending if self.by_id(ending) else None
        found = {row[0] for row in self._query("SELECT id FROM event WHERE id LIKE ? LIMIT 9", f"%{ending}")}
        if len(found) > 1:
            raise Usage(f"{text} is ambiguous: {' '.join(sorted(found))}", todo="give more characters")
        return found.pop() if found else None

    def _query(self, sql: str, *values: str) -> list[tuple[str, int, int]]:
        return [row for layer in self._layers for row in layer.execute(sql, values)]

    @contextlib.contextmanager
    def _writing(self) -> Iterator[bool]:
        # Tried, never waited for: who loses reads the difference into memory. It also covers the deletion of a
        # damaged file, so that no two processes write two files of one name, and one's journal.
        fd = None
        try:
            fd = self._store.open("local", "index.lock", flags=os.O_RDWR | os.O_CREAT)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
        finally:
            if fd is not None:
                os.close(fd)

    def _opened(self) -> sqlite3.Connection:
        import sqlite3

        db = sqlite3.connect(self._path, timeout=0.2, isolation_level=None)
        # No fsync: a killed process cannot hurt it, and after a power loss the boot id differs.
        db.execute("PRAGMA synchronous = OFF")
        if db.execute("SELECT version, boot FROM made").fetchall() != [(VERSION, world.boot_id())]:
            db.close()
            raise _StaleError
        return db

    def _mended(self) -> sqlite3.Connection:
        """The index on disk, brought up to date, made anew if it cannot be. Under its lock."""
        import sqlite3

        try:
            self._disk = self._disk or self._opened()
            self._fill(self._disk)
        except (sqlite3.DatabaseError, _StaleError):
            if self._disk:
                self._disk.close()
            self._disk = None
            for suffix in ("", "-journal", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path + suffix)
            os.close(self._store.open("local", "index.sqlite", flags=os.O_RDWR | os.O_CREAT))  # 0600, whatever umask
            _furnish(fresh := sqlite3.connect(self._path, isolation_level=None))
            fresh.close()
            self._disk = self._opened()
            self._fill(self._disk)
        return self._disk

    def _overlay(self, below: list[sqlite3.Connection]) -> sqlite3.Connection:
        import sqlite3

        memory = sqlite3.connect(":memory:", isolation_level=None)
        _furnish(memory)
        for db in below:
            memory.executemany("INSERT INTO place VALUES (?,?,?,?,?,?)", db.execute("SELECT * FROM place"))
        self._fill(memory)
        return memory

    def _behind(self, db: sqlite3.Connection) -> bool:
        return any(isinstance(one, Event) for stream in self._resumed(db) for one in stream.read())

    def _resumed(self, db: sqlite3.Connection) -> list[Stream]:
        """All streams, each at its place. Raises _StaleError if the journal is not what was indexed."""
        places = {row[0]: row[1:] for row in db.execute("SELECT * FROM place")}
        found = streams(self._store)
        for stream in found:
            if stream.name in places:
                stream.segment, stream.offset, stream.seq, stream.start, stream.last_id = places.pop(stream.name)
                try:
                    last = _read(self._store, stream.name, stream.segment, stream.start).event
                except (OSError, ValueError):
                    raise _StaleError from None
                if last.id != stream.last_id:
                    raise _StaleError
        if places:
            raise _StaleError
        return found

    def _fill(self, db: sqlite3.Connection) -> None:
        for stream in self._resumed(db):
            rows: list[Row] = []
            for one in stream.read():
                if isinstance(one, Bad):
                    continue
                rows.append((one, stream.segment, stream.start, stream.offset))
                if len(rows) == BATCH:
                    codec.bulk()
                    _add(db, stream, rows)
                    rows.clear()
            if rows:
                _add(db, stream, rows)


def _add(db: sqlite3.Connection, stream: Stream, rows: list[Row]) -> None:
    """One transaction: rows and the place after them, or neither."""
    db.execute("BEGIN IMMEDIATE")
    try:
        numbers = {first: _segment_no(db, stream.name, first) for first in {row[1] for row in rows}}
        # OR IGNORE: the same event may stand in two streams, a writer's and its fork's.
        placed = [(one.id, numbers[first], start) for one, first, start, _ in rows]
        db.executemany("INSERT OR IGNORE INTO event VALUES (?, ?, ?)", placed)
        keyed = [(one["type"], one["idempotency_key"], one.id) for one, *_ in rows if "idempotency_key" in one]
        db.executemany(_FIRST_KEY, [row for row in keyed if isinstance(row[1], str)])
        last, first, start, end = rows[-1]
        place = (stream.name, first, end, last["seq"], start, last.id)
        db.execute("INSERT OR REPLACE INTO place VALUES (?,?,?,?,?,?)", place)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _segment_no(db: sqlite3.Connection, stream: str, first: int) -> int:
    db.execute("INSERT OR IGNORE INTO segment (stream, first) VALUES (?, ?)", (stream, first))
    row = db.execute("SELECT no FROM segment WHERE stream = ? AND first = ?", (stream, first)).fetchone()
    return int(row[0])


def _furnish(db: sqlite3.Connection) -> None:
    db.executescript(f"BEGIN;{_TABLES}INSERT INTO made VALUES ({VERSION}, '{world.boot_id()}');COMMIT;")


def _read(store: Store, stream: str, first: int, offset: int) -> Place:
    file = ("journal", stream, f"{first:012d}{SUFFIX}")
    fd = store.open(*file)
    try:
        raw = os.pread(fd, event.LIMIT, offset)
    finally:
        os.close(fd)
    return Place(event.parse(raw[: raw.index(b"\n")]), file)
