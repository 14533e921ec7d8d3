"""The entities of a view at an earlier time, without a fold of the whole history.

By the times of its events an entity is at a time

1. settled, if it has none after it: then its state and its pairs are what they are now;
2. not there, if it has none up to it;
3. astride otherwise: its events up to that time are folded again, from the places that the view
   keeps of them.

So `Past` costs what the view costs, and the events of the entities that were astride. One entity
costs its own events alone. It is what a fold of all events up to that time would say, late arrivals
included, since nothing is kept for a time but the events' own times.
"""

from __future__ import annotations

import bisect
import heapq
from itertools import islice

from coord_kernel.views.view import PAGE, tallied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import Any

    from coord_envelope.event import Event
    from coord_kernel.views.view import Fold, View

ALL = "\U0010ffff"
_EVER = "SELECT value, entity FROM ever WHERE name = ? AND value >= ? AND value < ?"
_SPANS = "CREATE INDEX IF NOT EXISTS span ON state (fork, begun, until)"
_ASTRIDE = "SELECT entity FROM state WHERE fork IN (%s) AND begun <= ? AND until > ?"


class Past:
    """A source: the entities of a view, as of its last `refresh`, at a time."""

    def __init__(self, view: View, fold: Fold, then: str) -> None:
        self._view, self._fold, self._then = view, fold, then
        self._states: dict[str, Any] = {}
        self._opened: Snapshot | None = None

    def get(self, entity: str) -> Any:
        return self.many([entity]).get(entity)

    def many(self, entities: Collection[str]) -> dict[str, Any]:
        known = self._states
        unknown = [entity for entity in entities if entity not in known]
        states = {entity: known[entity] for entity in entities if entity in known}
        if unknown:
            spans = self._spans(unknown)
            settled = [entity for entity, (_, until) in spans.items() if until <= self._then]
            astride = [
                entity for entity, (begun, until) in spans.items() if begun <= self._then < until
            ]
            folded = self._view.folded(astride, self._then) if astride else {}
            known |= folded
            states |= self._view.many(settled) | folded
        return states

    def find(self, name: str, begin: str = "", end: str = ALL) -> Iterator[tuple[str, str]]:
        if begin and name in getattr(self._fold, "EVER", ()):
            pairs = sorted(set(self._view.query(_EVER, name, begin, end)))
            return (pair for pair in pairs if self._has(name, *pair))
        settled = self._settled(self._view.find(name, begin, end))
        return heapq.merge(settled, self._astride.find(name, begin, end))

    def _has(self, name: str, value: str, entity: str) -> bool:
        state = self.get(entity)
        return state is not None and (name, value) in self._fold.indexed(state)

    def newest(self, name: str, begin: str, end: str) -> Iterator[tuple[str, str]]:
        settled = self._settled(self._view.newest(name, begin, end))
        return heapq.merge(settled, self._astride.newest(name, begin, end), reverse=True)

    def count(self, name: str, begin: str, end: str, most: int) -> int:
        return sum(1 for _ in islice(self.find(name, begin, end), most))

    def tally(self) -> dict[str, int]:
        return tallied(value for value, _ in self.find("count"))

    def shared_keys(self) -> Iterable[str]:
        keys = {*self._view.shared_keys(), *(key for key, _ in self._astride.find("key"))}
        return sorted(key for key in keys if self.count("key", key, f"{key}\0", 2) > 1)

    def entities(self) -> Iterator[str]:
        everything = self._view.entities()
        while page := list(islice(everything, PAGE)):
            spans = self._spans(page)
            yield from (entity for entity in page if spans[entity][0] <= self._then)

    def _spans(self, entities: Collection[str]) -> dict[str, tuple[str, str]]:
        """The times of the first and of the last event of these entities, at most PAGE."""
        rows = self._view.rows("begun, until", entities)
        return {entity: (begun, until) for entity, begun, until in rows}

    def _settled(self, pairs: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Those of the pairs that also stood then: of entities without an event since."""
        size = 4
        while page := list(islice(pairs, size)):
            spans = self._spans({entity for _, entity in page})
            yield from (pair for pair in page if spans[pair[1]][1] <= self._then)
            size = min(4 * size, PAGE)

    @property
    def _astride(self) -> Snapshot:
        """The entities that are astride, all of them folded."""
        if self._opened is None:
            self._view.indexed_by(_SPANS)
            # What lies between two texts begins with all that they have in common.
            forks = [self._then[:length] for length in range(len(self._then) + 1)]
            sql = _ASTRIDE % ",".join("?" * len(forks))
            rows = iter(self._view.query(sql, *forks, self._then, self._then))
            while page := [entity for (entity,) in islice(rows, PAGE)]:
                self.many(page)
            self._opened = Snapshot(self._fold, (), self._states)
        return self._opened


class Snapshot:
    """The questions of a View, answered from states in memory."""

    def __init__(self, fold: Fold, events: Iterable[Event], states: Any = None) -> None:
        """The states are those given, after the `events`, which are in order of event_id."""
        self._states: dict[str, Any] = states or {}
        for event in events:
            for entity in fold.entities(event):
                self._states[entity] = fold.step(self._states.get(entity), event)
        pairs = {
            (name, value, entity)
            for entity, state in self._states.items()
            for name, value in fold.indexed(state)
        }
        self._secondary: list[tuple[str, ...]] = sorted(pairs)

    def get(self, entity: str) -> Any:
        return self._states.get(entity)

    def many(self, entities: Collection[str]) -> dict[str, Any]:
        return {entity: self._states[entity] for entity in entities if entity in self._states}

    def find(
        self, name: str, begin: str = "", end: str = "\U0010ffff"
    ) -> Iterator[tuple[str, str]]:
        at = bisect.bisect_left(self._secondary, (name, begin))
        while at < len(self._secondary) and self._secondary[at] < (name, end):
            _, value, entity = self._secondary[at]
            yield value, entity
            at += 1

    def newest(self, name: str, begin: str, end: str) -> Iterator[tuple[str, str]]:
        return reversed(list(self.find(name, begin, end)))

    def count(self, name: str, begin: str, end: str, most: int) -> int:
        return sum(1 for _ in islice(self.find(name, begin, end), most))

    def tally(self) -> dict[str, int]:
        return tallied(value for value, _ in self.find("count"))

    def shared_keys(self) -> Iterable[str]:
        return [key for key, n in tallied(value for value, _ in self.find("key")).items() if n > 1]

    def entities(self) -> Iterator[str]:
        return iter(sorted(self._states))
