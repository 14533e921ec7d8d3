"""A view: the state of each entity, a fold of its events, kept so that asking costs what is new.

    events ──entities──▶ the entities that an event is about
    state  = step(step(None, e1), e2) …   in order of event_id
    indexed(state) = (name, value) pairs, the secondary index: it finds entities in order of value,
                     and those with the name `count` are counted by value

1. An event with a greater id than all of its entity's is one step more.
2. A late one (of a writer that was partitioned) folds its entity again from the beginning, and
   touches no other. So the order of arrival cannot matter.
3. A fold never sees what was redacted, only its tombstone. A view that was made before the
   redaction is rebuilt.
4. Of each entity the view keeps the times of its first and its last event. So `past` has the state
   at an earlier time without folding the whole history.
"""

from __future__ import annotations

from itertools import islice

from coord_envelope import codec
from coord_envelope.platform import suppress
from coord_kernel.views import fill
from coord_kernel.views.shown import Shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import Any, Protocol

    from coord_envelope.event import Event
    from coord_kernel.store.directory import Store
    from coord_kernel.views.fill import Located

    Step = Callable[[Any, Event], Any]

    class Fold(Protocol):
        """What a tool knows of its entities. Pure, total. Another `version` rebuilds the view."""

        name: str
        version: str

        def entities(self, event: Event) -> Iterable[str]: ...
        def step(self, state: Any, event: Event) -> Any: ...
        def indexed(self, state: Any) -> Iterable[tuple[str, str]]: ...

        # It may have `needles`: one is in the plain line of each event that has entities; `EVER`,
        # names of pairs, and `ever(event)`: the pairs of these names that `indexed` can have of
        # the entities of an event after it, or after a later one.

    class Source(Protocol):
        """A View or a Snapshot."""

        def get(self, entity: str) -> Any: ...
        def many(self, entities: Collection[str]) -> dict[str, Any]: ...
        def find(self, name: str, begin: str = "", end: str = ...) -> Iterator[tuple[str, str]]: ...
        def newest(self, name: str, begin: str, end: str) -> Iterator[tuple[str, str]]: ...
        def count(self, name: str, begin: str, end: str, most: int) -> int: ...
        def entities(self) -> Iterator[str]: ...
        def tally(self) -> dict[str, int]: ...
        def shared_keys(self) -> Iterable[str]: ...


PAGE = 500
MUCH = 5_000
"""Twice the events of which orjson repays its import."""
MOMENT = 25
"""Characters of an event's time that are kept: one more than the times asked for have."""
TOUCHED = 2_000
"""Entities in memory at a time while events come in."""
_PAGE = """SELECT value, entity FROM secondary
           WHERE name = ? AND value < ? AND (value, entity) > (?, ?)
           ORDER BY value, entity LIMIT ?"""
_BACK = """SELECT value, entity FROM secondary
           WHERE name = ? AND value >= ? AND (value, entity) < (?, ?)
           ORDER BY value DESC, entity DESC LIMIT ?"""
_COUNT = """SELECT count(*) FROM (SELECT 1 FROM secondary
            WHERE name = ? AND value >= ? AND value < ? LIMIT ?)"""
_LAST = """SELECT value, entity FROM secondary WHERE name = ?
           ORDER BY value DESC, entity DESC LIMIT 1"""
_ENTITIES = "SELECT entity FROM state WHERE entity > ? ORDER BY entity LIMIT ?"
_SAVED = "SELECT last, places, json, begun, until FROM state WHERE entity = ?"
_SEGMENT = "SELECT stream, first FROM segment WHERE no = ?"
_INDEXED = "SELECT 1 FROM secondary WHERE name = ? AND value = ? AND entity = ?"
_UNINDEX = "DELETE FROM secondary WHERE name = ? AND value = ? AND entity = ?"


class View(Shown):
    """The entities of a store, as of the last `refresh`."""

    commutes = False
    """Does the fold give the same state in any order, and with copies?

    Then a late event is one more step, and the places of an entity's events are not kept: there
    may be very many."""

    tables = """
    CREATE TABLE state (entity TEXT PRIMARY KEY, last TEXT, places BLOB, json BLOB,
                        begun TEXT, until TEXT, fork TEXT);
    CREATE TABLE secondary (name TEXT, value TEXT, entity TEXT,
                            PRIMARY KEY (name, value, entity)) WITHOUT ROWID;
    CREATE TABLE tally (value TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID;
    CREATE TRIGGER more AFTER INSERT ON secondary WHEN new.name = 'count' BEGIN
        INSERT INTO tally VALUES (new.value, 1) ON CONFLICT DO UPDATE SET n = n + 1; END;
    CREATE TRIGGER less AFTER DELETE ON secondary WHEN old.name = 'count' BEGIN
        UPDATE tally SET n = n - 1 WHERE value = old.value; END;
    CREATE TABLE shared (key TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TRIGGER sharing AFTER INSERT ON secondary WHEN new.name = 'key' AND EXISTS (
        SELECT 1 FROM secondary WHERE name = 'key' AND value = new.value AND entity <> new.entity)
    BEGIN INSERT OR IGNORE INTO shared VALUES (new.value); END;
    CREATE TABLE ever (name TEXT, value TEXT, entity TEXT,
                       PRIMARY KEY (name, value, entity)) WITHOUT ROWID;
    """

    def __init__(self, store: Store, fold: Fold) -> None:
        super().__init__(store, fold.name, f"{fold.version}.6")  # .6: of the tables above
        self._fold, self._ever = fold, getattr(fold, "ever", None)
        self.needles = getattr(fold, "needles", ())
        # It has the entities whose last character is the first number, modulo the second.
        self._share = (0, 1)
        self._alone = False

    def get(self, entity: str) -> Any:
        """The entity's state; None if no event is about it."""
        for (state,) in reversed(self.query("SELECT json FROM state WHERE entity = ?", entity)):
            return codec.unpack(state)
        return None

    def states(self, entities: Iterable[str]) -> Iterator[Any]:
        """The states of many entities, in the same order: as `get`, many at a time."""
        rest = iter(entities)
        while page := list(islice(rest, PAGE)):
            states = self.many(page)
            yield from (states[entity] for entity in page if entity in states)

    def many(self, entities: Collection[str]) -> dict[str, Any]:
        """The states of those of these entities that there are, at most PAGE."""
        return {entity: codec.unpack(packed) for entity, packed in self.rows("json", entities)}

    def folded(self, entities: Collection[str], then: str) -> dict[str, Any]:
        """The states of these entities after their events up to a time, at most PAGE."""
        states = {}
        placed = {at: codec.unpack(places) for at, places in self.rows("places", entities)}
        places = [place for some in placed.values() for place in some]
        if len(places) > MUCH:
            codec.bulk()
        events = self._at(places)
        for entity, places in placed.items():
            past = _Entity("", [], None, set())
            of = map(events.get, zip(places[::2], places[1::2], strict=True))
            past.fold(
                self._ordered(event for event in of if event and event["ts"] <= then),
                self._fold.step,
            )
            states[entity] = past.state
        return states

    def rows(self, columns: str, entities: Collection[str]) -> list[Any]:
        """These columns of `state`, behind the entity's name; of several the last counts."""
        marks = ",".join("?" * len(entities))
        return self.query(
            f"SELECT entity, {columns} FROM state WHERE entity IN ({marks})", *entities
        )

    def event(self, entity: str) -> Event | None:
        """The event whose id is the entity's, as it is stored."""
        for _, places, *_ in reversed(self.query(_SAVED, entity)):
            events = self._again(codec.unpack(places))
            return next((event for event in events if event.id == entity), None)
        return None

    def find(
        self, name: str, begin: str = "", end: str = "\U0010ffff"
    ) -> Iterator[tuple[str, str]]:
        """(value, entity) of what the secondary index has under a name, begin <= value < end.

        In order of value.
        """
        after = (begin, "")
        while rows := self.query(_PAGE, name, end, *after, PAGE):
            page = sorted(set(rows))[:PAGE]
            yield from (row for row in page if self._stands(name, row))
            if len(rows) < PAGE:
                break
            after = page[-1]

    def newest(self, name: str, begin: str, end: str) -> Iterator[tuple[str, str]]:
        """As `find`, from the greatest value down."""
        before = (end, "")
        while rows := self.query(_BACK, name, begin, *before, PAGE):
            page = sorted(set(rows), reverse=True)[:PAGE]
            yield from (row for row in page if self._stands(name, row))
            if len(rows) < PAGE:
                break
            before = page[-1]

    def count(self, name: str, begin: str, end: str, most: int) -> int:
        """How many `find` would find, up to `most`."""
        if len(self._layers) > 1:
            return sum(1 for _ in islice(self.find(name, begin, end), most))
        return sum(number for (number,) in self.query(_COUNT, name, begin, end, most))

    def tally(self) -> dict[str, int]:
        """How many entities the secondary index has under `count`, by value. Costs no look-up."""
        if len(self._layers) == 1:
            return dict(self.query("SELECT value, n FROM tally"))
        return tallied(value for value, _ in self.find("count"))

    def shared_keys(self) -> Iterable[str]:
        """The keys that the secondary index has under `key` for several entities."""
        keys = {key for (key,) in self.query("SELECT key FROM shared")}
        if len(self._layers) > 1:
            several = self.query("SELECT value FROM secondary WHERE name = 'key'")
            keys |= {key for (key,) in several if self.count("key", key, f"{key}\0", 2) > 1}
        return sorted(keys)

    def last(self, name: str) -> tuple[str, str] | None:
        """The (value, entity) with the greatest value that the secondary index has under a name."""
        greatest = max(self.query(_LAST, name), default=None)
        if greatest and not self._stands(name, greatest):
            return max(self.find(name), default=None)
        return greatest

    def entities(self) -> Iterator[str]:
        """All entities."""
        after = ""
        while rows := self.query(_ENTITIES, after, PAGE):
            page = sorted({row[0] for row in rows})[:PAGE]
            yield from page
            after = page[-1]

    def forget(self, entities: Iterable[str]) -> None:
        """Drop entities that nobody asks for any more, if the file can be written now."""
        from coord_envelope.platform import sqlite3

        if self._layers != [self._disk]:
            return
        gone = [(entity, self.get(entity)) for entity in entities]
        unindexed = [(*pair, entity) for entity, state in gone for pair in self._indexed(state)]
        with suppress(sqlite3.Error), fill.writing(self._layers[0]):
            self._layers[0].executemany(_UNINDEX, unindexed)
            rows = [(entity,) for entity, _ in gone]
            self._layers[0].executemany("DELETE FROM state WHERE entity = ?", rows)

    def add(self, db: sqlite3.Connection, located: Iterator[Located]) -> None:
        touched: dict[str, _Entity] = {}
        entities, step, redacted = self._fold.entities, self._fold.step, self._redactions.targets
        mine, shares = self._share
        commutes, ever, pairs = self.commutes, self._ever, list[tuple[str, str, str]]()
        for event, segment, offset in located:
            if self._trusted or event["event_id"] in redacted:
                event = self._shown(event)
            for name in entities(event):
                entity = touched.get(name)
                if entity is None:
                    if ord(name[-1]) % shares != mine:
                        continue
                    if len(touched) >= TOUCHED:
                        self._save(db, touched)
                        touched.clear()
                    entity = touched[name] = self._saved(name)
                if commutes:
                    entity.state = step(entity.state, event)
                else:
                    entity.take(event, segment, offset, step)
                    pairs += ((*pair, name) for pair in ever(event)) if ever else ()
        self._save(db, touched)
        db.executemany("INSERT OR IGNORE INTO ever VALUES (?, ?, ?)", pairs)

    def _save(self, db: sqlite3.Connection, touched: dict[str, _Entity]) -> None:
        states, gone, come = [], list[tuple[str, ...]](), list[tuple[str, ...]]()
        for name, entity in touched.items():
            if entity.late:
                entity.fold(self._again(entity.places), self._fold.step)
            indexed = self._indexed(entity.state)
            gone += [(*pair, name) for pair in entity.was - indexed]
            come += [(*pair, name) for pair in indexed - entity.was]
            kept = name, entity.last, codec.pack(entity.places), codec.pack(entity.state)
            states.append((*kept, *entity.span()))
        db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?, ?)", states)
        db.executemany(_UNINDEX, gone)
        db.executemany("INSERT OR IGNORE INTO secondary VALUES (?, ?, ?)", come)

    def _fill(self, db: sqlite3.Connection) -> None:
        from coord_kernel.views import shards  # only to take in what is new

        number = shards.count(db, self.size) if db is self._disk and not self._alone else 1
        if number == 1:
            super()._fill(db)
            return
        names = [f"{self._name}.sqlite.{part}" for part in range(1, number)]
        db.execute("UPDATE meta SET version = ''")  # until all of it is there
        pids = shards.fork(lambda part: self._part(names[part], (part + 1, number)), number - 1)
        # If the journal grows meanwhile, the next try is of one process.
        self._share, self._alone = (0, number), True
        try:
            super()._fill(db)
        finally:
            self._share = (0, 1)
            shards.join(self._store, db, pids, names, ("state", "secondary", "ever"))
        db.execute("UPDATE meta SET version = ?", (self._version,))

    def _part(self, name: str, share: tuple[int, int]) -> None:
        self._share, self._layers = share, [self._new(name)]
        super()._fill(self._layers[0])

    def _indexed(self, state: Any) -> set[tuple[str, str]]:
        return set(self._fold.indexed(state or {}))

    def _saved(self, name: str) -> _Entity:
        rows = [(layer, row) for layer in self._layers for row in layer.execute(_SAVED, (name,))]
        if not rows:
            return _Entity("", [], None, set())
        layer, (last, places, packed, *span) = rows[-1]
        state = codec.unpack(packed)
        was = self._indexed(state) if layer is self._layers[-1] else set()
        return _Entity(last, codec.unpack(places), state, was, *span)

    def _again(self, places: list[int]) -> list[Event]:
        """The events at these places, in order of a replay, also if two have one id."""
        return self._ordered(self._at(places).values())

    def _ordered(self, events: Iterable[Event]) -> list[Event]:
        return self._all_shown(sorted(events, key=lambda event: (event.id, event.raw)))

    def _at(self, places: list[int]) -> dict[tuple[int, int], Event]:
        """The events at these places: a segment is opened once."""
        offsets: dict[int, list[int]] = {}
        for segment, offset in zip(places[::2], places[1::2], strict=True):
            offsets.setdefault(segment, []).append(offset)
        return {
            (segment, offset): event
            for segment, some in offsets.items()
            for stream, first in self._layers[-1].execute(_SEGMENT, (segment,))
            for offset, event in fill.read_all(self._store, stream, first, sorted(some))
        }

    def _stands(self, name: str, row: tuple[str, str]) -> bool:
        """Does the topmost layer that knows the entity have the pair? What is below is outdated."""
        *below, top = self._layers
        if not below or not top.execute(_SAVED, (row[1],)).fetchone():
            return True
        return top.execute(_INDEXED, (name, *row)).fetchone() is not None


class _Entity:
    """An entity while events come in."""

    __slots__ = ("begun", "last", "late", "places", "raw", "state", "until", "was")

    def __init__(
        self,
        last: str,
        places: list[int],
        state: Any,
        was: set[tuple[str, str]],
        begun: str = "~",
        until: str = "",
    ) -> None:
        """Its last event's id, where its events stand (segment, offset, …), its state, the
        secondary pairs that the top layer has of it, and the times of its events."""
        self.last, self.places, self.state, self.was = last, places, state, was
        self.begun, self.until = begun, until
        self.raw, self.late = b"", False

    def take(self, event: Event, segment: int, offset: int, step: Step) -> None:
        """One step more; or it is late, and what stands at its places is to be folded again."""
        self.places += segment, offset
        event_id: str = event["event_id"]
        ts: str = event["ts"]
        if ts > self.until:
            self.until = ts[:MOMENT]
        if ts < self.begun:
            self.begun = ts[:MOMENT]
        if event_id > self.last:
            self.state, self.last, self.raw = step(self.state, event), event_id, event.raw
        elif event.raw != self.raw:  # else a fork's copy
            self.late = True

    def fold(self, events: list[Event], step: Step) -> None:
        self.state, self.raw = None, b""
        for event in events:
            if event.raw != self.raw:
                self.state, self.raw = step(self.state, event), event.raw
            self.last = event.id

    def span(self) -> tuple[str, str, str]:
        """The times of its first and its last event, and how both begin."""
        pairs = enumerate(zip(self.begun, self.until, strict=False))
        same = next((n for n, (left, right) in pairs if left != right), len(self.begun))
        return self.begun, self.until, self.begun[:same]


def tallied(values: Iterable[str]) -> dict[str, int]:
    """How often each value occurs."""
    tally: dict[str, int] = {}
    for value in values:
        tally[value] = tally.get(value, 0) + 1
    return tally
