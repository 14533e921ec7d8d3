"""A cursor: how far each stream was read, `{stream: seq}`.

Events of a writer that was cut off arrive late and with smaller ids, so "since this id" would lose
them; a version vector does not. It is plain JSON and means the same on every backend.
"""

from __future__ import annotations

from coord_envelope.event import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Vector = dict[str, int]
else:
    Vector = dict


class Cursor(Vector):
    """What was delivered: of each stream all events up to this seq."""

    def has(self, event: Event) -> bool:
        """Was this event delivered already?"""
        return bool(event["seq"] <= self.get(event.stream, 0))

    def without(self, pending: Iterable[Event]) -> Cursor:
        """The greatest cursor without these events, for saving while they are not acknowledged."""
        lower = Cursor(self)
        for event in pending:
            lower[event.stream] = min(lower.get(event.stream, 0), event["seq"] - 1)
        return lower
