"""ev sync: exchange events with a remote, or with another store on this disk."""

from __future__ import annotations

import os
import time

from coord_envelope import Fault, No, Usage, world
from coord_envelope.errors import Refused
from coord_ev import groups as g
from coord_kernel import Store
from coord_kernel.cli.call import Call
from coord_kernel.store import locate
from coord_kernel.store.config import Config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_ev import options as o
    from coord_kernel.sync.rounds import Rounds

INTERVAL = "30s"


def sync(
    call: Call,
    action: g.Action,
    timing: g.Timing,
    signing: g.Signing,
    remote: o.Remote = None,
) -> None:
    """Exchange events with a remote.

    Nothing is pushed unless a remote is configured: by [sync] remote in coord.toml, or by --remote,
    once. Sync uses refs of its own and writes nothing of the user's repository. Prints how many
    events were received and sent.
    """
    _check(action, remote)
    if (signing.sign or signing.next_key) and any({**vars(action), "watch": False}.values()):
        raise Usage("only a sync signs", where="--sign", todo="leave out the other option")
    if timing.interval and not action.watch:
        raise Usage("--interval is the pause between two syncs", todo="give --watch, too")
    seconds = call.span(timing.budget, "--budget") / 1000
    pause = call.span(timing.interval or INTERVAL, "--interval") / 1000
    if action.status:
        call.put(_status(call))
    elif action.with_:
        call.put([_with(call, action.with_)])
    elif action.repair_arbiter or action.archive:
        call.put([_upkeep(call, remote, seconds, archive=action.archive)])
    elif action.move_arbiter or action.take_arbiter:
        call.put([_arbiter(call, action, seconds)])
    elif action.forget:
        call.put([_forgotten(call, action.forget)])
    elif action.watch:
        _watch(call, remote, seconds, pause, _signs(call, signing))
    else:
        _once(call, remote, seconds, _signs(call, signing))


def _check(action: g.Action, remote: str | None) -> None:
    """Raises Usage for options that say nothing together, or nothing at all."""
    given = {
        f"--{option.strip('_').replace('_', '-')}": value
        for option, value in vars(action).items()
        if value not in (None, False)
    }
    empty = next((option for option, value in given.items() if value == ""), None)
    if empty or remote == "":
        raise Usage("no remote is named", where=empty or "--remote", todo="give a name or URL")
    if len(given) > 1:
        raise Usage(f"{' and '.join(given)} cannot be used together", todo="give only one")
    if remote and not given.keys() <= {"--watch", "--archive", "--repair-arbiter"}:
        raise Usage(f"--remote cannot be used with {next(iter(given))}", todo="leave out one")


def trust(call: Call, show: o.Show = False) -> None:
    """Agree to the configured remote, refs and signers.

    What coord.toml says about a remote, about refs outside refs/coord/, and the file that it names
    as allowed_signers count only after you agreed to that value: whoever can push to the repository
    can change them. A remote whose URL changed needs this, too. Prints what you agreed to.
    """
    from coord_kernel.sync import settings

    store = call.journal.store
    rows = settings.agree(store, save=not show)
    if store.signers() and not show:
        from coord_kernel.sync.signed.judge import judge

        for line in judge(store):
            call.warn(line)
    if not rows:
        raise No("nothing to agree to: no remote and no refs are configured", code="not_found")
    call.put(rows)


def _signs(call: Call, signing: g.Signing) -> bool | None:
    """Is this sync to sign? None: as coord.toml says. A new key is signed for here."""
    if not signing.next_key:
        return signing.sign or None
    from coord_kernel.sync.signed.sign import Signer

    Signer(call.journal).sign(after=signing.next_key)
    return False  # all of it is signed


def _once(call: Call, asked: str | None, seconds: float, signs: bool | None = None) -> None:
    """Sync with the remote that is asked for, or with each that is configured."""
    store, deadline = call.journal.store, time.monotonic() + seconds
    _tell_of_signers(call)
    names: list[str | None] = [asked] if asked else [*locate.remotes(store)] or [None]
    for name in names:
        try:
            _with_remote(call, asked, name, deadline, signs)
        except Fault as fault:
            if len(names) == 1:
                raise
            call.fail(fault)


def _tell_of_signers(call: Call) -> None:
    """Warn if the repository's allowed_signers is not what the user agreed to."""
    from coord_kernel.sync import settings

    if settings.names_signers(call.journal.store):
        from coord_kernel.sync.signed import agreed  # only with signers

        if why := agreed.changed(call.journal.store):
            call.warn(why)


def _with_remote(
    call: Call, asked: str | None, name: str | None, deadline: float, signs: bool | None
) -> None:
    from coord_kernel.sync import remotes, settings

    live = name is not None and settings.is_live(name)
    if not live and _nothing_new(call, asked, deadline, signs):
        return
    rounds = remotes.exchange(call.journal, asked, deadline - time.monotonic(), named=name)
    rounds.signs, rounds.shares = signs, True
    rounds.run()
    if asked:  # only a remote that was reached is remembered
        remotes.remember(rounds)
    call.put([summary(call, rounds)])
    for claim in rounds.conceded:
        call.fail(
            No(
                "conceded: another agent's claim was confirmed first",
                where=claim,
                todo="see `msg recv`",
                code="held",
            )
        )


def _nothing_new(call: Call, asked: str | None, deadline: float, signs: bool | None) -> bool:
    """Is one look at a git remote the whole sync? Prints its row."""
    from coord_kernel.sync import settings
    from coord_kernel.sync.quiet import quiet

    remote = settings.remote(call.journal.store, asked)
    if not quiet(call.journal, remote, deadline - time.monotonic()):
        settings.keep(call.journal.store, asked, remote)
        return False
    if _unsigned(call, signs):
        return False
    if asked:
        settings.remember(call.journal.store, remote)
    call.put([{"remote": remote.name, "received": 0, "sent": 0}])
    return True


def _unsigned(call: Call, signs: bool | None) -> bool:
    """Is there something to sign, and is it to be signed?"""
    from coord_kernel.sync import settle

    if not (settle.signs(call.journal.store) if signs is None else signs):
        return False
    from coord_kernel.sync.signed.sign import Signer

    return Signer(call.journal).pending()


def _watch(
    call: Call, asked: str | None, seconds: float, pause: float, signs: bool | None = None
) -> None:
    from coord_kernel.sync import settings

    store = call.journal.store
    names = [asked] if asked else locate.remotes(store)
    if any(map(settings.is_live, names)):
        from coord_ev.mirror import mirror

        mirror(call, asked, pause, lambda rounds: call.put([summary(call, rounds)]), signs)
        return
    # A remote that does not exist would fail in every round.
    settings.remote(store, asked)
    while True:
        try:
            _once(call, asked, seconds, signs)
        except Refused:
            raise  # until the user agrees to the remote
        except Fault as fault:
            call.fail(fault)
            call.status = 0  # the next round may succeed
        time.sleep(pause)


def summary(call: Call, rounds: Rounds) -> Json:
    """The row of a sync: counts of events and, if there are any, the claims. Warns on stderr."""
    withheld = (
        f"{why.where}: {why.what}: its claims stay tentative" for why in rounds.withheld.values()
    )
    for line in dict.fromkeys([*rounds.warnings, *withheld]):
        call.warn(line)
    counts = {
        "remote": rounds.name,
        "received": sum(rounds.received.values()),
        "sent": rounds.sent,
    }
    optional = {
        "confirmed": rounds.confirmed,
        "conceded": rounds.conceded,
        "from": rounds.received,
    }
    return counts | {name: value for name, value in optional.items() if value}


def _upkeep(call: Call, asked: str | None, seconds: float, archive: bool) -> Json:
    from coord_kernel.sync import settings, upkeep
    from coord_kernel.sync.exchange import Exchange

    store = call.journal.store
    remote = settings.remote(store, asked)
    exchange = Exchange(call.journal, remote, seconds)
    if archive:
        return {"remote": remote.name, "archived": upkeep.archive(exchange)}
    return {"remote": remote.name, "repaired": upkeep.repair(exchange)}


def _arbiter(call: Call, action: g.Action, seconds: float) -> Json:
    """Move the arbiter by a seal, or take it by force."""
    from coord_kernel.sync import remotes

    agent_id = call.actor()["agent_id"]
    if action.move_arbiter:
        was, now = remotes.move(call.journal, action.move_arbiter, agent_id, seconds)
        return {"arbiter": now, "was": was}
    assert action.take_arbiter
    now = remotes.take(call.journal, action.take_arbiter, agent_id, seconds)
    return {"arbiter": now, "taken": True}


def _forgotten(call: Call, name: str) -> Json:
    from coord_kernel.sync import remotes

    name, lives_there = remotes.forget(call.journal.store, name)
    if lives_there:
        call.warn(
            f"{name}: the arbiter lives there, so claims stay tentative; "
            "--take-arbiter NAME chooses another place"
        )
    return {"remote": name, "forgotten": True}


def _with(call: Call, directory: str) -> Json:
    """Give both stores the events of either."""
    from coord_kernel.sync.union import union

    is_store = os.path.basename(directory.rstrip("/")) == ".coord"
    path = directory if is_store else os.path.join(directory, ".coord")
    store = call.journal.store
    other = Store(path, store.project)
    other.project = Config(locate.root(path)).project(locate.recorded(other))
    received, sent, warnings = union(store, other)
    for line in warnings:
        call.warn(line)
    return {"with": path, "received": received, "sent": sent}


def _status(call: Call) -> list[Json]:
    """For each remote: the events it lacks, the time of the last sync; events by other replicas."""
    from coord_kernel.sync import remotes, settings

    store = call.journal.store
    own, others = store.replicas(), dict[str, int]()
    end = call.journal.end(live=False)
    for name, seq in end.items():
        replica = name.partition("!")[0].rpartition("~")[2]
        if replica not in own:
            others[replica] = others.get(replica, 0) + seq
    configured: list[str | None] = [*locate.remotes(store)]
    rows = []
    for remote in configured or [None]:
        if remote and settings.is_live(remote):
            unpushed = _unpushed(call, remote)
        else:
            pushed = settings.last(store)["end"]
            mine = [name for name in end if name.partition("!")[0].rpartition("~")[2] in own]
            unpushed = sum(max(end[name] - pushed.get(name, 0), 0) for name in mine)
        synced = {}
        if remote and (ts := remotes.synced(store, remote)):
            age_s = (world.now_ms() - world.parse_ts(ts)) // 1000
            synced = {"synced": ts, "ago_s": age_s}
        rows.append({"remote": remote, "unpushed": unpushed, **synced, "from": others})
    return rows


def _unpushed(call: Call, url: str) -> int:
    """The events of this store that a live remote lacks."""
    from coord_kernel.sync.live import outbox
    from coord_kernel.sync.live.state import State

    store = call.journal.store
    state, own = State(store, url), store.replicas()
    lines = 0
    for path, _, ranges in outbox.missing(store, state.has):
        if any(outbox.written_here(path, replica) for replica in own):
            for begin, end in ranges:
                lines += store.pread(end - begin, begin, *path.split("/")).count(b"\n")
    return lines
