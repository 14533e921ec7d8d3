"""What the durable events of a lease of scope `remote` come to. Pure and total.

Events call the scope `git`, its name when there was no other remote.

The arbiter's stream decides alone, in its order: each `lease.confirmed` says which resources are
held, by whom and until when. A lease that was never confirmed holds nothing. So a lease counts
also while its holder's own events have not arrived.

Time is Unix milliseconds of wall clocks, which differ: the holder stops MARGIN_MS before the end,
others begin MARGIN_MS after it. A confirmation can only prolong, and a lease that has ended does
not begin again: the order in which events arrive does not matter.

A confirmation at a live remote has `"clock":"arbiter"`: it is over when a `lease.expired` in the
arbiter's stream says so. Whoever wants the resource adds that, once the server's clock has advanced
by the time to live since the server added the confirmation. No clock of a client is part of it, so
it may be short. The holder counts from before it asked, by its boot clock, and stops a hundredth
of the time early.
"""

from __future__ import annotations

from coord_envelope import world
from coord_kernel.rules import claims
from coord_lease import fold
from coord_lease.fold import ENDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_lease.fold import Lease, Row

MARGIN_MS = 60_000

SCOPE = "git"
"""How events call the scope."""
CLOCK = "arbiter"
name, version = "gitleases", "5"
needles = (b'"type":"lease.',)


def entities(event: Event) -> Iterable[str]:
    """The id of the lease that the event is about.

    None if it is about no lease of scope `remote`, or cannot be true.
    """
    kind, body, refs = event["type"], event["body"], event.get("refs")
    if not kind.startswith("lease.") or body.get("scope") != SCOPE:
        return ()
    if kind == "lease.acquired":
        return (event.id,) if _sound(body) else ()
    if kind == "lease.confirmed":
        by_arbiter = claims.is_arbiter(event["writer"])
        if not (by_arbiter and _sound(body) and _sound_confirmation(body)):
            return ()
    elif kind not in ENDS:
        return ()
    lease_id = refs.get("lease_id") if isinstance(refs, dict) else None
    return (lease_id,) if lease_id and isinstance(lease_id, str) else ()


def _sound(body: Json) -> bool:
    resources = body.get("resources")
    return (
        isinstance(resources, list)
        and all(isinstance(name, str) for name in resources)
        and body.get("mode") in ("x", "s")
        and _number(body.get("ttl_ms"))
    )


def _sound_confirmation(body: Json) -> bool:
    return (
        isinstance(body.get("claim"), str)
        and isinstance(body.get("agent_id"), str)
        and _number(body.get("n"))
        and _number(body.get("until_ms"))
    )


def _number(value: object) -> bool:
    return type(value) is int and 0 < value < claims.TOKENS


def step(state: Lease | None, event: Event) -> Lease:
    """The lease's state after one more of its events."""
    new: Lease = {**state} if state else {}
    kind, body = event["type"], event["body"]
    if kind == "lease.acquired":
        new |= {
            "lease_id": event.id,
            "holder": event["actor"]["agent_id"],
            "since": event["ts"],
            "replica": event["writer"].rpartition("~")[2],
            **fold.purpose(body),
        }
        if "resumed" not in new:
            new["session"] = event["actor"].get("session_id")
        if not confirmed(new):
            new |= _wanted(body)
    elif kind == "lease.confirmed":
        new["lease_id"] = event["refs"]["lease_id"]
        new.setdefault("holder", body["agent_id"])
        new.setdefault("since", event["ts"])
        new["token"] = min(new.get("token", body["n"]), body["n"])
        if body["until_ms"] >= new.get("until", 0):
            new |= {"until": body["until_ms"], "by": body["claim"], "timed": _timed(body)}
            new |= _wanted(body)
        resumed, last = [body["until_ms"], body["claim"]], new.get("resumed", [0, ""])
        if isinstance(body.get("session"), str) and resumed > last:
            new |= {"resumed": resumed, "session": body["session"] or None}
    elif "ended" not in new:
        how = kind.partition(".")[2]
        new |= {"ended": how, "ended_by": event.id, "why": body.get("reason")}
    return new


def _timed(body: Json) -> list[object] | None:
    boot, since = body.get("boot"), body.get("boot_ns")
    sound = isinstance(boot, str) and type(since) is int and 0 <= since < 1 << 62
    return [boot, since] if sound and body.get("clock") == CLOCK else None


def _wanted(body: Json) -> Lease:
    return {"resources": body["resources"], "mode": body["mode"], "ttl_ms": body["ttl_ms"]}


def indexed(state: Lease) -> Iterator[tuple[str, str]]:
    """`end`: its id backwards. `until`: the end of a confirmed lease, unless an event ended it.

    `timed`: its id, if only an event ends it.
    """
    if "lease_id" in state:
        yield "end", state["lease_id"][::-1]
    if confirmed(state) and "ended" not in state:
        yield "until", moment(state["until"])
        if state.get("timed"):
            yield "timed", state["lease_id"]


def moment(ms: int) -> str:
    """A time as text that sorts as the number does."""
    return f"{max(0, ms):016d}"


def confirmed(state: Lease) -> bool:
    """Did the arbiter ever confirm it?"""
    return "token" in state


def left_ms(state: Lease, now: int, mine: bool) -> int:
    """How long it is held from now on, as its holder must see it, or as another must.

    0 or less if it is not held. If the arbiter's clock ends it, this is an estimate.
    """
    if not confirmed(state) or "ended" in state:
        return 0
    margin = 0 if state.get("timed") else MARGIN_MS
    return state["until"] - now + (-margin if mine else margin)


def counted_ms(state: Lease, boot: str, boot_ns: int) -> int:
    """How long its holder may rely on it, by its boot clock, if the arbiter's clock ends it."""
    if not confirmed(state) or "ended" in state:
        return 0
    began, since = state.get("timed") or ("", 0)
    if began != boot or not isinstance(since, int):
        return 0  # the machine was started again meanwhile
    return (since - boot_ns) // 1_000_000 + state["ttl_ms"] * 99 // 100


def status(state: Lease, left_ms: int) -> str:
    """`held`, how it ended, or `tentative`: it was never confirmed, and holds nothing."""
    if left_ms > 0:
        return "held"
    return state.get("ended") or ("expired" if confirmed(state) else "tentative")


def row(state: Lease, left_ms: int) -> Row:
    """What `ls` and `show` print."""
    how = status(state, left_ms)
    shown: Row = {**fold.head(state, how), **fold.terms(state), "scope": "remote"}
    if confirmed(state):
        shown["until"] = world.format_ts(state["until"])
    if how == "held":
        shown["left_ms"] = left_ms
    return {**shown, **fold.reason(state)}
