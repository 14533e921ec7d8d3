"""One sync: take in what the remote has, settle this store's claims, publish what it has.

    1. Take the sync's lock (`local/sync.lock`). The store's own lock is never held while the
       network is waited for.
    2. A round: fetch, take in, `plan`, then carry out the plan.
       a. mend the arbiter, if it has lost something, and begin another round
       b. concede claims: events of this store, so that they are published in the same round
       c. let `settle` decide, on everything taken in, whether more is to be confirmed
       d. push this store's ref and the arbiter, each from the tip that was taken in
    3. If a push was not accepted, others were faster: pause at random and begin another round, at
       most TRIES.
    4. A push whose answer is lost is followed by another round, too: what became of it can be seen.
    5. If the store's own repository is damaged, mend it and begin again, once.

Every step may be cut off and done again.
"""

from __future__ import annotations

import contextlib
import os
import time

from coord_envelope import world
from coord_envelope.errors import TryAgain, Unreachable
from coord_kernel.sync import quiet, settings, settle
from coord_kernel.sync.git import UnsupportedError
from coord_kernel.sync.plan import plan
from coord_kernel.sync.refs import Refs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_kernel.journal.journal import Journal
    from coord_kernel.sync.plan import Plan, Tips
    from coord_kernel.sync.remote import Remote
    from coord_kernel.sync.settle import Settle, Wishes

BUDGET_S = 60.0
_ONE_URL = "fetch and push at one URL, `ev sync --remote URL`"
TRIES = 12
"""Rounds in which others may be faster."""


class Exchange:
    """A sync of a store with a remote, and its results."""

    def __init__(
        self,
        journal: Journal,
        remote: Remote,
        seconds: float = BUDGET_S,
        settle: Settle | None = None,
    ) -> None:
        """`settle` gives more events for the arbiter, when everything fetched was taken in."""
        self.journal, self.store, self.remote, self._settle = journal, journal.store, remote, settle
        self.refs = Refs(journal.store, remote, seconds)
        self.received, self.warnings = self.refs.received, self.refs.warnings
        """Lines that arrived, by writer; sentences for stderr."""
        self.confirmed: list[str] = []
        self.conceded: list[str] = []
        self._unconfirmed: Unreachable | None = None
        """Why nothing can be confirmed."""

    @property
    def sent(self) -> int:
        """Lines that this store gave and the remote did not have."""
        return self.refs.sent

    def run(self) -> None:
        """Exchange everything, and settle this store's claims.

        Raises Unreachable if the remote cannot be reached or refuses; what arrived by then is kept.
        Raises TryAgain if another sync of this store holds the lock for the whole budget, or others
        were faster TRIES times.
        """
        with self.locked():
            try:
                self._rounds()
            except Unreachable as fault:
                if not self.refs.mended(fault):
                    raise
                self._rounds()
        if self._unconfirmed:
            raise self._unconfirmed

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Only one sync of a store runs at a time. Raises TryAgain."""
        from filelock import FileLock, Timeout

        os.close(self.store.open("local", "sync.lock", flags=os.O_RDWR | os.O_CREAT))
        lock = FileLock(os.path.join(self.store.path, "local", "sync.lock"), mode=0o600)
        try:
            lock.acquire(timeout=max(self.refs.left(), 0))
        except Timeout:
            raise TryAgain(
                "another sync of this store is running", todo="try again, or --budget TIME"
            ) from None
        try:
            self.refs.open()
            yield
        finally:
            lock.release()

    def _rounds(self) -> None:
        for attempt in range(TRIES):
            if attempt:
                # At random, so that two stores do not meet again.
                pause_s = _random() * min(0.05 * (1 << attempt), 2.0)
                time.sleep(min(pause_s, max(self.refs.left(), 0)))
            if self._round():
                return self.refs.wire.tidy()
        raise TryAgain(
            f"others were faster {TRIES} times", where=self.remote.name, todo="try again"
        )

    def _round(self) -> bool:
        """All steps. False: another round is needed."""
        tips, tentative = self.refs.fetch(), settle.tentative(self.store)
        settles = self._settle is not None
        arbiter = self.refs.arbiter(tips, bool(tentative) or settles)
        step = plan(
            tips, {"own": self.refs.own(), "tentative": tentative, "settles": settles}, arbiter
        )
        if step.mend:
            self.refs.mend(step, arbiter)
            return False
        if arbiter["split"]:
            if tentative or settles:
                self._confirm_nothing(f"{self._pushed()} has another arbiter", _ONE_URL)
        elif step.diverged:
            self._confirm_nothing("the arbiter has two histories", "`ev sync --repair-arbiter`")
        wishes = self._settled(step)
        end = self.journal.end(live=False)
        commits = self.refs.contents(tips)
        if wishes:
            commits |= self._extended(arbiter["tip"], wishes)
        try:
            moved = self.refs.publish(commits, step)
        except Unreachable as fault:
            final = isinstance(fault, UnsupportedError) or self.refs.refused
            if not wishes or self.refs.left() < 1 or final:
                raise
            return False  # the answer may be lost
        if self.refs.unread:
            self._confirm_nothing(f"what was pushed to {self._pushed()} is not shown", _ONE_URL)
            return True
        if arbiter["ref"] in moved:
            self.confirmed += [claim for claim, _ in wishes]
        if commits.keys() == moved and not self._unconfirmed:
            quiet.remember(self.journal, self.remote, tips | commits, end)
        return commits.keys() == moved

    def _settled(self, step: Plan) -> Wishes:
        """Concede what is to be conceded; the events for the arbiter."""
        for entity, claim, state in step.concede:
            settle.concede(self.journal, entity, claim, state)
            self.conceded.append(claim)
        wishes = [(asked[1], settle.confirmation(*asked)) for asked in step.confirm]
        if self._settle and not step.diverged:
            wishes += self._settle()
        return wishes

    def _extended(self, tip: str, wishes: Wishes) -> Tips:
        try:
            return self.refs.extended(tip, [draft for _, draft in wishes])
        except (ValueError, IndexError) as reason:
            self._confirm_nothing(
                f"the arbiter cannot be read ({reason})",
                f"restore {self.refs.arbiter_ref} to what it was",
            )
            return {}

    def _pushed(self) -> str:
        return "it" if not self.remote.split else settings.public(self.remote.push_url)

    def _confirm_nothing(self, what: str, todo: str) -> None:
        self._unconfirmed = Unreachable(
            f"{what}, so nothing is confirmed", where=self.remote.name, todo=todo
        )


def _random() -> float:
    return int.from_bytes(world.entropy(2), "big") / 65_536


def sync(
    journal: Journal,
    asked: str | None = None,
    seconds: float = BUDGET_S,
    settle: Settle | None = None,
) -> Exchange:
    """Sync with the remote that was asked for, and remember it; else with the configured one.

    Raises as `settings.remote` and `Exchange.run`.
    """
    exchange = Exchange(journal, settings.remote(journal.store, asked), seconds, settle)
    exchange.run()
    if asked:  # only a remote that was reached is remembered
        settings.remember(journal.store, exchange.remote)
    return exchange
