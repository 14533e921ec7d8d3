"""Items among each other: what blocks them, their status, how they are shown. Pure.

The status of an item is not stored. It is the first of these that holds:

    1. done, cancelled, duplicate: it is closed, with that resolution.
    2. active: a claim holds it.
    3. held: it or an ancestor is on hold, or deferred to a time that has not come.
    4. blocked: it waits on something.
    5. ready.

What it waits on, in one step (`_edges`), each edge with the event that made it:

    6. A closed item waits on nothing, and nothing waits on it.
    7. It waits on what it or an ancestor is `blocked_by`: open items, and missing ones, since the
       events of an item may not have arrived yet.
    8. It waits on its open children. They do not wait on it.
    9. Edges that would close a cycle are skipped (`graph`). Commands refuse to add such an edge
       (`refuse_cycle`); two stores that meet may still have one.

Everywhere an item of several ids (see `Entities`) stands under its oldest. The secondary index may
list too much of it, so what it finds is checked against the united state.
"""

from __future__ import annotations

from coord_envelope import BadData, No, ids
from coord_kernel.rules import claims
from coord_kernel.views import resolve
from coord_kernel.views.entities import Entities
from coord_wk import fold
from coord_wk.graph import Graph

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, ClassVar, TypedDict

    from coord_envelope.codec import Json
    from coord_kernel.rules.claims import Owner
    from coord_kernel.views.view import Source
    from coord_wk.fold import Author, Comment, Created, State

    class Dependency(TypedDict):
        """How an item depends on another."""

        rel: str
        to: str

    class Row(TypedDict, total=False):
        """An item in one line."""

        id: str
        work_id: str
        status: str
        priority: int
        kind: str
        title: str
        owner: str
        assignee: str
        parent: str
        labels: list[str]
        blockers: list[str]
        held_by: list[str]

    class Detail(Row, total=False):
        """Everything about an item."""

        desc: str
        hold: str
        defer_until: str
        fields: Json
        deps: list[Dependency]
        cycle: list[str]
        children: list[str]
        claim: Owner
        closed: Json
        conflicts: dict[str, list[object]]
        comments: list[Comment]
        artifacts: list[Json]
        created: Created
        last: Author


class Items(Entities):
    """The items of a source at one moment; each is looked at once."""

    fold: ClassVar[Any] = fold

    def __init__(self, source: Source, now_ms: int) -> None:
        super().__init__(source, now_ms)
        self._looked: dict[str, tuple[State | None, list[str]]] = {}
        self._graph = Graph(self._edges)
        self._supposed_waits: dict[str, list[str]] = {}
        self._supposed_parent: dict[str, str] = {}

    def _look(self, entity: str) -> tuple[State | None, list[str]]:
        if entity not in self._looked:
            look = super()._look(entity)
            self._looked |= dict.fromkeys((entity, *look[1]), look)
        return self._looked[entity]

    def known(self, item: str) -> State:
        """The state of an item that exists."""
        state, _ = self._look(item)
        assert state is not None, item
        return state

    def resolve(self, text: str) -> str:
        """The full id of the item that a text names. Raises No if there is none.

        In this order: a full id; a short id (`wk-…`); a foreign id; the ending of an id, of 4
        characters or more, in either case. Raises Usage if several items could be meant.
        """
        if self.state(text):
            return self.name(text)
        endings = list(self._names(resolve.candidates(self._source, text, ("wk",))))
        entries = self._source.find("alias", text, text + "\0")
        aliases = list(self._names(item for _, item in entries))
        matches = (endings or aliases) if text.startswith("wk-") else (aliases or endings)
        item = resolve.only(text, matches)
        if item is None:
            raise No("no such work item", where=text)
        return item

    def _names(self, entities: Iterable[str]) -> Iterator[str]:
        """The names of those that exist, each once."""
        seen = set[str]()
        for name in (self.name(entity) for entity in entities if self.state(entity)):
            if name not in seen:
                seen.add(name)
                yield name

    def ranked(self, index: str) -> Iterator[str]:
        """Open items in a secondary index by rank: the most urgent first, then the oldest."""
        return filter(self.is_open, self._names(item for _, item in self._source.find(index)))

    def owned(self, agent: str) -> Iterator[str]:
        """The items that an agent holds, by rank."""
        entries = self._source.find("owner", f"{agent} ", f"{agent}!")
        for item in self._names(item for _, item in entries):
            holder = claims.owner(self.known(item))
            if holder and holder["agent"] == agent:
                yield item

    def everything(self) -> Iterator[str]:
        """Every item, oldest first."""
        return self._names(self._source.entities())

    def children(self, item: str) -> list[str]:
        """The items whose parent it is, oldest first."""
        return list(self._below("child", item))

    def _below(self, index: str, item: str) -> Iterator[str]:
        """The items in an index by parent that have this one for their parent."""
        name, same = self.name(item), self._look(item)[1]
        entries = (entry for each in same for entry in self._source.find(index, each, each + "\0"))
        return (
            part for part in self._names(part for _, part in entries) if self._parent(part) == name
        )

    def ancestors(self, item: str) -> list[str]:
        """Its parent, the parent of that, and so on, up to a missing one or one met before."""
        above: list[str] = []
        parent = self._parent(item)
        while parent and parent not in above and parent != item:
            above.append(parent)
            parent = self._parent(parent)
        return above

    def _parent(self, item: str) -> str | None:
        if item in self._supposed_parent:
            return self._supposed_parent[item]
        state = self.state(item)
        parent = fold.text(state, "parent") if state else None
        return parent if parent is None else self.name(parent)

    def top(self, item: str) -> bool:
        """Are all its ancestors closed or missing? In a cycle of parents the oldest is the top."""
        above = self.ancestors(item)
        around = bool(above) and item in self.ancestors(above[-1])
        return not any(self.is_open(parent) and (parent < item or not around) for parent in above)

    def status(self, item: str) -> str:
        """The status of an item that exists; see 1. to 5. above."""
        state = self.known(item)
        closed = fold.value(state, "closed")
        if isinstance(closed, dict):
            return str(closed["resolution"])
        if claims.owner(state):
            return "active"
        if any(map(self.holds, (item, *self.ancestors(item)))):
            return "held"
        return "blocked" if self.blockers(item) else "ready"

    def holds(self, item: str) -> bool:
        """Is the item itself on hold, or deferred to later?"""
        state = self.state(item)
        if state is None:
            return False
        until = fold.text(state, "defer_until")
        return fold.value(state, "hold") is not None or (until is not None and until > self.now)

    def is_open(self, item: str) -> bool:
        """Does it exist, and is it not closed?"""
        return self.state(item) is not None and not self._done(item)

    def _done(self, item: str) -> bool:
        state = self.state(item)
        return state is not None and bool(fold.value(state, "closed"))

    def blockers(self, item: str) -> list[str]:
        """What it waits on; see 6. to 9. above."""
        skipped, edges = self._graph.skipped(item), self._graph.out(item)
        return list(dict.fromkeys(to for event, to in edges if (event, item, to) not in skipped))

    def cyclic(self, item: str) -> list[str]:
        """What it would wait on if that did not close a cycle."""
        return sorted({to for _, src, to in self._graph.skipped(item) if src == item})

    def refuse_cycle(self, item: str, waits: Sequence[str], parent: str | None) -> None:
        """Raise BadData if a cycle closed with the item, maybe a new one, waiting on these, too.

        And with this parent, if not None: the item then waits on what its new ancestors are
        blocked by, its new parent on it, and all parts of the item wait as it does.
        """
        if not waits and not parent:
            return
        whole = self._whole(item)
        above = [parent, *self.ancestors(parent)] if parent else []
        inherited = [to for ancestor in above for _, to in self._blocked_by(ancestor)]
        if parent and (item in above or self._leads(item, {parent})):
            raise BadData(f"would create a dependency cycle with {parent}")
        for goal in (*waits, *inherited):
            if self._leads(goal, whole | {*above[:1]} if goal in waits else whole):
                raise BadData(f"would create a dependency cycle with {goal}")

    def suppose(self, item: str, waits: Sequence[str], parent: str | None) -> None:
        """From here on take the item, maybe a new one, to wait on these and to have this parent."""
        self._supposed_waits.setdefault(item, []).extend(waits)
        if parent:
            self._supposed_parent[item] = parent
        self._graph = Graph(self._edges)

    def _leads(self, start: str, goals: set[str]) -> bool:
        return start in goals or not goals.isdisjoint(self._graph.reachable(start))

    def _whole(self, item: str) -> set[str]:
        """It and its open parts, their parts, and so on: what it waits on, they all wait on."""
        whole, todo = {item}, [item]
        while todo:
            parts = [part for part, _ in self._parts(todo.pop()) if part not in whole]
            whole.update(parts)
            todo += parts
        return whole

    def _edges(self, item: str) -> list[tuple[str, str]]:
        """What it waits on in one step: (the event that made it so, the other item)."""
        if self._done(item):
            return []
        waits = [edge for each in (item, *self.ancestors(item)) for edge in self._blocked_by(each)]
        return waits + [(event, part) for part, event in self._parts(item)]

    def _blocked_by(self, item: str) -> list[tuple[str, str]]:
        waits = [
            (event, to) for (rel, to), event in self._deps(item).items() if rel == "blocked_by"
        ]
        waits += [("", to) for to in self._supposed_waits.get(item, ())]
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
        moved = self._supposed_parent
        parts = [
            (part, max(self.known(part)["registers"]["parent"]))
            for part in self._below("part", item)
            if part not in moved and self.is_open(part)
        ]
        return parts + [(part, "") for part, parent in moved.items() if parent == item]

    def row(self, item: str) -> Row:
        """The item in one line."""
        state = self.known(item)
        holder = claims.owner(state)
        row: Row = {
            "id": ids.short("wk", item),
            "work_id": item,
            "status": self.status(item),
            "priority": fold.priority(state),
            "kind": fold.text(state, "kind") or "task",
            "title": fold.text(state, "title") or "(no title)",
            "owner": holder["agent"] if holder else "",
            "assignee": fold.text(state, "assignee") or "",
            "parent": self._parent(item) or "",
            "labels": sorted(fold.present(state, "labels")),
        }
        return _present(row)  # type: ignore[no-any-return]

    def detail(self, item: str) -> Detail:
        """Everything about the item."""
        state = self.known(item)
        detail: Any = {
            "desc": fold.value(state, "desc"),
            "hold": fold.value(state, "hold"),
            "defer_until": fold.value(state, "defer_until"),
            "fields": {
                register[7:]: fold.value(state, register)
                for register in state["registers"]
                if register.startswith("fields.")
            },
            "deps": [{"rel": rel, "to": to} for rel, to in self._deps(item)],
            "blockers": self.blockers(item) if self.status(item) == "blocked" else [],
            "cycle": self.cyclic(item),
            "children": self.children(item),
            "claim": claims.owner(state),
            "closed": fold.value(state, "closed"),
            "conflicts": conflicts(state),
            "comments": state["comments"],
            "artifacts": [
                {"artifact_id": artifact} | body | {"artifact_id": artifact}
                for artifact, body in state["artifacts"].items()
                if body is not None
            ],
        }
        detail = {**self.row(item), **_present(detail)}
        detail |= {"created": state["created"], "last": state["last"]}
        return detail  # type: ignore[no-any-return]


def _present(fields: Any) -> Any:
    """Fields without those that are empty."""
    return {name: value for name, value in fields.items() if value or name == "priority"}


def conflicts(state: State) -> dict[str, list[object]]:
    """Registers that were written concurrently: the values that lost, until a write saw them."""
    several = {name: values for name, values in state["registers"].items() if len(values) > 1}
    return {name: [values[at] for at in sorted(values)[:-1]] for name, values in several.items()}
