"""The events of an offer, as a fold. Pure and total; `market` says what they mean.

    work.created of kind `offer`, and all that names it     the offer: its id is the entity
    coord.redacted                                          the event that it names

A state is a union of events, so it is the same in any order and with copies. Each stands under its
id and the key that has signed it: who writes an event with another one's id hides nothing. Of what
one key has written about an offer the oldest are kept: who floods it loses only what is theirs.
The fold sees events as they were written: whose redaction counts is the market's to say.
"""

from __future__ import annotations

from coord_envelope import codec, ids
from coord_kernel.rules import claims

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from coord_envelope.codec import Json
    from coord_envelope.event import Event

    State = dict[str, Json]
    """`ID KEY` → {id, work, key, type, by, ts, body}, and of what stands in an arbiter's stream
    `arbiter`: stream → seq."""


name, version = "commons", "2"
KIND = "offer"
SHARED = "share."
"""What the fields of an offer are called that have what is shared of the item."""
REDACTED = "coord.redacted"
MOST = 256
"""Events of a key about one offer."""
LONGEST = 2_000
"""Characters of a text that is kept: of a note, a piece of evidence, a field that is shared."""
_WORK = frozenset(("created", "claimed", "confirmed", "released", "conceded", "closed"))
_OWN = frozenset(("submitted", "returned", "stamped", "stamp.withdrawn"))


def entities(event: Event) -> Iterable[str]:
    """The offer that an event is about."""
    space, _, verb = event["type"].partition(".")
    if event["type"] == REDACTED:
        target = event["body"].get("target")
        return (target,) if isinstance(target, str) and ids.valid(target) else ()
    if not (
        (space == "work" and verb in _WORK)
        or (space == "commons" and verb in _OWN)
        or event["type"] == "artifact.added"
    ):
        return ()
    refs = event.get("refs")
    work = refs.get("work_id") if isinstance(refs, dict) else None
    known = isinstance(work, str) and ids.valid(work)
    offers = verb != "created" or (work == event.id and event["body"].get("kind") == KIND)
    return (str(work),) if known and offers else ()


def step(state: Any, event: Event) -> State:
    """The state after one event more, in any order. `$key`: its key's fingerprint, if signed."""
    events: State = {} if state is None else state
    key = str(event.get("$key", ""))
    refs = event.get("refs")
    record: Json = {
        "id": event.id,
        "work": refs.get("work_id", "") if isinstance(refs, dict) else "",
        "key": key,
        "type": event["type"],
        "by": event["actor"]["agent_id"],
        "ts": event["ts"],
        "body": _plain(event["body"]),
    }
    at = f"{event.id} {key}"
    known = events.get(at, record)
    places = {**known.get("arbiter", {})}
    if claims.is_arbiter(event["writer"]):
        stream = event.stream or event["writer"]
        places[stream] = min(event["seq"], places.get(stream, event["seq"]))
    # Of two with one id by one key the lesser: so their order does not matter.
    plain = min(({**each, "arbiter": {}} for each in (known, record)), key=codec.dumps)
    events[at] = plain | {"arbiter": places}
    if len(events) > MOST:
        of_key = [at for at, each in events.items() if each["key"] == key]
        if len(of_key) > MOST:
            del events[max(of_key)]
    return events


def indexed(state: State) -> Iterable[tuple[str, str]]:
    """Nothing: all offers are asked for."""
    return ()


def _plain(body: Json) -> Json:
    """Of a body what is a short text, a number, true or false, or a flat list or object of them."""
    return {
        field: kept for field, value in body.items() if (kept := _kept(value, True)) is not None
    }


def _kept(value: object, deep: bool) -> Any:
    if type(value) in (bool, int):
        return value
    if isinstance(value, str):
        return value[:LONGEST]
    if deep and isinstance(value, list):
        return [kept for each in value[:MOST] if (kept := _kept(each, False)) is not None]
    if deep and isinstance(value, dict):
        pairs = list(value.items())[:MOST]
        return {at: kept for at, each in pairs if (kept := _kept(each, False)) is not None}
    return None
