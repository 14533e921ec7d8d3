"""A cursor: how far each stream was read, `{stream: seq}`.

Events of a partitioned writer arrive late with smaller ids, so "since this id" would lose them; a version
vector does not. It is plain JSON, and means the same on every backend.
"""

from __future__ import annotations

from coord_envelope import codec
from coord_envelope.errors import BadData, Usage
from coord_envelope.event import Event, name_ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope.store import Store

    Vector = dict[str, int]
else:
    Vector = dict


class Cursor(Vector):
    """What was delivered: of each stream, everything up to this seq."""

    def has(self, event: Event) -> bool:
        """Was this event delivered already?"""
        return bool(event["seq"] <= self.get(event.stream, 0))

    def without(self, pending: Iterable[Event]) -> Cursor:
        """The greatest cursor that has none of these events: what may be saved while they are not acked."""
        lower = Cursor(self)
        for event in pending:
            lower[event.stream] = min(lower.get(event.stream, 0), event["seq"] - 1)
        return lower


def load(store: Store, name: str) -> Cursor:
    """The named cursor; an empty one if it was never saved. Raises Usage on a bad name, BadData on a bad file."""
    if not name_ok(name):
        raise Usage(f"{name!r} is no cursor name", todo="use a-z 0-9 . _ -, up to 63")
    saved = store.load("local", "cursors", name + ".json")
    try:
        vector = codec.loads(saved) if saved else {}
        return Cursor({stream: int(seq) for stream, seq in vector.items()})
    except (ValueError, TypeError, AttributeError):
        raise BadData("is no cursor", where=f"local/cursors/{name}.json", todo="delete it to begin anew") from None


def save(store: Store, name: str, cursor: Cursor) -> None:
    """Save it durably: after a crash it is the old one or this one."""
    store.save(codec.dumps(cursor) + b"\n", "local", "cursors", name + ".json")
