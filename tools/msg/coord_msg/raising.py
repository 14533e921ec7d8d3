"""Writing messages that raise alerts."""

from __future__ import annotations

from coord_envelope import world
from coord_kernel.rules import escalation
from coord_kernel.views.view import View
from coord_msg.alert import counted, raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.journal.transaction import Transaction
    from coord_kernel.rules.escalation import Alert


class Raising:
    """The alerts of a store, while messages raise them."""

    def __init__(self, call: Call) -> None:
        self._call, self._view = call, View(call.journal.store, escalation)
        self._view.refresh()  # a long way to go is gone before the lock is taken
        self._transaction: Transaction | None = None
        self._states: dict[str, Alert | None] = {}

    def add(self, t: Transaction, draft: Json) -> Event:
        """Add a message with a fingerprint; see `alert`. Its key is one of both types."""
        if t is not self._transaction:
            self._transaction, self._states = t, {}
            self._view.refresh()
        fingerprint, index = draft["body"]["fingerprint"], self._call.journal.index.refresh()
        if key := draft.get("idempotency_key"):
            if place := index.by_key("alert.raised", key):
                return t.add(raised(draft, place.event["refs"].get("thread_id", "")))
            if index.by_key("msg.sent", key):
                return t.add(draft)
        if fingerprint not in self._states:
            self._states[fingerprint] = self._view.get(fingerprint)
        state = self._states[fingerprint]
        event = t.add(counted(draft, escalation.current(state, world.now_ms())))
        if "$dup" not in event:
            self._states[fingerprint] = escalation.step(state, event)
        return event
