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


OPTIONS = ("retry", "drop", "accept partial")
"""What a person may answer about an item that was passed over."""


def question(work: str, title: str, causes: Sequence[str]) -> str:
    """What a person is asked about an item that failed."""
    return f"""\
{ids.short("wk", work)} failed {len(causes)} times and is on hold: what is to become of it?

Its title: {title}
Sessions that ended without closing it: {", ".join(causes)}
What they did: coord-agent show SESSION; run logs RUN
What depends on it waits until this is answered.

retry: its failures are forgotten, and it is tried again
drop: it is closed as cancelled
accept partial: it is closed as done, as it is; make a new item of what is left"""


def skipped(work: str, causes: Sequence[str], asked: str, key: str) -> Json:
    """An item is passed over until the question is answered."""
    return {
        "type": SKIPPED,
        "refs": {"work_id": work},
        "body": {
            "work": work,
            "failures": len(causes),
            "causes": list(causes),
            "question": asked,
        },
        "idempotency_key": key,
    }


def cleared(work: str) -> Json:
    """The failures of an item up to here count no more."""
    return {"type": "mountain.cleared", "refs": {"work_id": work}, "body": {}}
