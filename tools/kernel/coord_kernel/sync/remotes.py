"""The remotes of a store: git or live, by URL; which of them to ask."""

from __future__ import annotations

import os

from coord_envelope.errors import Fault, TryAgain, Unreachable, Usage
from coord_kernel.store import locate
from coord_kernel.sync import seat as seats
from coord_kernel.sync import settings
from coord_kernel.sync.rounds import BUDGET_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.journal.journal import Journal
    from coord_kernel.store.directory import Store
    from coord_kernel.sync.live.remote import Live
    from coord_kernel.sync.rounds import Rounds
    from coord_kernel.sync.settle import Settle, Wishes


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


def move(journal: Journal, to: str, agent_id: str, seconds: float = BUDGET_S) -> tuple[str, str]:
    """Move the arbiter to one of the configured remotes, by a seal where it lives: from, to.

    Both are synced: the new place must have what the arbiter confirmed before it may add to it.
    Raises as `exchange` and `Rounds.run`, Usage if it is not a configured remote.
    """
    store, to = journal.store, _configured(journal.store, to)
    there = _synced(journal, to, seconds)
    was, place = home(store), there.place

    def seal() -> Wishes:
        known = seats.seat(store)
        return [] if known.place == place else [("", seats.moved(place, agent_id))]

    if seats.seat(store).place not in ("", place):
        exchange(journal, None, seconds, seal, was).run()
    elif not seats.seat(store).place:
        exchange(journal, None, seconds, seal, to).run()
    _synced(journal, to, seconds)
    if seats.seat(store).place != place:
        raise TryAgain("the arbiter has moved meanwhile", where=to, todo="sync, and look again")
    return was, to


def take(journal: Journal, to: str, agent_id: str, seconds: float = BUDGET_S) -> str:
    """Make a remote the arbiter's place by force: a new stream, whatever the former place does.

    What was confirmed where this store has not read it may be confirmed again. Raises as `move`.
    """
    to = _configured(journal.store, to)
    rounds = _synced(journal, to, seconds)
    rounds.check_fit()
    with rounds.locked():
        if not rounds.take(agent_id):
            raise TryAgain("the arbiter has moved meanwhile", where=to, todo="try again")
    _synced(journal, to, seconds)
    return to


def _configured(store: Store, name: str) -> str:
    """The configured remote of this name, or at this path."""
    for known in (name, os.path.abspath(name)):
        if known in locate.remotes(store):
            return known
    raise Usage(f"{name}: not a remote of this store", todo="see `ev sync --status`")


def _synced(journal: Journal, name: str, seconds: float) -> Rounds:
    rounds = exchange(journal, None, seconds, None, name)
    try:
        rounds.run()
    except Unreachable as fault:
        if fault is not rounds.unconfirmed:  # where it lives now is the matter
            raise
    return rounds


def remember(rounds: Rounds) -> None:
    """The user has named this remote, and it was reached: sync with it from now on."""
    from coord_kernel.sync.exchange import Exchange

    if isinstance(rounds, Exchange):
        settings.remember(rounds.store, rounds.remote)
    else:
        settings.remember_live(rounds.store, rounds.name)


def synced(store: Store, name: str) -> str | None:
    """When a configured remote was synced last; None: never."""
    if settings.is_live(name):
        from coord_kernel.sync.live.state import State

        return State(store, name).ts or None
    last = settings.last(store)
    return last["ts"] if last["remote"] else None


def oldest(store: Store) -> Json:
    """{remote, ts} of the remote that was synced longest ago, each or None; `fault` of coord.toml.

    `remote` without what is secret in its URL.
    """
    try:
        names, fault = locate.remotes(store), None
    except Fault as error:
        names, fault = [], str(error)
    times = {name: synced(store, name) or "" for name in names}
    last = min(times, key=times.__getitem__, default=None)
    return {
        "remote": settings.public(last) if last else None,
        "ts": (times[last] or None) if last else None,
    } | ({"fault": fault} if fault else {})


def forget(store: Store, name: str) -> tuple[str, bool]:
    """The user takes back `--remote`: its full name, and whether the arbiter lives there.

    What it has stays there, and what came from it stays here. Raises Usage if it is not a
    configured remote.
    """
    from coord_kernel.store import consent

    name = _configured(store, name)
    lives_there = seats.seat(store).place != "" and _home(store) == name
    consent.forget(store, name)
    if settings.is_live(name):
        from coord_kernel.sync.live import state as states
        from coord_kernel.sync.live.pending import Pending

        state = states.State(store, name)
        state.forget()
        state.save()
        Pending(store, states.name(name)).clear()
    return name, lives_there


def _home(store: Store) -> str:
    try:
        return home(store)
    except Unreachable:
        return ""


def home(store: Store) -> str:
    """The configured remote where the arbiter lives, or would be born. Raises Unreachable."""
    names = locate.remotes(store)
    urls = [name for name in names if settings.is_live(name)]
    if not urls:
        return names[0] if names else ""  # the remote that is not there is reported when asked
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
        state = State(store, url)
        if seat.place in (state.epoch, *state.former):
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
