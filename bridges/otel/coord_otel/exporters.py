"""Several exporters as one controller: one whose collector is down holds up no other."""

from __future__ import annotations

from coord_envelope import world
from coord_kernel.controller import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event
    from coord_kernel.controller import Act
    from coord_otel.exporter import Exporter

BURST, PAUSE_MS = 10, 10
"""Batches of a turn, and the pause between two."""


class Exporters:
    """Each has a state of its own, and goes on by itself."""

    def __init__(self, exporters: list[Exporter], bounded: bool) -> None:
        """`bounded`: does a turn end after BURST batches? The watchdog is seen to between turns."""
        self._exporters, self._bounded, self._burst = exporters, bounded, 0

    def wakes(self, event: Event) -> bool:
        """Beats are not exported."""
        return not event["writer"].endswith("+live")

    def plan(self) -> Plan:
        if self._bounded and self._burst == BURST:
            self._burst = 0
            return Plan([], world.now_ms() + PAUSE_MS)
        plans = [exporter.plan() for exporter in self._exporters]
        wakes = [plan.wake for plan in plans if plan.wake is not None]
        return Plan([act for plan in plans for act in plan.acts], min(wakes, default=None))

    def act(self, act: Act) -> None:
        """Send a batch. Raises Fault."""
        exporter: Exporter = act.about["exporter"]
        exporter.export()
        self._burst += 1
