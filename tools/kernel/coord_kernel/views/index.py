"""The index: where each event and each idempotency key is, so that looking one up is no scan."""

from __future__ import annotations

from coord_envelope import ids
from coord_envelope.errors import Usage
from coord_kernel.views.database import Derived

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from coord_kernel.store.directory import Store
    from coord_kernel.views.fill import Found, Place

VERSION = "2"
PREFIXES = ("wk", "msg", "run", "ls")
"""What a short id may begin with, before its dash."""
_WHERE = "SELECT stream, first, offset FROM event JOIN segment ON no = segment WHERE id = ?"
_FIRST_KEY = "INSERT INTO key VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET id = min(id, excluded.id)"


class Index(Derived):
    """Events by id, and by (type, idempotency key)."""

    tables = """
    CREATE TABLE event (id TEXT PRIMARY KEY, segment INTEGER, offset INTEGER) WITHOUT ROWID;
    CREATE TABLE key (type TEXT, key TEXT, id TEXT, PRIMARY KEY (type, key)) WITHOUT ROWID;
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store, "index", VERSION)

    def add(self, db: sqlite3.Connection, found: Iterator[Found]) -> None:
        """OR IGNORE: the same event may stand in two streams, a writer's and its fork's."""
        ids, keys = [], []
        for one, segment, offset in found:
            ids.append((one.id, segment, offset))
            if isinstance(one.get("idempotency_key"), str):
                keys.append((one["type"], one["idempotency_key"], one.id))
        db.executemany("INSERT OR IGNORE INTO event VALUES (?, ?, ?)", ids)
        db.executemany(_FIRST_KEY, keys)

    def by_key(self, kind: str, key: str) -> Place | None:
        """The first event (by event_id) that has this type and idempotency key."""
        for _ in range(2):
            found = self.query("SELECT id FROM key WHERE type = ? AND key = ?", kind, key)
            place = self.by_id(min(row[0] for row in found)) if found else None
            if place or not found:
                break  # else its line was damaged since, and what is known now is known anew
        return place

    def by_id(self, event_id: str) -> Place | None:
        """The event with this full id."""
        found = self._standing(event_id)
        if found is None and self.query(_WHERE, event_id):
            self.from_nothing()
            found = self._standing(event_id)
        return found

    def _standing(self, event_id: str) -> Place | None:
        found = (self.read(*row) for row in self.query(_WHERE, event_id))
        return next((place for place in found if place and place.event.id == event_id), None)

    def resolve(self, text: str) -> str | None:
        """The full id for a full id, a short one (`wk-k3f9x2ab`) or any unique ending of 4 characters or more.

        None if no event's id ends so. Raises Usage with the candidates if several do: never a guess.
        """
        prefix, dash, rest = text.rpartition("-")
        ending = rest.upper()
        if (dash and prefix not in PREFIXES) or len(ending) < 4 or ending.strip(ids.CROCKFORD):
            return None
        if ids.valid(ending):
            return ending if self.by_id(ending) else None
        found = {
            row[0]
            for row in self.query("SELECT id FROM event WHERE id LIKE ? LIMIT 9", f"%{ending}")
        }
        if len(found) > 1:
            raise Usage(
                f"{text} is ambiguous: {' '.join(sorted(found))}", todo="give more characters"
            )
        return found.pop() if found else None
