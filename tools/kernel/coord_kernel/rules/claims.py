"""Claims: who holds an item, a job, a message. One rule for all of them, as a fold of the entity's events.

    claimed     I take it; with `steal`: from those whose claims I have seen
    confirmed   the arbiter's word, in its order: this claim has the token n
    released | conceded | closed | completed    that claim is over

The owner is the last confirmed claim that is not over; if there is none, the tentative one with the smallest id.
A claim is over if it was released or conceded, if the entity was closed by an event that did not precede it, or if
one who had seen it took it away: a claim that is confirmed itself, or any where the one taken away is not confirmed.
What is over stays so whatever events come later, but for a forged one: so the arbiter's compare-and-swap suffices
to keep at most one confirmed claim open (`verdict`).
"""

from __future__ import annotations

from coord_kernel.rules import causality

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope.codec import Json
    from coord_envelope.event import Event

ENTITY = {"work": "work_id", "run": "run_id", "lease": "lease_id", "msg": "msg_id"}
"""The namespaces whose entities can be claimed, and the field of `refs` that names the entity."""
HEADS = 256
"""A base names no more of them: a line has an end. The next writes name the others."""
TOKENS = 1 << 53
"""A token is less: every JSON reader has it exactly."""


_VERBS = frozenset(("claimed", "closed", "completed", "released", "conceded", "confirmed"))


name, version = "claims", "2"  # of the fold that sync keeps a view of


def entities(event: Event) -> Iterable[str]:
    """`NAMESPACE ID` of what the event is about, if that can be claimed.

    A delivery from a queue is a claim only where its consumer asked for one: else it is this store's affair alone.
    """
    kind = event["type"].partition(".")[0]
    if event["type"] == "msg.claimed" and event["body"].get("require") != "confirmed":
        return ()
    refs = event.get("refs")
    found = refs.get(ENTITY[kind]) if kind in ENTITY and isinstance(refs, dict) else None
    return (f"{kind} {found}",) if found and isinstance(found, str) else ()


def step(state: Json | None, event: Event) -> Json:
    """The claims after one event more, taken in order of event_id."""
    state = nothing() if state is None else state
    causality.know(state, event)
    take(state, event)
    return state


def indexed(state: Json) -> Iterable[tuple[str, str]]:
    """`tentative`: claims that are open and not confirmed, by replica."""
    for claim, said in state["claims"].items():
        if claim not in state["confirmed"] and not over(state, claim):
            yield "tentative", f"{said['replica']} {claim}"


def nothing() -> Json:
    """The state before the first event: claims, and who knew of what."""
    return {
        **causality.nothing(),
        "claims": {},
        "ended": {},
        "steals": [],
        "closes": [],
        "confirmed": {},
    }


def take(state: Json, event: Event) -> None:
    """Take in an event, after `causal.know` did."""
    verb, body = event["type"].rpartition(".")[2], event["body"]
    if verb not in _VERBS:
        return
    if verb == "claimed":
        state["claims"][event.id] = {
            "agent": event["actor"]["agent_id"],
            "session": event["actor"].get("session_id"),
            "replica": event["writer"].rpartition("~")[2],
            "gen": _token(body.get("gen")),
            "ts": event["ts"],
        }
        if body.get("steal") is True:
            state["steals"].append(event.id)
    elif verb in ("closed", "completed"):
        state["closes"].append(event.id)
        if verb == "completed" and isinstance(body.get("claim"), str):
            state.setdefault("cites", {})[event.id] = body["claim"]
    elif verb in ("released", "conceded") and isinstance(body.get("claim"), str):
        state["ended"].setdefault(body["claim"], event.id)
    elif verb == "confirmed" and isinstance(body.get("claim"), str) and is_arbiter(event["writer"]):
        agent = body.get("agent_id")
        said = {
            "n": _token(body.get("n")),
            "agent": agent if isinstance(agent, str) else "?",
            "ts": event["ts"],
        }
        state["confirmed"].setdefault(body["claim"], said)


def base(state: Json) -> list[str]:
    """The entity's heads: the `base` of a new event.

    Of very many the newest, and the claims: who takes one away must have seen it.
    """
    heads: list[str] = state["heads"]
    claimed = [one for one in heads[:-HEADS] if one in state["claims"]]
    return [*claimed[:HEADS], *heads[-HEADS:]]


def is_arbiter(writer: str) -> bool:
    """Is this a stream of what the shared remote confirmed?"""
    return writer.startswith("arbiter.main~")


def owner(state: Json) -> Json | None:
    """The claim that holds the entity, with its id and token `n` (None: not confirmed); None if nobody holds it.

    A confirmed claim whose own event has not come yet holds it, too: of that only the agent is known.
    """
    confirmed = [one for one in state["confirmed"] if not over(state, one)]
    tentative = (
        one
        for one in sorted(state["claims"].keys() - state["ended"].keys())
        if not over(state, one)
    )
    found = confirmed[-1] if confirmed else next(tentative, None)
    if found is None:
        return None
    said = state["confirmed"].get(found, {"n": None})
    claim = state["claims"].get(found, {"agent": None, "session": None, "replica": None, "gen": 1})
    return {"id": found, **claim, **({} if found in state["claims"] else said), "n": said["n"]}


def over(state: Json, claim: str) -> bool:
    """Can this claim hold the entity no more?"""
    return claim in state["ended"] or _closed(state, claim) or stolen(state, claim)


def stolen(state: Json, claim: str) -> bool:
    """Was the claim taken away by one who had seen it, and not given back before?"""
    if claim in state["ended"]:
        return False
    firm = claim in state["confirmed"]
    steals = (one for one in state["steals"] if not firm or one in state["confirmed"])
    return any(causality.precedes(state, claim, one) for one in steals)


def outlived(state: Json, claim: str, at: str) -> bool:
    """Did the writer of this event know that the claim was over: given back, or taken by one who had seen it?"""
    ended = state["ended"]

    def known(one: str | None) -> bool:
        return one is not None and causality.precedes(state, one, at)

    if known(ended.get(claim)):
        return True
    later = (
        one for one in state["claims"] if one != claim and known(one) and not known(ended.get(one))
    )
    return any(causality.precedes(state, claim, one) for one in later)


def _closed(state: Json, claim: str) -> bool:
    cites = state.get("cites", {})
    later = [
        close
        for close in state["closes"]
        if not causality.precedes(state, close, claim)
        and not (
            close in cites and outlived(state, cites[close], close)
        )  # a result that comes too late ends nothing
    ]
    if any(causality.precedes(state, claim, close) for close in later):
        return True
    # While something it knew of has not come, nor can it be said that it did not know of the others.
    return bool(later) and causality.complete(state, claim)


def verdict(state: Json, claim: str) -> str:
    """What a store may do about its own claim, given all that the arbiter holds: confirm | concede | nothing."""
    if claim in state["confirmed"] or over(state, claim):
        return "nothing"
    held = [one for one in state["confirmed"] if not over(state, one)]
    if all(claim in state["steals"] and causality.precedes(state, one, claim) for one in held):
        return "confirm"
    return "concede"


def token(state: Json, claim: str) -> int:
    """The token to confirm it with: greater than all before, the local counts included."""
    after = (said["n"] + 1 for said in state["confirmed"].values())
    counts: list[int] = [state["claims"][claim]["gen"], *after]
    return max(counts)


def next_gen(state: Json) -> int:
    """The local count that a new claim has."""
    counts = [claim["gen"] for claim in state["claims"].values()]
    return max([*counts, *(said["n"] for said in state["confirmed"].values())], default=0) + 1


def united(states: list[Json]) -> Json:
    """The claims of entities that are one."""
    whole = {**causality.united(states), "steals": [], "closes": []}
    for name in ("steals", "closes"):
        whole[name] = sorted(one for state in states for one in state[name])
    for name in ("claims", "ended", "confirmed"):
        whole[name] = {one: said for state in states for one, said in state[name].items()}
    cites = {one: claim for state in states for one, claim in state.get("cites", {}).items()}
    whole |= {"cites": cites} if cites else {}
    whole["confirmed"] = dict(sorted(whole["confirmed"].items(), key=lambda one: one[1]["n"]))
    return whole


def _token(found: object) -> int:
    return found if type(found) is int and 0 < found < TOKENS else 1
