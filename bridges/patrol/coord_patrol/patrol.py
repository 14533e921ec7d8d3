"""The patrol as a controller: what it sees, what it plans, what it does."""

from __future__ import annotations

from coord_envelope import ids, world
from coord_kernel.controller.deaths import Deaths
from coord_kernel.rules import control, health
from coord_patrol import policy
from coord_patrol.act import Acts
from coord_patrol.look import Look
from coord_patrol.plan import plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.controller import Act, Plan

ABOUT = ("session", "patrol", "control", "work")
"""Namespaces whose events may change the plan."""
_ENDS = ("run.completed", "run.released")


class Patrol:
    """The patrol of a store, acting as one agent."""

    def __init__(self, call: Call, agent: str) -> None:
        store = call.journal.store
        self._look, self._policy = Look(store), policy.load(store)
        self._acts = Acts(call.journal, agent, self._policy.overseer, call.put)
        self._deaths: Deaths | None = None
        self._store = store

    def deaths(self) -> Deaths:
        """What wakes it when a process is gone."""
        self._deaths = self._deaths or Deaths(self._store)
        return self._deaths

    def wakes(self, event: Event) -> bool:
        """A sign of life only moves a deadline, unless it says that it waits for a person."""
        kind = event["type"]
        waits = kind == "agent.seen" and event["body"].get("status") == "waiting"
        return waits or kind in _ENDS or kind.partition(".")[0] in ABOUT

    def plan(self) -> Plan:
        state = self._look.control()
        if control.stopped(state):
            return plan([], state, world.now_ms(), self._policy)
        rows = self._look.rows(state)
        if self._deaths:
            self._deaths.watch(self._look.pins(rows))
        return plan(rows, state, world.now_ms(), self._policy)

    def act(self, act: Act) -> None:
        self._acts.do(act)

    def drafts(self) -> Iterator[Json]:
        """The events that it would write now."""
        for act in self.plan().acts:
            yield self._acts.draft(act) | {"idempotency_key": act.key}

    def listed(self) -> Iterator[Json]:
        """A row for each session: how it is, by which evidence, what it holds."""
        state, now = self._look.control(), world.now_ms()
        for row in self._look.rows(state):
            session, judged = row["session"], health.judge(row, state, now, self._policy)
            stop = control.stopped(state, session["agent"])
            quarantined = control.open_quarantines(state, session["agent"])
            yield {
                "agent": session["agent"],
                "state": judged["state"],
                "age_ms": judged["age_ms"],
                "why": judged["why"],
                "since": judged["since"],
                **({"session": session["session"]} if session["session"] else {}),
                "holds": [ids.short("wk", claim["work_id"]) for claim in row["claims"]],
                **({} if row["lock"] is None else {"lock": "held" if row["lock"] else "free"}),
                **({"stopped": stop["id"]} if stop else {}),
                **({"quarantined": quarantined[0]["id"]} if quarantined else {}),
            }
