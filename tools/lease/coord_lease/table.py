"""The leases of a store, folded from its events and kept in SQLite, so that a question costs what is new.

The file below `local/` is written only under the store's lock; who only reads, reads the difference into a copy in
memory. It is disposable: damaged, deleted, of another boot, or in disagreement with the streams, it is made anew.
"""

from __future__ import annotations

import os

from coord_envelope import codec, ids
from coord_envelope.errors import Usage
from coord_envelope.event import Event
from coord_envelope.platform import suppress
from coord_kernel.store import machine
from coord_kernel.streams.stream import Stream, streams
from coord_lease import fold, resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence

    from coord_envelope.codec import Json
    from coord_kernel import Store

    Place = tuple[str, str, int, int, int, str]

VERSION = "1"
NAME = "leases.sqlite"
REMEMBERED_NS = 60 * 60 * 1_000_000_000
"""How long one can still ask what became of a lease."""
_TABLES = """
CREATE TABLE made (version TEXT, boot TEXT, token INTEGER);
CREATE TABLE place (kind TEXT, stream TEXT, segment INTEGER, start INTEGER, seq INTEGER, id TEXT,
                    PRIMARY KEY (kind, stream));
CREATE TABLE lease (id TEXT PRIMARY KEY, over INTEGER, json TEXT) WITHOUT ROWID;
CREATE TABLE held (key TEXT, id TEXT, PRIMARY KEY (key, id)) WITHOUT ROWID;
CREATE INDEX lease_over ON lease (over);
CREATE INDEX held_id ON held (id);
"""
_NEAR = "SELECT DISTINCT json FROM held JOIN lease USING (id) WHERE key IN ({}) OR (key >= ? AND key < ?)"


class _StaleError(Exception):
    """The file is not there, or says something that the streams do not."""


class Table:
    """Every lease of this boot that is not long over, as of the last `refresh`."""

    def __init__(self, store: Store, durable: bool) -> None:
        """`durable`: coord.toml mirrors leases, so they are in the durable streams of this store."""
        self._store, self._durable = store, durable
        self._path = os.path.join(store.path, "local", NAME)
        self._db: sqlite3.Connection | None = None
        self._ways: list[Callable[[], sqlite3.Connection]] = []

    def refresh(self, keep: bool = False) -> Table:
        """Take in what is new. `keep` it on the disk: only under the store's lock. Raises OSError as a stream does."""
        self._ways = [self._opened, self._made_anew] if keep else [self._copied]
        return self._tried()

    def _tried(self) -> Table:
        """The first of the ways left that succeeds, and be it that all is read into memory."""
        from coord_envelope.platform import sqlite3

        while self._ways:
            try:
                return self._filled(self._ways.pop(0)())
            except (sqlite3.Error, OSError, _StaleError):
                self.close()
        return self._filled(self._furnished(":memory:"))

    def close(self) -> None:
        if self._db:
            self._db.close()
        self._db = None

    @property
    def token(self) -> int:
        """The greatest fencing token in the streams."""
        return int(self._rows("SELECT token FROM made")[0][0])

    def get(self, lease_id: str) -> Json | None:
        """The lease's state, by its full id."""
        for (found,) in self._rows("SELECT json FROM lease WHERE id = ?", lease_id):
            state: Json = codec.unpack(found.encode())
            return state if "lease_id" in state else None
        return None

    def resolve(self, text: str) -> Json | None:
        """As `get`, also by a short id (`ls-k3f9x2ab`) or an ending of 4 characters. Raises Usage if ambiguous."""
        ending = text.removeprefix("ls-").upper()
        if len(ending) < 4 or ending.strip(ids.CROCKFORD):
            return None
        if ids.valid(ending):
            return self.get(ending)
        found = [
            row[0]
            for row in self._rows("SELECT id FROM lease WHERE id LIKE ? ORDER BY id", f"%{ending}")
        ]
        if len(found) > 1:
            raise Usage(
                f"is ambiguous: {' '.join(found[:9])}", where=text, todo="give more characters"
            )
        return self.get(found[0]) if found else None

    def open_ones(self) -> Iterator[Json]:
        """Leases that no event has ended, in order of their ids; of some the time may be over."""
        for (found,) in self._rows(
            "SELECT json FROM lease WHERE id IN (SELECT id FROM held) ORDER BY id"
        ):
            yield codec.unpack(found.encode())

    def overlapping(self, resources: Sequence[str]) -> list[Json]:
        """Those of them that name something which these resources name too, in order of their ids."""
        found = {state["lease_id"]: state for one in resources for state in self._near(one)}
        return [found[lease_id] for lease_id in sorted(found)]

    def _near(self, wanted: str) -> Iterator[Json]:
        exact, (begin, end) = resource.near(wanted)
        for (found,) in self._rows(_NEAR.format(",".join("?" * len(exact))), *exact, begin, end):
            state = codec.unpack(found.encode())
            if any(resource.overlap(wanted, one) for one in state["resources"]):
                yield state

    def _rows(self, sql: str, *values: str | int) -> list[tuple[str, ...]]:
        from coord_envelope.platform import sqlite3

        assert self._db
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error:  # damaged in a place that was not looked at before
            self.close()
            self._tried()
            return self._rows(sql, *values)

    def _opened(self) -> sqlite3.Connection:
        """The file, opened anew each time: another process may have made another one."""
        from coord_envelope.platform import sqlite3

        self.close()
        if not os.path.isfile(self._path) or os.path.islink(self._path):
            raise _StaleError
        self._db = sqlite3.connect(self._path, timeout=0.2, isolation_level=None)
        self._db.execute(
            "PRAGMA synchronous = OFF"
        )  # a killed process cannot hurt it; after a power loss it is stale
        made = self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'made'").fetchall()
        which = "SELECT version, boot FROM made"
        if not made or self._db.execute(which).fetchall() != [(VERSION, machine.boot_id())]:
            raise _StaleError
        return self._db

    def _copied(self) -> sqlite3.Connection:
        from coord_envelope.platform import sqlite3

        disk, memory = self._opened(), sqlite3.connect(":memory:", isolation_level=None)
        disk.backup(memory)
        self.close()
        return memory

    def _made_anew(self) -> sqlite3.Connection:
        for suffix in ("", "-journal"):
            with suppress(FileNotFoundError):
                os.unlink(self._path + suffix)
        os.close(
            self._store.open("local", NAME, flags=os.O_RDWR | os.O_CREAT)
        )  # so that it is 0600 and no link
        return self._furnished(self._path)

    def _furnished(self, path: str) -> sqlite3.Connection:
        from coord_envelope.platform import sqlite3

        db = sqlite3.connect(path, timeout=0.2, isolation_level=None)
        db.execute("PRAGMA synchronous = OFF")
        made = f"INSERT INTO made VALUES ('{VERSION}', '{machine.boot_id()}', 0);"
        db.executescript(f"BEGIN;{_TABLES}{made}COMMIT;")
        return db

    def _filled(self, db: sqlite3.Connection) -> Table:
        self._db = db
        db.execute("BEGIN IMMEDIATE")
        news = _News(db)
        places = {(row[0], row[1]): row for row in db.execute("SELECT * FROM place")}
        for stream in self._streams(places):
            for found in _new(stream, places.pop((stream.kind, stream.name), None)):
                news.learn(found)
                place = (
                    stream.kind,
                    stream.name,
                    stream.segment,
                    stream.start,
                    stream.seq,
                    stream.last_id,
                )
                news.places[stream.kind, stream.name] = place
        if places:
            raise _StaleError
        news.save()
        db.execute("COMMIT")
        return self

    def _streams(self, known: dict[tuple[str, str], Place]) -> Iterator[Stream]:
        """The live streams, which are all ours; and of the durable ones our own, if leases are or were mirrored."""
        durable = self._durable or any(kind == "journal" for kind, _ in known)
        ours = self._store.all_replicas() if durable else frozenset()
        for stream in streams(self._store, live=True):
            if stream.kind == "live" or stream.name.partition("~")[2] in ours:
                yield stream


class _News:
    """What new events change, collected and written in one go."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db, self._boot, self._now = db, machine.boot_id(), machine.boot_ns()
        self._states: dict[str, Json] = {}
        self._token = 0
        self.places: dict[tuple[str, str], Place] = {}

    def learn(self, event: Event) -> None:
        if not event["type"].startswith("lease."):
            return
        body, lease_id = event["body"], fold.about(event)
        if type(body.get("token")) is int and body.get("scope", "local") == "local":
            self._token = max(self._token, body["token"])
        if lease_id and body["boot"] == self._boot:
            self._states[lease_id] = fold.step(self._state(lease_id), event)

    def _state(self, lease_id: str) -> Json | None:
        if lease_id in self._states:
            return self._states[lease_id]
        for (found,) in self._db.execute("SELECT json FROM lease WHERE id = ?", (lease_id,)):
            return codec.unpack(found.encode())  # type: ignore[no-any-return]
        return None

    def save(self) -> None:
        rows = [
            (lease_id, fold.over_at(state), codec.pack(state).decode())
            for lease_id, state in self._states.items()
        ]
        self._db.executemany("INSERT OR REPLACE INTO lease VALUES (?, ?, ?)", rows)
        self._db.executemany(
            "DELETE FROM held WHERE id = ?", [(lease_id,) for lease_id in self._states]
        )
        opened = [state for state in self._states.values() if fold.open_(state)]
        held = [
            (resource.key(one), state["lease_id"]) for state in opened for one in state["resources"]
        ]
        self._db.executemany("INSERT OR IGNORE INTO held VALUES (?, ?)", held)
        self._db.executemany(
            "INSERT OR REPLACE INTO place VALUES (?,?,?,?,?,?)", self.places.values()
        )
        self._db.execute("UPDATE made SET token = max(token, ?)", (self._token,))
        forgotten = (self._now - REMEMBERED_NS,)
        self._db.execute(
            "DELETE FROM held WHERE id IN (SELECT id FROM lease WHERE over < ?)", forgotten
        )
        self._db.execute("DELETE FROM lease WHERE over < ?", forgotten)


def _new(stream: Stream, place: Place | None) -> Iterator[Event]:
    """The stream's events behind the place, whose own line is read again: if it is another, all is stale."""
    last_id = None
    if place:
        _, _, stream.segment, stream.offset, stream.seq, last_id = place
        stream.seq -= 1
    found = (one for one in stream.read() if isinstance(one, Event))
    if last_id and next((one.id for one in found), None) != last_id:
        raise _StaleError
    yield from found
