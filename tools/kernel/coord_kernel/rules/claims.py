"""Claims: who holds an item, a job, a message or a lease. One rule, as a fold of events.

    claimed     its writer takes the entity, for itself or for the agent in `for`; with `steal`,
                from the claims that it had seen
    confirmed   the arbiter's decision, in its order: this claim has the fencing token n
    released | conceded | closed | completed    end a claim

Who holds the entity:

    1. A claim is over if
       a. a `released` or `conceded` event names it, or
       b. the entity was closed by an event that does not precede the claim: at once if the closer
          knew of the claim, otherwise as soon as everything is here that the claimer knew of, or
       c. a steal whose writer had seen it took it away: a confirmed steal any claim, an unconfirmed
          one only a claim that is not confirmed either.
       A result (`completed`) that cites a claim which was over already, to the knowledge of its
       writer, closes nothing.
    2. The owner is the last confirmed claim that is not over.
    3. If there is none, it is the unconfirmed ("tentative") claim with the smallest id that is not
       over: a guess that is the same in every replica and may be lost.

What a store may do about its own tentative claim, when it has taken in all that the arbiter holds
(`verdict`):

    4. If no confirmed claim is open, or the claim is a steal that knew of all of them: confirm it.
    5. Otherwise concede it.

Why one confirmed claim at most is open: a claim that is over stays over whatever arrives later
(forged events aside), so a decision made on what the arbiter held stays right as long as the
arbiter has not moved; and it is moved by compare-and-swap only.
"""

from __future__ import annotations

from coord_kernel.rules import causality

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Literal, NotRequired, TypedDict

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_kernel.rules.causality import Graph

    class Claim(TypedDict):
        """A `claimed` event."""

        agent: str
        session: str | None
        replica: str
        gen: int
        """The claimer's own count, the fencing token where there is no arbiter."""
        ts: str

    class Confirmation(TypedDict):
        """A `confirmed` event of the arbiter."""

        n: int
        """The fencing token."""
        agent: str
        ts: str

    class ClaimsState(Graph):
        """The claims on an entity; the folds of tools extend it."""

        claims: dict[str, Claim]
        """By the id of the `claimed` event."""
        ended: dict[str, str]
        """Claim → the first event that released or conceded it."""
        steals: list[str]
        closes: list[str]
        confirmed: dict[str, Confirmation]
        """By claim, in the arbiter's order."""
        cites: NotRequired[dict[str, str]]
        """`completed` event → the claim that its writer held."""
        key: NotRequired[str]
        """The type and idempotency key of the event that made the entity."""

    class Owner(TypedDict):
        """The claim that holds an entity."""

        id: str
        agent: str
        session: str | None
        replica: str | None
        gen: int
        ts: str
        n: int | None
        """The fencing token; None: not confirmed."""


ENTITY = {"work": "work_id", "run": "run_id", "lease": "lease_id", "msg": "msg_id"}
"""The namespaces whose entities can be claimed, and the field of `refs` that names the entity."""
HEADS = 256
"""Most ids in a base: a line has a size limit. The next events name the rest."""
TOKENS = 1 << 53
"""A token is less than this: every JSON reader represents it exactly."""
_VERBS = frozenset(("claimed", "closed", "completed", "released", "conceded", "confirmed"))

name, version = "claims", "5"  # of the fold whose view sync keeps
needles = tuple(b'"type":"%b.' % kind.encode() for kind in ENTITY)


def entities(event: Event) -> Iterable[str]:
    """`NAMESPACE ID` of the entity that the event is about, if that can be claimed.

    A delivery from a queue is a claim only if its consumer asked for confirmation: otherwise it
    concerns this store alone.
    """
    kind = event["type"].partition(".")[0]
    if event["type"] == "msg.claimed" and event["body"].get("require") != "confirmed":
        return ()
    refs = event.get("refs")
    entity = refs.get(ENTITY[kind]) if kind in ENTITY and isinstance(refs, dict) else None
    return (f"{kind} {entity}",) if entity and isinstance(entity, str) else ()


def step(state: ClaimsState | None, event: Event) -> ClaimsState:
    """The claims after one event more, taken in order of event_id."""
    state = nothing() if state is None else state
    causality.know(state, event)
    take(state, event)
    kind, key = event["type"].partition(".")[0], event.get("idempotency_key")
    # A lease has a key of its holder's, which makes no two leases one, and an unsigned event has
    # none that counts.
    own = kind != "lease" and "$trust" not in event
    if isinstance(key, str) and own and event["refs"][ENTITY[kind]] == event.id:
        state["key"] = f"{event['type']} {key}"
    return state


def indexed(state: ClaimsState) -> Iterable[tuple[str, str]]:
    """`tentative`: the claims that are open and not confirmed, by replica; `key`: the entity's;
    `owner`: who holds it."""
    for claim_id, claim in state["claims"].items():
        if claim_id not in state["confirmed"] and not over(state, claim_id):
            yield "tentative", f"{claim['replica']} {claim_id}"
    if "key" in state:
        yield "key", state["key"]
    holder = owner(state)
    if holder:
        yield "owner", f"{holder['agent']} {holder['id']}"


def made(_: ClaimsState) -> bool:
    """Has the entity's first event come? A claim is judged without it, too."""
    return True


def key(state: ClaimsState) -> str | None:
    """What makes entities of several stores one."""
    return state.get("key")


def nothing() -> ClaimsState:
    """The state before the first event."""
    return {
        "dag": {},
        "heads": [],
        "early": [],
        "claims": {},
        "ended": {},
        "steals": [],
        "closes": [],
        "confirmed": {},
    }


def take(state: ClaimsState, event: Event) -> None:
    """Add an event that `causality.know` has added already."""
    verb, body = event["type"].rpartition(".")[2], event["body"]
    if verb not in _VERBS:
        return
    cited = body.get("claim")
    if verb == "claimed":
        holder = _holder(event)
        state["claims"][event.id] = {
            "agent": holder["agent_id"],
            "session": holder.get("session_id"),
            "replica": event["writer"].rpartition("~")[2],
            "gen": _token(body.get("gen")),
            "ts": event["ts"],
        }
        if body.get("steal") is True:
            state["steals"].append(event.id)
    elif verb in ("closed", "completed"):
        state["closes"].append(event.id)
        if verb == "completed" and isinstance(cited, str):
            state.setdefault("cites", {})[event.id] = cited
    elif not isinstance(cited, str):
        return
    elif verb in ("released", "conceded"):
        state["ended"].setdefault(cited, event.id)
    elif is_arbiter(event["writer"]):
        agent = body.get("agent_id")
        state["confirmed"].setdefault(
            cited,
            {
                "n": _token(body.get("n")),
                "agent": agent if isinstance(agent, str) else "?",
                "ts": event["ts"],
            },
        )


def _holder(event: Event) -> Json:
    """Whose the claim is: its writer's, or the actor's for whom it was written."""
    behalf = event["body"].get("for")
    named = isinstance(behalf, dict) and isinstance(behalf.get("agent_id"), str)
    if not named or not isinstance(behalf.get("session_id", ""), str):
        return event["actor"]  # type: ignore[no-any-return]
    return behalf  # type: ignore[no-any-return]


def base(state: ClaimsState) -> list[str]:
    """The entity's heads: the `base` of a new event.

    Of very many the newest, and all claims: a steal takes away only what its writer had seen.
    """
    heads = state["heads"]
    claimed = [head for head in heads[:-HEADS] if head in state["claims"]]
    return [*claimed[:HEADS], *heads[-HEADS:]]


def is_arbiter(writer: str) -> bool:
    """Is this the stream of confirmations?"""
    return writer.startswith("arbiter.main~")


def owner(state: ClaimsState) -> Owner | None:
    """The claim that holds the entity; None if nobody holds it.

    A confirmed claim whose own event has not arrived holds it, too: only its agent is known then.
    """
    confirmed = [claim_id for claim_id in state["confirmed"] if not over(state, claim_id)]
    tentative = (
        claim_id
        for claim_id in sorted(state["claims"].keys() - state["ended"].keys())
        if not over(state, claim_id)
    )
    holder = confirmed[-1] if confirmed else next(tentative, None)
    if holder is None:
        return None
    claim, confirmation = state["claims"].get(holder), state["confirmed"].get(holder)
    token = confirmation["n"] if confirmation else None
    if claim:
        return {"id": holder, **claim, "n": token}
    return {"id": holder, "session": None, "replica": None, "gen": 1, **state["confirmed"][holder]}


def over(state: ClaimsState, claim: str) -> bool:
    """Has this claim ended, for good?"""
    return claim in state["ended"] or _closed(state, claim) or stolen(state, claim)


def stolen(state: ClaimsState, claim: str) -> bool:
    """Was the claim taken away by a steal whose writer had seen it, and not released before?"""
    if claim in state["ended"]:
        return False
    confirmed = state["confirmed"]
    steals = (steal for steal in state["steals"] if claim not in confirmed or steal in confirmed)
    return any(causality.precedes(state, claim, steal) for steal in steals)


def outlived(state: ClaimsState, claim: str, at: str) -> bool:
    """Did the writer of the event `at` know that the claim was over?

    That is: released, or taken away by a later claim that had seen it.
    """
    ended = state["ended"]

    def known(event_id: str | None) -> bool:
        return event_id is not None and causality.precedes(state, event_id, at)

    if known(ended.get(claim)):
        return True
    later = (
        other
        for other in state["claims"]
        if other != claim and known(other) and not known(ended.get(other))
    )
    return any(causality.precedes(state, claim, other) for other in later)


def _closed(state: ClaimsState, claim: str) -> bool:
    cites = state.get("cites", {})
    later = [
        close
        for close in state["closes"]
        if not causality.precedes(state, close, claim)
        and not (close in cites and outlived(state, cites[close], close))
    ]
    if any(causality.precedes(state, claim, close) for close in later):
        return True
    # As long as an event that the claimer knew of is missing, it may be that the claimer knew of
    # the closing through that one.
    return bool(later) and causality.complete(state, claim)


def verdict(state: ClaimsState, claim: str) -> Literal["confirm", "concede", "nothing"]:
    """What a store may do about its own claim, given all that the arbiter holds."""
    if claim in state["confirmed"] or over(state, claim):
        return "nothing"
    open_claims = [other for other in state["confirmed"] if not over(state, other)]
    if all(
        claim in state["steals"] and causality.precedes(state, other, claim)
        for other in open_claims
    ):
        return "confirm"
    return "concede"


def token(state: ClaimsState, claim: str) -> int:
    """The token to confirm it with: greater than all before, the local counts included."""
    after = [confirmation["n"] + 1 for confirmation in state["confirmed"].values()]
    return max([state["claims"][claim]["gen"], *after])


def next_gen(state: ClaimsState) -> int:
    """The local count of a new claim."""
    counts = [claim["gen"] for claim in state["claims"].values()]
    tokens = [confirmation["n"] for confirmation in state["confirmed"].values()]
    return max([*counts, *tokens], default=0) + 1


def raised(draft: Json, least: int) -> Json:
    """The draft, if it is a claim with a local count, with a count of at least so much."""
    gen = draft["body"].get("gen")
    if isinstance(gen, int) and gen < least and draft["type"].endswith(".claimed"):
        return {**draft, "body": {**draft["body"], "gen": least}}
    return draft


def united(states: Sequence[ClaimsState]) -> ClaimsState:
    """The claims of several entities that turned out to be one."""
    confirmed = {at: entry for state in states for at, entry in state["confirmed"].items()}
    graph = causality.united(states)
    whole: ClaimsState = {
        "dag": graph["dag"],
        "heads": graph["heads"],
        "early": graph["early"],
        "claims": {at: claim for state in states for at, claim in state["claims"].items()},
        "ended": {claim: end for state in states for claim, end in state["ended"].items()},
        "steals": sorted(steal for state in states for steal in state["steals"]),
        "closes": sorted(close for state in states for close in state["closes"]),
        "confirmed": dict(sorted(confirmed.items(), key=lambda entry: entry[1]["n"])),
    }
    cites = {at: claim for state in states for at, claim in state.get("cites", {}).items()}
    if cites:
        whole["cites"] = cites
    return whole


def _token(value: object) -> int:
    return value if type(value) is int and 0 < value < TOKENS else 1
