"""Mail as a fold of its events. Pure and total: what makes no sense is passed over.

A message is any event with addresses in `to`; the other `msg.*` events here are about one, and never mail
themselves. An agent is an entity for its groups' sake.

    mail      what the message says of itself
    acks      who said what became of it
    claims    deliveries from a queue, ordered by (n, id); the newest one counts
    nacks     deliveries that were given back
    ended     claims that came to nothing: another clone was confirmed, or the arbiter could not be asked
    firm      claims that the arbiter confirmed, and their tokens
"""

from __future__ import annotations

from coord_envelope import world
from coord_kernel.rules import causality, claims

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coord_envelope import Event
    from coord_envelope.codec import Json

name, version = "mail", "2"
DIRECT = ("agent:", "human:", "bridge:")
VISIBILITY_MS, DELIVERIES = 600_000, 5
"""What a message in a queue has that says nothing else: how long a claim hides it, and how often it is given out."""
LONGEST_MS = 366 * 86_400_000
BORN = "1970-01-01T00:00:00.000Z"


def entities(event: Event) -> Iterable[str]:
    """The message an event is, or is about; of `agent.updated` the agent."""
    kind = event["type"]
    if kind in _ABOUT:
        refs = event.get("refs")
        about = refs.get("msg_id") if isinstance(refs, dict) else None
        return (about,) if about and isinstance(about, str) else ()
    if kind == "agent.updated":
        who = event["actor"]["agent_id"]
        return (who,) if who else ()
    return (event.id,) if recipients(event) else ()


def step(state: Json | None, event: Event) -> Json:
    """The state after one event more, taken in order of event_id."""
    state = {} if state is None else state
    _STEPS.get(event["type"], _sent)(state, event, event["body"])
    return state


def recipients(event: Event) -> list[str]:
    """Whom it is addressed to."""
    to = event.get("to")
    return [one for one in to if isinstance(one, str)] if isinstance(to, list) else []


def _sent(state: Json, event: Event, body: Json) -> None:
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
        **({"expires": expires} if isinstance(expires, str) else {}),
        **({"key": f"{event['type']} {key}"} if isinstance(key, str) else {}),
    }


def _acked(state: Json, event: Event, body: Json) -> None:
    said = {
        name: body[name]
        for name in ("kind", "claim", "result", "note")
        if isinstance(body.get(name), str)
    }
    session = event["actor"].get("session_id")
    by = {"agent": event["actor"]["agent_id"], "ts": event["ts"], "session": session}
    state.setdefault("acks", {})[event.id] = by | said


def _claimed(state: Json, event: Event, body: Json) -> None:
    state.setdefault("claims", {})[event.id] = {
        "n": max(1, _number(body.get("n"), 1, 1 << 31)),
        "agent": event["actor"]["agent_id"],
        "ts": event["ts"],
        "vis_ms": _number(body.get("vis_ms"), VISIBILITY_MS, LONGEST_MS),
    }


def _confirmed(state: Json, event: Event, body: Json) -> None:
    # The claim's own event may come later: the message is out all the same.
    if claims.is_arbiter(event["writer"]) and isinstance(body.get("claim"), str):
        state.setdefault("firm", {}).setdefault(
            body["claim"], max(1, _number(body.get("n"), 1, claims.TOKENS))
        )
        known = state.setdefault("claims", {})
        said = {
            "n": 1 + max((one["n"] for one in known.values()), default=0),
            "agent": str(body.get("agent_id")),
        }
        vis_ms = state["mail"]["vis_ms"] if "mail" in state else VISIBILITY_MS
        known.setdefault(body["claim"], {**said, "ts": event["ts"], "vis_ms": vis_ms})


def _ended(state: Json, event: Event, body: Json) -> None:
    if isinstance(body.get("claim"), str):
        state.setdefault("ended", {})[body["claim"]] = event["type"].partition(".")[2]


def _nacked(state: Json, event: Event, body: Json) -> None:
    if isinstance(body.get("claim"), str):
        said = {"ts": event["ts"], "delay_ms": _number(body.get("delay_ms"), 0, LONGEST_MS)}
        why = {"reason": body["reason"]} if isinstance(body.get("reason"), str) else {}
        state.setdefault("nacks", {}).setdefault(body["claim"], said | why)


def _updated(state: Json, event: Event, body: Json) -> None:
    if "groups" not in state:
        state.update(causality.nothing(), groups={})
    causality.know(state, event)
    for how in ("add", "rm"):
        given = body.get(how)
        names = given.get("groups") if isinstance(given, dict) else None
        for group in names if isinstance(names, list) else ():
            if isinstance(group, str):
                state["groups"].setdefault(group, {})[event.id] = how


_ABOUT: dict[str, Callable[[Json, Event, Json], None]] = {
    "msg.acked": _acked,
    "msg.claimed": _claimed,
    "msg.confirmed": _confirmed,
    "msg.conceded": _ended,
    "msg.released": _ended,
    "msg.nacked": _nacked,
}
_STEPS = {**_ABOUT, "agent.updated": _updated}


def _number(found: object, default: int, most: int) -> int:
    return min(found, most) if type(found) is int and found >= 0 else default


def united(states: list[Json]) -> Json:
    """The state of messages that are one: sent with one key in stores that had not met. The oldest first."""
    parts = ("acks", "claims", "nacks", "ended", "firm")
    return states[0] | {
        part: {k: v for one in states for k, v in one.get(part, {}).items()} for part in parts
    }


def groups(state: Json) -> Iterable[str]:
    """The groups an agent is in: a join wins over a leave that did not know of it."""
    for group, writes in state.get("groups", {}).items():
        last = (
            how
            for at, how in writes.items()
            if not any(causality.precedes(state, at, other) for other in writes)
        )
        if "add" in last:
            yield group


def done_by(state: Json) -> set[str]:
    """Who said that it is done."""
    return {ack["agent"] for ack in state.get("acks", {}).values() if ack.get("kind") == "done"}


def processed(state: Json) -> bool:
    """Is its delivery from a queue done? A late ack counts, too."""
    return any(
        ack.get("kind") == "done" and "claim" in ack for ack in state.get("acks", {}).values()
    )


def delivery(state: Json, agent: str | None = None) -> Json | None:
    """The newest claim (of this agent), with its id; None if there is none."""
    known, ended = state.get("claims", {}), state.get("ended", {})
    found = [
        (one["n"], at)
        for at, one in known.items()
        if agent in (None, one["agent"]) and at not in ended
    ]
    return {"id": max(found)[1], **known[max(found)[1]]} if found else None


def token(state: Json, claim: Event) -> int | None:
    """The token of a claim that the arbiter confirmed; None if it did not, or confirmed one that this does not know of.

    The latter is of a message with the same key, sent in another clone: they are one only since they met.
    """
    over = {claim.id, *claim.get("base", ()), *state.get("ended", {}), *state.get("nacks", {})}
    firm = state.get("firm", {})
    return None if firm.keys() - over or claim.id in state.get("ended", {}) else firm.get(claim.id)


def hidden_until(state: Json) -> str:
    """When a queue gives it out again: the end of its claim, or of the delay it was given back with."""
    claim = delivery(state)
    if claim is None:
        return BORN
    nack = state.get("nacks", {}).get(claim["id"])
    try:
        since = world.parse_ts(nack["ts"] if nack else claim["ts"])
        return world.format_ts(since + (nack["delay_ms"] if nack else claim["vis_ms"]))
    except (ValueError, OverflowError):
        return BORN


def exhausted(state: Json) -> bool:
    """Was it given out as often as it may be?"""
    claim = delivery(state)
    return claim is not None and claim["n"] >= state["mail"]["max"]


def waits_for(state: Json) -> list[str]:
    """The addresses at which it is not done with."""
    mail, done = state["mail"], done_by(state)
    if not mail["wants"]:
        return []
    direct = [one for one in mail["to"] if one.startswith(DIRECT) and one not in done]
    return direct + [one for one in mail["to"] if one.startswith("queue:") and not processed(state)]


def indexed(state: Json) -> Iterable[tuple[str, str]]:
    """By what mail is found: addressee, sender, thread, key; where it waits, and in a queue from when on."""
    yield from (("member", group) for group in groups(state))
    if "mail" not in state:
        return
    mail = state["mail"]
    at = mail["id"]
    yield from (("to", f"{one} {at}") for one in mail["to"])
    yield "from", f"{mail['from']} {at}"
    yield "id", at
    yield "thread", f"{mail['thread']} {at}"
    if "key" in mail:
        yield "key", mail["key"]
    waiting = waits_for(state)
    if waiting:
        yield "open", at
    for one in waiting:
        if not one.startswith("queue:"):
            yield "wait", f"{one} {at}"
            continue
        claim = delivery(state)
        how = "fresh" if claim is None else "last" if exhausted(state) else "again"
        yield how, f"{one} {hidden_until(state) if claim else mail['ts']} {at}"
        if claim:
            yield "claimed", f"{one} {claim['ts']} {at}"
