"""Which agents there are, and how many events. Pure and total; bridges may import it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NotRequired, TypedDict

    from coord_envelope import Event

    class Agent(TypedDict):
        """A row of `ev agents`. Times are stamps; `kind`, `model`, `display` as registered."""

        agent_id: str
        first_seen: str
        last_seen: str | None
        events: int
        kind: NotRequired[str]
        model: NotRequired[str]
        display: NotRequired[str]
        retired: NotRequired[bool]

    class Stats(TypedDict):
        """Counts of events; `first` and `last` are stamps, None where there is no event."""

        events: int
        first: str | None
        last: str | None
        types: dict[str, int]
        writers: dict[str, int]


def agents(events: Iterable[Event], until: str = "9999") -> list[Agent]:
    """Everyone who wrote or was registered, last seen first; `events` in replay order.

    An event later than `until` is of a clock that was ahead, and no sign of life.
    """
    known: dict[str, Agent] = {}
    for event in events:
        name, body = event["actor"]["agent_id"], event["body"]
        agent = known.setdefault(
            name, {"agent_id": name, "first_seen": event["ts"], "last_seen": None, "events": 0}
        )
        if event["ts"] <= until:
            agent["last_seen"] = max(agent["last_seen"] or "", event["ts"])
        agent["events"] += 1
        if event["type"] == "agent.registered":
            for field in ("kind", "model", "display"):
                if field in body:
                    agent[field] = body[field]
        if event["type"] == "agent.retired":
            agent["retired"] = True
    return sorted(known.values(), key=lambda agent: agent["last_seen"] or "", reverse=True)


def stats(events: Iterable[Event]) -> Stats:
    """Counts over all events, the most frequent type first; `events` in replay order."""
    types: dict[str, int] = {}
    writers: dict[str, int] = {}
    count, first, last = 0, None, None
    for event in events:
        count += 1
        first, last = first or event["ts"], event["ts"]
        types[event["type"]] = types.get(event["type"], 0) + 1
        writers[event["writer"]] = writers.get(event["writer"], 0) + 1
    ordered = dict(sorted(types.items(), key=lambda item: -item[1]))
    return {"events": count, "first": first, "last": last, "types": ordered, "writers": writers}
