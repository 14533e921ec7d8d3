"""What the events of a lease come to. Pure and total.

Time is nanoseconds of the boot clock, which the events carry: setting the wall clock changes nothing. The order in
which events come does not matter either: the latest renewal counts, and what has ended does not begin again.
"""

from __future__ import annotations

from coord_envelope import ids
from coord_envelope.codec import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.event import Event

ENDS = ("lease.released", "lease.expired", "lease.lost")
BEGINS = ("lease.acquired", "lease.renewed")


def about(event: Event) -> str | None:
    """The id of the lease that the event is about; None if it is about none, or cannot be true."""
    body, refs = event["body"], event.get("refs")
    if not _number(body.get("boot_ns"), 1 << 62) or not isinstance(body.get("boot"), str):
        return None
    if event["type"] in BEGINS and not _number(body.get("ttl_ms"), 1 << 40):
        return None
    if event["type"] == "lease.acquired":
        return event.id if _sound(body) else None
    named = refs.get("lease_id") if isinstance(refs, dict) else None
    return named if event["type"] in ("lease.renewed", *ENDS) and isinstance(named, str) else None


def _sound(body: Json) -> bool:
    resources = body.get("resources")
    texts = isinstance(resources, list) and all(isinstance(one, str) for one in resources)
    words = isinstance(body.get("holder"), str) and isinstance(body.get("pin", ""), str)
    return texts and words and body.get("scope") == "local" and _number(body.get("token"), 1 << 62)


def _number(value: object, most: int) -> bool:
    return type(value) is int and 0 <= value < most


def step(state: Json | None, event: Event) -> Json:
    """The lease's state after one more of its events."""
    new, body = dict(state or {}), event["body"]
    at = body["boot_ns"]
    if event["type"] == "lease.acquired":
        new |= {name: body.get(name) for name in ("resources", "mode", "holder", "token", "pin")}
        new |= {"lease_id": event.id, "agent": event["actor"]["agent_id"], "since": event["ts"]}
        new |= {
            "session": event["actor"].get("session_id"),
            "stream": event.stream,
            "seq": event["seq"],
        }
    if event["type"] in BEGINS and (at, event.id) > (new.get("at", 0), new.get("by", "")):
        new |= {"at": at, "by": event.id, "ttl_ms": body["ttl_ms"]}
    if event["type"] in ENDS and (
        "ended" not in new or (at, event.id) < (new["ended_at"], new["ended_by"])
    ):
        how = event["type"].partition(".")[2]
        new |= {"ended": how, "ended_at": at, "ended_by": event.id, "why": body.get("reason")}
    return new


def over_at(state: Json) -> int:
    """When it ended, or ends if nothing comes."""
    return int(state["ended_at"] if "ended" in state else state["at"] + state["ttl_ms"] * 1_000_000)


def held(state: Json, now: int) -> bool:
    """Is it held at this time? One from the future is of another boot."""
    return "lease_id" in state and "ended" not in state and state["at"] <= now < over_at(state)


def open_(state: Json) -> bool:
    """Is it acquired, and was no end of it written? It may have expired all the same."""
    return "lease_id" in state and "ended" not in state


def row(state: Json, now: int) -> Json:
    """What `ls` and `show` print."""
    status = "held" if held(state, now) else state.get("ended", "expired")
    names = ("resources", "mode", "holder", "session", "token", "since")
    shown = {name: state[name] for name in names if state[name] is not None}
    left = {"left_ms": max(0, over_at(state) - now) // 1_000_000} if status == "held" else {}
    why = {"why": state["why"]} if state.get("why") else {}
    head = {
        "id": ids.short("ls", state["lease_id"]),
        "lease_id": state["lease_id"],
        "status": status,
    }
    return {**head, **shown, "scope": "local", **left, **why}
