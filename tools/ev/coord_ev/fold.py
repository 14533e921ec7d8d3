"""What the events say about who is there and how much there is. Pure and total."""

from __future__ import annotations

from coord_envelope.codec import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope import Event


def agents(events: Iterable[Event]) -> list[Json]:
    """Everyone who wrote or was registered, last seen first; `events` in replay order."""
    found: dict[str, Json] = {}
    for event in events:
        name = event["actor"]["agent_id"]
        one = found.setdefault(
            name, {"agent_id": name, "first_seen": event["ts"], "last_seen": "", "events": 0}
        )
        one["last_seen"] = max(one["last_seen"], event["ts"])
        one["events"] += 1
        if event["type"] == "agent.registered":
            one |= {
                key: event["body"][key]
                for key in ("kind", "model", "display")
                if key in event["body"]
            }
        if event["type"] == "agent.retired":
            one["retired"] = True
    return sorted(found.values(), key=lambda one: one["last_seen"], reverse=True)


def stats(events: Iterable[Event]) -> Json:
    """Counts over all events: how many, by type, by writer, from when to when."""
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
