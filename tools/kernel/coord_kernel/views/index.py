"""The index: where each event and each idempotency key is, so that a look-up scans nothing."""

from __future__ import annotations

import itertools

from coord_envelope import codec, event, ids
from coord_kernel.views import resolve
from coord_kernel.views.database import Derived

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from coord_kernel.store.directory import Store
    from coord_kernel.streams.trusted import Trusted
    from coord_kernel.views.fill import Located, Stored

VERSION = "4"
_WHERE = "SELECT stream, first, offset FROM event JOIN segment ON no = segment WHERE id = ?"
_WITH_KEY = "SELECT id FROM key WHERE type = ? AND key = ?"
_EVENT = "INSERT OR IGNORE INTO event VALUES (?, ?, ?)"
_KEY = "INSERT OR IGNORE INTO key VALUES (?, ?, ?)"
# CROSS: in this order. The other way it would read all keys of the type.
_ANY_KEY = """SELECT 1 FROM json_each(?) AS wanted CROSS JOIN key
              WHERE key.type = ? AND key.key = wanted.value LIMIT 1"""
# One search for each type, not a look at each key.
_OF_ANY_TYPE = """WITH RECURSIVE kind(type) AS (
                    SELECT min(type) FROM key
                    UNION ALL
                    SELECT (SELECT min(type) FROM key WHERE type > kind.type) FROM kind
                    WHERE kind.type IS NOT NULL)
                  SELECT 1 FROM kind CROSS JOIN key
                  WHERE key.type = kind.type AND key.key = ? LIMIT 1"""
_ENDINGS = "CREATE INDEX IF NOT EXISTS ending ON event (substr(id, 23))"
"""By the last 4 characters: a million endings, so that few events share one."""
ENDING = f"""SELECT id FROM event WHERE substr(id, 23) = ? AND substr(id, ?) = ?
             LIMIT {resolve.MOST}"""


def _take(db: sqlite3.Connection, groups: list[tuple[list[bytes], bool, int, list[int]]]) -> None:
    """As `Index.add`, of lines."""
    events: list[tuple[str, int, int]] = []
    keyed: list[bytes] = []
    for rows, plain, segment, offsets in groups:
        found = (
            [raw[13:39].decode() for raw in rows]
            if plain
            else [event.parse(raw).id for raw in rows]
        )
        events += zip(found, itertools.repeat(segment), offsets)
        keyed += [raw for raw in rows if b'"idempotency_key"' in raw or b"\\" in raw]
    events.sort()
    db.executemany(_EVENT, events)
    for at in range(0, len(keyed), 500):
        parsed = event.parse_all(keyed[at : at + 500])
        pairs = [
            (item["type"], item.get("idempotency_key"), item.id)
            for item in parsed
            if isinstance(item, event.Event)
        ]
        db.executemany(_KEY, [row for row in pairs if isinstance(row[1], str)])


class Index(Derived):
    """Events by id, and by (type, idempotency key)."""

    tables = """
    CREATE TABLE event (id TEXT PRIMARY KEY, segment INTEGER, offset INTEGER) WITHOUT ROWID;
    CREATE TABLE key (type TEXT, key TEXT, id TEXT, PRIMARY KEY (type, key, id)) WITHOUT ROWID;
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store, "index", VERSION)
        self._trusted: Trusted | None = None

    def add(self, db: sqlite3.Connection, located: Iterator[Located]) -> None:
        """OR IGNORE: the same event may stand in two streams, a writer's and its fork's."""
        events, keys = [], []
        for item, segment, offset in located:
            event_id, key = item["event_id"], item.get("idempotency_key")
            events.append((event_id, segment, offset))
            if isinstance(key, str):
                keys.append((item["type"], key, event_id))
        db.executemany(_EVENT, events)
        db.executemany(_KEY, keys)

    def _fill(self, db: sqlite3.Connection) -> None:
        if self._is_much():
            from coord_kernel.views import bulk

            bulk.fill_lines(self._store, db, self._chosen, _take, "index")
        super()._fill(db)

    def by_key(self, kind: str, key: str) -> Stored | None:
        """The first event (by event_id) that has this type and idempotency key.

        In a store that knows signers of those that somebody has signed: who cannot prove a name
        takes no key from others.
        """
        for _ in range(2):
            rows, damaged = self.query(_WITH_KEY, kind, key), False
            for event_id in sorted({row[0] for row in rows}):
                stored = self.by_id(event_id)
                if stored and self._counts(stored.event):
                    return stored
                damaged = damaged or stored is None
            if not damaged:
                break  # else a line was damaged since: ask the rebuilt index once more
        return None

    def _counts(self, item: event.Event) -> bool:
        if not self._store.signers():
            return True
        from coord_kernel.streams.trusted import Trusted  # only with signers

        self._trusted = self._trusted or Trusted(self._store)
        return not self._trusted.refresh().unsigned(item)

    def has_any(self, pairs: Iterable[tuple[str, str]]) -> bool:
        """Is there an event with any of these (type, idempotency key)?"""
        keys: dict[str, list[str]] = {}
        for kind, key in pairs:
            keys.setdefault(kind, []).append(key)
        known = any(
            self.query(_ANY_KEY, codec.dumps(some).decode(), kind) for kind, some in keys.items()
        )
        if known and self._store.signers():
            return any(self.by_key(kind, key) for kind, some in keys.items() for key in some)
        return known

    def has_key(self, key: str) -> bool:
        """Is there an event of any type with this idempotency key?"""
        known = bool(self.query(_OF_ANY_TYPE, key))
        if known and self._store.signers():
            kinds = self.query("SELECT DISTINCT type FROM key WHERE key = ?", key)
            return any(self.by_key(kind, key) for (kind,) in kinds)
        return known

    def by_id(self, event_id: str) -> Stored | None:
        """The event with this full id."""
        stored = self._stored(event_id)
        if stored is None and self.query(_WHERE, event_id):
            self.from_nothing()
            stored = self._stored(event_id)
        return stored

    def _stored(self, event_id: str) -> Stored | None:
        events = (self.read(*row) for row in self.query(_WHERE, event_id))
        return next((stored for stored in events if stored and stored.event.id == event_id), None)

    def ending_so(self, end: str) -> int:
        """How many events have an id that ends so, up to 2."""
        self.indexed_by(_ENDINGS)
        return min(2, len(self.query(ENDING, end[-4:], -len(end), end)))

    def resolve(self, text: str) -> str | None:
        """The full id that a full one, a short one or an ending names; see `resolve`.

        None if no event has it. Raises Usage with the candidates if several events may be meant.
        """
        end = resolve.ending(text)
        if end is None:
            return None
        if ids.valid(end):
            return end if self.by_id(end) else None
        # Made when an ending is first asked for. Then it costs 7 % of an index from nothing; kept
        # from the beginning, 40 % (200,000 events), and most stores never ask.
        self.indexed_by(_ENDINGS)
        rows = self.query(ENDING, end[-4:], -len(end), end)
        return resolve.only(text, (row[0] for row in rows))
