"""From the user's input to the draft of a message, an ack, a claim. Pure."""

from __future__ import annotations

from coord_envelope import SELF, BadData, codec, world
from coord_envelope.codec import Json
from coord_envelope.event import caused_by, recipient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event

ENVELOPE = ("idempotency_key", "cause", "hops", "on_behalf_of")
LIMITS = ("ack", "severity", "fingerprint", "expires_at", "vis_ms", "max_deliveries")
FIELDS = ("to", "subject", "text", "thread", "work", "refs", *LIMITS, *ENVELOPE)
"""The fields of a line on stdin."""
TEXT_BYTES, SUBJECT_BYTES, REASON_BYTES, FINGERPRINT_BYTES = 64 << 20, 200, 500, 200
INLINE_BYTES = 32 << 10
"""A longer text is kept in a blob."""
SHORTEN = {"subject": "put the rest into the text"}
"""What to do about a field that is too long."""


def message(fields: Json) -> Json:
    """The `msg.sent` of `{"to", "subject", "text", "thread", "work", …}`. Raises BadData."""
    for name in fields:
        if name not in FIELDS:
            raise BadData(f"unknown field {name!r}", todo=f"valid fields: {', '.join(FIELDS)}")
    given = {name: value for name, value in fields.items() if value is not None}
    body: Json = {
        name: _text(name, given[name], most)
        for name, most in (("subject", SUBJECT_BYTES), ("text", TEXT_BYTES))
        if name in given
    }
    body |= {name: _limit(name, given[name]) for name in LIMITS if name in given}
    if "severity" in body or "fingerprint" in body:
        from coord_msg import alert  # of few messages

        body |= alert.named(body, given.get("work"))
    refs = {"thread_id": SELF, **_object("refs", fields.get("refs", {}))}
    refs |= {f"{name}_id": given[name] for name in ("thread", "work") if name in given}
    counts = "severity" in body and "to" not in given
    return {
        "type": "alert.raised" if counts else "msg.sent",
        **({} if counts else {"to": recipients(given.get("to"))}),
        "refs": refs,
        "body": body,
        **{name: given[name] for name in ENVELOPE if name in given},
    }


def reply(to: Event, fields: Json) -> Json:
    """The answer to a message: to its sender, in its thread, about its work item."""
    answer = {"to": to["actor"]["agent_id"], "thread": to.id}
    refs, subject = to.get("refs"), to["body"].get("subject")
    for name in ("thread", "work"):
        if isinstance(refs, dict) and isinstance(refs.get(f"{name}_id"), str):
            answer[name] = refs[f"{name}_id"]
    if isinstance(subject, str):
        answer["subject"] = subject
    draft = message(answer | fields)
    return draft | {"body": {**draft["body"], "re": to.id}}


def requeued(dead: Event, queues: list[str]) -> Json:
    """A dead message sent again: once, by its key."""
    once = ("re", "fingerprint")  # it went wrong once
    body = {name: value for name, value in dead["body"].items() if name not in once}
    return {
        "type": "msg.sent",
        "to": queues,
        "idempotency_key": f"requeue:{dead.id}",
        "refs": dead.get("refs", {}),
        "body": body,
        **caused_by(dead, dead["actor"]),
    }


def forward(event: Json, shared: Json, whole: Json | None = None) -> Json:
    """The message that carries a whole event to `shared["to"]`, or to the event's own recipients.

    `whole` is the event's body, if that is in a blob. The key comes from the event's id and the
    recipients, so replaying a pipe sends nothing twice; the cause is the event, one hop further, so
    a loop of pipes ends.
    """
    if not isinstance(event.get("type"), str):
        raise BadData(
            "event_id without type", todo="send a whole event, or a message without event_id"
        )
    addresses = sorted(recipients(shared.get("to") or event.get("to")))
    body, refs, actor = (_object(name, event.get(name, {})) for name in ("body", "refs", "actor"))
    body = body if whole is None else whole
    fields = {
        **shared,
        **caused_by(event, actor),
        "to": addresses,
        "subject": cut(str(body.get("subject") or event.get("type")), SUBJECT_BYTES),
        "text": body["text"] if isinstance(body.get("text"), str) else codec.dumps(body).decode(),
        "refs": {name: value for name, value in refs.items() if name != "msg_id"},
        "idempotency_key": f"forward:{event['event_id']}:{_digest(addresses)}",
    }
    return message(fields)


def ack(msg_id: str, claim: str | None = None, kind: str = "done", **more: str) -> Json:
    """The `msg.acked` that takes a message out of its writer's mailbox, or with `claim` its queue.

    It has no key: acking is idempotent by nature, and another agent that used the key first would
    keep the mail waiting.
    """
    cited = {"claim": claim} if claim else {}
    body = {"kind": kind, **cited, **more}
    return {"type": "msg.acked", "refs": {"msg_id": msg_id}, "body": body}


def claimed(msg_id: str, n: int, vis_ms: int) -> Json:
    """The `msg.claimed` that hides a message from the other consumers of its queue."""
    return {"type": "msg.claimed", "refs": {"msg_id": msg_id}, "body": {"n": n, "vis_ms": vis_ms}}


def to_confirm(claim: Json, before: list[str]) -> Json:
    """The claim as the arbiter is to confirm it, over those before, which this store saw lapse."""
    body = {**claim["body"], "require": "confirmed", **({"steal": True} if before else {})}
    return claim | {"base": before, "body": body}


def released(claim: Event) -> Json:
    """The `msg.released` that ends a claim which reached no consumer: it is not a delivery."""
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
    addresses = [to] if isinstance(to, str) else to
    if (
        not isinstance(addresses, list)
        or not addresses
        or not all(isinstance(address, str) for address in addresses)
    ):
        raise BadData(
            "to is not an address or a list of addresses",
            todo="agent:NAME, human:NAME, queue:NAME, …",
        )
    try:
        return list(dict.fromkeys(map(recipient, addresses)))
    except ValueError as reason:
        raise BadData(f"to: {reason}") from None


def cut(text: str, most: int) -> str:
    """At most so many bytes of UTF-8, cut between characters."""
    return text.encode()[:most].decode("utf-8", "ignore")


def _text(name: str, value: object, most: int) -> str:
    if not isinstance(value, str):
        raise BadData(f"{name} is not a string")
    if len(value.encode("utf-8", "surrogatepass")) > most:
        raise BadData(f"{name} exceeds {most:,} bytes", todo=SHORTEN.get(name, "make it shorter"))
    return value


def _limit(name: str, value: object) -> object:
    least = int(name == "max_deliveries")
    if name == "ack" and value not in ("none", "required"):
        raise BadData("ack is neither none nor required")
    if name == "severity":
        from coord_msg.fold import SEVERITIES  # who sends without one needs no fold

        if value not in SEVERITIES:
            what, valid = f"not a valid severity: {str(value)[:80]!r}", ", ".join(SEVERITIES)
            raise BadData(what, todo=f"use one of {valid}")
    if name == "fingerprint":
        text = _text(name, value, FINGERPRINT_BYTES)
        if not text.strip():
            raise BadData("fingerprint is empty", todo="is a variable unset?")
        if not text.isprintable():
            raise BadData("fingerprint has a control character", todo="use text of one line")
    if name in ("vis_ms", "max_deliveries") and (type(value) is not int or value < least):
        raise BadData(f"{name} is not a whole number of at least {least}")
    if name == "expires_at" and not isinstance(value, world.Relative):
        try:
            # As it is compared: UTC, milliseconds.
            return world.format_ts(world.parse_ts(str(value)))
        except (ValueError, OverflowError):
            what = f"expires_at: not a valid time: {str(value)[:80]!r}"
            raise BadData(what, todo="2026-01-17T12:00:00Z") from None
    return value


def _object(name: str, value: object) -> Json:
    if not isinstance(value, dict):
        raise BadData(f"{name} is not an object")
    return value


def _digest(addresses: list[str]) -> str:
    import hashlib

    return hashlib.sha256(" ".join(addresses).encode()).hexdigest()[:16]
