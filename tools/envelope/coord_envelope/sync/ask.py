"""Asking the shared remote's arbiter which claims hold, for a command that waits for the answer."""

from __future__ import annotations

from coord_envelope import tool
from coord_envelope.errors import Fault
from coord_envelope.sync.exchange import sync

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.journal import Journal

BUDGET_S = 10.0
"""As long as a claim may wait for the remote."""


def ask(journal: Journal) -> Fault | None:
    """Have the claims of this store confirmed or conceded; why that was not possible. What is odd goes to stderr."""
    try:
        done = sync(journal, seconds=BUDGET_S)
    except Fault as fault:
        return fault
    for line in done.odd:
        tool.warn(line)
    return None
