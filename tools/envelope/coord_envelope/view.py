"""A view: the state of each entity as a fold of its events, kept so that a question costs what is new.

    events ──entities──▶ which entities an event is about
    state  = step(step(None, e1), e2) …   in order of event_id
    facets(state) = (name, value) pairs by which an entity is found, in order of value

An event with a greater id than all of its entity's is one step more. A late arrival (a partitioned writer's)
folds its entity again from the beginning; no other is touched. So the arrival order cannot matter.
"""

from __future__ import annotations

import json

from coord_envelope.derived import Derived

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator
    from typing import Protocol

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_envelope.store import Store

    class Fold(Protocol):
        """What a tool says of its entities. Pure and total. Another `version` makes the view anew."""

        name: str
        version: str

        def entities(self, event: Event) -> Iterable[str]: ...
        def step(self, state: Json | None, event: Event) -> Json: ...
        def facets(self, state: Json) -> Iterable[tuple[str, str]]: ...


PAGE = 500
_PLACES = "SELECT stream, first, offset, id FROM touch JOIN segment ON no = segment WHERE entity = ?"
_PAGE = """SELECT value, entity FROM facet WHERE name = ? AND value < ? AND (value, entity) > (?, ?)
           ORDER BY value, entity LIMIT ?"""
_SAVE = "INSERT OR REPLACE INTO state VALUES (?, ?, ?)"


class View(Derived):
    """The entities of a store, as of the last `refresh`."""

    tables = """
    CREATE TABLE touch (entity TEXT, id TEXT, segment INTEGER, offset INTEGER,
                        PRIMARY KEY (entity, id, segment)) WITHOUT ROWID;
    CREATE TABLE state (entity TEXT PRIMARY KEY, last TEXT, json TEXT) WITHOUT ROWID;
    CREATE TABLE facet (name TEXT, value TEXT, entity TEXT, PRIMARY KEY (name, value, entity)) WITHOUT ROWID;
    CREATE INDEX facet_entity ON facet (entity);
    """

    def __init__(self, store: Store, fold: Fold) -> None:
        super().__init__(store, fold.name, fold.version)
        self._fold = fold

    def get(self, entity: str) -> Json | None:
        """The entity's state; None if no event is about it."""
        for (state,) in self.query("SELECT json FROM state WHERE entity = ?", entity):
            return json.loads(state)  # type: ignore[no-any-return]
        return None

    def find(self, name: str, begin: str = "", end: str = "\U0010ffff") -> Iterator[tuple[str, str]]:
        """(value, entity) of the entities with such a facet, begin <= value < end, in order of value."""
        after = (begin, "")
        while page := self.query(_PAGE, name, end, *after, PAGE):
            yield from page
            after = page[-1]

    def entities(self) -> Iterator[str]:
        """All entities."""
        after = ""
        while page := self.query("SELECT entity FROM state WHERE entity > ? ORDER BY entity LIMIT ?", after, PAGE):
            yield from (row[0] for row in page)
            after = page[-1][0]

    def add(self, db: sqlite3.Connection, found: list[tuple[Event, int, int]]) -> None:
        touched: dict[str, list[Event]] = {}
        places = []
        for one, segment, offset in found:
            for entity in self._fold.entities(one):
                touched.setdefault(entity, []).append(one)
                places.append((entity, one.id, segment, offset))
        db.executemany("INSERT OR IGNORE INTO touch VALUES (?,?,?,?)", places)
        states = [(entity, *self._folded(db, entity, new)) for entity, new in touched.items()]
        db.executemany("DELETE FROM facet WHERE entity = ?", [(entity,) for entity in touched])
        db.executemany(_SAVE, [(entity, last, json.dumps(state)) for entity, last, state in states])
        facets = [(name, value, entity) for entity, _, state in states for name, value in self._fold.facets(state)]
        db.executemany("INSERT OR IGNORE INTO facet VALUES (?, ?, ?)", facets)

    def _folded(self, db: sqlite3.Connection, entity: str, new: list[Event]) -> tuple[str, Json]:
        """The entity's last event id, and its state after these events."""
        new.sort(key=_order)
        known = db.execute("SELECT last, json FROM state WHERE entity = ?", (entity,)).fetchone()
        state: Json | None = None
        if known and known[0] < new[0].id:
            state = json.loads(known[1])
        elif known:
            places = [self.read(*row) for row in db.execute(f"{_PLACES} ORDER BY id, stream", (entity,)).fetchall()]
            new = [place.event for place in places if place] or new
        for event in new:
            state = self._fold.step(state, event)
        return new[-1].id, state or {}

    def _overlay(self) -> None:
        """A copy in memory, brought up to date: a state cannot be half in one layer and half in another."""
        import sqlite3

        below, memory = self._layers, sqlite3.connect(":memory:", isolation_level=None)
        try:
            if below:
                below[0].backup(memory)
            else:
                self._furnish(memory)
            self._layers = [memory]
            self._fill(memory)
        except Exception:
            if not below:
                raise
            self.from_nothing()


def _order(event: Event) -> tuple[str, str]:
    return event.id, event.stream  # as in a replay, also where a forged event has another's id


class Snapshot:
    """The same questions, answered from events in memory: for time travel, and what a View is tested against."""

    def __init__(self, fold: Fold, events: Iterable[Event]) -> None:
        """`events` in order of event_id."""
        self._states: dict[str, Json] = {}
        for event in events:
            for entity in fold.entities(event):
                self._states[entity] = fold.step(self._states.get(entity), event)
        found = ((facet, entity) for entity, state in self._states.items() for facet in fold.facets(state))
        self._facets = sorted({(name, value, entity) for (name, value), entity in found})

    def get(self, entity: str) -> Json | None:
        return self._states.get(entity)

    def find(self, name: str, begin: str = "", end: str = "\U0010ffff") -> Iterator[tuple[str, str]]:
        return ((value, entity) for which, value, entity in self._facets if which == name and begin <= value < end)

    def entities(self) -> Iterator[str]:
        return iter(sorted(self._states))
