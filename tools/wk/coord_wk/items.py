"""Items among each other: what blocks them, what they are, and how they are shown. Pure, given the folded states."""

from __future__ import annotations

from coord_wk import fold, graph

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from coord_envelope.codec import Json

    class Source(Protocol):
        """A View or a Snapshot."""

        def get(self, entity: str) -> Json | None: ...
        def find(self, name: str, begin: str = "", end: str = ...) -> Iterator[tuple[str, str]]: ...
        def entities(self) -> Iterator[str]: ...


class Items:
    """The items of a source, as they are at `now` (an RFC 3339 stamp)."""

    def __init__(self, source: Source, now: str) -> None:
        self._source, self._now = source, now
        self._states: dict[str, Json | None] = {}
        self._graph = graph.Graph(self.edges)

    def state(self, item: str) -> Json | None:
        """The folded state; None if there is no such item."""
        if item not in self._states:
            found = self._source.get(item)
            self._states[item] = found if found and "created" in found else None
        return self._states[item]

    def known(self, item: str) -> Json:
        """The state of an item that is there."""
        found = self.state(item)
        assert found is not None, item
        return found

    def ranked(self, facet: str) -> Iterator[str]:
        """Items with a facet, most urgent and then oldest first."""
        return (item for _, item in self._source.find(facet))

    def owned(self, agent: str) -> Iterator[str]:
        """The items an agent holds."""
        return (item for _, item in self._source.find("owner", f"{agent} ", f"{agent}!"))

    def everything(self) -> Iterator[str]:
        """Every item, oldest first."""
        return (item for item in self._source.entities() if self.state(item))

    def aliased(self, foreign: str) -> list[str]:
        """The items that came with this foreign id."""
        return [item for _, item in self._source.find("alias", foreign, foreign + "\0")]

    def children(self, item: str) -> list[str]:
        """The items whose parent it is, oldest first."""
        return [child for _, child in self._source.find("child", item, item + "\0")]

    def ancestors(self, item: str) -> list[str]:
        """Its parent, that one's parent, and so on, as far as they are there and no circle closes."""
        found: list[str] = []
        while state := self.state(found[-1] if found else item):
            parent = fold.value(state, "parent")
            if not isinstance(parent, str) or parent in found or parent == item:
                break
            found.append(parent)
        return found

    def status(self, item: str) -> str:
        """done | cancelled | duplicate, else active, held, blocked, ready: the first that is so."""
        state = self.known(item)
        closed = fold.value(state, "closed")
        if isinstance(closed, dict):
            return str(closed.get("resolution"))
        if fold.owner(state):
            return "active"
        if any(self.holds(one) for one in (item, *self.ancestors(item))):
            return "held"
        return "blocked" if self.blockers(item) else "ready"

    def holds(self, item: str) -> bool:
        """Is the item itself on hold, or deferred to later?"""
        state = self.state(item)
        if state is None:
            return False
        until = fold.value(state, "defer_until")
        return fold.value(state, "hold") is not None or (isinstance(until, str) and until > self._now)

    def blockers(self, item: str) -> list[str]:
        """What it waits on: open or missing items, through its own or an ancestor's blocked_by, and its children."""
        waits = [to for edge, to in self.edges(item) if self._open(to) and edge not in self._graph.skipped(item)]
        return list(dict.fromkeys(waits))

    def cyclic(self, item: str) -> list[str]:
        """What it would wait on if that did not close a circle."""
        return sorted({to for edge, to in self.edges(item) if edge in self._graph.skipped(item)})

    def waits(self, item: str, on: str) -> bool:
        """Would `item` wait on `on`, directly or through others?"""
        return self._graph.reaches(item, on)

    def _open(self, item: str) -> bool:
        state = self.state(item)
        return state is None or not fold.value(state, "closed")

    def edges(self, item: str) -> list[tuple[str, str]]:
        """What it waits on, open or not: (the event that made it so and the other item, the other item)."""
        found = []
        for one in (item, *self.ancestors(item)):
            deps = fold.present(self.state(one) or {"sets": {}}, "deps")
            waits = [(add, dep.partition(" ")[2]) for dep, add in deps.items() if dep.startswith("blocked_by ")]
            found += [(f"{add} {to}", to) for add, to in waits]
        for child in self.children(item):
            values = self.known(child)["registers"]["parent"] if self.state(child) else {}
            found.append((f"{max(values, default='')} {child}", child))
        return found

    def row(self, item: str) -> Json:
        """The item in a line."""
        state = self.known(item)
        holder = fold.owner(state)
        given = {
            "kind": fold.value(state, "kind") or "task",
            "title": fold.value(state, "title") or "(no title)",
            "owner": holder and holder["agent"],
            "assignee": fold.value(state, "assignee"),
            "parent": fold.value(state, "parent"),
            "labels": sorted(fold.present(state, "labels")),
        }
        some = {name: what for name, what in given.items() if what}
        short = f"wk-{item[-8:].lower()}"
        return {"id": short, "work_id": item, "status": self.status(item), "priority": fold.priority(state), **some}

    def detail(self, item: str) -> Json:
        """Everything about the item."""
        state = self.known(item)
        registers = state["registers"]
        given = {
            "desc": fold.value(state, "desc"),
            "hold": fold.value(state, "hold"),
            "defer_until": fold.value(state, "defer_until"),
            "fields": {name[7:]: fold.value(state, name) for name in registers if name.startswith("fields.")},
            "deps": [dict(zip(("rel", "to"), dep.split(" ", 1), strict=True)) for dep in fold.present(state, "deps")],
            "blockers": self.blockers(item) if self.status(item) == "blocked" else [],
            "cycle": self.cyclic(item),
            "children": self.children(item),
            "claim": fold.owner(state),
            "closed": fold.value(state, "closed"),
            "conflicts": conflicts(state),
            "comments": state["comments"],
            "artifacts": [{"artifact_id": found, **body} for found, body in state["artifacts"].items()],
        }
        some = {name: what for name, what in given.items() if what}
        return {**self.row(item), **some, "created": state["created"], "last": state["last"]}


def conflicts(state: Json) -> Json:
    """Registers that were written concurrently: the values that lost, until a write that saw them."""
    several = {name: values for name, values in state["registers"].items() if len(values) > 1}
    return {name: [values[one] for one in sorted(values)[:-1]] for name, values in several.items()}
