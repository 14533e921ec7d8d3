"""A view: the state of each entity as a fold of its events, kept so that a question costs what is new.

    events ──entities──▶ which entities an event is about
    state  = step(step(None, e1), e2) …   in order of event_id
    indexed(state) = (name, value) pairs by which an entity is found, in order of value

An event with a greater id than all of its entity's is one step more. A late arrival (a partitioned writer's)
folds its entity again from the beginning; no other is touched. So the arrival order cannot matter.

A fold never sees what was redacted, only its tombstone. A view that was made before the redaction is made anew.
"""

from __future__ import annotations

import bisect

from coord_envelope import codec
from coord_kernel.streams.redaction import Redactions, digest
from coord_kernel.views import shards
from coord_kernel.views.database import Derived

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Protocol, Self

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_kernel.store.directory import Store
    from coord_kernel.views.fill import Found

    Step = Callable[[Any, Event], Any]

    class Fold(Protocol):
        """What a tool says of its entities. Pure and total. Another `version` makes the view anew."""

        name: str
        version: str

        def entities(self, event: Event) -> Iterable[str]: ...
        def step(self, state: Any, event: Event) -> Any: ...
        def indexed(self, state: Any) -> Iterable[tuple[str, str]]: ...

    class Source(Protocol):
        """A View or a Snapshot."""

        def get(self, entity: str) -> Any: ...
        def find(self, name: str, begin: str = "", end: str = ...) -> Iterator[tuple[str, str]]: ...
        def entities(self) -> Iterator[str]: ...


PAGE = 500
_PAGE = """SELECT value, entity FROM facet WHERE name = ? AND value < ? AND (value, entity) > (?, ?)
           ORDER BY value, entity LIMIT ?"""
_SAVED = "SELECT last, places, json FROM state WHERE entity = ?"
_SEGMENT = "SELECT stream, first FROM segment WHERE no = ?"


class View(Derived):
    """The entities of a store, as of the last `refresh`."""

    tables = """
    CREATE TABLE state (entity TEXT PRIMARY KEY, last TEXT, places BLOB, json BLOB);
    CREATE TABLE facet (name TEXT, value TEXT, entity TEXT, PRIMARY KEY (name, value, entity)) WITHOUT ROWID;
    """

    def __init__(self, store: Store, fold: Fold) -> None:
        super().__init__(store, fold.name, fold.version)
        self._fold, self._redactions = fold, Redactions(store)
        self._share = (
            0,
            1,
        )  # of the entities those whose last character is, modulo the second, the first
        self._alone = False

    def refresh(self) -> Self:
        known = self._redactions.refresh().by
        version = (
            f"{self._fold.version} {digest(codec.dumps(sorted(known.items())))}"
            if known
            else self._fold.version
        )
        if version != self._version:
            self._version = version
            self._close()
        return super().refresh()

    def get(self, entity: str) -> Any:
        """The entity's state; None if no event is about it."""
        for (state,) in reversed(self.query("SELECT json FROM state WHERE entity = ?", entity)):
            return codec.unpack(state)
        return None

    def event(self, entity: str) -> Event | None:
        """The event whose id is the entity's, as it is stored."""
        for _, places, _ in reversed(self.query(_SAVED, entity)):
            return next(
                (one for one in self._again(codec.unpack(places)) if one.id == entity), None
            )
        return None

    def find(
        self, name: str, begin: str = "", end: str = "\U0010ffff"
    ) -> Iterator[tuple[str, str]]:
        """(value, entity) of the entities with such a facet, begin <= value < end, in order of value."""
        after = (begin, "")
        while page := sorted(set(self.query(_PAGE, name, end, *after, PAGE)))[:PAGE]:
            yield from (row for row in page if self._stands(name, row))
            after = page[-1]

    def entities(self) -> Iterator[str]:
        """All entities."""
        after = ""
        while page := self.query(
            "SELECT entity FROM state WHERE entity > ? ORDER BY entity LIMIT ?", after, PAGE
        ):
            found = sorted({row[0] for row in page})[:PAGE]
            yield from found
            after = found[-1]

    def add(self, db: sqlite3.Connection, found: Iterator[Found]) -> None:
        touched: dict[str, _Entity] = {}
        entities, step = self._fold.entities, self._fold.step
        mine, shares = self._share
        for told, segment, offset in found:
            event = self._redactions.shown(told)
            for entity in entities(event):
                one = touched.get(entity)
                if one is None:
                    if ord(entity[-1]) % shares != mine:
                        continue
                    one = touched[entity] = self._saved(entity)
                one.take(event, segment, offset, step)
        states, gone, come = [], list[tuple[str, ...]](), list[tuple[str, ...]]()
        for entity, one in touched.items():
            if one.late:
                one.fold(self._again(one.places), step)
            indexed = set(self._fold.indexed(one.state or {}))
            gone += [(*facet, entity) for facet in one.was - indexed]
            come += [(*facet, entity) for facet in indexed - one.was]
            states.append((entity, one.last, codec.pack(one.places), codec.pack(one.state)))
        db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?)", states)
        db.executemany("DELETE FROM facet WHERE name = ? AND value = ? AND entity = ?", gone)
        db.executemany("INSERT OR IGNORE INTO facet VALUES (?, ?, ?)", come)

    def _fill(self, db: sqlite3.Connection) -> None:
        number = shards.count(self._store, db) if db is self._disk and not self._alone else 1
        if number == 1:
            super()._fill(db)
            return
        names = [f"{self._name}.sqlite.{part}" for part in range(1, number)]
        db.execute("UPDATE made SET version = ''")  # until all of it is there
        pids = shards.fork(lambda part: self._part(names[part], (part + 1, number)), number - 1)
        self._share, self._alone = (
            (0, number),
            True,
        )  # if the journal grows meanwhile, the next try is one process's
        try:
            super()._fill(db)
        finally:
            self._share = (0, 1)
            shards.join(self._store, db, pids, names, ("state", "facet"))
        db.execute("UPDATE made SET version = ?", (self._version,))

    def _part(self, name: str, share: tuple[int, int]) -> None:
        self._share, self._layers = share, [self._new(name)]
        super()._fill(self._layers[0])

    def _saved(self, entity: str) -> _Entity:
        rows = [(layer, row) for layer in self._layers for row in layer.execute(_SAVED, (entity,))]
        if not rows:
            return _Entity("", [], None, set())
        layer, (last, places, packed) = rows[-1]
        state = codec.unpack(packed)
        was = set(self._fold.indexed(state)) if layer is self._layers[-1] else set()
        return _Entity(last, codec.unpack(places), state, was)

    def _again(self, places: list[int]) -> list[Event]:
        """The events that stand there, in the order of a replay, also where a forged one has another's id."""
        found = [
            self.read(stream, first, offset)
            for segment, offset in zip(places[::2], places[1::2], strict=True)
            for stream, first in self._layers[-1].execute(_SEGMENT, (segment,))
        ]
        there = sorted(filter(None, found), key=lambda place: (place.event.id, place.event.raw))
        return [self._redactions.shown(place.event) for place in there]

    def _stands(self, name: str, row: tuple[str, str]) -> bool:
        """Does the topmost layer that knows the entity have the facet? What is below it is of the past."""
        *below, top = self._layers
        known = below and top.execute("SELECT 1 FROM state WHERE entity = ?", (row[1],)).fetchone()
        sql = "SELECT 1 FROM facet WHERE name = ? AND value = ? AND entity = ?"
        return not known or top.execute(sql, (name, *row)).fetchone() is not None


class _Entity:
    """An entity while events come in."""

    __slots__ = ("last", "late", "places", "raw", "state", "was")

    def __init__(
        self, last: str, places: list[int], state: Json | None, was: set[tuple[str, str]]
    ) -> None:
        """Its last event's id, where its events stand, its state, and the indexed that the top layer has of it."""
        self.last, self.places, self.state, self.was = last, places, state, was
        self.raw, self.late = b"", False

    def take(self, event: Event, segment: int, offset: int, step: Step) -> None:
        """One step more, or the discovery that it is not the last: then what stands at its places is to be folded."""
        self.places += segment, offset
        at: str = event["event_id"]
        if at > self.last:
            self.state, self.last, self.raw = step(self.state, event), at, event.raw
        elif event.raw != self.raw:  # else a fork's copy
            self.late = True

    def fold(self, events: list[Event], step: Step) -> None:
        self.state, self.raw = None, b""
        for event in events:
            if event.raw != self.raw:
                self.state, self.raw = step(self.state, event), event.raw
            self.last = event.id


class Snapshot:
    """The same questions, answered from events in memory: for time travel, and what a View is tested against."""

    def __init__(self, fold: Fold, events: Iterable[Event]) -> None:
        """`events` in order of event_id."""
        self._states: dict[str, Json] = {}
        for event in events:
            for entity in fold.entities(event):
                self._states[entity] = fold.step(self._states.get(entity), event)
        found = (
            (facet, entity)
            for entity, state in self._states.items()
            for facet in fold.indexed(state)
        )
        self._facets: list[tuple[str, ...]] = sorted(
            {(name, value, entity) for (name, value), entity in found}
        )

    def get(self, entity: str) -> Any:
        return self._states.get(entity)

    def find(
        self, name: str, begin: str = "", end: str = "\U0010ffff"
    ) -> Iterator[tuple[str, str]]:
        at = bisect.bisect_left(self._facets, (name, begin))
        while at < len(self._facets) and self._facets[at] < (name, end):
            _, value, entity = self._facets[at]
            yield value, entity
            at += 1

    def entities(self) -> Iterator[str]:
        return iter(sorted(self._states))


def whole(
    source: Source, state: Json, key: str | None, united: Callable[[list[Json]], Json]
) -> Json:
    """The state of all entities made with this key, in stores that had not met: they are one. `state` is one's."""
    twins = [one for _, one in source.find("key", key, key + "\0")] if key is not None else []
    found = [one for one in map(source.get, twins) if one] if len(twins) > 1 else []
    return united(found) if len(found) > 1 else state
