"""One question to the shared remote's arbiter, for a command that waits for the answer."""

from __future__ import annotations

from coord_envelope.errors import Fault, No
from coord_kernel.rules import claims
from coord_kernel.sync.exchange import sync
from coord_kernel.views.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope.event import Event
    from coord_kernel.journal.journal import Journal

BUDGET_S = 10.0
"""As long as a claim may wait for the remote."""


class Verdict:
    """What the arbiter says of a claim.

    `level` is `confirmed` (`token` is its fencing token), `tentative` (`why` says why the arbiter
    could not be asked) or `lost` (`why` says who holds it).
    """

    __slots__ = ("level", "token", "why")

    def __init__(self, level: str, token: int | None = None, why: Fault | None = None) -> None:
        self.level, self.token, self.why = level, token, why


def ask(
    journal: Journal, asked: Sequence[Event], seconds: float = BUDGET_S
) -> tuple[list[Verdict], list[str]]:
    """Have these claims confirmed or conceded, in one sync: a verdict each, and warnings for stderr.

    Prints nothing, and raises no Fault of the remote: that is a verdict.
    """
    why, warnings = None, list[str]()
    try:
        warnings = sync(journal, seconds=seconds).warnings
    except Fault as fault:
        why = fault
    view = View(journal.store, claims).refresh()
    return [_verdict(view, claim, why) for claim in asked], warnings


def _verdict(view: View, claim: Event, why: Fault | None) -> Verdict:
    (entity,) = claims.entities(claim)
    state = view.get(entity) or claims.nothing()
    if claims.over(state, claim.id):
        holder = claims.owner(state)
        return Verdict(
            "lost", why=No(f"held by {holder['agent']}" if holder else "held by nobody any more")
        )
    if claim.id in state["confirmed"]:
        return Verdict("confirmed", state["confirmed"][claim.id]["n"])
    return Verdict("tentative", why=why)
