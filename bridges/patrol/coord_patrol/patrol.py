"""The patrol of a store as a controller: what it sees, plans and does."""

from __future__ import annotations

from coord_envelope import ids, world
from coord_kernel.cli import budgets
from coord_kernel.cli.configured import Configured
from coord_kernel.controller.deaths import Deaths
from coord_kernel.rules import claims, control, health
from coord_kernel.store import pins
from coord_kernel.views import look
from coord_kernel.views.presence import Sessions, Stops
from coord_kernel.views.view import View
from coord_patrol import policy
from coord_patrol.act import Acts
from coord_patrol.plan import plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.controller import Act, Plan
    from coord_kernel.rules.budget import Level
    from coord_kernel.rules.control import Control
    from coord_kernel.rules.health import Row

_NAMESPACES = ("session", "patrol", "control", "work", "usage")
_ENDS = ("run.completed", "run.released")


class Patrol:
    """It acts as one agent, whoever started it."""

    def __init__(self, call: Call, agent: str) -> None:
        self._store = store = call.journal.store
        self._sessions, self._stops, self._claims = (
            Sessions(store),
            Stops(store),
            View(store, claims),
        )
        self._work: View | None = None
        self._policy = policy.load(store)
        self._budgets = Configured(store)
        self._usages: budgets.Usages | None = None
        self._acts = Acts(call.journal, agent, self._policy.overseer, call.put)
        self._deaths: Deaths | None = None

    def deaths(self) -> Deaths:
        """What wakes it when a process is gone: from the next plan on."""
        self._deaths = self._deaths or Deaths(self._store)
        return self._deaths

    def wakes(self, event: Event) -> bool:
        """Can the event change the plan?

        A sign of life only moves a deadline, unless it says that the session waits for a person.
        """
        kind = event["type"]
        waits = kind == "agent.seen" and event["body"].get("status") == "waiting"
        return waits or kind in _ENDS or kind.partition(".")[0] in _NAMESPACES

    def plan(self) -> Plan:
        rows, state = self._look()
        if self._deaths:
            paths = (look.pin(row["session"]) for row in rows if row["lock"])
            self._deaths.watch(path for path in paths if path)
        now = world.now_ms()
        return plan(rows, state, now, self._policy, self._levels(state, now))

    def _levels(self, state: Control, now: int) -> Iterator[tuple[Level, int | None]]:
        """The levels of budgets, each with the time of the last mail about it."""
        configured = self._budgets.now()
        if configured:
            self._usages = self._usages or budgets.Usages(self._store)
            seen = budgets.Budgets(configured, self._usages.refresh(), state, now)
            for level in seen.levels():
                yield level, seen.told(level)

    def act(self, act: Act) -> None:
        self._acts.do(act)

    def draft(self, act: Act) -> Json:
        """The event of an act."""
        return self._acts.draft(act)

    def listed(self) -> Iterator[Json]:
        """A row for each session: how it is, by which evidence, what it holds."""
        rows, state = self._look()
        now = world.now_ms()
        for row in rows:
            agent = row["session"]["agent"]
            judged = health.judge(row, state, now, self._policy)
            stop, quarantined = (
                control.stopped(state, agent),
                control.open_quarantines(state, agent),
            )
            yield {
                "agent": agent,
                "state": judged["state"],
                "age_ms": judged["age_ms"],
                "holds": [ids.short("wk", claim["work_id"]) for claim in row["claims"]],
                "why": judged["why"],
                "since": judged["since"],
                **({"session": row["session"]["session"]} if row["session"]["session"] else {}),
                **({} if row["lock"] is None else {"lock": "held" if row["lock"] else "free"}),
                **({"stopped": stop["id"]} if stop else {}),
                **({"quarantined": quarantined[0]["id"]} if quarantined else {}),
            }

    def _look(self) -> tuple[list[Row], Control]:
        views = (self._sessions, self._claims, self._stops)
        seen = look.Look(*(view.refresh() for view in views))
        own = self._store.replicas()
        rows = seen.rows(own, lambda path: pins.dropped(self._store, *path), self._labels)
        return rows, seen.control

    def _labels(self, work: str) -> list[str]:
        from coord_wk.items import Items

        self._work = self._work or View(self._store, Items.fold)
        items = Items.current(self._work)
        return list(items.row(work).get("labels", ())) if items.state(work) else []
