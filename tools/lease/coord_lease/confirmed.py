"""What the durable events of a lease of scope `git` come to. Pure and total.

The arbiter's stream decides alone, in its order: each `lease.confirmed` says what is held, by whom and until when;
what has not been confirmed holds nothing. So a lease counts also while its holder's own events have not come.

Time is Unix milliseconds of wall clocks, which differ: the holder stops MARGIN_MS before the end, others begin
MARGIN_MS after it. A confirmation can only prolong, and what has ended does not begin again: whatever the order in
which the events come, the outcome is the same.
"""

from __future__ import annotations

from coord_envelope import ids, world
from coord_kernel.rules import claims

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope.codec import Json
    from coord_envelope.event import Event

MARGIN_MS = 60_000
ENDS = ("lease.released", "lease.expired", "lease.lost")

name, version = "gitleases", "1"


def entities(event: Event) -> Iterable[str]:
    """The id of the lease that the event is about; none if it is about none of scope `git`, or cannot be true."""
    kind, body, refs = event["type"], event["body"], event.get("refs")
    if not kind.startswith("lease.") or body.get("scope") != "git":
        return ()
    if kind == "lease.acquired":
        return (event.id,) if _sound(body) else ()
    if kind == "lease.confirmed" and not (
        claims.is_arbiter(event["writer"]) and _sound(body) and _firm(body)
    ):
        return ()
    named = refs.get("lease_id") if isinstance(refs, dict) else None
    return (
        (named,) if kind in ("lease.confirmed", *ENDS) and named and isinstance(named, str) else ()
    )


def _sound(body: Json) -> bool:
    resources = body.get("resources")
    texts = isinstance(resources, list) and all(isinstance(one, str) for one in resources)
    return texts and body.get("mode") in ("x", "s") and _number(body.get("ttl_ms"))


def _firm(body: Json) -> bool:
    words = isinstance(body.get("claim"), str) and isinstance(body.get("agent_id"), str)
    return words and _number(body.get("n")) and _number(body.get("until_ms"))


def _number(value: object) -> bool:
    return type(value) is int and 0 < value < claims.TOKENS


def step(state: Json | None, event: Event) -> Json:
    """The lease's state after one more of its events."""
    new, kind, body = dict(state or nothing()), event["type"], event["body"]
    if kind == "lease.acquired":
        new |= {"lease_id": event.id, "holder": event["actor"]["agent_id"], "since": event["ts"]}
        new |= {
            "session": event["actor"].get("session_id"),
            "replica": event["writer"].rpartition("~")[2],
        }
        if new["token"] is None:
            new |= {part: body[part] for part in ("resources", "mode", "ttl_ms")}
    elif kind == "lease.confirmed":
        new["lease_id"] = event["refs"]["lease_id"]
        new |= {"holder": new["holder"] or body["agent_id"], "since": new["since"] or event["ts"]}
        new["token"] = min(new["token"] or body["n"], body["n"])
        if body["until_ms"] >= new["until"]:
            new |= {"until": body["until_ms"], "by": body["claim"]}
            new |= {part: body[part] for part in ("resources", "mode", "ttl_ms")}
    elif "ended" not in new:
        new |= {"ended": kind.partition(".")[2], "ended_by": event.id, "why": body.get("reason")}
    return new


def nothing() -> Json:
    """The state before the first event."""
    absent = dict.fromkeys(("lease_id", "holder", "since", "session", "replica", "token", "by"))
    return {**absent, "until": 0}


def indexed(state: Json) -> Iterable[tuple[str, str]]:
    """`end`: a lease by its id read backwards. `until`: one that was confirmed and not ended, by its time."""
    if state["lease_id"]:
        yield "end", state["lease_id"][::-1]
    if confirmed(state) and "ended" not in state:
        yield "until", moment(state["until"])


def moment(ms: int) -> str:
    """A time as indexed have it: as text it sorts as the number does."""
    return f"{max(0, ms):016d}"


def confirmed(state: Json) -> bool:
    """Did the arbiter ever say that it is held?"""
    return state["token"] is not None


def left_ms(state: Json, now: int, mine: bool) -> int:
    """How long it is held from now on, as the holder or as another has to see it; 0 or less if it is not."""
    if not confirmed(state) or "ended" in state:
        return 0
    return int(state["until"]) - now + (-MARGIN_MS if mine else MARGIN_MS)


def status(state: Json, now: int, mine: bool) -> str:
    """`held`, how it ended, or `tentative`: it was never confirmed, and holds nothing."""
    if left_ms(state, now, mine) > 0:
        return "held"
    return str(state.get("ended") or ("expired" if confirmed(state) else "tentative"))


def row(state: Json, now: int, mine: bool) -> Json:
    """What `ls` and `show` print."""
    names = ("resources", "mode", "holder", "session", "token", "since")
    shown = {part: state[part] for part in names if state.get(part) is not None}
    how, left = status(state, now, mine), left_ms(state, now, mine)
    end = {"until": world.format_ts(state["until"])} if confirmed(state) else {}
    why = {"why": state["why"]} if state.get("why") else {}
    return {
        "id": ids.short("ls", state["lease_id"]),
        "lease_id": state["lease_id"],
        "status": how,
        **shown,
        "scope": "git",
        **end,
        **({"left_ms": left} if how == "held" else {}),
        **why,
    }
