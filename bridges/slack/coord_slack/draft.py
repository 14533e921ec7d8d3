"""The events that the bridge writes. Pure."""

from __future__ import annotations

from coord_slack.text import REPLY, cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json


def _event(verb: str, key: str, body: Json) -> Json:
    return {"type": f"slack.{verb}", "body": body, "idempotency_key": key}


def joined(channel: str, ts: str) -> Json:
    """A channel is read from this time on."""
    return _event("joined", channel, {"channel": channel, "ts": ts})


def message(body: Json) -> Json:
    """Somebody wrote."""
    key = f"{body['channel']}:{body['ts']}"
    return _event("received", f"message:{key}", {"kind": "message", **body})


def answer(body: Json) -> Json:
    """Somebody pressed a button: each press is one, however often it comes."""
    key = f"{body['channel']}:{body['ts']}:{body['who']}:{body['pressed']}"
    return _event("received", f"answer:{key}", {"kind": "answer", **body})


def handled(received: str, reply: str) -> Json:
    """What came was done."""
    body = {"received": received} | ({"reply": cut(reply, REPLY)} if reply else {})
    return _event("handled", received, body)


def linked(place: tuple[str, str], conv: str, what: str) -> Json:
    """A thread of Slack is this conversation, or this item."""
    channel, root = place
    body = {"channel": channel, "root": root, "conv": conv, "what": what}
    return _event("linked", f"{channel}:{root}:{conv}", body)


def failed(what: str, key: str, error: str, body: Json) -> Json:
    """Slack refuses it for good: it is not tried again."""
    return _event("failed", key, {"what": what, "error": error} | body)


def posted(what: str, key: str, place: tuple[str, str, str], body: Json) -> Json:
    """It is in Slack: `place` is channel, root and ts."""
    channel, root, ts = place
    return _event("posted", key, {"what": what, "channel": channel, "root": root, "ts": ts} | body)
