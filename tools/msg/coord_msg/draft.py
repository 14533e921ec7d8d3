"""From what a user hands to `msg send` to the draft of a message. Pure."""

from __future__ import annotations

from coord_envelope import SELF, BadData, Unreachable
from coord_envelope.codec import Json, dumps
from coord_envelope.event import caused_by, recipient

FIELDS = ("to", "subject", "text", "thread", "work", "refs", "idempotency_key", "cause", "hops", "on_behalf_of")
"""What a line on stdin may say of a message; the rest of `msg.sent` comes with the rest of msg."""
TEXT_BYTES, SUBJECT_BYTES = 32 * 1024, 200


def message(fields: Json) -> Json:
    """The `msg.sent` of `{"to", "subject", "text", "thread", "work", …}`. Raises BadData, Unreachable."""
    for name in fields:
        if name not in FIELDS:
            raise BadData(f"field {name!r} is none of a message's", todo=f"it has {', '.join(FIELDS)}")
    body = {name: _text(name, fields[name], most) for name, most in _BODY if fields.get(name) is not None}
    refs = {"thread_id": SELF, **_object(fields.get("refs", {}))}
    refs |= {f"{name}_id": fields[name] for name in ("thread", "work") if fields.get(name) is not None}
    rest = {name: fields[name] for name in FIELDS[6:] if fields.get(name) is not None}
    return {"type": "msg.sent", "to": recipients(fields.get("to")), "refs": refs, "body": body, **rest}


def forward(event: Json, shared: Json) -> Json:
    """The message that carries a whole event to `shared["to"]`, or to whom it was for.

    Its key comes from the event's id and the recipients, so replaying a pipe sends nothing twice; its cause
    is the event, a hop further, so a loop of pipes ends.
    """
    if not isinstance(event.get("type"), str):
        raise BadData("has an event_id and no type", todo="send a whole event, or a message without event_id")
    addresses = sorted(recipients(shared.get("to") or event.get("to")))
    body, refs, actor = (_object(event.get(name, {})) for name in ("body", "refs", "actor"))
    fields = {
        **shared,
        **caused_by(event, actor),
        "to": addresses,
        "subject": cut(str(body.get("subject") or event.get("type")), SUBJECT_BYTES),
        "text": body["text"] if isinstance(body.get("text"), str) else dumps(body).decode(),
        "refs": {name: value for name, value in refs.items() if name != "msg_id"},
        "idempotency_key": f"forward:{event['event_id']}:{_digest(addresses)}",
    }
    return message(fields)


def ack(msg_id: str) -> Json:
    """The `msg.acked` that takes a message out of its writer's inbox.

    Without a key: acking is idempotent by nature, and a key another could use first would keep the mail waiting.
    """
    return {"type": "msg.acked", "refs": {"msg_id": msg_id}, "body": {"kind": "done"}}


def recipients(to: object) -> list[str]:
    """Addresses in full, each once. Raises BadData, and Unreachable for kinds that come with the rest of msg."""
    given = [to] if isinstance(to, str) else to
    if not isinstance(given, list) or not given or not all(isinstance(one, str) for one in given):
        raise BadData("to is missing or no address or list of addresses", todo="agent:NAME, human:NAME or bridge:NAME")
    try:
        found = list(dict.fromkeys(map(recipient, given)))
    except ValueError as reason:
        raise BadData(f"to: {reason}") from None
    for one in found:
        if one.partition(":")[0] not in ("agent", "human", "bridge"):
            raise Unreachable(f"to: {one}: only agent, human and bridge have mailboxes yet")
    return found


def cut(text: str, most: int) -> str:
    """At most so many bytes of UTF-8, cut between characters."""
    return text.encode()[:most].decode("utf-8", "ignore")


_BODY = (("subject", SUBJECT_BYTES), ("text", TEXT_BYTES))


def _text(name: str, value: object, most: int) -> str:
    if not isinstance(value, str):
        raise BadData(f"{name} is not a string")
    if len(value.encode("utf-8", "surrogatepass")) > most:
        raise BadData(f"{name} is longer than {most:,} bytes", todo="send where to find it")
    return value


def _object(value: object) -> Json:
    if not isinstance(value, dict):
        raise BadData("refs, body or actor is not an object")
    return value


def _digest(addresses: list[str]) -> str:
    import hashlib

    return hashlib.sha256(" ".join(addresses).encode()).hexdigest()[:16]
