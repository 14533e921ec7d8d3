"""The state of a work item, and how its registers and sets are written and read. Pure and total.

1. Registers (title, priority, …, closed) have one value. A write replaces the writes that its
   writer had seen. Of concurrent writes the one with the greatest id is the value; the others
   are kept as conflicts until a write that has seen them all.
   A text too long for its event is in a blob, which the register names (`{"blob": …}`).
2. Sets (labels, deps) have members. An add wins over a remove that had not seen it (Shapiro et
   al., "Conflict-free Replicated Data Types", 2011, OR-set; causality in place of tags).
"""

from __future__ import annotations

from coord_envelope import codec
from coord_kernel.rules import claims
from coord_kernel.rules.causality import precedes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, NotRequired, TypedDict

    from coord_envelope.codec import Json

    class Author(TypedDict):
        """Who wrote an event, and when."""

        by: str
        ts: str

    class Created(Author):
        """An item's first event."""

        id: str
        redacted: NotRequired[bool]
        trust: NotRequired[str]
        """`unsigned`: another store's, and nobody has signed it. So of a comment."""

    class Comment(Author):
        """A `work.commented` event."""

        event_id: str
        text: str
        trust: NotRequired[str]
        blob: NotRequired[Json]
        """Where the text is, if it is too long for the event."""

    class Members(TypedDict):
        """The events about one member of a set."""

        add: list[str]
        rm: list[str]

    class About(TypedDict):
        """What a question is about, as it was when it was asked."""

        digest: str
        file: NotRequired[str]
        """Relative to the work tree, or absolute outside of it."""
        work: NotRequired[str]

    class Question(TypedDict):
        """What was asked, and who; see `question`."""

        by: str
        to: list[str]
        options: list[str]
        about: NotRequired[About]
        until: NotRequired[str]
        on_timeout: NotRequired[str]

    class State(claims.ClaimsState):
        """A work item, and the claims on it."""

        created: NotRequired[Created]
        last: NotRequired[Author]
        registers: dict[str, dict[str, object]]
        """Register → event id → value: the writes that no other write has seen."""
        sets: dict[str, dict[str, Members]]
        """Set → member → its events."""
        comments: list[Comment]
        artifacts: dict[str, Json | None]
        """Event id → body; None: removed."""
        keys: dict[str, str]
        """Type and idempotency key → the first event with them."""
        question: NotRequired[Question]
        answers: NotRequired[dict[str, str]]
        """`work.claimed` → the option that its writer answers with."""
        given: NotRequired[dict[str, Json]]
        """`work.closed` with an answer → what it says: none is ever replaced."""


TEXTS = ("title", "desc", "kind", "parent", "assignee", "hold", "defer_until")
REGISTERS = (*TEXTS, "priority")
SETS = ("labels", "deps")
RESOLUTIONS = ("done", "cancelled", "duplicate", "wontfix")


def prune(state: State) -> None:
    """Drop the writes that others turned out to have seen."""
    for register, values in state["registers"].items():
        kept = [at for at in values if not any(precedes(state, at, other) for other in values)]
        state["registers"][register] = {at: values[at] for at in kept}


def write(state: State, at: str, register: str, value: object, fits: bool = False) -> None:
    """A write of a register by the event with this id, which may have seen others."""
    if value is not None and not fits and not _fits(register, value):
        return
    values = state["registers"].get(register)
    if not values or state["heads"] == [at]:  # its writer had seen everything before it
        state["registers"][register] = {at: value}
    elif not any(precedes(state, at, other) for other in values):
        kept = {other: old for other, old in values.items() if not precedes(state, other, at)}
        state["registers"][register] = kept | {at: value}


def write_blob(state: State, at: str, body: Json) -> None:
    """A description that is too long for the event: the register names its blob."""
    inline = "desc" in body or "desc" in fields_of(body.get("set"))
    if not inline and fields_of(body.get("blob")).get("media") == "text/plain":
        write(state, at, "desc", {"blob": body["blob"]}, fits=True)


def _fits(register: str, value: object) -> bool:
    if register == "priority":
        return type(value) is int and 0 <= value <= 4
    return register not in TEXTS or isinstance(value, str)


def change_members(state: State, at: str, how: Literal["add", "rm"], lists: Json) -> None:
    """An event's additions to sets, or removals."""
    for which in SETS:
        for entry in lists[which] if isinstance(lists.get(which), list) else ():
            member = _member(which, entry)
            if member:
                members = state["sets"].setdefault(which, {})
                members.setdefault(member, {"add": [], "rm": []})[how].append(at)


def _member(which: str, entry: object) -> str | None:
    if which == "labels":
        return entry if isinstance(entry, str) else None
    relation, to = fields_of(entry).get("rel"), fields_of(entry).get("to")
    valid = isinstance(relation, str) and " " not in relation and isinstance(to, str)
    return f"{relation} {to}" if valid else None


def value(state: State, register: str) -> object:
    """The register's value; None if it was never written."""
    values = state["registers"].get(register)
    return values[max(values)] if values else None


def text(state: State, register: str) -> str | None:
    """The value of a register of text."""
    content = value(state, register)
    return content if isinstance(content, str) else None


def present(state: State, which: str) -> dict[str, str]:
    """The members of a set, each with the id of the oldest event that keeps it there."""
    members = {}
    for member, events in state["sets"].get(which, {}).items():
        alive = [
            add for add in events["add"] if not any(precedes(state, add, rm) for rm in events["rm"])
        ]
        if alive:
            members[member] = min(alive)
    return members


def standing(state: State, body: Json) -> str | None:
    """The newest event that made what an update says hold already; None if it changes anything."""
    events = [state["created"]["id"]] if "created" in state else []
    blob = {"desc": {"blob": body["blob"]}} if "blob" in body else {}
    for register, new in {**fields_of(body.get("set")), **blob}.items():
        values = state["registers"].get(register, {})
        if len(values) > 1 or not codec.same(next(iter(values.values()), None), new):
            return None
        events += values
    for how in ("add", "rm"):
        for which in SETS:
            members = present(state, which)
            for entry in fields_of(body.get(how)).get(which, ()):
                member = _member(which, entry)
                if (member in members) != (how == "add"):
                    return None
                events += [members[member]] if member in members else []
    return max(events, default=None)


def priority(state: State) -> int:
    """0 is the most urgent; the default is 2."""
    level = value(state, "priority")
    return level if isinstance(level, int) else 2


def fields_of(value: object) -> Json:
    """The value if it is an object; else an empty one."""
    return value if isinstance(value, dict) else {}
