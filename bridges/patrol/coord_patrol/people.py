"""What waits for people, as a controller: alerts that climb, and questions whose time is over."""

from __future__ import annotations

from coord_envelope import world
from coord_envelope.platform import suppress
from coord_kernel.controller import Act, Plan
from coord_kernel.rules import control, escalation
from coord_kernel.views.presence import Stops
from coord_kernel.views.view import View
from coord_patrol import escalate, routes
from coord_patrol.act import ran
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Journal

_NAMESPACES = ("alert", "control", "work")
_CLAIMED_MS = 60_000
"""How long who answered a question has to close it."""
_CHECKED = (0, 1, 75, 77)
"""What `wk check` exits with when it could look."""


class People:
    """It acts as one agent, whoever started it."""

    def __init__(
        self, journal: Journal, agent: str, put: Callable[[Iterable[Event]], None]
    ) -> None:
        """`put` prints the events that were written."""
        store = journal.store
        self._journal, self._agent, self._put = journal, agent, put
        self._policy = routes.load(store)
        self._alerts, self._work = View(store, escalation), View(store, Items.fold)
        self._stops = Stops(store)

    def wakes(self, event: Event) -> bool:
        """Can the event change the plan?"""
        kind = event["type"]
        return kind.partition(".")[0] in _NAMESPACES or "fingerprint" in event["body"]

    def plan(self) -> Plan:
        now, state = world.now_ms(), self._stops.control()
        items, view = Items.current(self._work), self._alerts.refresh()
        alerts = view.states(entity for _, entity in view.find("open"))
        planned = escalate.plan(alerts, state, closed(items), now, self._policy)
        if control.stopped(state):
            return planned
        due, wakes = questions(items, now)
        wakes += [] if planned.wake is None else [planned.wake]
        return Plan([*planned.acts, *due], min(wakes, default=None))

    def act(self, act: Act) -> None:
        """Do it, unless it was done. Raises Fault."""
        if act.kind == "expire":
            ran(self._agent, _CHECKED, "wk", "check", act.about["item"])
            return
        said = escalate.draft(act)
        with self._journal.transaction({"agent_id": self._agent}) as t:
            # Two see two counts: the first event counts, whatever the second would say.
            if self._journal.index.refresh().by_key(said["type"], act.key) is None:
                t.add(said)
        self._put(t.events)

    def draft(self, act: Act) -> Json:
        """The event of an act."""
        if act.kind != "expire":
            return escalate.draft(act)
        refs = {"work_id": act.about["item"]}
        return {"type": "work.closed", "refs": refs, "body": {"answer": act.about["option"]}}

    def listed(self, everything: bool = False) -> Iterator[Json]:
        """A row for each alert that is open, or for all, the oldest first."""
        now, view = world.now_ms(), self._alerts.refresh()
        names = view.entities() if everything else (entity for _, entity in view.find("open"))
        for alert in view.states(names):
            if alert["episodes"]:
                yield escalate.row(alert, now, self._policy)


def closed(items: Items) -> Callable[[str], bool]:
    """Is a work item closed?"""
    return lambda item: items.state(item) is not None and not items.is_open(item)


def questions(items: Items, now: int) -> tuple[list[Act], list[int]]:
    """The questions that are due, and when others will be: their default counts, or their answer
    was confirmed and its writer has not closed them."""
    acts, wakes = list[Act](), list[int]()
    for item in items.urgent(["kind question"]):
        for option, at in _due(items, item):
            if at <= now:
                acts.append(Act("expire", f"answer:{item}", item=item, option=option))
            else:
                wakes.append(at)
    return acts, wakes


def _due(items: Items, item: str) -> Iterator[tuple[str, int]]:
    row = items.row(item)
    with suppress(ValueError, OverflowError):
        if "answer" in row:
            claimed = items.detail(item)["claim"]["ts"]
            yield row["answer"], world.parse_ts(claimed) + _CLAIMED_MS + 1
        elif "until" in row:
            yield row["on_timeout"], world.parse_ts(row["until"])
