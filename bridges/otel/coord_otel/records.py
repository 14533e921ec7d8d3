"""Events as log records. Pure. A record says what happened, by whom, about what; no long text."""

from __future__ import annotations

from coord_kernel.rules import escalation, tracing
from coord_otel import spans

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_otel.spans import Find

LONGEST = 200
"""Characters of a value. What is longer is left out: it is in the journal."""
PRIVATE = ("text", "desc", "env", "argv", "stdin", "note", "stdout", "stderr")
"""Fields that are not exported: what people and agents write to each other, and what they run."""
INFO, WARN, ERROR, FATAL = 9, 13, 17, 21
"""Severity numbers of OpenTelemetry."""
_SEVERITIES = {"medium": WARN, "high": ERROR, "critical": FATAL}
NAMES = {INFO: "INFO", WARN: "WARN", ERROR: "ERROR", FATAL: "FATAL"}


def record(event: Event, find: Find) -> Json:
    """A log record: ms, severity, body, attributes, trace, span."""
    trace, span = spans.context(event, find)
    claim = event["body"].get("claim")
    if event["type"] == "run.claimed" or event["type"] == "work.claimed":
        span = tracing.span_of(event.id)
    elif event["type"][:4] == "run." and isinstance(claim, str):
        span = tracing.span_of(claim)
    subject = _short(event["body"].get("subject")) or _short(event["body"].get("title"))
    return {
        "ms": spans.ms(event["ts"]),
        "severity": _severity(event),
        "body": f"{event['type']}: {subject}" if subject else event["type"],
        "name": event["type"],
        "attributes": _attributes(event),
        "trace": trace,
        "span": span,
    }


def _severity(event: Event) -> int:
    body = event["body"]
    said = [body.get(name) for name in ("severity", "level", "sev")]
    worst = max((text for text in said if isinstance(text, str)), key=escalation.rank, default="")
    if event["type"] == "run.completed" and body.get("outcome") != "cancelled":
        bad = body.get("outcome") != "exit" or body.get("code") not in (0, None)
        return ERROR if bad else INFO
    return _SEVERITIES.get(worst, INFO)


def _attributes(event: Event) -> Json:
    actor, refs = event["actor"], event.get("refs")
    fields: Json = {
        "coord.event_id": event.id,
        "coord.writer": event["writer"],
        "coord.seq": event["seq"],
        "coord.agent": actor["agent_id"],
        "coord.session": actor.get("session_id"),
        "coord.cause": event.get("cause"),
    }
    for name, value in refs.items() if isinstance(refs, dict) else ():
        fields[f"coord.{name}"] = value
    for name, value in event["body"].items():
        if name not in PRIVATE:
            fields[f"coord.body.{name}"] = value
    return {name: value for name, value in fields.items() if _plain(value)}


def _plain(value: object) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= LONGEST
    return isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 1 << 63)


def _short(value: object) -> str:
    return value[:LONGEST] if isinstance(value, str) else ""
