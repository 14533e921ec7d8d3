"""One question to the arbiter, for a command that waits for the answer."""

from __future__ import annotations

from coord_envelope.errors import Fault, No, Refused, Unreachable
from coord_kernel.rules import claims
from coord_kernel.sync import bus
from coord_kernel.sync import seat as seats
from coord_kernel.views.entities import Entities
from coord_kernel.views.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, ClassVar

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_kernel.journal.journal import Journal
    from coord_kernel.rules.claims import ClaimsState
    from coord_kernel.store.directory import Store
    from coord_kernel.sync.bus import Connection
    from coord_kernel.sync.settle import Settle

TRIES = 12
BUDGET_S = 10.0
"""How long a claim waits for the remote."""


class Verdict:
    """What became of a claim.

    `level` is
      confirmed   it holds the entity, with the fencing token `token`
      tentative   the arbiter could not be asked, or did not confirm it (`why`: the Fault), and the
                  claim is still open
      lost        another claim holds the entity, or the claim is over (`why`: a No that says so)
    """

    __slots__ = ("level", "token", "why")

    def __init__(self, level: str, token: int | None = None, why: Fault | None = None) -> None:
        self.level, self.token, self.why = level, token, why


class Outcome:
    """How a sync for claims ended."""

    def __init__(self) -> None:
        self.why: Fault | None = None
        """Why the remote could not be asked."""
        self.warnings: list[str] = []
        self.withheld: Mapping[str, Fault] = {}
        """Agents whose claims this store's key may not confirm."""


class Clock:
    """The clock of the server where the arbiter lives, while that is asked: for a `settle`."""

    def __init__(self) -> None:
        self._ask: Callable[[Sequence[str]], dict[str, int] | None] | None = None

    def by(self, ask: Callable[[Sequence[str]], dict[str, int] | None]) -> None:
        """Whom to ask."""
        self._ask = ask

    def elapsed(self, claims: Sequence[str]) -> dict[str, int] | None:
        """Ms since the server added the confirmation of each claim, at least, by its own clock.

        Only of leases, and only where that is known. None: the arbiter's place has no clock.
        """
        return self._ask(claims) if self._ask else None


class _Claimed(Entities):
    fold: ClassVar[Any] = claims


def ask(
    journal: Journal,
    asked: Sequence[Event],
    settle: Settle | None = None,
    seconds: float = BUDGET_S,
    clock: Clock | None = None,
) -> tuple[list[Verdict], list[str]]:
    """Have claims confirmed or conceded, in one sync: a verdict for each, and warnings for stderr.

    `settle` is called when everything that the remote has was taken in, and again after each
    attempt that another store was ahead of. It returns further events for the arbiter's stream, and
    may append to `asked`, which is read after the sync.

    The mirror is asked, if one runs; otherwise this process syncs with the arbiter's remote.
    Prints nothing. A Fault of the remote becomes the `why` of the verdicts; it is raised only if
    `asked` is empty.
    """
    outcome = settled(journal, settle, seconds, clock)
    if outcome.why and not asked:
        raise outcome.why
    entities = _Claimed.current(View(journal.store, claims))
    verdicts = []
    for claim in asked:
        (entity,) = claims.entities(claim)
        verdicts.append(verdict(entities.state(entity) or claims.nothing(), claim, outcome))
    return verdicts, outcome.warnings


def settled(
    journal: Journal,
    settle: Settle | None = None,
    seconds: float = BUDGET_S,
    clock: Clock | None = None,
) -> Outcome:
    """As `ask`, for who has a view of its own to see in it what became of the claims."""
    outcome, clock = Outcome(), clock or Clock()
    try:
        if not _by_mirror(journal.store, settle, clock):
            from coord_kernel.sync import remotes  # git, subprocess, filelock: some 100 ms

            rounds = remotes.exchange(
                journal, None, seconds, settle, named=remotes.home(journal.store)
            )
            clock.by(rounds.elapsed)
            rounds.run()
            outcome.warnings, outcome.withheld = rounds.warnings, rounds.withheld
    except Fault as fault:
        outcome.why = fault
    return outcome


def _by_mirror(store: Store, settle: Settle | None, clock: Clock) -> bool:
    """Has the mirror settled it? False: there is none, or the arbiter lives elsewhere.

    Raises Unreachable if it cannot, or does not answer.
    """
    with bus.connected(store) as mirror:
        if mirror is None or _done(mirror.ask({"confirm": None})) is None:
            return False
        clock.by(lambda claims: _elapsed(mirror, claims))
        for _ in range(TRIES if settle else 0):
            drafts = [draft for _, draft in settle()] if settle else []
            after = seats.end(store, seats.seat(store).stream)
            if not drafts or _done(mirror.ask({"confirm": drafts, "after": after})):
                break
        else:
            if settle:
                raise Unreachable(f"others were faster {TRIES} times", where="the arbiter")
        return True


def _elapsed(mirror: Connection, claims: Sequence[str]) -> dict[str, int] | None:
    if not claims:
        return {}
    answer = mirror.ask({"elapsed": [*claims]})
    known: dict[str, int] = answer.get("elapsed") or {}
    return None if _done(answer) is None else known


def _done(answer: Json) -> bool | None:
    """Was it done? None: the arbiter lives elsewhere. Raises Unreachable."""
    if fault := answer.get("fault"):
        raise Unreachable(fault["what"], fault["where"], fault["todo"])
    return None if answer.get("elsewhere") else "done" in answer


def verdict(state: ClaimsState, claim: Event, outcome: Outcome) -> Verdict:
    """What became of a claim on an entity that is in this state now."""
    why, holder = outcome.why, claims.owner(state)
    if holder and holder["id"] == claim.id and holder["n"] is not None:
        return Verdict("confirmed", holder["n"])
    known = state["claims"].get(claim.id)
    if not why and known and claims.verdict(state, claim.id) == "confirm":
        doubt = outcome.withheld.get(known["agent"])
        why = doubt or Refused("the arbiter did not confirm it")
    if why and not claims.over(state, claim.id):
        return Verdict("tentative", why=why)
    return Verdict("lost", why=No(f"held by {holder['agent']}" if holder else "no longer held"))
