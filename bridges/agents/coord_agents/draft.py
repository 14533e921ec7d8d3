"""The events that are written about sessions and items. Pure."""

from __future__ import annotations

from coord_envelope import ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope.codec import Json

SKIPPED = "mountain.skipped"
"""The label of an item that is passed over after its failures, and the type that says so."""


def started(agent: str, session: str, about: Json, work: str | None, key: str | None) -> Json:
    """A session is asked for. `about` has its pin, directory and preset."""
    refs = {"refs": {"work_id": work}} if work else {}
    keyed = {"idempotency_key": key} if key else {}
    body = {"agent": agent, "session": session, **about}
    return {"type": "session.started", **refs, "body": body, **keyed}


def ended(agent: str, session: str, how: str, why: str, **more: object) -> Json:
    """A session is over. `by` names the person who stopped it, `start` the start that it ends."""
    present = {name: value for name, value in more.items() if value is not None}
    body = {"agent": agent, "session": session, "how": how, "why": why[:500], **present}
    return {"type": "session.ended", "body": body}


def skipped(work: str, title: str, causes: Sequence[str], overseer: str, key: str) -> Json:
    """An item is passed over; a person is asked what is to become of it."""
    short = ids.short("wk", work)
    text = f"""\
{short}, {title!r}: {len(causes)} sessions ended without closing it. It is on hold, and so is what
waits for it. Their records: coord-agent ls --all

One of:
  retry           coord-dispatch clear {short}
  drop            wk close {short} --resolution cancelled --note WHY
  accept partial  wk close {short} --note WHAT; what is left over: wk new TITLE"""
    body = {
        "work": work,
        "failures": len(causes),
        "causes": list(causes),
        "subject": f"{short} failed {len(causes)} times and is on hold",
        "text": text,
    }
    return {
        "type": SKIPPED,
        "to": [overseer],
        "refs": {"work_id": work},
        "body": body,
        "idempotency_key": key,
    }
