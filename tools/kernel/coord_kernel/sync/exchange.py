"""One sync with git: take in what the remote has, settle this store's claims, publish what it has.

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

from coord_envelope.errors import Unreachable
from coord_envelope.platform import contextmanager
from coord_kernel.sync import quiet, settings, settle
from coord_kernel.sync import seat as seats
from coord_kernel.sync.git import UnsupportedError
from coord_kernel.sync.plan import Plan, plan
from coord_kernel.sync.refs import Refs
from coord_kernel.sync.rounds import BUDGET_S, Rounds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_kernel.journal.journal import Journal
    from coord_kernel.sync.plan import Tips
    from coord_kernel.sync.remote import Remote
    from coord_kernel.sync.settle import Settle, Wishes

_ONE_URL = "fetch and push at one URL, `ev sync --remote URL`"


class Exchange(Rounds):
    """A sync of a store with a remote of git refs, and its results."""

    def __init__(
        self,
        journal: Journal,
        remote: Remote,
        seconds: float = BUDGET_S,
        settle: Settle | None = None,
    ) -> None:
        super().__init__(journal, remote.name, settle)
        self.remote, self.refs = remote, Refs(journal.store, remote, seconds)
        self.received, self.warnings = self.refs.received, self.refs.warnings
        self.signing_key = remote.signing_key

    @property
    def sent(self) -> int:
        return self.refs.sent

    @property
    def place(self) -> str:
        return seats.GIT

    def take(self, agent_id: str) -> bool:
        tip = self.refs.fetch().get(self.refs.arbiter_ref, "")
        move = seats.moved(seats.GIT, agent_id, forced=True)
        commits = self.refs.extended(tip, [move], new=True)
        if (signer := self._signer()) and self.refs.added:
            signer.sign([self.refs.added])
        step = Plan(push={self.refs.arbiter_ref: tip})
        return self.refs.arbiter_ref in self.refs.publish(commits, step)

    def left(self) -> float:
        return self.refs.left()

    @contextmanager
    def locked(self) -> Iterator[None]:
        with super().locked():
            self.refs.open()
            yield

    def _rounds(self) -> None:
        try:
            super()._rounds()
        except Unreachable as fault:
            if not self.refs.mended(fault):
                raise
            super()._rounds()
        self.refs.wire.tidy()

    def _round(self) -> bool:
        """All steps. False: another round is needed."""
        tips = self.refs.fetch()
        seat = seats.seat(self.store)
        here = seat.place in ("", seats.GIT) and bool(seat.stream or not seat.diverged)
        tentative = settle.tentative(self.store) if here else []
        settles = here and self._settle is not None
        if (tentative or settles) and self._unfit():
            here, tentative, settles = False, [], False
        tentative = self._provable(tentative)
        if seat.diverged and not here:
            self._confirm_nothing(
                "the arbiter has two histories", "`ev sync --take-arbiter REMOTE` makes one of them"
            )
        elif self._settle and not here and not self.unconfirmed:
            self._confirm_nothing("the arbiter lives at a live remote", "sync with that one, too")
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
        wishes = self._settled(step.confirm, step.concede, more=here and not step.diverged)
        extended = self._extended(arbiter["tip"], wishes) if wishes else {}
        if signer := self._signer():
            signer.sign([self.refs.added] if extended and self.refs.added else [])
        end = self.journal.end(live=False)
        commits = self.refs.contents(tips) | extended
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
        if commits.keys() == moved and not self.unconfirmed and not self.withheld:
            quiet.remember(self.journal, self.remote, tips | commits, end)
        return commits.keys() == moved

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
