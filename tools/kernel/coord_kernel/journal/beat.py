"""Beats: `agent.seen` events, which say that a session lives and what it does.

They are live events: never synced, and pruned after a week. A session that has not changed its
status writes at most one a minute, however often it is asked to; so a hook may ask at every step.
"""

from __future__ import annotations

from coord_envelope import codec, world
from coord_envelope.errors import Fault
from coord_envelope.event import MAX_SEQ, file_form
from coord_envelope.platform import suppress
from coord_kernel.journal import live
from coord_kernel.streams import stream
from coord_kernel.streams.stream import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_kernel.journal.journal import Journal
    from coord_kernel.store.directory import Store

EVERY_MS = 60_000
_KEPT_MS = 60 * 60 * 1000
_LARGEST = 1 << 16


def beat(journal: Journal, actor: Json, status: str, **fields: str | None) -> Event | None:
    """Write that the actor's session is `idle`, `busy` or `waiting`; `fields` without None.

    None if it wrote the same status less than a minute ago.
    """
    store, session = journal.store, str(actor.get("session_id", ""))
    place = ("local", "seen", file_form(actor["agent_id"]))
    known, now = _known(store, place), world.now_ms()
    at, before = known.get(session, (0, ""))
    if before == status and 0 <= now - at < EVERY_MS:
        return None
    body = {"status": status, **{name: text for name, text in fields.items() if text}}
    with journal.transaction(actor, live=True) as t:
        event = t.add({"type": "agent.seen", "body": body})
    live.prune(store, event["writer"], lambda: _first_needed(store, event["writer"]))
    recent = {name: last for name, last in known.items() if 0 <= now - last[0] < _KEPT_MS}
    store.save(codec.dumps(recent | {session: [now, status]}), *place)
    return event


def _known(store: Store, place: tuple[str, ...]) -> dict[str, tuple[int, str]]:
    """The last beats of an agent: session → (Unix ms, status). Only a saving, so it may be lost."""
    with suppress(ValueError, TypeError, Fault):
        saved = codec.loads(store.load(*place, most=_LARGEST) or b"{}")
        return {name: (int(at), str(status)) for name, (at, status) in saved.items()}
    return {}


def _first_needed(store: Store, writer: str) -> int:
    """The seq of the first event other than a beat: a lease may be held by it."""
    events = stream.events(Stream(store, "live", writer))
    return next((event["seq"] for event in events if event["type"] != "agent.seen"), MAX_SEQ)
