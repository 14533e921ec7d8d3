"""Mail as a fold of its events. Pure and total: an event that makes no sense is passed over.

A message is any event with addresses in `to`; the other `msg.*` events below refer to a message
and are never mail themselves. An agent is an entity because of its groups.

How a message in a queue moves, each step an event that some replica may see late or never:

    1. A consumer writes a claim (`msg.claimed`) with its number n: one more than the newest known.
    2. The newest claim, by (n, id), counts. It hides the message until its `ts` plus `vis_ms`.
    3. A claim that was conceded or released never was a delivery: it does not count.
    4. A nack of the newest claim ends the hiding after its delay; it stays a delivery.
    5. An ack with a claim ends the message for its queue, however late: the work was done.
    6. When the hiding of claim number `max` ends, the message is dead.
    7. A claim that the arbiter confirmed counts even if its own event has not come yet.

Two replicas that each claim without the arbiter both give the message out: a queue without
`--require confirmed` is exclusive within one store only.
"""

from __future__ import annotations

from coord_envelope import world
from coord_envelope.event import direct
from coord_kernel.rules import causality, claims

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NotRequired, Required, TypedDict

    from coord_envelope import Event
    from coord_envelope.codec import Json

    Header = TypedDict(
        "Header",
        {
            "id": str,
            "type": str,
            "from": str,
            "ts": str,
            "to": list[str],
            "wants": bool,  # must it be acked?
            "thread": str,
            "subject": str,
            "vis_ms": int,
            "max": int,  # deliveries
            "severity": NotRequired[str],
            "expires": NotRequired[str],
            "trust": NotRequired[str],  # `unsigned`
            "key": NotRequired[str],  # TYPE KEY
            "work": NotRequired[str],
        },
    )

    class Ack(TypedDict):
        agent: str
        ts: str
        session: str | None
        kind: NotRequired[str]
        claim: NotRequired[str]
        result: NotRequired[str]
        note: NotRequired[str]

    class Claim(TypedDict):
        n: int
        agent: str
        ts: str
        vis_ms: int

    class Delivery(Claim):
        id: str

    class Nack(TypedDict):
        ts: str
        delay_ms: int
        reason: NotRequired[str]

    class MessageState(TypedDict, total=False):
        """The state of a message; `mail` is missing only while its own event has not come."""

        mail: Required[Header]
        acks: dict[str, Ack]
        claims: dict[str, Claim]
        nacks: dict[str, Nack]  # by claim
        ended: dict[str, str]  # claims that were conceded or released
        confirmed: dict[str, int]  # claims that the arbiter confirmed, and their tokens


name, version = "mail", "6"
needles = (b'"type":"msg.', b'"type":"agent.updated"', b'"to"', b"\\u00")
"""An address is in `to`, of whatever type; a letter of it may be escaped."""
VISIBILITY_MS, DELIVERIES = 600_000, 5
"""Defaults of a message in a queue: how long a claim hides it, and how often it is delivered."""
SEVERITIES = ("low", "medium", "high", "critical")
LONGEST_MS = 366 * 86_400_000
BORN = "1970-01-01T00:00:00.000Z"


def entities(event: Event) -> Iterable[str]:
    """The message that an event is, or refers to; of `agent.updated` the agent."""
    kind = event["type"]
    if kind in _ABOUT:
        refs = event.get("refs")
        message = refs.get("msg_id") if isinstance(refs, dict) else None
        return (message,) if message and isinstance(message, str) else ()
    if kind == "agent.updated":
        agent = event["actor"]["agent_id"]
        return (agent,) if agent else ()
    return (event.id,) if recipients(event) else ()


def step(state: Any, event: Event) -> Any:
    """The state after one more event, taken in order of event_id."""
    state = {} if state is None else state
    _STEPS.get(event["type"], _sent)(state, event, event["body"])
    return state


def texts(event: Event) -> Iterable[tuple[str, str, str]]:
    """What a message says, for full-text search: (message, part, text)."""
    if event["type"] not in _STEPS and recipients(event):
        for part in ("subject", "text"):
            if isinstance(event["body"].get(part), str):
                yield event.id, part, event["body"][part]


def says(state: MessageState, event_id: str, part: str) -> bool:
    """Does the message still say it? Always: nothing in it can be replaced."""
    return True


def recipients(event: Event) -> list[str]:
    """The addresses it was sent to."""
    to = event.get("to")
    return [address for address in to if isinstance(address, str)] if isinstance(to, list) else []


def _sent(state: MessageState, event: Event, body: Json) -> None:
    refs, key, expires = event.get("refs"), event.get("idempotency_key"), body.get("expires_at")
    thread = refs.get("thread_id") if isinstance(refs, dict) else None
    subject = body.get("subject")
    state["mail"] = {
        "id": event.id,
        "type": event["type"],
        "from": event["actor"]["agent_id"],
        "ts": event["ts"],
        "to": recipients(event),
        "wants": body.get("ack") != "none",
        "thread": thread if isinstance(thread, str) else event.id,
        "subject": subject if isinstance(subject, str) else event["type"],
        "vis_ms": _number(body.get("vis_ms"), VISIBILITY_MS, LONGEST_MS),
        "max": max(1, _number(body.get("max_deliveries"), DELIVERIES, 1 << 31)),
    }
    if body.get("severity") in SEVERITIES:
        state["mail"]["severity"] = body["severity"]
    if event.get("$trust"):
        state["mail"]["trust"] = event["$trust"]
    if isinstance(expires, str):
        state["mail"]["expires"] = expires
    if isinstance(refs, dict) and isinstance(refs.get("work_id"), str):
        state["mail"]["work"] = refs["work_id"]
    if isinstance(key, str):
        state["mail"]["key"] = f"{event['type']} {key}"


def _acked(state: MessageState, event: Event, body: Json) -> None:
    actor = event["actor"]
    ack: Any = {"agent": actor["agent_id"], "ts": event["ts"], "session": actor.get("session_id")}
    for name in ("kind", "claim", "result", "note"):
        if isinstance(body.get(name), str):
            ack[name] = body[name]
    state.setdefault("acks", {})[event.id] = ack


def _claimed(state: MessageState, event: Event, body: Json) -> None:
    state.setdefault("claims", {})[event.id] = {
        "n": max(1, _number(body.get("n"), 1, 1 << 31)),
        "agent": event["actor"]["agent_id"],
        "ts": event["ts"],
        "vis_ms": _number(body.get("vis_ms"), VISIBILITY_MS, LONGEST_MS),
    }


def _confirmed(state: MessageState, event: Event, body: Json) -> None:
    if not claims.is_arbiter(event["writer"]) or not isinstance(body.get("claim"), str):
        return
    token = max(1, _number(body.get("n"), 1, claims.TOKENS))
    state.setdefault("confirmed", {}).setdefault(body["claim"], token)
    # The claim's own event may come later: the message is delivered all the same.
    known = state.setdefault("claims", {})
    claim: Claim = {
        "n": 1 + max((claim["n"] for claim in known.values()), default=0),
        "agent": str(body.get("agent_id")),
        "ts": event["ts"],
        "vis_ms": state["mail"]["vis_ms"] if "mail" in state else VISIBILITY_MS,
    }
    known.setdefault(body["claim"], claim)


def _ended(state: MessageState, event: Event, body: Json) -> None:
    if isinstance(body.get("claim"), str):
        state.setdefault("ended", {})[body["claim"]] = event["type"].partition(".")[2]


def _nacked(state: MessageState, event: Event, body: Json) -> None:
    if isinstance(body.get("claim"), str):
        delay_ms = _number(body.get("delay_ms"), 0, LONGEST_MS)
        nack: Nack = {"ts": event["ts"], "delay_ms": delay_ms}
        if isinstance(body.get("reason"), str):
            nack["reason"] = body["reason"]
        state.setdefault("nacks", {}).setdefault(body["claim"], nack)


def _updated(state: Any, event: Event, body: Json) -> None:
    if "groups" not in state:
        state.update(causality.nothing(), groups={}, retain={})
    causality.know(state, event)
    changed = body.get("set")
    retain = changed.get("retain_ms") if isinstance(changed, dict) else None
    for channel, ms in retain.items() if isinstance(retain, dict) else ():
        known = None if ms is None else _number(ms, LONGEST_MS, LONGEST_MS)
        state["retain"].setdefault(channel, {})[event.id] = known
    for how in ("add", "rm"):
        change = body.get(how)
        names = change.get("groups") if isinstance(change, dict) else None
        for group in names if isinstance(names, list) else ():
            if isinstance(group, str):
                state["groups"].setdefault(group, {})[event.id] = how


_ABOUT: dict[str, Callable[[Any, Event, Json], None]] = {
    "msg.acked": _acked,
    "msg.claimed": _claimed,
    "msg.confirmed": _confirmed,
    "msg.conceded": _ended,
    "msg.released": _ended,
    "msg.nacked": _nacked,
}
_STEPS = {**_ABOUT, "agent.updated": _updated}


def _number(value: object, default: int, most: int) -> int:
    return min(value, most) if type(value) is int and value >= 0 else default


def made(state: MessageState) -> bool:
    """Has the message's own event come?"""
    return "mail" in state


def key(state: MessageState) -> str | None:
    """The idempotency key by which messages of different stores are one."""
    return state["mail"].get("key")


def united(states: list[Json]) -> Any:
    """The state of messages with one key, sent in stores that had not met. The oldest first."""
    parts = ("acks", "claims", "nacks", "ended", "confirmed")
    return states[0] | {
        part: {name: value for state in states for name, value in state.get(part, {}).items()}
        for part in parts
    }


def groups(state: Any) -> Iterable[str]:
    """The groups an agent is in: a join wins over a leave that did not know of it."""
    for group, writes in state.get("groups", {}).items():
        last = (
            how
            for at, how in writes.items()
            if not any(causality.precedes(state, at, other) for other in writes)
        )
        if "add" in last:
            yield group


def retained_ms(state: Any, channel: str) -> int | None:
    """How old what an agent reads of a channel may be; None: of any age.

    Of concurrent writes the one with the greatest id counts.
    """
    writes: dict[str, int | None] = (state or {}).get("retain", {}).get(channel, {})
    last = [
        at for at in writes if not any(causality.precedes(state, at, other) for other in writes)
    ]
    return writes[max(last)] if last else None


def done_by(state: MessageState) -> set[str]:
    """The agents that acked it as done."""
    return {ack["agent"] for ack in state.get("acks", {}).values() if ack.get("kind") == "done"}


def read_by(state: MessageState) -> list[str]:
    """The agents that marked it as read, and not as unread since."""
    last: dict[str, str] = {}
    for _, ack in sorted(state.get("acks", {}).items()):
        if ack.get("kind") in ("read", "unread"):
            last[ack["agent"]] = ack["kind"]
    return [agent for agent, kind in last.items() if kind == "read"]


def processed(state: MessageState) -> bool:
    """Was a delivery from a queue acked as done? A late ack counts, too."""
    acks = state.get("acks", {}).values()
    return any(ack.get("kind") == "done" and "claim" in ack for ack in acks)


def delivery(state: MessageState, agent: str | None = None) -> Delivery | None:
    """The newest claim (of this agent), with its id; None if there is none."""
    known, ended = state.get("claims", {}), state.get("ended", {})
    numbers = [
        (claim["n"], at)
        for at, claim in known.items()
        if agent in (None, claim["agent"]) and at not in ended
    ]
    _, newest = max(numbers, default=(0, None))
    return {"id": newest, **known[newest]} if newest else None


def contested(state: MessageState, claim: Event) -> bool:
    """Did the arbiter confirm another claim, which this one neither follows nor could know of?

    That is a claim of a message with the same key, sent in another clone: for the arbiter they are
    two messages, and they are one only since the clones met.
    """
    past = {claim.id, *claim.get("base", ()), *state.get("ended", {}), *state.get("nacks", {})}
    return not state.get("confirmed", {}).keys() <= past


def hidden_until(state: MessageState) -> str:
    """When a queue delivers it again: the end of its claim, or of the delay of its nack."""
    claim = delivery(state)
    if claim is None:
        return BORN
    nack = state.get("nacks", {}).get(claim["id"])
    at, ms = (nack["ts"], nack["delay_ms"]) if nack else (claim["ts"], claim["vis_ms"])
    try:
        return world.format_ts(world.parse_ts(at) + ms)
    except (ValueError, OverflowError):
        return BORN


def exhausted(state: MessageState) -> bool:
    """Was it delivered as often as it may be?"""
    claim = delivery(state)
    return claim is not None and claim["n"] >= state["mail"]["max"]


def waits_for(state: MessageState) -> list[str]:
    """The addresses that have not acked it, in the order it names them, agents before queues."""
    mail, done = state["mail"], done_by(state)
    if not mail["wants"]:
        return []
    agents = [to for to in mail["to"] if direct(to) and to not in done]
    return agents + [to for to in mail["to"] if to.startswith("queue:") and not processed(state)]


def indexed(state: Any) -> Iterable[tuple[str, str]]:
    """The (name, value) pairs by which an entity is found.

    A message: addressee, sender, thread, work item and key; where it waits, until when if it
    expires, and in a queue since when. An agent: its groups.
    """
    yield from (("member", group) for group in groups(state))
    if not made(state):
        return
    mail: Header = state["mail"]
    at = mail["id"]
    yield from (("to", f"{address} {at}") for address in mail["to"])
    yield "from", f"{mail['from']} {at}"
    yield "id", at
    yield "thread", f"{mail['thread']} {at}"
    if "key" in mail:
        yield "key", mail["key"]
    if "work" in mail:
        yield "work", f"{mail['work']} {at}"
    waiting = waits_for(state)
    if waiting:
        yield "open", at
    for address in waiting:
        if not address.startswith("queue:"):
            expires = mail.get("expires")
            how, since = ("wait", "") if expires is None else ("until", f"{expires} ")
            yield how, f"{address} {since}{at}"
            continue
        claim = delivery(state)
        how = "fresh" if claim is None else "last" if exhausted(state) else "again"
        yield how, f"{address} {hidden_until(state) if claim else mail['ts']} {at}"
        if claim:
            yield "claimed", f"{address} {claim['ts']} {at}"
