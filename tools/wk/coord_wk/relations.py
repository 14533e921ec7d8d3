"""How items are related: parents and parts, and what waits on what. Pure.

What an item waits on, in one step (`_waits`), each edge with the event that made it:

    6. A closed item waits on nothing, and nothing waits on it.
    7. It waits on what it or an ancestor is `blocked_by`: open items, and missing ones, since the
       events of an item may not have arrived yet.
    8. It waits on its open children. They do not wait on it.
    9. Edges that would close a cycle are skipped (`graph`). Commands refuse to add such an edge
       (`refuse_cycle`); two stores that meet may still have one.

A batch asks once for all that it adds (`suppose`, `supposed_cycle`).
"""

from __future__ import annotations

from itertools import islice

from coord_envelope import SELF, BadData
from coord_kernel.views.entities import FEW, MANY, Entities
from coord_wk import fold
from coord_wk.graph import AUX, Graph

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, ClassVar

    from coord_kernel.views.view import Source
    from coord_wk.registers import State

    Nearest = dict[str, str | None]
    """Item → itself or its nearest ancestor of which something is true."""

MOST_LOOKED = 20_000
"""Items whose states are kept in memory at a time."""
MOST_INHERITED = 100
"""What an item inherits is remembered up to so many; more, and it is looked up each time."""


class Supposed:
    """What operations of a batch that are not stored yet make of the items' graph."""

    def __init__(self) -> None:
        self.waits: dict[str, list[str]] = {}
        self.parent: dict[str, str] = {}
        self.parts: dict[str, dict[str, None]] = {}
        self.born = set[str]()

    def move(self, item: str, parent: str) -> None:
        """The item has this parent from here on."""
        if item in self.parent:
            self.parts[self.parent[item]].pop(item, None)
        self.parent[item] = parent
        self.parts.setdefault(parent, {})[item] = None


class Relations(Entities):
    """The items of a source at one moment, and how they are related."""

    fold: ClassVar[Any] = fold

    def __init__(self, source: Source, now_ms: int) -> None:
        super().__init__(source, now_ms)
        self._looked: dict[str, tuple[State | None, list[str]]] = {}
        self._graph = Graph(self._edges, self._waits)
        self._waiting: Nearest = {}
        self._inherits: dict[str, dict[str, None]] = {}
        self._circles: dict[str, frozenset[str]] = {}
        self._supposed = Supposed()

    def look(self, entity: str) -> tuple[State | None, list[str]]:
        if entity in self._supposed.born:
            return None, [entity]
        if entity not in self._looked:
            if len(self._looked) > MOST_LOOKED:
                self._looked.clear()
            look = super().look(entity)
            self._looked |= dict.fromkeys((entity, *look[1]), look)
        return self._looked[entity]

    def known(self, item: str) -> State:
        """The state of an item that exists."""
        state, _ = self.look(item)
        assert state is not None, item
        return state

    def _names(self, entities: Iterable[str]) -> Iterator[str]:
        """The names of those that exist, each once."""
        seen, rest, size = set[str](), iter(entities), FEW
        while page := list(islice(rest, size)):
            size = min(4 * size, MANY)
            self._look_up(page)
            for name in (self.name(entity) for entity in page if self.state(entity)):
                if name not in seen:
                    seen.add(name)
                    yield name

    def _look_up(self, entities: Iterable[str]) -> None:
        """Read the states of these in one query, for `look`."""
        known = (self._looked, self._supposed.born)
        unknown = [entity for entity in entities if not any(entity in each for each in known)]
        if len(unknown) > 1 and len(self._looked) + len(unknown) <= MOST_LOOKED:
            for entity, state in self._source.many(unknown).items():
                look = self._united(entity, state)
                self._looked |= dict.fromkeys((entity, *look[1]), look)

    def children(self, item: str) -> list[str]:
        """The items whose parent it is, oldest first."""
        return list(self._below("child", item))

    def _below(self, index: str, item: str) -> Iterator[str]:
        """The items in an index by parent that have this one for their parent."""
        name, same = self.name(item), self.look(item)[1]
        entries = (entry for each in same for entry in self._source.find(index, each, each + "\0"))
        return (
            part for part in self._names(part for _, part in entries) if self._parent(part) == name
        )

    def dependents(self, item: str) -> list[tuple[str, str]]:
        """What depends on it, oldest first: (relation, the other item)."""
        name, same = self.name(item), self.look(item)[1]
        entries = (entry for each in same for entry in self._source.find("to", each, each + "\0"))
        others = sorted(self._names(other for _, other in entries))
        return [(rel, other) for other in others for rel, to in self.links(other) if to == name]

    def links(self, item: str) -> dict[tuple[str, str], str]:
        """What it depends on: (relation, the other item) → the event that made it so."""
        return self._deps(item)

    def waits_on(self, item: str) -> list[str]:
        """What it or an ancestor is blocked by. Its open parts are not among them."""
        return [] if self._done(item) else list(self._inherited(item))

    def ancestors(self, item: str) -> list[str]:
        """Its parent, the parent of that, and so on, up to a missing one or one met before."""
        above: dict[str, None] = {}
        parent = self._parent(item)
        while parent and parent not in above and parent != item:
            above[parent] = None
            parent = self._parent(parent)
        return list(above)

    def _parent(self, item: str) -> str | None:
        if item in self._supposed.parent:
            return self._supposed.parent[item]
        state = self.state(item)
        parent = fold.text(state, "parent") if state else None
        return parent if parent is None else self.name(parent)

    def _nearest(self, memo: Nearest, test: Callable[[str], object], item: str) -> str | None:
        """The item, or else its nearest ancestor, of which this is true. Each is tested once."""
        path: dict[str, None] = {}
        at: str | None = item
        nearest = None
        while at is not None and at not in path:
            if at in memo:
                nearest = memo[at]
                break
            path[at] = None
            if test(at):
                nearest = at
                break
            at = self._parent(at)
        memo |= dict.fromkeys(path, nearest)
        return nearest

    def _each(self, memo: Nearest, test: Callable[[str], object], item: str) -> Iterator[str]:
        """The item and its ancestors of which this is true."""
        met = set[str]()
        at = self._nearest(memo, test, item)
        while at is not None and at not in met:
            met.add(at)
            yield at
            above = self._parent(at)
            at = None if above is None else self._nearest(memo, test, above)

    def _circle(self, item: str) -> frozenset[str]:
        """The cycle of parents that it is part of; mostly none."""
        path: dict[str, None] = {}
        at: str | None = item
        while at is not None and at not in path and at not in self._circles:
            path[at] = None
            at = self._parent(at)
        around = list(path)[list(path).index(at) :] if at in path else []
        self._circles |= dict.fromkeys(path, frozenset[str]())
        self._circles |= dict.fromkeys(around, frozenset(around))
        return self._circles[item]

    def is_open(self, item: str) -> bool:
        """Does it exist, and is it not closed?"""
        return self.state(item) is not None and not self._done(item)

    def _done(self, item: str) -> bool:
        state = self.state(item)
        return state is not None and bool(fold.value(state, "closed"))

    def blockers(self, item: str) -> list[str]:
        """What it waits on; see 6. to 9. above."""
        if self._done(item):
            return []
        skipped = self._graph.skipped(item)
        if not skipped:
            parts = dict.fromkeys(part for _, part in self._parts(item))
            return list({**self._inherited(item), **parts})
        edges = self._waits(item)
        return list(dict.fromkeys(to for event, to in edges if (event, item, to) not in skipped))

    def _inherited(self, item: str) -> dict[str, None]:
        """What it or an ancestor is blocked by."""
        path: dict[str, None] = {}
        at: str | None = item
        while at is not None and at not in path and at not in self._inherits:
            path[at] = None
            at = self._parent(at)
        circular = at in path
        others = self._inherits.get(at, {}) if at is not None else {}
        for each in reversed(path):
            own = dict.fromkeys(to for _, to in self._blocked_by(each))
            others = {**own, **others} if own else others
            if not circular and len(others) <= MOST_INHERITED:
                self._inherits[each] = others
        return others

    def _waits_on_any(self, item: str) -> bool:
        if self._graph.skipped(item):
            return bool(self.blockers(item))
        parts = (to for _, to in self._graph.out(item) if not to.startswith(AUX))
        return any(parts) or self._nearest(self._waiting, self._blocked_by, item) is not None

    def cyclic(self, item: str) -> list[str]:
        """What it would wait on if that did not close a cycle."""
        return sorted({to for _, src, to in self._graph.skipped(item) if src == item})

    def refuse_cycle(self, item: str, waits: Sequence[str], parent: str | None) -> None:
        """Raise BadData if a cycle closed with the item, maybe a new one, waiting on these, too.

        And with this parent, if not None: the item then waits on what its new ancestors are
        blocked by, its new parent on it, and all parts of the item wait as it does.
        """
        if item == SELF and not (waits and parent):
            return  # nothing leads to it
        start = f"{AUX}{item}"
        goals = {item, start, parent} if parent else {item, start}
        if parent and (item == parent or self._leads(f"{AUX}{parent}", {item, start})):
            raise BadData(f"would create a dependency cycle with {parent}")
        if parent and self._leads(item, {parent}):
            raise BadData(f"would create a dependency cycle with {parent}")
        for goal in waits:
            if goal in (item, parent) or self._leads(goal, goals):
                raise BadData(f"would create a dependency cycle with {goal}")

    def _leads(self, start: str, goals: set[str]) -> bool:
        return not goals.isdisjoint(self._graph.reachable(start))

    def suppose(self, item: str, waits: Sequence[str], parent: str | None, born: bool) -> None:
        """From here on take the item to wait on these and to have this parent.

        `born`: it is a new one, so nothing that is stored is about it.
        """
        if born:
            self._supposed.born.add(item)
        if parent:
            self._graph.forget(filter(None, (parent, self._parent(item))))
            self._supposed.move(item, parent)
        self._supposed.waits.setdefault(item, []).extend(waits)
        self._graph.forget((item, f"{AUX}{item}"))

    def supposed_cycle(self) -> bool:
        """May a cycle be closed by what is supposed? Costs what can be reached from it, once."""
        supposed = self._supposed
        waited = {to for waits in supposed.waits.values() for to in waits}
        for item, waits in supposed.waits.items():
            leads_on = waits or supposed.parts.get(item)
            led_to = item in waited or item in supposed.parent
            if item in waits:
                return True
            if item not in supposed.born or (leads_on and led_to):
                self._graph.skipped(item)
        return self._graph.cyclic

    def _edges(self, node: str) -> list[tuple[str, str]]:
        """The edges of a node of the graph, with the events that made them so."""
        item = node.removeprefix(AUX)
        start = f"{AUX}{item}"
        if node == start:
            parent = self._parent(item)
            return self._blocked_by(item) + ([("", f"{AUX}{parent}")] if parent else [])
        if self._done(item):
            return []
        inherits = self._parent(item) or self._blocked_by(item)
        return self._parts(item) + ([("", start)] if inherits else [])

    def _waits(self, item: str) -> list[tuple[str, str]]:
        """What it waits on in one step: (the event that made it so, the other item)."""
        if self._done(item):
            return []
        givers = self._each(self._waiting, self._blocked_by, item)
        return [edge for giver in givers for edge in self._blocked_by(giver)] + self._parts(item)

    def _blocked_by(self, item: str) -> list[tuple[str, str]]:
        waits = [
            (event, to) for (rel, to), event in self._deps(item).items() if rel == "blocked_by"
        ]
        waits += [("", to) for to in self._supposed.waits.get(item, ())]
        return [(event, to) for event, to in waits if not self._done(to)]

    def _deps(self, item: str) -> dict[tuple[str, str], str]:
        """(relation, the other item) → the event that made it so."""
        deps: dict[tuple[str, str], str] = {}
        state = self.state(item)
        for member, event in fold.present(state, "deps").items() if state else ():
            rel, _, to = member.partition(" ")
            dep = (rel, self.name(to))
            deps[dep] = min(event, deps.get(dep, event))
        return deps

    def _parts(self, item: str) -> list[tuple[str, str]]:
        """Its open children, oldest first, each with the event that made it one."""
        moved = self._supposed.parent
        parts = [
            (part, max(self.known(part)["registers"]["parent"]))
            for part in (() if item in self._supposed.born else self._below("part", item))
            if part not in moved and self.is_open(part)
        ]
        edges = [(event, part) for part, event in parts]
        return edges + [("", part) for part in self._supposed.parts.get(item, ())]
