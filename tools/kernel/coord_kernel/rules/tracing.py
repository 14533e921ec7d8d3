"""Which trace an event belongs to, in the ids of W3C Trace Context. Pure; nothing is stored for it.

1. An event whose writer ran inside of a span, as `$TRACEPARENT` said, is of that trace.
2. Else it is of the trace of its item, else of its thread, else of its cause, else of its own.
3. A trace has the id of what it is about: a ULID has as many bits. A span has the last 64 bits of
   the id of the event that began it, which are random. Of a foreign id both are a digest.
"""

from __future__ import annotations

from coord_envelope import ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json

FIELD = "traceparent"
"""Of an event's actor."""
_HEX = "0123456789abcdef"


def parsed(text: object) -> tuple[str, str] | None:
    """The trace and the span of a traceparent; None if it is not a valid one."""
    parts = text.split("-") if isinstance(text, str) and len(text) <= 256 else []
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2]:
        return None
    version, trace, span, flags = parts[:4]
    if (version + trace + span + flags).strip(_HEX) or version == "ff":
        return None
    if (version == "00" and len(parts) > 4) or not trace.strip("0") or not span.strip("0"):
        return None
    return trace, span


def context(event: Json) -> tuple[str, str | None]:
    """The trace of an event, and the span in which its writer ran, if that is known."""
    found = parsed(event["actor"].get(FIELD))
    if found:
        return found
    refs = event.get("refs")
    refs = refs if isinstance(refs, dict) else {}
    about = (refs.get("work_id"), refs.get("thread_id"), event.get("cause"), event["event_id"])
    return trace_of(next(text for text in about if text and isinstance(text, str))), None


def trace_of(entity: str) -> str:
    """The trace of an item, a thread, a job or an event."""
    return f"{_number(entity):032x}"


def span_of(event_id: str) -> str:
    """The span that an event begins."""
    return f"{_number(event_id) & (1 << 64) - 1 or 1:016x}"


def traceparent(trace: str, event_id: str) -> str:
    """The variable for a program that runs inside of the span that an event begins."""
    return f"00-{trace}-{span_of(event_id)}-01"


def _number(entity: str) -> int:
    if ids.valid(entity):
        number = 0
        for character in entity:
            number = number << 5 | ids.CROCKFORD.index(character)
        return number or 1
    import hashlib  # 2 ms, only for a foreign id

    digest = hashlib.blake2b(entity.encode("utf-8", "replace"), digest_size=16).digest()
    return int.from_bytes(digest, "big") or 1
