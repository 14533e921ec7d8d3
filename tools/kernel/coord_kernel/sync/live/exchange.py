"""One sync with a live remote.

1. Take the remote's lock (`local/live/NAME.lock`).
2. A round: pull; judge this store's claims, if the arbiter lives here and all of it is known;
   concede; publish; confirm. What was beaten is followed by another round.
3. A round that is `quick` judges by what is here and asks at once. That is safe, as what is
   over stays over and the arbiter's order alone confirms: if it is beaten, or a claim would be
   conceded, the next round pulls first.
"""

from __future__ import annotations

import time

from coord_envelope import world
from coord_envelope.errors import Unreachable
from coord_envelope.platform import contextmanager, suppress
from coord_kernel.sync import seat as seats
from coord_kernel.sync import settle
from coord_kernel.sync.live import state as states
from coord_kernel.sync.live.remote import TOGETHER
from coord_kernel.sync.plan import judged
from coord_kernel.sync.rounds import BUDGET_S, Rounds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from coord_envelope.codec import Json
    from coord_kernel.journal.journal import Journal
    from coord_kernel.sync.live.remote import Live
    from coord_kernel.sync.plan import Tentative
    from coord_kernel.sync.seat import Seat
    from coord_kernel.sync.settle import Settle
    from coord_kernel.sync.signed.sign import Signer


class LiveExchange(Rounds):
    """A sync of a store with a live remote, and its results."""

    def __init__(
        self,
        journal: Journal,
        live: Live,
        seconds: float = BUDGET_S,
        settle: Settle | None = None,
        alone: bool = True,
    ) -> None:
        """`alone`: this store has no git remote, so that an arbiter may be born at this one."""
        super().__init__(journal, live.place.url, settle)
        self.live, self._alone, self._deadline = live, alone, time.monotonic() + seconds
        self.pause_s = 0.004
        self.lock = (*states.DIRECTORY, f"{states.name(live.place.url)}.lock")
        self.received, self.warnings = live.intake.sources, live.intake.warnings
        self.quick, self.foreign, self.saves = False, True, True
        """Ask before pulling; give what others have written, too; save the state."""
        self.hears, self.hastes = False, tuple[str, ...]()
        """Begin with what the engine received; with what was appended in these directories."""
        self.heard: int | None = None
        """How many entries that were, if nothing had to be read."""
        self.rests = False
        """Was nothing else looked at?"""
        self._open = 0
        """How many claims were open."""
        self._sent, self._repeated = live.sent, False
        live.intake.sources.clear()
        live.intake.warnings.clear()

    @property
    def sent(self) -> int:
        return self.live.sent - self._sent

    @property
    def place(self) -> str:
        return self.live.epoch

    def run(self) -> None:
        super().run()
        if self.shares:
            with suppress(Unreachable):  # they come again
                self.live.share()

    def take(self, agent_id: str) -> bool:
        self.live.pull()
        chunk = self.live.begun(agent_id)
        if signer := self._signer():
            signer.sign([self.live.added(chunk)])
        return self.live.add(chunk)

    def elapsed(self, claims: Sequence[str]) -> dict[str, int] | None:
        return self.live.elapsed(claims)

    def left(self) -> float:
        return self._deadline - time.monotonic()

    @contextmanager
    def locked(self) -> Iterator[None]:
        with super().locked():
            self.live.load()
            self.received, self.warnings = self.live.intake.sources, self.live.intake.warnings
            try:
                yield
            finally:
                if self.saves:
                    self.live.state.save()

    def _round(self) -> bool:
        quick, self.quick = self.quick and bool(self.live.state.at), False
        hears, self.hears, self.heard, still = self.hears, False, None, False
        if hears:
            self.heard, still = self._still(self.live.hear)
        if self.heard is not None:
            self.rests, quick = still, True
        elif not quick:
            self.live.pull()
        try:
            return self.rests or self._hastened() or self._given(quick)
        except Unreachable:
            if self._repeated or self.left() < 1:
                raise
            self._repeated = True
            return False  # the answer may be lost: what became of it is seen there

    def _hastened(self) -> bool:
        """Was all given that was appended? A signature, or a claim, needs a whole round."""
        directories, self.hastes = self.hastes, ()
        if not directories or self.signs or self.store.signers():
            return False
        done, still = self._still(lambda: self.live.hasten(directories))
        self.rests = done and still
        return self.rests

    def _still(self, step: Callable[[], Any]) -> tuple[Any, bool]:
        """What a step gives; was there no claim in it? What was open before waits a moment."""
        before, self.live.stirred = self.live.stirred, False
        try:
            return step(), not self.live.stirred
        finally:
            self.live.stirred = before or self.live.stirred

    def _given(self, quick: bool) -> bool:
        """Give, and ask the arbiter; what others wait for first. False: others were faster."""
        seat, signer = seats.seat(self.store), self._signer()
        if signer:
            self.live.stirred = True  # what is given later may have claims
        elif not self.live.publish(seat, self.foreign):
            return False
        confirm, concede = self._judged(seat)
        if quick and concede:
            return False
        wishes = self._settled(confirm, concede, more=self._may_confirm(seat))
        if self._settle and seats.seat(self.store) != seat:
            return False  # a look at the clock has taken in that it moved
        drafts = [draft for _, draft in wishes]
        if signer:
            done = self._signed(signer, seat, drafts)
        else:
            done = not concede or self.live.publish(seat, self.foreign)
            done = done and (not wishes or self.live.confirm(seat, drafts))
        if not done:
            return False
        if not signer and self._open == len(confirm):
            self.live.stirred = False  # all are confirmed; what came meanwhile is not given yet
        self.confirmed += [claim for claim, _ in wishes]
        self.live.state.ts = world.format_ts(world.now_ms())
        return True

    def _signed(self, signer: Signer, seat: Seat, drafts: Sequence[Json]) -> bool:
        """Give, and confirm, what one signature covers. False: another round is needed."""
        some = drafts[:TOGETHER]
        chunk = self.live.continued(seat, some) if some else None
        signer.sign([self.live.added(chunk)] if chunk else [])
        if not self.live.publish(seat, self.foreign):
            return False
        return (not chunk or self.live.add(chunk)) and len(some) == len(drafts)

    def _judged(self, seat: Seat) -> tuple[Sequence[Tentative], Sequence[Tentative]]:
        if not self.live.stirred and not self._settle:
            return (), ()
        tentative = settle.tentative(self.store)
        self._open = len(tentative)
        self.live.stirred = bool(tentative)
        if (tentative or self._settle) and not self._may_confirm(seat):
            self._explain(seat)
        return judged(self._provable(tentative)) if self._may_confirm(seat) else ((), ())

    def _may_confirm(self, seat: Seat) -> bool:
        here = self.live.lives_here(seat) or (not seat.place and self._alone)
        return here and not seat.diverged and not self.live.waits() and not self._unfit()

    def _explain(self, seat: Seat) -> None:
        if self.unconfirmed:
            return  # the reason is known
        if seat.diverged:
            self._confirm_nothing(
                "the arbiter has two histories", "`ev sync --take-arbiter REMOTE` makes one of them"
            )
        elif self.live.lives_here(seat):
            self._confirm_nothing("a part of the arbiter's stream is missing here", "sync again")
        elif self._settle or self._alone:
            where = "in git" if seat.place in ("", seats.GIT) else "at another remote"
            self._confirm_nothing(f"the arbiter lives {where}", "sync with that one, too")
