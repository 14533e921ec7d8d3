"""What is derived from the journal and kept in SQLite: disposable, and never an error.

A file below `local/` remembers how far each stream was read and adds what came since. One of another version or
boot, one that SQLite finds damaged, or one that remembers a line that is no longer there is made anew. Whoever
cannot write it now (another process does, the disk is full or read-only) reads the difference into memory: slower,
same answers. Damage that SQLite does not see (bytes overwritten in place) is not seen here either: delete the file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat

from coord_envelope import codec, event, world
from coord_envelope.event import Event
from coord_envelope.stream import SUFFIX, Bad, Stream, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from typing import Any, Self

    from coord_envelope.store import Store

    Row = tuple[Event, int, int, int]  # an event, its segment, its start and end there

BATCH = 5_000
_TABLES = """
CREATE TABLE made (version TEXT, boot TEXT);
CREATE TABLE place (stream TEXT PRIMARY KEY, segment INTEGER, offset INTEGER, seq INTEGER, start INTEGER, last_id TEXT);
CREATE TABLE segment (no INTEGER PRIMARY KEY, stream TEXT, first INTEGER, UNIQUE (stream, first));
"""


class Place:
    """An event, the file it stands in, and where in it."""

    __slots__ = ("event", "file", "offset")

    def __init__(self, event: Event, file: tuple[str, ...], offset: int) -> None:
        self.event, self.file, self.offset = event, file, offset


class _StaleError(Exception):
    """The file is not there, or says something that the journal does not."""


class Derived:
    """Look-ups over all durable events of a store, as of the last `refresh`.

    A subclass says what it keeps of them: its tables, and what a batch of events adds to them. Its questions
    go through `query`, which asks the file and, where there is one, the memory above it.
    """

    tables: str
    """SQL that makes the subclass's own tables."""

    def __init__(self, store: Store, name: str, version: str) -> None:
        self._store, self._name, self._version = store, name, version
        self._path = os.path.join(store.path, "local", f"{name}.sqlite")
        self._disk: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None
        self._layers: list[sqlite3.Connection] = []

    def add(self, db: sqlite3.Connection, found: list[tuple[Event, int, int]]) -> None:
        """Take in events, each with the number of its segment and its place there. In a transaction of `db`."""
        raise NotImplementedError

    def refresh(self) -> Self:
        """Read what came since. Costs what is new; the first time and after damage, the whole history."""
        import sqlite3  # 7 ms

        try:
            self._layers = [self._opened()]
            if not self._behind(self._layers[0]):
                return self
        except (sqlite3.Error, _StaleError):
            self._layers = []
        with self._writing() as ours:
            if ours and self._mended():
                return self
        self._overlay()
        return self

    def query(self, sql: str, *values: str | int) -> list[Any]:
        """The rows of all layers, the lowest first."""
        import sqlite3

        try:
            return [row for layer in self._layers for row in layer.execute(sql, values)]
        except UnicodeEncodeError:
            return []  # no event has bytes in it that are no text
        except sqlite3.Error:  # damaged in a place that was not looked at before, or held by another now
            self.from_nothing()
            return self._layers[0].execute(sql, values).fetchall()

    def read(self, stream: str, first: int, offset: int, event_id: str) -> Place | None:
        """The event with this id, if it stands there."""
        place = _read(self._store, stream, first, offset)
        return place if place and place.event.id == event_id else None

    def from_nothing(self) -> None:
        """Forget everything and read the whole history into memory: something was damaged behind our back."""
        self._layers = []
        self._overlay()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[bool]:
        # Tried, never waited for: who loses reads the difference into memory. It also covers the deletion of a
        # damaged file, so that no two processes write two files of one name, and one's journal.
        fd = None
        try:
            fd = self._store.open("local", f"{self._name}.lock", flags=os.O_RDWR | os.O_CREAT)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
        finally:
            if fd is not None:
                os.close(fd)

    def _opened(self) -> sqlite3.Connection:
        """The database on disk, opened anew if its file is another one. Raises _StaleError, sqlite3.Error."""
        import sqlite3

        try:
            here = os.lstat(self._path)
        except OSError:
            raise _StaleError from None
        if self._disk and self._file and os.path.samestat(here, self._file):
            return self._disk
        self._close()
        if not stat.S_ISREG(here.st_mode):
            raise _StaleError
        db = sqlite3.connect(self._path, timeout=0.2, isolation_level=None)
        try:
            _spare_fsync(db)
            made = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'made'").fetchall()
            if not made or db.execute("SELECT version, boot FROM made").fetchall() != [
                (self._version, world.boot_id())
            ]:
                raise _StaleError
        except BaseException:
            db.close()
            raise
        self._disk, self._file = db, here
        return db

    def _close(self) -> None:
        if self._disk:
            self._disk.close()
        self._disk = None

    def _mended(self) -> bool:
        """Bring the index on disk up to date, or make it anew if it is damaged. Under its lock. Did it succeed?"""
        import sqlite3

        for _ in range(2):
            try:
                self._layers = [self._opened()]
                self._fill(self._layers[0])
                return True
            except sqlite3.OperationalError:  # busy, full, read-only: not its fault
                break
            except (sqlite3.DatabaseError, _StaleError):
                self._close()
                if not self._made_anew():
                    break
        self._layers = []
        return False

    def _made_anew(self) -> bool:
        import sqlite3

        try:
            for suffix in ("", "-journal", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path + suffix)
            # Made here, so that it is 0600 and no link, and only then opened by SQLite.
            os.close(self._store.open("local", f"{self._name}.sqlite", flags=os.O_RDWR | os.O_CREAT))
            fresh = sqlite3.connect(self._path, isolation_level=None)
            try:
                _spare_fsync(fresh)
                self._furnish(fresh)
            finally:
                fresh.close()
        except (OSError, sqlite3.Error):
            return False
        return True

    def _overlay(self) -> None:
        """Put a layer in memory above, with what the ones below do not have."""
        import sqlite3

        below, memory = self._layers, sqlite3.connect(":memory:", isolation_level=None)
        self._furnish(memory)
        self._layers = [*below, memory]
        try:
            for db in below:
                memory.executemany("INSERT INTO place VALUES (?,?,?,?,?,?)", db.execute("SELECT * FROM place"))
            self._fill(memory)
        except (sqlite3.Error, _StaleError):
            self.from_nothing()

    def _behind(self, db: sqlite3.Connection) -> bool:
        return any(isinstance(one, Event) for stream in self._resumed(db) for one in stream.read())

    def _resumed(self, db: sqlite3.Connection) -> list[Stream]:
        """All streams, each at its place. Raises _StaleError if the journal is not what was indexed."""
        places = {row[0]: row[1:] for row in db.execute("SELECT * FROM place")}
        found = streams(self._store)
        for stream in found:
            if stream.name in places:
                stream.segment, stream.offset, stream.seq, stream.start, stream.last_id = places.pop(stream.name)
                last = _read(self._store, stream.name, stream.segment, stream.start)
                if last is None or last.event.id != stream.last_id:
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
                    self._add(db, stream, rows)
                    rows.clear()
            if rows:
                self._add(db, stream, rows)

    def _add(self, db: sqlite3.Connection, stream: Stream, rows: list[Row]) -> None:
        """One transaction: rows and the place after them, or neither."""
        db.execute("BEGIN IMMEDIATE")
        try:
            numbers = {first: _segment_no(db, stream.name, first) for first in {row[1] for row in rows}}
            self.add(db, [(one, numbers[first], start) for one, first, start, _ in rows])
            last, first, start, end = rows[-1]
            place = (stream.name, first, end, last["seq"], start, last.id)
            db.execute("INSERT OR REPLACE INTO place VALUES (?,?,?,?,?,?)", place)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _furnish(self, db: sqlite3.Connection) -> None:
        made = f"INSERT INTO made VALUES ('{self._version}', '{world.boot_id()}');"
        db.executescript(f"BEGIN;{_TABLES}{self.tables}{made}COMMIT;")


def _spare_fsync(db: sqlite3.Connection) -> None:
    # A killed process cannot hurt the file, and after a power loss the boot id differs, where there is one.
    db.execute(f"PRAGMA synchronous = {'OFF' if world.boot_id() else 'NORMAL'}")


def _segment_no(db: sqlite3.Connection, stream: str, first: int) -> int:
    db.execute("INSERT OR IGNORE INTO segment (stream, first) VALUES (?, ?)", (stream, first))
    row = db.execute("SELECT no FROM segment WHERE stream = ? AND first = ?", (stream, first)).fetchone()
    return int(row[0])


def _read(store: Store, stream: str, first: int, offset: int) -> Place | None:
    """The event that begins at this place, if one does."""
    file = ("journal", stream, f"{first:012d}{SUFFIX}")
    try:
        raw = store.pread(event.LIMIT, offset, *file)
        return Place(event.parse(raw[: raw.index(b"\n")]), file, offset)
    except (OSError, ValueError):
        return None
