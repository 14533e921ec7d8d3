"""Asking the shared remote's arbiter which deliveries hold. Apart, because few ask, and it loads much."""

from __future__ import annotations

from coord_envelope import Fault, tool
from coord_envelope.sync.exchange import sync

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.tool import Call

BUDGET_S = 10.0
"""As long as a delivery may wait for the remote."""


def ask(call: Call) -> Fault | None:
    """Have the claims of this store confirmed or conceded; why that was not possible."""
    try:
        done = sync(call.journal, seconds=BUDGET_S)
    except Fault as fault:
        return fault
    for line in done.odd:
        tool.warn(line)
    return None
