"""The last hand-over of each agent, and about each work item, as a fold. Pure and total."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypedDict

    from coord_envelope.codec import Json
    from coord_envelope.event import Event

    class HandOver(TypedDict):
        """A `handoff.written`: its id, when, by whom, about which item, and its body."""

        id: str
        ts: str
        by: str
        work_id: str
        body: Json


name, version = "handoffs", "1"


def entities(event: Event) -> Iterable[str]:
    """The agent that wrote it, and the item that it is about."""
    if event["type"] != "handoff.written":
        return ()
    refs = event.get("refs")
    work_id = refs.get("work_id") if isinstance(refs, dict) else None
    item = (work_id,) if isinstance(work_id, str) and work_id else ()
    return (event["actor"]["agent_id"], *item)


def step(state: HandOver | None, event: Event) -> HandOver:
    """The one with the greater id."""
    if state and state["id"] >= event.id:
        return state
    refs = event.get("refs")
    work_id = refs.get("work_id") if isinstance(refs, dict) else None
    return {
        "id": event.id,
        "ts": event["ts"],
        "by": event["actor"]["agent_id"],
        "work_id": work_id if isinstance(work_id, str) else "",
        "body": event["body"],
    }


def indexed(_state: HandOver) -> Iterable[tuple[str, str]]:
    """Nothing: it is found by the agent or the item."""
    return ()
