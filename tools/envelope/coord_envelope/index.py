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
import stat

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
PREFIXES = ("wk", "msg", "run", "ls")
"""What a short id may begin with, before its dash."""
BATCH = 5_000
_TABLES = """
CREATE TABLE made (version INTEGER, boot TEXT);
CREATE TABLE place (stream TEXT PRIMARY KEY, segment INTEGER, offset INTEGER, seq INTEGER, start INTEGER, last_id TEXT);
CREATE TABLE segment (no INTEGER PRIMARY KEY, stream TEXT, first INTEGER, UNIQUE (stream, first));
CREATE TABLE event (id TEXT PRIMARY KEY, segment INTEGER, offset INTEGER) WITHOUT ROWID;
CREATE TABLE key (type TEXT, key TEXT, id TEXT, PRIMARY KEY (type, key)) WITHOUT ROWID;
"""
_WHERE = "SELECT stream, first, offset FROM event JOIN segment ON no = segment WHERE id = ?"
_FIRST_KEY = "INSERT INTO key VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET id = min(id, excluded.id)"


class Place:
    """An event, the file it stands in, and where in it."""

    __slots__ = ("event", "file", "offset")

    def __init__(self, event: Event, file: tuple[str, ...], offset: int) -> None:
        self.event, self.file, self.offset = event, file, offset


class _StaleError(Exception):
    """The index is not there, or says something that the journal does not."""


class Index:
    """Look-ups over all durable events of a store, as of the last `refresh`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = os.path.join(store.path, "local", "index.sqlite")
        self._disk: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None
        self._layers: list[sqlite3.Connection] = []

    def refresh(self) -> Index:
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
        self._layers = [*self._layers, self._overlay(self._layers)]
        return self

    def by_key(self, kind: str, key: str) -> Place | None:
        """The first event (by event_id) that has this type and idempotency key."""
        found = self._query("SELECT id FROM key WHERE type = ? AND key = ?", kind, key)
        return self.by_id(min(row[0] for row in found)) if found else None

    def by_id(self, event_id: str) -> Place | None:
        """The event with this full id."""
        for _ in range(2):
            for stream, first, offset in self._query(_WHERE, event_id):
                place = _read(self._store, stream, first, offset)
                if place and place.event.id == event_id:
                    return place
                self._from_nothing()  # the journal was damaged behind our back: look again without memory
                break
            else:
                break
        return None

    def resolve(self, text: str) -> str | None:
        """The full id for a full id, a short one (`wk-k3f9x2ab`) or any unique ending of 4 characters or more.

        None if no event's id ends so. Raises Usage with the candidates if several do: never a guess.
        """
        prefix, dash, rest = text.rpartition("-")
        ending = rest.upper()
        if (dash and prefix not in PREFIXES) or len(ending) < 4 or ending.strip(clock.CROCKFORD):
            return None
        if clock.valid(ending):
            return ending if self.by_id(ending) else None
        found = {row[0] for row in self._query("SELECT id FROM event WHERE id LIKE ? LIMIT 9", f"%{ending}")}
        if len(found) > 1:
            raise Usage(f"{text} is ambiguous: {' '.join(sorted(found))}", todo="give more characters")
        return found.pop() if found else None

    def _query(self, sql: str, *values: str) -> list[tuple[str, int, int]]:
        import sqlite3

        try:
            return [row for layer in self._layers for row in layer.execute(sql, values)]
        except sqlite3.Error:  # damaged in a place that was not looked at before, or held by another now
            self._from_nothing()
            return self._layers[0].execute(sql, values).fetchall()

    def _from_nothing(self) -> None:
        self._layers = [self._overlay([])]

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
            # No fsync: a killed process cannot hurt it, and after a power loss the boot id differs.
            db.execute("PRAGMA synchronous = OFF")
            made = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'made'").fetchall()
            if not made or db.execute("SELECT version, boot FROM made").fetchall() != [(VERSION, world.boot_id())]:
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
            os.close(self._store.open("local", "index.sqlite", flags=os.O_RDWR | os.O_CREAT))  # 0600, whatever umask
            fresh = sqlite3.connect(self._path, isolation_level=None)
            try:
                _furnish(fresh)
            finally:
                fresh.close()
        except (OSError, sqlite3.Error):
            return False
        return True

    def _overlay(self, below: list[sqlite3.Connection]) -> sqlite3.Connection:
        """What the layers below do not have, in memory."""
        import sqlite3

        memory = sqlite3.connect(":memory:", isolation_level=None)
        _furnish(memory)
        try:
            for db in below:
                memory.executemany("INSERT INTO place VALUES (?,?,?,?,?,?)", db.execute("SELECT * FROM place"))
            self._fill(memory)
        except (sqlite3.Error, _StaleError):
            return self._overlay([])
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


def _read(store: Store, stream: str, first: int, offset: int) -> Place | None:
    """The event that begins at this place, if one does."""
    file = ("journal", stream, f"{first:012d}{SUFFIX}")
    try:
        fd = store.open(*file)
        try:
            raw = os.pread(fd, event.LIMIT, offset)
        finally:
            os.close(fd)
        return Place(event.parse(raw[: raw.index(b"\n")]), file, offset)
    except (OSError, ValueError):
        return None
