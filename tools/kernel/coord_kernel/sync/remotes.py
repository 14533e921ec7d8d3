"""The remotes of a store: git or live, by URL; which of them to ask."""

from __future__ import annotations

from coord_envelope.errors import Unreachable
from coord_kernel.store import locate
from coord_kernel.sync import settings
from coord_kernel.sync.rounds import BUDGET_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.journal.journal import Journal
    from coord_kernel.store.directory import Store
    from coord_kernel.sync.live.remote import Live
    from coord_kernel.sync.rounds import Rounds
    from coord_kernel.sync.settle import Settle


def live(store: Store, url: str, asked: bool = False) -> Live:
    """The live remote at a URL, not connected yet; `asked`: the user names it now.

    Raises Refused if the user has not agreed to it, and as `places`.
    """
    from coord_kernel.sync.live import places
    from coord_kernel.sync.live.remote import Live

    place = places.place(store, url)
    if not asked:
        settings.check_agreed(store, url, url, url)
    return Live(store, place, places.connect(place))


def exchange(
    journal: Journal,
    asked: str | None = None,
    seconds: float = BUDGET_S,
    settle: Settle | None = None,
    named: str | None = None,
) -> Rounds:
    """A sync with the remote that the user asks for now, or else with the configured `named`.

    Raises as `settings.remote` and `live`.
    """
    name = asked or named or locate.remote(journal.store)
    if name and settings.is_live(name):
        from coord_kernel.sync.live.exchange import LiveExchange

        alone = settings.git_remote(journal.store) is None
        remote = live(journal.store, name, asked=asked is not None)
        return LiveExchange(journal, remote, seconds, settle, alone)
    from coord_kernel.sync.exchange import Exchange  # git: some 100 ms

    return Exchange(journal, settings.remote(journal.store, asked), seconds, settle)


def remember(rounds: Rounds) -> None:
    """The user has named this remote, and it was reached: sync with it from now on."""
    from coord_kernel.sync.exchange import Exchange

    if isinstance(rounds, Exchange):
        settings.remember(rounds.store, rounds.remote)
    else:
        settings.remember_live(rounds.store, rounds.name)


def home(store: Store) -> str:
    """The configured remote where the arbiter lives, or would be born. Raises Unreachable."""
    names = locate.remotes(store)
    urls = [name for name in names if settings.is_live(name)]
    if not urls:
        return names[0] if names else ""  # the remote that is not there is reported when asked
    from coord_kernel.sync import seat as seats
    from coord_kernel.sync.live.state import State

    git, seat = settings.git_remote(store), seats.seat(store)
    if seat.place == "":
        return git or urls[0]
    if seat.place == seats.GIT:
        if git:
            return git
        raise Unreachable(
            "the arbiter lives in git, and this store has no git remote",
            todo="`ev sync --remote NAME` adds one",
        )
    for url in urls:
        if State(store, url).epoch == seat.place:
            return url
    raise Unreachable(
        "the arbiter lives at a remote that this store does not have", todo="`ev sync --remote URL`"
    )


def sync(
    journal: Journal,
    asked: str | None = None,
    seconds: float = BUDGET_S,
    settle: Settle | None = None,
) -> Rounds:
    """Sync with the remote that was asked for, and remember it; else with the arbiter's home.

    Raises as `exchange`, `home` and `Rounds.run`.
    """
    named = None if asked else home(journal.store)
    rounds = exchange(journal, asked, seconds, settle, named)
    rounds.run()
    if asked:  # only a remote that was reached is remembered
        remember(rounds)
    return rounds
