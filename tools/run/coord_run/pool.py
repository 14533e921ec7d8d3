"""The attempts of one process: each a fork of it, woken when something concerns it, waited for."""

from __future__ import annotations

import os

from coord_envelope.platform import signal, suppress
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
    from coord_kernel.journal.transaction import Transaction
    from coord_run.policy import Rule
    from coord_run.types import Job, Request

SYNCED_LEASE_MS = 15 * 60_000
"""The lease in a store with a remote: heartbeats reach other stores by sync only."""


class AttemptPool:
    """Attempts of one process, which end with it."""

    def __init__(self, call: Call, where: str) -> None:
        """`where` is the substrate."""
        self._where, self._agent = where, str(call.actor()["agent_id"])
        self._store = call.journal.store
        self._synced = locate.remote(self._store) is not None
        self._lease_ms = SYNCED_LEASE_MS if self._synced else fold.LEASE_MS
        self.root = locate.tree(self._store)
        self._rules = policy.rules(self.root)
        self._alive, self._life = os.pipe2(os.O_CLOEXEC)  # ends when this process does
        self.running: dict[int, str] = {}
        """Process id → job."""
        child.adopt_orphans()

    def may_run(self, request: Request) -> bool:
        """Was the job requested in this store, or does the user's policy allow it?"""
        return is_mine(self._store, request) or self._rule(request) is not None

    def _rule(self, request: Request) -> Rule | None:
        return next((rule for rule in self._rules if rule.allows(request, self._trust)), None)

    def _trust(self, event_id: str) -> str:
        """The `$trust` of a request of another store."""
        if not self._store.signers():
            return "synced"
        from coord_kernel.streams.trusted import Trusted  # only with signers
        from coord_kernel.views.index import Index

        stored = Index(self._store).refresh().by_id(event_id)
        return (stored and Trusted(self._store).refresh().of(stored.event)) or "unsigned"

    def claim(self, t: Transaction, state: Job, about: Json | None = None) -> Event:
        """Claim the job for its next attempt; `about` as in `draft.claimed`."""
        return t.add(draft.claimed(state, self._agent, self._lease_ms, about))

    def begin(self, request: Request, claim: Event, pin: int, slot: int | None = None) -> None:
        """Make the attempt, in a process that holds the pin and the slot from here on."""
        plan, rule = Plan(request, claim, self.root, self._where), None
        if not is_mine(self._store, request):
            rule, plan.unconfirmed = self._rule(request), self._synced
        plan.sandbox, plan.only = rule.sandbox if rule else (), slot is None
        # On the same store, with files of its own: SQLite's must not pass through a fork.
        call = Call(self._agent, store=self._store)
        handled = (signal.SIGTERM, LOOK)
        signal.pthread_sigmask(signal.SIG_BLOCK, handled)  # until the attempt has its own handlers
        try:
            pid = os.fork()
            if not pid:
                os.close(self._life)
                supervise(call, plan, slot, self._alive)
            self.running[pid] = plan.run
        finally:  # if the fork failed nobody holds the pin, and the job is released
            signal.pthread_sigmask(signal.SIG_UNBLOCK, handled)
            for fd in (pin, slot):
                if fd is not None:
                    os.close(fd)

    def wake(self, run: str | None) -> None:
        """Have the attempt at this job look at its state."""
        for pid, job in self.running.items():
            if job == run:
                os.kill(pid, LOOK)  # safe: a child that was not waited for keeps its number

    def stop(self) -> None:
        """End all attempts; they release their jobs."""
        for pid in self.running:
            os.kill(pid, signal.SIGTERM)

    def reap(self) -> int:
        """How many attempts ended since the last call."""
        ended = 0
        with suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                ended += self.running.pop(pid, None) is not None
        for pid in child.children():
            if pid not in self.running:  # left behind by an attempt that was killed
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        return ended
