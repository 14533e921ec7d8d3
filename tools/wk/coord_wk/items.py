"""Items among each other: what blocks them, their status, how they are shown. Pure.

The status of an item is not stored. It is the first of these that holds:

    1. done, cancelled, duplicate: it is closed, with that resolution.
    2. active: a claim holds it.
    3. held: it or an ancestor is on hold, or deferred to a time that has not come.
    4. blocked: it waits on something.
    5. ready.

What it waits on is in `relations`.

Everywhere an item of several ids (see `Entities`) stands under its oldest. The secondary index may
list too much of it, so what it finds is checked against the united state.
"""

from __future__ import annotations

import heapq

from coord_envelope import No, ids
from coord_kernel.rules import claims
from coord_kernel.views import resolve
from coord_wk import fold, found
from coord_wk.relations import Relations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, TypedDict

    from coord_envelope.codec import Json
    from coord_kernel.views.view import Source
    from coord_wk.registers import Author, Comment, Created, State
    from coord_wk.relations import Nearest

    class Dependency(TypedDict):
        """How an item depends on another."""

        rel: str
        to: str

    class Progress(TypedDict):
        """How many members of a convoy are closed."""

        closed: int
        of: int

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
        unknown_here: list[str]
        held_by: list[str]
        not_work: bool
        trust: str
        """`unsigned`: it is from another store, and nobody has signed it."""
        asked: list[str]
        """A question's: who is asked, and what the answer may be."""
        options: list[str]
        until: str
        on_timeout: str
        answer: str
        answered_by: str

    class Detail(Row, total=False):
        """Everything about an item."""

        desc: str
        hold: str
        defer_until: str
        fields: Json
        deps: list[Dependency]
        cycle: list[str]
        children: list[str]
        claim: claims.Owner
        about: Json
        """What a question is about, when it was asked."""
        level: str
        """local, tentative or confirmed: how strong the claim is"""
        closed: Json
        progress: Progress
        conflicts: dict[str, list[object]]
        comments: list[Comment]
        artifacts: list[Json]
        created: Created
        last: Author
        imported: Json


COUNTED = 1_000
CONVOY = "convoy"
"""The label of an item that is followed until its members are closed."""


class Items(Relations):
    """The items of a source at one moment."""

    def __init__(self, source: Source, now_ms: int) -> None:
        super().__init__(source, now_ms)
        self._holding: Nearest = {}
        self._opened: Nearest = {}
        self.fetch: Callable[[Json], str] = str
        """The text in a blob."""

    def unsigned(self, item: str) -> bool:
        """Is it from another store, and has nobody signed it, where signers are known?"""
        return self.known(item)["created"].get("trust") == "unsigned"

    def resolve(self, text: str, allow_missing: bool = False) -> str:
        """The full id of the item that a text names. Raises No if there is none.

        With `allow_missing` a full id names an item whose events may come later.

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
        if item is None and allow_missing and ids.valid(text):
            return text
        if item is None:
            raise No("no such work item", where=text, code="not_found")
        return item

    def aliases(self, begin: str) -> Iterator[tuple[str, str]]:
        """(alias, item) of those whose alias begins so, in its order."""
        for alias, item in self._source.find("alias", begin, f"{begin}\U0010ffff"):
            if self.state(item):
                yield alias, self.name(item)

    def ranked(self, index: str) -> Iterator[str]:
        """Open items in a secondary index by rank: the most urgent first, then the oldest."""
        return filter(self.is_open, self._names(item for _, item in self._source.find(index)))

    def urgent(self, traits: Iterable[str]) -> Iterator[str]:
        """Open items that may have one of these traits, by rank."""
        return filter(self.is_open, self._names(self._having(traits, "", found.CLOSED)))

    def oldest(self, traits: Iterable[str]) -> Iterator[str]:
        """Items that may have one of these traits, oldest first."""
        closed = self._names(self._having(traits, found.CLOSED, "\U0010ffff"))
        shut = (item for item in closed if not self.is_open(item))
        return heapq.merge(sorted(self.urgent(traits)), shut)

    def number(self, traits: Iterable[str], closed: bool = False) -> int:
        """How many the index has with one of these traits, up to COUNTED of each."""
        begins, end = map(found.found_by, traits), "\U0010ffff" if closed else found.CLOSED
        return sum(self._source.count("has", begin, f"{begin}{end}", COUNTED) for begin in begins)

    def _having(self, traits: Iterable[str], begin: str, end: str) -> Iterator[str]:
        def places(trait: str) -> Iterator[tuple[str, str]]:
            before = found.found_by(trait)
            entries = self._source.find("has", f"{before}{begin}", f"{before}{end}")
            return ((value[len(before) :], item) for value, item in entries)

        return (item for _, item in heapq.merge(*map(places, traits)))

    def untouched(self, since: str) -> Iterator[str]:
        """Open items without an event since then, the longest untouched first."""
        for item in self._names(item for _, item in self._source.find("last", "", since)):
            if self.is_open(item) and self.known(item)["last"]["ts"] < since:
                yield item

    def owned(self, agent: str) -> Iterator[str]:
        """The items that an agent holds, by rank."""
        for item in self.urgent([f"owner {agent}"]):
            holder = claims.owner(self.known(item))
            if holder and holder["agent"] == agent:
                yield item

    def everything(self) -> Iterator[str]:
        """Every item, oldest first."""
        return self._names(self._source.entities())

    def top(self, item: str) -> bool:
        """Are all its ancestors closed or missing? In a cycle of parents the oldest is the top."""
        circle = self._circle(item)
        if circle:
            return not any(other < item and self.is_open(other) for other in circle)
        parent = self._parent(item)
        return parent is None or self._nearest(self._opened, self.is_open, parent) is None

    def status(self, item: str) -> str:
        """The status of an item that exists; see 1. to 5. above."""
        state = self.known(item)
        closed = fold.value(state, "closed")
        if isinstance(closed, dict):
            return str(closed["resolution"])
        if claims.owner(state):
            return "active"
        if self._nearest(self._holding, self.holds, item):
            return "held"
        return "blocked" if self._waits_on_any(item) else "ready"

    def supposed_status(self, item: str) -> str:
        """The status of an item that a batch may just have made (see `suppose`)."""
        if self.state(item) is None:
            return "blocked" if self._waits_on_any(item) else "ready"
        return self.status(item)

    def counts(self) -> dict[str, int]:
        """How many open items have each status.

        Costs those that depend on others, and those that several stores made.
        """
        counts = dict.fromkeys(("ready", "active", "blocked", "held"), 0) | self._source.tally()
        apart = dict[str, None]()
        parents = dict[str, None]()
        for key in self._source.shared_keys():
            for _, each in self._source.find("key", key, f"{key}\0"):
                apart[self.name(each)] = None
                own = dict(fold.indexed(self._source.get(each)))
                if "count" in own:
                    counts[own["count"]] -= 1
        for item in self.ranked("linked"):
            apart[item] = None
        for item in filter(self.is_open, apart):
            counts[self.status(item)] += 1
            if parent := self._parent(item):
                parents[parent] = None
        for parent in parents:
            if parent not in apart and self.is_open(parent):  # it was counted without its parts
                counts["active" if claims.owner(self.known(parent)) else "ready"] -= 1
                counts[self.status(parent)] += 1
        return counts

    def held_by(self, item: str) -> list[str]:
        """The item and its ancestors that are on hold or deferred."""
        return list(self._each(self._holding, self.holds, item))

    def kind(self, item: str) -> str:
        """The kind of an item that exists."""
        return fold.text(self.known(item), "kind") or "task"

    def holds(self, item: str) -> bool:
        """Is the item itself on hold, or deferred to later?"""
        state = self.state(item)
        if state is None:
            return False
        until = fold.text(state, "defer_until")
        return fold.value(state, "hold") is not None or (until is not None and until > self.now)

    def unknown(self, item: str) -> list[str]:
        """What it waits on that is not known here: its events may come later."""
        return [to for to in self.blockers(item) if self.state(to) is None]

    def named_blockers(self, item: str) -> list[str]:
        """What it waits on, for a message."""
        unknown = self.unknown(item)
        return [f"{to} (unknown here)" if to in unknown else to for to in self.blockers(item)]

    def row(self, item: str) -> Row:
        """The item in one line."""
        state = self.known(item)
        holder = claims.owner(state)
        row: Row = {
            "id": ids.short("wk", item),
            "work_id": item,
            "status": self.status(item),
            "priority": fold.priority(state),
            "kind": self.kind(item),
            "title": fold.text(state, "title") or _untitled(state),
            "owner": holder["agent"] if holder else "",
            "assignee": fold.text(state, "assignee") or "",
            "parent": self._parent(item) or "",
            "labels": sorted(fold.present(state, "labels")),
            "trust": state["created"].get("trust", ""),
        }
        if "question" in state:
            from coord_wk import question  # of few items

            row |= question.row(state)  # type: ignore[typeddict-item]
        return _present(row)  # type: ignore[no-any-return]

    def detail(self, item: str) -> Detail:
        """Everything about the item."""
        state = self.known(item)
        detail: Any = {
            "desc": self.description(item),
            "hold": fold.value(state, "hold"),
            "defer_until": fold.value(state, "defer_until"),
            "fields": {
                register[7:]: fold.value(state, register)
                for register in state["registers"]
                if register.startswith("fields.") and fold.value(state, register) is not None
            },
            "deps": [{"rel": rel, "to": to} for rel, to in self._deps(item)],
            "blockers": self.blockers(item) if self.status(item) == "blocked" else [],
            "unknown_here": self.unknown(item) if self.status(item) == "blocked" else [],
            "cycle": self.cyclic(item),
            "children": self.children(item),
            "progress": self.progress(item),
            "claim": claims.owner(state),
            "about": state["question"].get("about") if "question" in state else None,
            "closed": fold.value(state, "closed"),
            "conflicts": conflicts(state),
            "comments": [
                {**comment, "text": self._whole(comment)} if "blob" in comment else comment
                for comment in state["comments"]
            ],
            "artifacts": [
                {"artifact_id": artifact} | body | {"artifact_id": artifact}
                for artifact, body in state["artifacts"].items()
                if body is not None
            ],
        }
        detail = {**self.row(item), **_present(detail)}
        detail |= {"created": state["created"], "last": state["last"]}
        return detail  # type: ignore[no-any-return]

    def progress(self, item: str) -> Progress | None:
        """Of a convoy, an item with that label: how many members are closed, of how many.

        Its members are what it is blocked by, and its parts.
        """
        state = self.known(item)
        if CONVOY not in fold.present(state, "labels"):
            return None
        linked = [to for rel, to in self._deps(item) if rel == "blocked_by"]
        members = dict.fromkeys((*linked, *self.children(item)))
        done = sum(self._done(each) for each in members)
        return {"closed": done, "of": len(members)}

    def description(self, item: str) -> str | None:
        """The description of an item that exists, whole."""
        desc: str | None = self._whole(fold.value(self.known(item), "desc"))
        return desc

    def _whole(self, value: Any) -> Any:
        """The value, or the text in the blob that it names."""
        return self.fetch(value["blob"]) if isinstance(value, dict) else value


def _present(fields: Any) -> Any:
    """Fields without those that are empty."""
    return {name: value for name, value in fields.items() if value or name == "priority"}


def _untitled(state: State) -> str:
    return "(redacted)" if state["created"].get("redacted") else "(no title)"


def conflicts(state: State) -> dict[str, list[object]]:
    """Registers that were written concurrently: the values that lost, until a write saw them."""
    several = {name: values for name, values in state["registers"].items() if len(values) > 1}
    return {name: [values[at] for at in sorted(values)[:-1]] for name, values in several.items()}
