"""What is derived from the journal and kept in SQLite: disposable, and never an error.

A file below `local/` remembers how far each stream was read, and takes in what is new:

1. `refresh` opens the file. It is rebuilt if it has another version or boot, if SQLite finds it
   damaged, or if it remembers a line that the journal no longer has.
2. If something is new, events or bad lines, it is read into the file, under the file's own lock.
3. A process that cannot write the file now (another one does, the disk is full or read-only) reads
   what is new into a database in memory above it: slower, same answers.

Damage that SQLite does not notice (bytes overwritten in place) is not noticed here either: delete
the file.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time

from coord_envelope import codec
from coord_envelope.platform import contextmanager, suppress
from coord_kernel.store import machine
from coord_kernel.streams.stream import Stream, streams
from coord_kernel.views import fill

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator
    from typing import Any, Self

    from coord_kernel.store.directory import Store
    from coord_kernel.views.fill import Located, Stored

MUCH = 1 << 22
"""Bytes from which waiting for the process that reads them is cheaper than to read them as well."""
WAIT_S = 10.0
LINES = 1 << 18
"""Bytes from which reading lines repays the modules for it, once orjson is loaded."""


class Derived:
    """Look-ups over the events of a store, as of the last `refresh`.

    A subclass says what it keeps of them: its tables, and what a batch of events adds to them. Its
    questions go through `query`, which asks the file and, if there is one, the memory above it.
    """

    tables: str
    """SQL that makes the subclass's own tables."""
    needles: tuple[bytes, ...] = ()
    """If there are any: nothing is kept of an event whose line is plain and contains none."""
    lasting = False
    """Does it say something that cannot be derived again? Then it outlives a restart of the
    machine, and is waited for while another process writes it."""

    def __init__(self, store: Store, name: str, version: str) -> None:
        self._store, self._name, self._version = store, name, f"{version}.{fill.LAYOUT}"
        self._path = ""
        self._disk: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None
        self._layers: list[sqlite3.Connection] = []
        self._behind = 0
        """About how many bytes there were to read, when it was last looked."""

    def streams(self, known: Collection[str]) -> list[Stream]:
        """The streams to read: all durable ones. `known` are those read before, as `KIND/NAME`."""
        return streams(self._store)

    def _chosen(self, known: Collection[str], names: Collection[str] | None) -> list[Stream]:
        """Of `streams` those with these names, or all of them."""
        if names is None:
            return self.streams(known)
        if type(self).streams is not Derived.streams:
            return [stream for stream in self.streams(known) if stream.path in names]
        # All need not be listed for it.
        parts = [name.split("/") for name in sorted(names)]
        return [
            Stream(self._store, kind, name)
            for kind, name in parts
            if kind == "journal" and not name.startswith(".")
        ]

    def add(self, db: sqlite3.Connection, located: Iterator[Located]) -> None:
        """Take in events, in order of event_id, each with its segment's number and its offset.

        In a transaction of `db`. An event may come twice: from a writer's stream and from its fork.
        """
        raise NotImplementedError

    def refresh(self) -> Self:
        """Read what is new. Costs that; the first time and after damage, the whole history."""
        from coord_envelope.platform import sqlite3  # 7 ms

        try:
            self._layers = [self._opened()]
            behind = fill.behind(self._store, self._layers[0], self._chosen)
            if not behind:
                return self
        except (sqlite3.Error, fill.StaleError):
            self._layers, behind = [], self.size()
        self._behind = behind
        with self._writing(WAIT_S if behind >= MUCH or self.lasting else 0) as ours:
            if ours and self._mended():
                return self
        self._overlay()
        return self

    def size(self) -> int:
        """About how many bytes there are to read from nothing."""
        return sum(stream.size() for stream in self.streams(()))

    def query(self, sql: str, *values: str | int) -> list[Any]:
        """The rows of all layers, the lowest first."""
        from coord_envelope.platform import sqlite3

        try:
            return [row for layer in self._layers for row in layer.execute(sql, values)]
        except UnicodeEncodeError:
            return []  # every event is text
        except sqlite3.Error:
            # Damaged in a place that was not looked at before, or locked by another process now.
            self.from_nothing()
            return self._layers[0].execute(sql, values).fetchall()

    def indexed_by(self, sql: str) -> None:
        """Have a secondary index (CREATE INDEX IF NOT EXISTS …) that few readers need in the file.

        A file that cannot be written now answers without it: slower, same answers.
        """
        from coord_envelope.platform import sqlite3

        if self._disk in self._layers:
            with suppress(sqlite3.Error):
                self._layers[0].execute(sql)

    def read(self, stream: str, first: int, offset: int) -> Stored | None:
        """The event that begins at this offset of a segment, if one does."""
        return fill.read(self._store, stream, first, offset)

    def from_nothing(self) -> None:
        """Forget everything and read the whole history into memory: the file was damaged."""
        self._layers = []
        self._overlay()

    def close(self) -> None:
        """Close the file, as before a fork: the next `refresh` opens it again."""
        self._close()
        self._layers = []

    @contextmanager
    def _writing(self, wait_s: float) -> Iterator[bool]:
        # Also covers the deletion of a damaged file, so that no two processes write two files of
        # one name, and one's journal.
        fd, end = None, time.monotonic() + wait_s
        try:
            fd = self._store.open("local", f"{self._name}.lock", flags=os.O_RDWR | os.O_CREAT)
            while not _locked(fd) and time.monotonic() < end:
                time.sleep(0.01)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
        finally:
            if fd is not None:
                os.close(fd)

    def _opened(self) -> sqlite3.Connection:
        """The database on disk, opened again if its file is another one.

        Raises fill.StaleError, sqlite3.Error.
        """
        from coord_envelope.platform import sqlite3

        before = self._path
        self._path = os.path.join(self._store.path, "local", f"{self._name}.sqlite")
        if before != self._path:  # SQLite's own files would be beside the old one
            self._close()
        try:
            file = os.lstat(self._path)
        except OSError:
            raise fill.StaleError from None
        if self._disk and self._file and os.path.samestat(file, self._file):
            return self._disk
        self._close()
        if not stat.S_ISREG(file.st_mode):
            raise fill.StaleError
        db = sqlite3.connect(self._path, timeout=0.2, isolation_level=None)
        try:
            self._spare_fsync(db)
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchall():
                raise fill.StaleError
            meta = db.execute("SELECT version, boot FROM meta").fetchall()
            if meta != [(self._version, self._boot())]:
                raise fill.StaleError
        except BaseException:
            db.close()
            raise
        self._disk, self._file = db, file
        return db

    def _close(self) -> None:
        if self._disk:
            self._disk.close()
        self._disk = None

    def _mended(self) -> bool:
        """Bring the file up to date, or rebuild it. Under its lock. Did it succeed?"""
        from coord_envelope.platform import sqlite3

        for _ in range(3):  # as it is; rebuilt; and again, if the journal was another by then
            try:
                self._layers = [self._opened()]
                self._fill(self._layers[0])
                return True
            except sqlite3.OperationalError:  # busy, full, read-only: not its fault
                break
            except (sqlite3.DatabaseError, fill.StaleError):
                self._close()
                if not self._rebuilt():
                    break
        self._layers = []
        return False

    def _rebuilt(self) -> bool:
        from coord_envelope.platform import sqlite3

        try:
            self._new(f"{self._name}.sqlite").close()
        except (OSError, sqlite3.Error):
            return False
        return True

    def _new(self, name: str) -> sqlite3.Connection:
        """An empty database in this file below `local/`. Raises OSError, sqlite3.Error."""
        from coord_envelope.platform import sqlite3

        discard(self._store, name)
        # Made here, so that it is 0600 and no link, and only then opened by SQLite.
        os.close(self._store.open("local", name, flags=os.O_RDWR | os.O_CREAT))
        db = sqlite3.connect(os.path.join(self._store.path, "local", name), isolation_level=None)
        try:
            # A state of 2 KB would leave half a page of 4 KB empty.
            db.execute("PRAGMA page_size = 16384")
            self._spare_fsync(db)
            self._furnish(db)
        except BaseException:
            db.close()
            raise
        return db

    def _overlay(self) -> None:
        """Put a layer in memory above, with what the ones below do not have."""
        from coord_envelope.platform import sqlite3

        below, memory = self._layers, sqlite3.connect(":memory:", isolation_level=None)
        self._furnish(memory)
        self._layers = [*below, memory]
        try:
            for db in below:
                db.execute("BEGIN")  # as it is now, while it is read
                for table, marks in (("position", fill.POSITION), ("segment", "?,?,?")):
                    rows = db.execute(f"SELECT * FROM {table}")
                    memory.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
            self._fill(memory)
            for db in below:
                db.execute("COMMIT")
        except (sqlite3.Error, fill.StaleError):
            self._close()
            self.from_nothing()

    def _is_much(self) -> bool:
        """Is so much new that reading it as lines repays the modules for that?"""
        return self._behind >= (LINES if codec.is_bulk() else codec.MANY)

    def _fill(self, db: sqlite3.Connection) -> None:
        if self.needles and self._is_much():
            from coord_kernel.views import bulk

            bulk.fill_matching(self._store, db, self._chosen, self.add, self.needles)
        fill.fill(self._store, db, self._chosen, self.add, self._name)

    def _boot(self) -> str:
        """The boot in which it may be used; empty: any."""
        return "" if self.lasting else machine.boot_id()

    def _spare_fsync(self, db: sqlite3.Connection) -> None:
        # A killed process cannot hurt the file, and after a power loss the boot id differs, if the
        # system has one.
        db.execute(f"PRAGMA synchronous = {'OFF' if self._boot() else 'NORMAL'}")

    def _furnish(self, db: sqlite3.Connection) -> None:
        meta = f"INSERT INTO meta VALUES ('{self._version}', '{self._boot()}', '', 0);"
        db.executescript(f"BEGIN;{fill.TABLES}{self.tables}{meta}COMMIT;")


def discard(store: Store, name: str) -> None:
    """Delete a database below `local/`."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(store.path, "local", name + suffix))


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
