"""Items among each other: what blocks them, what they are, and how they are shown. Pure, given the folded states."""

from __future__ import annotations

from itertools import islice

from coord_envelope import BadData, ids
from coord_kernel.rules import claims
from coord_wk import fold
from coord_wk.graph import Graph

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from coord_envelope.codec import Json
    from coord_kernel.views.view import Source


class Items:
    """The items of a source, as they are at `now` (an RFC 3339 stamp)."""

    def __init__(self, source: Source, now: str) -> None:
        self._source, self._now = source, now
        self._states: dict[str, Json | None] = {}
        self._twins: dict[str, list[str]] = {}
        self._graph = Graph(self._edges)
        self._supposed_waits: dict[str, list[str]] = {}
        self._supposed_parent: dict[str, str] = {}

    def state(self, item: str) -> Json | None:
        """The folded state; None if there is no such item."""
        if item not in self._states:
            self._look(item)
        return self._states[item]

    def _look(self, item: str) -> None:
        found = self._source.get(item)
        if not found or "created" not in found:
            self._states[item] = None
            return
        key = found.get("key")
        twins = [one for _, one in self._source.find("key", key, key + "\0")] if key else [item]
        if len(twins) > 1:
            found = fold.united([state for state in map(self._source.get, twins) if state])
        for one in twins:
            self._states[one], self._twins[one] = found, twins

    def name(self, item: str) -> str:
        """Its id. Of items made with one key in stores that had not met the oldest's: it stands for all."""
        return self._twins[item][0] if self.state(item) else item

    def _named(self, found: Iterable[str]) -> Iterator[str]:
        seen = set[str]()
        for name in (self.name(one) for one in found if self.state(one)):
            if name not in seen:
                seen.add(name)
                yield name

    def _below(self, facet: str, item: str) -> Iterator[str]:
        same = self._twins[item] if self.state(item) else [item]
        found = self._named(
            part for one in same for _, part in self._source.find(facet, one, one + "\0")
        )
        return (
            part for part in found if self._parent(part) == self.name(item)
        )  # of one made twice only one counts

    def known(self, item: str) -> Json:
        """The state of an item that is there."""
        found = self.state(item)
        assert found is not None, item
        return found

    def ranked(self, facet: str) -> Iterator[str]:
        """Open items with a facet, most urgent and then oldest first."""
        found = self._named(item for _, item in self._source.find(facet))
        return filter(self.is_open, found)  # what was made twice may be closed in one of them only

    def owned(self, agent: str) -> Iterator[str]:
        """The items an agent holds."""
        found = self._named(
            item for _, item in self._source.find("owner", f"{agent} ", f"{agent}!")
        )
        return (
            item for item in found if (claims.owner(self.known(item)) or {}).get("agent") == agent
        )

    def everything(self) -> Iterator[str]:
        """Every item, oldest first."""
        return self._named(self._source.entities())

    def aliased(self, foreign: str) -> list[str]:
        """The items that came with this foreign id."""
        return list(
            self._named(item for _, item in self._source.find("alias", foreign, foreign + "\0"))
        )

    def ending(self, text: str) -> list[str]:
        """The items whose id is `wk-` and this, or ends so, in either case: of 4 characters or more; at most 9."""
        prefix, dash, rest = text.rpartition("-")
        ending = rest.upper()
        if (
            (dash and prefix != "wk")
            or not rest.isascii()
            or len(ending) < 4
            or ending.strip(ids.CROCKFORD)
        ):
            return []
        found = islice(self._source.find("end", ending[::-1], ending[::-1] + "~"), 9)
        return list(self._named(item for _, item in found))

    def children(self, item: str) -> list[str]:
        """The items whose parent it is, oldest first."""
        return list(self._below("child", item))

    def ancestors(self, item: str) -> list[str]:
        """Its parent, that one's parent, and so on, as far as they are there and no circle closes."""
        found: list[str] = []
        parent = self._parent(item)
        while parent and parent not in found and parent != item:
            found.append(parent)
            parent = self._parent(parent)
        return found

    def _parent(self, item: str) -> str | None:
        state = self.state(item)
        parent = fold.value(state, "parent") if state else None
        return self._supposed_parent.get(item) or (
            self.name(parent) if isinstance(parent, str) else None
        )

    def top(self, item: str) -> bool:
        """Is nothing above it open? In a circle of parents the oldest is the top."""
        above = self.ancestors(item)
        around = bool(above) and item in self.ancestors(above[-1])
        return not any(self.is_open(one) and (one < item or not around) for one in above)

    def status(self, item: str) -> str:
        """done | cancelled | duplicate, else active, held, blocked, ready: the first that is so."""
        state = self.known(item)
        closed = fold.value(state, "closed")
        if isinstance(closed, dict):
            return str(closed["resolution"])
        if claims.owner(state):
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
        return fold.value(state, "hold") is not None or (
            isinstance(until, str) and until > self._now
        )

    def is_open(self, item: str) -> bool:
        """Is it there, and not closed?"""
        return self.state(item) is not None and not self._done(item)

    def blockers(self, item: str) -> list[str]:
        """What it waits on: open or missing items, through its own or an ancestor's blocked_by, and its children."""
        skipped = self._graph.skipped(item)
        return list(
            dict.fromkeys(to for add, to in self._graph.out(item) if (add, item, to) not in skipped)
        )

    def cyclic(self, item: str) -> list[str]:
        """What it would wait on if that did not close a circle."""
        return sorted({to for _, src, to in self._graph.skipped(item) if src == item})

    def suppose(self, item: str, waits: Sequence[str], parent: str | None) -> None:
        """Go on as if the item, which may be a new one, waited on these, too, or had this parent.

        Raises BadData if a circle of waiting closed with that.
        """
        if not waits and not parent:
            return
        whole = self._whole(item)
        above = [parent, *self.ancestors(parent)] if parent else []
        inherited = [to for one in above for _, to in self._blocked_by(one)]
        if parent and (item in above or self._leads(item, {parent})):
            raise BadData(f"it and {parent} would wait on each other for ever")
        for goal in (*waits, *inherited):
            if self._leads(goal, whole | {*above[:1]} if goal in waits else whole):
                raise BadData(f"it and {goal} would wait on each other for ever")
        self._supposed_waits.setdefault(item, []).extend(waits)
        if parent:
            self._supposed_parent[item] = parent
        self._graph = Graph(self._edges)

    def _leads(self, start: str, goals: set[str]) -> bool:
        return start in goals or not goals.isdisjoint(self._graph.reachable(start))

    def _whole(self, item: str) -> set[str]:
        """It and its parts, their parts, and so on, as far as they are open: what it waits on, they all wait on."""
        found, todo = {item}, [item]
        while todo:
            parts = [part for part, _ in self._parts(todo.pop()) if part not in found]
            found.update(parts)
            todo += parts
        return found

    def _done(self, item: str) -> bool:
        state = self.state(item)
        return state is not None and bool(fold.value(state, "closed"))

    def _edges(self, item: str) -> list[tuple[str, str]]:
        """What it waits on, in one step: (the event that made it so, the other item). Nothing closed waits."""
        if self._done(item):
            return []
        waits = [edge for one in (item, *self.ancestors(item)) for edge in self._blocked_by(one)]
        return waits + [(event, part) for part, event in self._parts(item)]

    def _blocked_by(self, item: str) -> list[tuple[str, str]]:
        waits = [(add, to) for (rel, to), add in self._deps(item).items() if rel == "blocked_by"]
        waits += [("", to) for to in self._supposed_waits.get(item, ())]
        return [(add, to) for add, to in waits if not self._done(to)]

    def _deps(self, item: str) -> dict[tuple[str, str], str]:
        """How it depends on what, each with the event that made it so."""
        found = dict[tuple[str, str], str]()
        for dep, add in fold.present(self.state(item) or {"sets": {}}, "deps").items():
            rel, _, to = dep.partition(" ")
            about = (rel, self.name(to))
            found[about] = min(add, found.get(about, add))
        return found

    def _parts(self, item: str) -> list[tuple[str, str]]:
        """Its open children, oldest first, each with the event that made it one."""
        parts = [part for part in self._below("part", item) if self.is_open(part)]
        found = [(part, max(self.known(part)["registers"]["parent"])) for part in parts]
        moved = self._supposed_parent
        return [one for one in found if one[0] not in moved] + [
            (one, "") for one in moved if moved[one] == item
        ]

    def row(self, item: str) -> Json:
        """The item in a line."""
        state = self.known(item)
        holder = claims.owner(state)
        given = {
            "kind": fold.value(state, "kind") or "task",
            "title": fold.value(state, "title") or "(no title)",
            "owner": holder and holder["agent"],
            "assignee": fold.value(state, "assignee"),
            "parent": self._parent(item),
            "labels": sorted(fold.present(state, "labels")),
        }
        some = {name: what for name, what in given.items() if what}
        head = {"id": ids.short("wk", item), "work_id": item, "status": self.status(item)}
        return {**head, "priority": fold.priority(state), **some}

    def detail(self, item: str) -> Json:
        """Everything about the item."""
        state = self.known(item)
        registers = state["registers"]
        artifacts = [(one, body) for one, body in state["artifacts"].items() if body is not None]
        given = {
            "desc": fold.value(state, "desc"),
            "hold": fold.value(state, "hold"),
            "defer_until": fold.value(state, "defer_until"),
            "fields": {
                name[7:]: fold.value(state, name)
                for name in registers
                if name.startswith("fields.")
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
                {"artifact_id": one} | body | {"artifact_id": one} for one, body in artifacts
            ],
        }
        some = {name: what for name, what in given.items() if what}
        return {**self.row(item), **some, "created": state["created"], "last": state["last"]}


def conflicts(state: Json) -> Json:
    """Registers that were written concurrently: the values that lost, until a write that saw them."""
    several = {name: values for name, values in state["registers"].items() if len(values) > 1}
    return {name: [values[one] for one in sorted(values)[:-1]] for name, values in several.items()}
