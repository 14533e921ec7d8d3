"""What the events of a lease of scope `local` come to. Pure and total.

Time is nanoseconds of the boot clock, which the events carry: setting the wall clock changes
nothing. The order of the events does not matter either: the latest renewal counts, and a lease
that has ended does not begin again.
"""

from __future__ import annotations

from coord_envelope import ids
from coord_lease import resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, TypedDict

    from coord_envelope.codec import Json
    from coord_envelope.event import Event

    class Lease(TypedDict, total=False):
        """The state of a lease, of either scope. A field is absent until an event gives it."""

        lease_id: str
        resources: list[str]
        mode: str
        """`x`: exclusive; `s`: shared"""
        holder: str
        session: str | None
        resumed: list[object]
        """When, and by which event, another session of the holder took it over last."""
        token: int
        since: str
        ttl_ms: int
        by: str
        """The event from which its time counts: the acquisition, or the latest renewal."""
        ended: str
        """released, expired or lost"""
        ended_by: str
        why: str | None
        """Why it ended."""
        reason: str
        """What it was acquired for."""

        # Scope `local`. Times are nanoseconds of the boot clock.
        agent: str
        pin: str | None
        stream: str
        seq: int
        """Where the acquisition stands."""
        at: int
        """When `by` happened."""
        ended_at: int

        # Scope `git`.
        replica: str
        until: int
        """Unix milliseconds."""
        timed: list[object] | None
        """The boot and the boot-clock time in ns from which its holder counts, if its end is judged
        by the clock of the arbiter's server."""

    class Row(TypedDict, total=False):
        """What `lease ls` and `lease show` print."""

        id: str
        lease_id: str
        status: str
        resources: list[str]
        mode: str
        holder: str
        session: str
        token: int
        since: str
        scope: str
        replica: str
        """Of another store, whose lease it is."""
        until: str
        left_ms: int
        reason: str
        why: str


BEGINS = ("lease.acquired", "lease.renewed")
ENDS = ("lease.released", "lease.expired", "lease.lost")
OTHERS = "-"
"""Not a lease: the entity with the greatest token of all events about no lease of this boot."""


class Fold:
    """The leases of one boot, for a view."""

    name, version = "leases", "4"
    needles = (b'"type":"lease.',)

    def __init__(self, boot: str) -> None:
        self._boot = boot

    def entities(self, event: Event) -> Iterable[str]:
        """The id of the lease that the event is about; or OTHERS, if all it has is a token."""
        if not event["type"].startswith("lease."):
            return ()
        lease_id = about(event)
        if lease_id and event["body"]["boot"] == self._boot:
            return (lease_id,)
        return (OTHERS,) if _token(event) else ()

    def step(self, state: Lease | None, event: Event) -> Lease:
        """The state after one more event."""
        if self.entities(event) == (OTHERS,):
            return {"token": max(_token(event), state["token"] if state else 0)}
        return step(state, event)

    def indexed(self, state: Lease) -> Iterator[tuple[str, str]]:
        """`token`, `end` (its id backwards), `over` (the end of its time), and if no event ended it
        `key`: where each of its resources is found."""
        if "token" in state:
            yield "token", moment(state["token"])
        if "ended" in state or "at" in state:
            yield "over", moment(over_at(state))
        if "lease_id" in state:
            yield "end", state["lease_id"][::-1]
        if open_(state):
            for name in state["resources"]:
                yield "key", resource.key(name)


def moment(number: int) -> str:
    """A time or a token as text that sorts as the number does."""
    return f"{max(0, number):019d}"


def about(event: Event) -> str | None:
    """The id of the lease that the event is about; None if there is none, or it cannot be true."""
    kind, body, refs = event["type"], event["body"], event.get("refs")
    if not _number(body.get("boot_ns"), 1 << 62) or not isinstance(body.get("boot"), str):
        return None
    if kind in BEGINS and not _number(body.get("ttl_ms"), 1 << 40):
        return None
    if kind == "lease.acquired":
        return event.id if _sound(body) else None
    lease_id = refs.get("lease_id") if isinstance(refs, dict) else None
    if kind != "lease.renewed" and kind not in ENDS:
        return None
    return lease_id if lease_id and isinstance(lease_id, str) else None


def _sound(body: Json) -> bool:
    resources = body.get("resources")
    return (
        isinstance(resources, list)
        and all(isinstance(name, str) for name in resources)
        and isinstance(body.get("holder"), str)
        and isinstance(body.get("pin", ""), str)
        and body.get("scope") == "local"
        and _number(body.get("token"), 1 << 62)
    )


def _number(value: object, most: int) -> bool:
    return type(value) is int and 0 <= value < most


def _token(event: Event) -> int:
    """The token of an event of this scope; 0 without one."""
    token = event["body"].get("token")
    ours = event["body"].get("scope", "local") == "local"
    return token if ours and _number(token, 1 << 62) else 0


def step(state: Lease | None, event: Event) -> Lease:
    """The lease's state after one more of its events."""
    new: Lease = {**state} if state else {}
    kind, body = event["type"], event["body"]
    at: int = body["boot_ns"]
    if "token" not in new and _token(event):
        new["token"] = _token(event)
    if kind == "lease.acquired":
        new |= {
            "lease_id": event.id,
            "resources": body["resources"],
            "mode": body.get("mode"),
            "holder": body["holder"],
            "token": body["token"],
            "pin": body.get("pin"),
            "agent": event["actor"]["agent_id"],
            "since": event["ts"],
            "stream": event.stream,
            "seq": event["seq"],
            **purpose(body),
        }
    if kind == "lease.acquired" and "resumed" not in new:
        new["session"] = event["actor"].get("session_id")
    last: Any = new.get("resumed", [0, ""])
    if body.get("resume") is True and [at, event.id] > last:
        new |= {"resumed": [at, event.id], "session": event["actor"].get("session_id")}
    if kind in BEGINS and (at, event.id) > (new.get("at", 0), new.get("by", "")):
        new |= {"at": at, "by": event.id, "ttl_ms": body["ttl_ms"]}
    if kind in ENDS and ("ended" not in new or (at, event.id) < (new["ended_at"], new["ended_by"])):
        how = kind.partition(".")[2]
        new |= {"ended": how, "ended_at": at, "ended_by": event.id, "why": body.get("reason")}
    return new


def over_at(state: Lease) -> int:
    """When it ended, or ends if it is not renewed."""
    return state["ended_at"] if "ended" in state else state["at"] + state["ttl_ms"] * 1_000_000


def held(state: Lease, now: int) -> bool:
    """Is it held at this time? A lease from the future is of another boot."""
    return open_(state) and state["at"] <= now < over_at(state)


def open_(state: Lease) -> bool:
    """Was it acquired, and did no event end it? It may have expired all the same."""
    return "lease_id" in state and "ended" not in state


def status_of(state: Lease, now: int) -> str:
    """held, or how it ended."""
    return "held" if held(state, now) else state.get("ended", "expired")


def row(state: Lease, now: int) -> Row:
    """What `ls` and `show` print."""
    status = status_of(state, now)
    shown: Row = {**head(state, status), **terms(state), "scope": "local"}
    if status == "held":
        shown["left_ms"] = (over_at(state) - now) // 1_000_000
    return {**shown, **reason(state)}


def head(state: Lease, status: str) -> Row:
    """How each row begins."""
    lease_id = state["lease_id"]
    return {"id": ids.short("ls", lease_id), "lease_id": lease_id, "status": status}


def terms(state: Lease) -> Row:
    """What is held, by whom, and since when: as far as events have said it."""
    names = ("resources", "mode", "holder", "session", "token", "since", "reason")
    fields: Json = {**state}
    shown: Json = {name: fields[name] for name in names if fields.get(name) is not None}
    return shown  # type: ignore[return-value]


def purpose(body: Json) -> Lease:
    """What it was acquired for, if the event says it."""
    text = body.get("reason")
    return {"reason": text} if text and isinstance(text, str) else {}


def reason(state: Lease) -> Row:
    """Why it ended, if an event says it."""
    why = state.get("why")
    return {"why": why} if why else {}


class Held:
    """Rows of `lease ls`, to be asked for a file at a time. Reads none that cannot be near it."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = list(rows)
        self._keys = sorted(
            (resource.key(name), number)
            for number, row in enumerate(self._rows)
            for name in row["resources"]
        )

    def of_file(self, path: str) -> list[Row]:
        """Those on a file, whose path is relative to the work tree, in their order."""
        from bisect import bisect_left  # 1 ms, and no command asks this

        wanted = resource.of_path(path)
        keys, _ = resource.near(wanted)
        near = set[int]()
        for key in keys:  # a file has nothing below it, so the keys above it and its own are all
            at = bisect_left(self._keys, (key, -1))
            while at < len(self._keys) and self._keys[at][0] == key:
                near.add(self._keys[at][1])
                at += 1
        rows = [self._rows[number] for number in sorted(near)]
        return [row for row in rows if resource.any_overlap(row["resources"], (wanted,))]
