"""The rounds of a sync, with any remote: until nobody was faster, and what came of them.

A remote's own part is a round (`_round`): take in what is new there, judge this store's claims
(`_settled`), give what it lacks. If others were faster, pause at random and begin another one, at
most TRIES.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod

from coord_envelope import world
from coord_envelope.errors import Refused, TryAgain, Unreachable
from coord_envelope.platform import contextmanager
from coord_kernel.rules import claims
from coord_kernel.store import pins
from coord_kernel.sync import settle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from coord_kernel.journal.journal import Journal
    from coord_kernel.sync.plan import Tentative
    from coord_kernel.sync.settle import Settle, Wishes
    from coord_kernel.sync.signed.sign import Signer

BUDGET_S = 60.0
TRIES = 12
"""Rounds in which others may be faster."""
_POLL_S = 0.02


class Rounds(ABC):
    """A sync of a store with a remote, and its results."""

    received: dict[str, int]
    """Lines that arrived, by writer."""
    warnings: list[str]
    """Sentences for stderr."""
    lock: tuple[str, ...] = ("local", "sync.lock")
    """The file that is locked by whoever syncs with this remote."""
    pause_s = 0.05
    """About how long to pause before a second round."""
    shares = False
    """Are live events exchanged, too? Only live remotes have them."""
    signs: bool | None = None
    """Is what this store gives to be signed? None: as coord.toml says."""
    signing_key: str | None = None
    """git's `user.signingkey`, if it was read already."""

    def __init__(self, journal: Journal, name: str, settle: Settle | None) -> None:
        """`settle` gives more events for the arbiter, when everything there was taken in."""
        self.journal, self.store, self.name, self._settle = journal, journal.store, name, settle
        self.confirmed: list[str] = []
        self.conceded: list[str] = []
        self.unconfirmed: Unreachable | None = None
        """Why nothing can be confirmed."""
        self.withheld: dict[str, Refused] = {}
        """Why the claims of an agent cannot: this store's key may not write as that agent."""
        self._with: Signer | None = None

    @property
    @abstractmethod
    def sent(self) -> int:
        """Lines that this store gave and the remote did not have."""

    @property
    @abstractmethod
    def place(self) -> str:
        """What the arbiter's stream calls this remote."""

    @abstractmethod
    def take(self, agent_id: str) -> bool:
        """Begin a new arbiter's stream at this remote, by force. False: others were faster."""

    def elapsed(self, claims: Sequence[str]) -> dict[str, int] | None:
        """As `ask.Clock.elapsed`. Within a round."""
        return None

    @abstractmethod
    def left(self) -> float:
        """Seconds left of the budget."""

    @abstractmethod
    def _round(self) -> bool:
        """All steps. False: another round is needed."""

    def run(self) -> None:
        """Exchange everything, and settle this store's claims.

        Raises Unreachable if the remote cannot be reached or refuses; what arrived by then is kept.
        Raises TryAgain if another sync of this store holds the lock for the whole budget, or others
        were faster TRIES times.
        """
        with self.locked():
            if self.store.signers():
                from coord_kernel.sync.signed.judge import judge  # only with signers

                # What a sync took in that was cut off. Its own can wait for what comes next.
                self.warnings += judge(self.store, own=False)
            self._rounds()
        if self.unconfirmed:
            raise self.unconfirmed

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one sync of a store with this remote runs at a time. Raises TryAgain."""
        lock = pins.take(self.store, *self.lock)
        while lock is None:
            if self.left() <= 0:
                raise TryAgain(
                    "another sync of this store is running", todo="try again, or --budget TIME"
                )
            time.sleep(_POLL_S)
            lock = pins.take(self.store, *self.lock)
        try:
            yield
        finally:
            os.close(lock)

    def _rounds(self) -> None:
        for attempt in range(TRIES):
            if attempt:
                # At random, so that two stores do not meet again.
                pause_s = _random() * min(self.pause_s * (1 << attempt), 2.0)
                time.sleep(min(pause_s, max(self.left(), 0)))
            if self._round():
                return
        raise TryAgain(f"others were faster {TRIES} times", where=self.name, todo="try again")

    def _settled(
        self, confirm: Sequence[Tentative], concede: Sequence[Tentative], more: bool = True
    ) -> Wishes:
        """Concede what is to be conceded; the events for the arbiter, with `more` of `settle`."""
        for entity, claim, state in concede:
            settle.concede(self.journal, entity, claim, state)
            self.conceded.append(claim)
        wishes = [(asked[1], settle.confirmation(*asked)) for asked in confirm]
        if self._settle and more:
            asked = self._settle()
            why = self._doubted(draft["body"]["agent_id"] for _, draft in asked)
            if why:
                self._confirm_nothing(next(iter(why.values())).what, "sign with a key that may")
            else:
                wishes += asked
        return wishes

    def _provable(self, tentative: Sequence[Tentative]) -> list[Tentative]:
        """The claims without those that this store's key may not confirm.

        Others would not believe it, and it would be done again for ever.
        """
        agents = {
            claim: state["claims"][claim]["agent"]
            for _, claim, state in tentative
            if claims.verdict(state, claim) == "confirm"
        }
        self.withheld = self._doubted(agents.values())
        return [row for row in tentative if agents.get(row[1]) not in self.withheld]

    def _doubted(self, agents: Iterable[str]) -> dict[str, Refused]:
        """The agents as whom this store's key may not write, and a Fault for each."""
        names = {*agents}
        signer = self._signer() if names and self.store.signers() else None
        if signer is None:
            return {}
        from coord_kernel.rules import trust  # only with signers

        patterns = signer.principals()
        return {
            name: Refused(f"this key may not write as {name}", where="user.signingkey")
            for name in sorted(names)
            if trust.principal(patterns, name) is None
        }

    def _signer(self) -> Signer | None:
        """What signs for this store; None: nothing is signed. Raises Refused if there is no key."""
        if self.signs is None:
            self.signs = settle.signs(self.store)
        if self.signs and not self._with:
            from coord_kernel.sync.signed.sign import Signer  # only who signs

            self._with = Signer(self.journal, self.signing_key)
        return self._with

    def check_fit(self) -> None:
        """Raise Unreachable if others would not believe what this store adds to the arbiter."""
        if self._unfit() and self.unconfirmed:
            raise self.unconfirmed

    def _unfit(self) -> bool:
        """May this store confirm nothing, since others would not believe it? Then it says so."""
        if not self.store.signers():
            return False
        from coord_kernel.sync.signed.sign import unfit

        why = unfit(self._signer(), self.store)
        if why:
            self._confirm_nothing(why, "`[sync] sign = true`, with a key of allowed_signers")
        return bool(why)

    def _confirm_nothing(self, what: str, todo: str) -> None:
        self.unconfirmed = Unreachable(
            f"{what}, so nothing is confirmed", where=self.name, todo=todo
        )


def _random() -> float:
    return int.from_bytes(world.entropy(2), "big") / 65_536
