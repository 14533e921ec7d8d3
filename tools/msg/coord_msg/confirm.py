"""Deliveries that the shared remote's arbiter confirms: of the clones that ask, one at a time has the message."""

from __future__ import annotations

from coord_envelope import Fault, Unreachable, claims, tool
from coord_envelope.sync.exchange import sync
from coord_envelope.view import View
from coord_msg import draft

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event
    from coord_envelope.tool import Call

BUDGET_S = 10.0
"""As long as a delivery may wait for the remote."""


def confirmed(call: Call, deliveries: list[Event]) -> dict[str, int]:
    """The tokens of the deliveries that the arbiter confirmed, by claim; the others are ended when this returns.

    Raises Unreachable if it could not be asked, and none was confirmed: all were given back, and count for nothing.
    """
    reason = _asked(call)
    view = View(call.journal.store, claims).refresh()
    tokens: dict[str, int] = {}
    open_: list[Event] = []
    for one in deliveries:
        state = view.get(f"msg {one['refs']['msg_id']}") or claims.nothing()
        said = state["confirmed"].get(one.id)
        if not claims.over(state, one.id):
            tokens |= {one.id: said["n"]} if said else {}
            open_ += [] if said else [one]
    if open_:
        call.journal.append(call.actor(), [draft.released(one) for one in open_])
    if reason and not tokens:
        raise Unreachable(f"is not confirmed: {reason}; it was given back", where=deliveries[0]["refs"]["msg_id"])
    return tokens


def _asked(call: Call) -> Fault | None:
    """Ask the arbiter; why that was not possible."""
    try:
        done = sync(call.journal, seconds=BUDGET_S)
    except Fault as fault:
        return fault
    for line in done.odd:
        tool.warn(line)
    return None
