"""All that coord-patrol looks after, as one controller: sessions, their mail, and people."""

from __future__ import annotations

from coord_kernel.controller import Act, Plan
from coord_patrol.patrol import Patrol
from coord_patrol.people import People
from coord_patrol.post import Post

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call

    Part = Patrol | People | Post


class Round:
    """Each plans for itself; who planned an act does it."""

    def __init__(self, call: Call, agent: str) -> None:
        self.patrol = Patrol(call, agent)
        others = (kind(call.journal, agent, call.put) for kind in (People, Post))
        self._parts: tuple[Part, ...] = (self.patrol, *others)
        self._by: dict[str, Part] = {}

    def wakes(self, event: Event) -> bool:
        """Can the event change the plan of one?"""
        return any(part.wakes(event) for part in self._parts)

    def plan(self) -> Plan:
        acts, wakes = list[Act](), list[int]()
        for part in self._parts:
            planned = part.plan()
            acts += planned.acts
            wakes += [] if planned.wake is None else [planned.wake]
            self._by |= dict.fromkeys((act.key for act in planned.acts), part)
        return Plan(acts, min(wakes, default=None))

    def act(self, act: Act) -> None:
        self._by[act.key].act(act)

    def drafts(self) -> Iterator[Json]:
        """The events that it would write now."""
        return (self._by[act.key].draft(act) for act in self.plan().acts)
