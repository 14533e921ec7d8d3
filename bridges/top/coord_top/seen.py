"""One store as it was looked at, and what rows are made of. Pure.

Texts of others become one line without control characters here; what is drawn is never parsed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from coord_envelope import ids, world
from coord_kernel.cli.words import age_ms, line
from coord_top.table import Cell, Column, Ref, Row

if TYPE_CHECKING:
    from coord_shop.model import Agent, Shop

LONGEST = 400
"""Most characters of a cell."""


class Seen(NamedTuple):
    """One store, as it was looked at."""

    number: int
    label: str
    """Its name, if several are shown; else empty."""
    shop: Shop
    me: str
    """The agent that acts here."""
    now_ms: int
    """The moment, in Unix milliseconds."""

    @property
    def agents(self) -> list[Agent]:
        """All agents, without you if you hold nothing."""
        return [
            agent
            for agent in self.shop.agents
            if agent["agent_id"] != self.me or agent["items"] or agent["leases"]
        ]

    def age(self, ts: object) -> str:
        """How long ago a stamp was."""
        try:
            return age_ms(max(0, self.now_ms - world.parse_ts(str(ts))))
        except (ValueError, OverflowError):
            return ""

    def since(self, event_id: object) -> str:
        """How long ago an id was made."""
        if not ids.valid(event_id):
            return ""
        return age_ms(max(0, self.now_ms - (ids.stamp_of(str(event_id)) >> 16)))

    def ref(self, kind: str, id_: str, **about: Any) -> Ref:
        return Ref(kind, id_, store=self.number, **about)


COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "needs": (
        Column(1),
        Column(12, drop=24),
        Column(share=3),
        Column(share=2, drop=96),
        Column(5, right=True),
    ),
    "agents": (
        Column(1),
        Column(12, drop=24),
        Column(18),
        Column(13),
        Column(5, right=True, drop=16),
        Column(share=1),
        Column(8, drop=24),
    ),
    "work": (
        Column(12, drop=24),
        Column(2, drop=16),
        Column(11),
        Column(share=1),
        Column(18, drop=20),
        Column(5, right=True),
    ),
    "leases": (
        Column(12, drop=24),
        Column(share=3),
        Column(18),
        Column(10, right=True),
        Column(share=2, drop=56),
    ),
    "jobs": (
        Column(12, drop=24),
        Column(1),
        Column(12, drop=24),
        Column(share=1),
        Column(14, drop=20),
        Column(10),
        Column(5, right=True),
    ),
    "mail": (
        Column(12, drop=24),
        Column(1),
        Column(18),
        Column(share=1),
        Column(5, right=True),
    ),
    "events": (Column(8), Column(12, drop=24), Column(share=1)),
    "board": (Column(share=1),),
}
"""Of each panel; one is the store, which is empty if there is one store only."""


def cell(text: object, style: str = "") -> Cell:
    """A text of others as a cell."""
    return Cell(line(text, LONGEST), style)


def heading(text: str) -> Row:
    return Row((Cell(text, "heading"),))


def message_ref(seen: Seen, message: Mapping[str, Any]) -> Ref:
    return seen.ref("message", message["msg_id"], name=message["id"], who=message["from"])


def short(full: str) -> str:
    """The end of a full id, as short ids have it."""
    return full[-8:].lower()
