"""The attempts that run for this process: each begun by a fork, told what concerns it, and waited for."""

from __future__ import annotations

import contextlib
import os
import signal

from coord_envelope import child, locate
from coord_envelope.event import Made
from coord_envelope.tool import Call
from coord_run import draft, fold
from coord_run.attempt import LOOK, Plan, supervise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event
    from coord_envelope.codec import Json

SYNCED_LEASE_MS = 15 * 60_000
"""How long an attempt holds without a sign of life where others hear of it by sync only."""


class Hands:
    """Attempts of one process, which end with it."""

    def __init__(self, call: Call, where: str) -> None:
        """`where` is the substrate."""
        self._call, self._where, self._store = call, where, call.journal.store
        self._me: str = call.actor()["agent_id"]
        self._ours = self._store.all_replicas()
        self._lease_ms = SYNCED_LEASE_MS if locate.remote(self._store) else fold.LEASE_MS
        self._root = locate.work_tree() or os.path.dirname(self._store.path)
        self._alive, self._life = os.pipe2(os.O_CLOEXEC)  # which ends when this process does
        self.running: dict[int, str] = {}
        """Process id → job."""
        child.adopt_orphans()

    def ours(self, state: Json) -> bool:
        """Was the job requested in this store?"""
        return state["request"]["replica"] in self._ours

    def claim(self, state: Json) -> list[Json]:
        """The drafts by which this process takes the job and begins."""
        claimed = draft.claimed(state, self._me, self._lease_ms)
        return [claimed | {"$as": "claim"}, draft.started(claimed["refs"])]

    def first_claim(self) -> list[Json]:
        """As `claim`, of the job that the draft before these requests, with `$as` request."""
        made = Made("request")
        body = {"n": 1, "lease_ms": self._lease_ms, "runner": self._me, "gen": 1}
        claimed = draft.about("claimed", made, [made], body)
        return [claimed | {"$as": "claim"}, draft.started(claimed["refs"])]

    def begin(self, request: Json, claim: Event, pin: int, slot: int | None = None) -> None:
        """Make the attempt, in a process that holds the pin and the slot from here on."""
        plan = Plan(request, claim, self._root, self._where)
        mine = Call(self._me)  # with files of its own: SQLite's must not pass through a fork
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, LOOK))  # until it has ears for them
        pid = os.fork()
        if not pid:
            os.close(self._life)
            supervise(mine, plan, slot, self._alive)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, LOOK))
        self.running[pid] = plan.run
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
