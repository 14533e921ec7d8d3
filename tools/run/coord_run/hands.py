"""The attempts that run for this process: each begun by a fork, told what concerns it, and waited for."""

from __future__ import annotations

import contextlib
import os
import signal

from coord_envelope.event import Made
from coord_kernel.cli.call import Call
from coord_kernel.proc import child
from coord_kernel.store import locate
from coord_run import draft, fold, policy
from coord_run.attempt import LOOK, supervise
from coord_run.mine import is_mine
from coord_run.prepare import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_run.policy import Rule

SYNCED_LEASE_MS = 15 * 60_000
"""How long an attempt holds without a sign of life where others hear of it by sync only."""


class Hands:
    """Attempts of one process, which end with it."""

    def __init__(self, call: Call, where: str) -> None:
        """`where` is the substrate."""
        self._where, self._me = where, str(call.actor()["agent_id"])
        self._store = call.journal.store
        self._synced = locate.remote(self._store) is not None
        self._lease_ms = SYNCED_LEASE_MS if self._synced else fold.LEASE_MS
        self.root = locate.work_tree() or os.path.dirname(self._store.path)
        self._rules = policy.rules(self.root)
        self._alive, self._life = os.pipe2(os.O_CLOEXEC)  # which ends when this process does
        self.running: dict[int, str] = {}
        """Process id → job."""
        child.adopt_orphans()

    def may_run(self, state: Json) -> bool:
        """Was the job requested in this store, or does the user's policy allow it?"""
        return is_mine(self._store, state["request"]) or self._rule(state["request"]) is not None

    def _rule(self, request: Json) -> Rule | None:
        return next((rule for rule in self._rules if rule.allows(request)), None)

    def _firm(self, request: Json) -> bool:
        return self._synced and not is_mine(self._store, request)

    def claim(self, state: Json) -> list[Json]:
        """The drafts by which this process takes the job and, unless that is to be confirmed first, begins."""
        claimed = draft.claimed(state, self._me, self._lease_ms)
        if self._firm(state["request"]):
            return [claimed]
        return [claimed | {"$as": "claim"}, draft.started(claimed["refs"])]

    def first_claim(self) -> list[Json]:
        """As `claim`, of the job that the draft before these requests, with `$as` request."""
        made = Made("request")
        body = {"n": 1, "lease_ms": self._lease_ms, "runner": self._me, "gen": 1}
        claimed = draft.about("claimed", made, [made], body)
        return [claimed | {"$as": "claim"}, draft.started(claimed["refs"])]

    def begin(self, request: Json, claim: Event, pin: int, slot: int | None = None) -> None:
        """Make the attempt, in a process that holds the pin and the slot from here on."""
        plan, rule = Plan(request, claim, self.root, self._where), None
        if not is_mine(self._store, request):
            rule, plan.firm = self._rule(request), self._synced
        plan.sandbox = rule.sandbox if rule else ()
        mine = Call(self._me)  # with files of its own: SQLite's must not pass through a fork
        ears = (signal.SIGTERM, LOOK)
        signal.pthread_sigmask(signal.SIG_BLOCK, ears)  # until it has ears of its own for them
        try:
            pid = os.fork()
            if not pid:
                os.close(self._life)
                supervise(mine, plan, slot, self._alive)
            self.running[pid] = plan.run
        finally:  # if it failed nobody holds the pin, and the job is given back
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ears)
            for fd in (pin, slot):
                if fd is not None:
                    os.close(fd)

    def look(self, run: object) -> None:
        """Let the attempt at this job know that something was said of it."""
        if run:
            self._tell(LOOK, run)

    def stop(self) -> None:
        """End all attempts; their jobs are given back."""
        self._tell(signal.SIGTERM, None)

    def _tell(self, number: int, run: object) -> None:
        for pid, about in self.running.items():
            if run in (None, about):
                os.kill(pid, number)  # it is our child, and not waited for

    def reap(self) -> int:
        """How many attempts ended since the last time."""
        ended = 0
        with contextlib.suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                ended += self.running.pop(pid, None) is not None
        for pid in child.children():
            if pid not in self.running:  # an attempt was killed, and this was its
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        return ended
