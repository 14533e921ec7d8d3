"""Which work item is which issue, and what both were when they were last the same. Pure and total.

    github.synced     an item and an issue were the same: the last one counts, by event_id
    github.commented  a comment of the item is this comment of the issue

The entities are issues: `owner/repo#12`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, TypedDict

    from coord_envelope.codec import Json
    from coord_envelope.event import Event

    class Linked(TypedDict):
        """An issue that is an item."""

        at: str
        """The last `github.synced`; empty before the first."""
        work: str
        synced: Json
        """Its body: here, there, heads."""
        sent: dict[str, int]
        """Comments of the item that are comments of the issue: event → comment."""


name, version = "github", "1"
SYNCED, COMMENTED = "github.synced", "github.commented"
SIDES = ("here", "there")


def entities(event: Event) -> Iterable[str]:
    """The issue that an event is about."""
    issue = event["body"].get("issue") if event["type"] in (SYNCED, COMMENTED) else None
    return (issue,) if isinstance(issue, str) and 0 < len(issue) <= 256 else ()


def step(state: Linked | None, event: Event) -> Linked:
    """The state after one event more."""
    state = state or {"at": "", "work": "", "synced": {}, "sent": {}}
    body, refs = event["body"], event.get("refs")
    if event["type"] == COMMENTED:
        comment, of = body.get("comment"), body.get("event")
        if type(comment) is int and isinstance(of, str):
            state["sent"].setdefault(of, comment)
        return state
    work = refs.get("work_id") if isinstance(refs, dict) else None
    sides = all(isinstance(body.get(side), dict) for side in SIDES)
    if isinstance(work, str) and sides and event.id > state["at"]:
        state |= {"at": event.id, "work": work, "synced": body}
    return state


def indexed(state: Linked) -> Iterator[tuple[str, str]]:
    """Nothing: all are read once."""
    return iter(())


def ids_of(value: Any) -> list[str]:
    """The event ids in a list that may be anything."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
