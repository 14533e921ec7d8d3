"""Schedules as a controller: what it sees, plans and does."""

from __future__ import annotations

from coord_cron import draft, fold
from coord_cron import plan as planning
from coord_envelope import world
from coord_kernel.views.presence import Stops
from coord_kernel.views.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_cron.schedule import Schedule
    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.controller import Act, Plan

AGENT = "bridge:cron"


class Fired(View):
    """What each schedule fired last."""

    commutes = True


class Cron:
    """It acts as one agent, bridge:cron, whoever started it."""

    def __init__(self, call: Call, schedules: Sequence[Schedule]) -> None:
        self._call, self._journal, self._schedules = call, call.journal, schedules
        store = call.journal.store
        self._fired, self._stops = Fired(store, fold), Stops(store)

    def wakes(self, event: Event) -> bool:
        """Can the event change the plan?"""
        return event["type"].partition(".")[0] in ("cron", "control")

    def plan(self) -> Plan:
        view, stops = self._fired.refresh(), self._stops.control()
        index = self._journal.index.refresh()
        known = planning.Known(view.get, lambda key: index.by_key("cron.fired", key) is not None)
        return planning.plan(self._schedules, known, stops, world.now_ms())

    def act(self, act: Act) -> None:
        """Do it, unless it was done. Raises Fault."""
        event = drafted(act)
        with self._journal.transaction({"agent_id": AGENT}) as t:
            # Two see another number of missed times: the first event counts.
            index = self._journal.index.refresh()
            if index.by_key(event["type"], act.key) is None:
                t.add(event)
        self._call.put(t.events)

    def drafts(self) -> Iterator[Json]:
        """The events that it would write now."""
        return map(drafted, self.plan().acts)


def drafted(act: Act) -> Json:
    """The event of an act."""
    return draft.armed(**act.about) if act.kind == "arm" else draft.fired(**act.about)
