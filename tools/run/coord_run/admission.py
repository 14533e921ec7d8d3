"""Which jobs a worker may begin now: by stops, quarantines, limits of providers and budgets.

A worker is where a cap holds, whoever planned what: it asks within the transaction that claims the
job, and the claim is what paces the next one. Stops concern every job; quarantines and the budgets
of agents and items those that run an agent (COORD_AGENT); those of a pool what its workers run.
"""

from __future__ import annotations

import os
import sys

from coord_envelope import BadData, codec, world
from coord_envelope.event import name_ok
from coord_kernel.cli.configured import Configured
from coord_kernel.rules import control
from coord_kernel.views.presence import Stops
from coord_run import session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope.codec import Json
    from coord_kernel.cli.budgets import Budgets, Usages
    from coord_kernel.cli.call import Call
    from coord_kernel.rules.control import Control
    from coord_run.types import Job, Request

ASK_S = 30.0
"""How long `wk show` may take."""


class Admission:
    """What may be begun by the workers of an agent, or of a pool.

    The budgets are those that coord.toml has at each look.
    Raises BadData.
    """

    def __init__(self, call: Call, pool: str | None) -> None:
        if pool is not None and not name_ok(pool):
            todo = "use up to 63 of a-z 0-9 . _ -"
            raise BadData(f"not a valid name of a pool: {pool!r}", "--slots-of", todo=todo)
        self._call, self._store, self._pool = call, call.journal.store, pool
        self._stops = Stops(self._store)
        self._control: Control = control.nothing()
        self._budgets: Budgets | None = None
        self._labels: dict[str, list[str] | None] = {}
        """Of the work items of jobs, as far as a stop is about labels."""
        self._warned = set[str]()
        self._configured = Configured(self._store)
        self._usages: Usages | None = None
        self.due_ms: int | None = None
        """When a job may be begun that may not yet, since the last look."""

    def look(self) -> None:
        """Read what is new, and report a stop of this worker once."""
        self._control, self.due_ms = self._stops.control(), None
        self._budgets = self._ledger()
        stop = self._stop()
        if stop:
            why = f": {stop['reason']}" if stop["reason"] else ""
            text = f"stopped by {stop['by']}{why}; begins no job until it is resumed"
            self._warn(stop["id"], text)

    def _ledger(self) -> Budgets | None:
        """The budgets, if anything can be closed by one or by a limit."""
        limited = self._pool and control.limits(self._control, self._pool)
        configured = self._configured.now()
        if not configured and not limited:
            return None
        from coord_kernel.cli.budgets import Budgets, Usages

        self._usages = self._usages or Usages(self._store)
        return Budgets(configured, self._usages.refresh(), self._control, world.now_ms())

    def close(self) -> None:
        """Close the files, before a fork."""
        self._stops.close()
        if self._usages:
            self._usages.close()

    def stopped(self) -> bool:
        """Is everything stopped that this worker does?"""
        return self._stop() is not None

    def _stop(self) -> control.Stop | None:
        own = str(self._call.actor()["agent_id"])
        return control.stopped(self._control, own, pool=self._pool or "")

    def ask_labels(self, jobs: Iterable[Job]) -> None:
        """Note the labels of the work items of these jobs, if a stop is about labels.

        Runs `wk`, so not within a transaction.
        """
        self._labels = {}
        if control.by_label(self._control):
            works = {job["request"]["work"] for job in jobs if "work" in job["request"]}
            self._labels = _labels(sorted(works), self._store.path) if works else {}

    def allows(self, state: Job) -> bool:
        """May this job be begun, as of the last look?"""
        request = state["request"]
        agent, work = session.agent_of(request["body"].get("env", {})), request.get("work")
        labels = self._labels.get(work) if work else []
        if labels is None and control.by_label(self._control):
            return False  # it came since the labels were asked for: the next look knows them
        if control.stopped(self._control, agent or "", labels or ()):
            return False
        if agent and control.open_quarantines(self._control, agent):
            self._warn(agent, f"{agent} is quarantined; `coord-patrol free {agent}` ends that")
            return False
        if self._budgets is None or not (agent or self._pool):
            return True
        closed = self._budgets.gate(agent, work if agent else None, self._pool)
        if closed:
            at, why = closed
            self.due_ms = at if self.due_ms is None else min(self.due_ms, at)
            self._warn(why, f"{why}; the next start is at {world.format_ts(at)}")
        return closed is None

    def about(self, request: Request) -> Json:
        """What the claim of a job says it concerns: `agent`, `pool`, `work_id`."""
        return session.about(request["body"].get("env", {}), request.get("work"), self._pool)

    def _warn(self, key: str, text: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            self._call.warn(text)


def _labels(works: list[str], store: str) -> dict[str, list[str] | None]:
    """The labels of work items; without those that cannot be known."""
    from coord_kernel.proc import spawn

    beside = os.path.join(os.path.dirname(os.path.realpath(sys.argv[0])), "wk")
    argv = [beside if os.access(beside, os.X_OK) else "wk", "show", "-o", "jsonl"]
    lines = b"".join(codec.dumps({"work_id": work}) + b"\n" for work in works)
    env = {name: text for name, text in os.environ.items() if name != "COORD_SESSION"}
    try:
        _, out, _ = spawn.run(argv, env | {"COORD_DIR": store}, lines, ASK_S)
        rows = [codec.loads(line) for line in out.splitlines()]
    except (OSError, ValueError, TimeoutError):
        return {}
    return {row["work_id"]: row.get("labels", []) for row in rows}
