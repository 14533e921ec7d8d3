"""From what a user says to the draft of a message, an ack, a claim. Pure."""

from __future__ import annotations

from coord_envelope import SELF, BadData, world
from coord_envelope.codec import Json, dumps
from coord_envelope.event import caused_by, recipient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event

ENVELOPE = ("idempotency_key", "cause", "hops", "on_behalf_of")
LIMITS = ("ack", "expires_at", "vis_ms", "max_deliveries")
FIELDS = ("to", "subject", "text", "thread", "work", "refs", *LIMITS, *ENVELOPE)
"""What a line on stdin may say of a message."""
TEXT_BYTES, SUBJECT_BYTES, REASON_BYTES = 32 * 1024, 200, 500
ROOM = "send it with --attach, or where to find it"
"""The way out for a text that is too long."""


def message(fields: Json, attach: list[Json] | None = None) -> Json:
    """The `msg.sent` of `{"to", "subject", "text", "thread", "work", …}`. Raises BadData."""
    for name in fields:
        if name not in FIELDS:
            raise BadData(
                f"field {name!r} is none of a message's", todo=f"it has {', '.join(FIELDS)}"
            )
    body: Json = {
        name: _text(name, fields[name], most)
        for name, most in _BODY
        if fields.get(name) is not None
    }
    body |= {name: _limit(name, fields[name]) for name in LIMITS if fields.get(name) is not None}
    body |= {"attach": attach} if attach else {}
    refs = {"thread_id": SELF, **_object(fields.get("refs", {}))}
    refs |= {
        f"{name}_id": fields[name] for name in ("thread", "work") if fields.get(name) is not None
    }
    rest = {name: fields[name] for name in ENVELOPE if fields.get(name) is not None}
    return {
        "type": "msg.sent",
        "to": recipients(fields.get("to")),
        "refs": refs,
        "body": body,
        **rest,
    }


def reply(to: Event, fields: Json, attach: list[Json]) -> Json:
    """The answer to a message: to its sender, in its thread, about its work."""
    refs, subject = to.get("refs"), to["body"].get("subject")
    known = refs if isinstance(refs, dict) else {}
    kept = {
        name: known[f"{name}_id"]
        for name in ("thread", "work")
        if isinstance(known.get(f"{name}_id"), str)
    }
    title = {"subject": subject} if isinstance(subject, str) else {}
    given = {"to": to["actor"]["agent_id"], "thread": to.id, **kept, **title, **fields}
    one = message(given, attach)
    return one | {"body": {**one["body"], "re": to.id}}


def requeued(dead: Event, queues: list[str], claim: str) -> list[Json]:
    """A dead message sent anew, once, and the end of the old one."""
    body = {name: value for name, value in dead["body"].items() if name != "re"}
    fresh = {"refs": dead.get("refs", {}), "body": body, **caused_by(dead, dead["actor"])}
    return [
        {"type": "msg.sent", "to": queues, "idempotency_key": f"requeue:{dead.id}", **fresh},
        ack(dead.id, claim, result="fail", note="requeued"),
    ]


def forward(event: Json, shared: Json) -> Json:
    """The message that carries a whole event to `shared["to"]`, or to whom it was for.

    Its key comes from the event's id and the recipients, so replaying a pipe sends nothing twice; its cause
    is the event, a hop further, so a loop of pipes ends.
    """
    if not isinstance(event.get("type"), str):
        raise BadData(
            "has an event_id and no type", todo="send a whole event, or a message without event_id"
        )
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


def ack(msg_id: str, claim: str | None = None, kind: str = "done", **more: str) -> Json:
    """The `msg.acked` that takes a message out of its writer's inbox, or with `claim` out of its queue.

    Without a key: acking is idempotent by nature, and a key another could use first would keep the mail waiting.
    """
    cited = {"claim": claim} if claim else {}
    return {
        "type": "msg.acked",
        "refs": {"msg_id": msg_id},
        "body": {"kind": kind, **cited, **more},
    }


def claimed(msg_id: str, n: int, vis_ms: int) -> Json:
    """The `msg.claimed` that hides a message from the other consumers of its queue."""
    return {"type": "msg.claimed", "refs": {"msg_id": msg_id}, "body": {"n": n, "vis_ms": vis_ms}}


def firm(claim: Json, before: list[str]) -> Json:
    """The claim as one that the arbiter is to confirm, also over those before, which its writer has seen lapse."""
    body = {**claim["body"], "require": "confirmed", **({"steal": True} if before else {})}
    return claim | {"base": before, "body": body}


def released(claim: Event) -> Json:
    """The `msg.released` that ends a delivery which reached no consumer: it does not count."""
    body = {"claim": claim.id, "reason": "released"}
    return {"type": "msg.released", "refs": claim["refs"], "base": [claim.id], "body": body}


def nacked(msg_id: str, claim: str, delay_ms: int, reason: str) -> Json:
    """The `msg.nacked` that gives a message back to its queue."""
    body = {"claim": claim, "delay_ms": delay_ms, "reason": _text("reason", reason, REASON_BYTES)}
    return {"type": "msg.nacked", "refs": {"msg_id": msg_id}, "body": body}


def recipients(to: object) -> list[str]:
    """Addresses in full, each once. Raises BadData."""
    if to is None:
        raise BadData("to is missing", todo="--to NAME, human:NAME, queue:NAME, …")
    given = [to] if isinstance(to, str) else to
    if not isinstance(given, list) or not given or not all(isinstance(one, str) for one in given):
        raise BadData(
            "to is no address or list of addresses", todo="agent:NAME, human:NAME, queue:NAME, …"
        )
    try:
        return list(dict.fromkeys(map(recipient, given)))
    except ValueError as reason:
        raise BadData(f"to: {reason}") from None


def cut(text: str, most: int) -> str:
    """At most so many bytes of UTF-8, cut between characters."""
    return text.encode()[:most].decode("utf-8", "ignore")


_BODY = (("subject", SUBJECT_BYTES), ("text", TEXT_BYTES))


def _text(name: str, value: object, most: int) -> str:
    if not isinstance(value, str):
        raise BadData(f"{name} is not a string")
    if len(value.encode("utf-8", "surrogatepass")) > most:
        todo = (
            ROOM
            if name == "text"
            else "the text may be longer"
            if name == "subject"
            else "make it shorter"
        )
        raise BadData(f"{name} is longer than {most:,} bytes", todo=todo)
    return value


def _limit(name: str, value: object) -> object:
    if name == "ack" and value not in ("none", "required"):
        raise BadData("ack is neither none nor required")
    if name in ("vis_ms", "max_deliveries") and (
        type(value) is not int or value < (name == "max_deliveries")
    ):
        raise BadData(f"{name} is no whole number from {int(name == 'max_deliveries')}")
    if name == "expires_at":
        try:
            return world.format_ts(
                world.parse_ts(str(value))
            )  # as it is compared: UTC, milliseconds
        except (ValueError, OverflowError):
            raise BadData(
                f"expires_at: {str(value)[:80]!r} is no time", todo="2026-01-17T12:00:00Z"
            ) from None
    return value


def _object(value: object) -> Json:
    if not isinstance(value, dict):
        raise BadData("refs, body or actor is not an object")
    return value


def _digest(addresses: list[str]) -> str:
    import hashlib

    return hashlib.sha256(" ".join(addresses).encode()).hexdigest()[:16]
