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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_ev import options as o
    from coord_kernel.sync.exchange import Exchange
    from coord_kernel.sync.remote import Remote

INTERVAL = "30s"


def sync(call: Call, action: g.Action, timing: g.Timing, remote: o.Remote = None) -> None:
    """Exchange events with a remote.

    Nothing is pushed unless a remote is configured: by [sync] remote in coord.toml, or by --remote,
    once. Sync uses refs of its own and writes nothing of the user's repository. Prints how many
    events were received and sent.
    """
    if sum(map(bool, vars(action).values())) > 1:
        raise Usage("give only one of --with, --watch, --status, --archive and --repair-arbiter")
    if remote and (action.with_ or action.status):
        raise Usage("--remote cannot be used with --with or --status", todo="leave out one of them")
    if timing.interval and not action.watch:
        raise Usage("--interval is the pause between two syncs", todo="give --watch, too")
    seconds = call.span(timing.budget, "--budget") / 1000
    pause = call.span(timing.interval or INTERVAL, "--interval") / 1000
    if action.status:
        call.put([_status(call)])
    elif action.with_:
        call.put([_with(call, action.with_)])
    elif action.repair_arbiter or action.archive:
        call.put([_upkeep(call, remote, seconds, archive=action.archive)])
    elif action.watch:
        _watch(call, remote, seconds, pause)
    else:
        _once(call, remote, seconds)


def trust(call: Call, show: o.Show = False) -> None:
    """Agree to the configured remote and refs.

    What coord.toml says about a remote, and about refs outside refs/coord/, counts only after you
    agreed to that value: whoever can push to the repository can change the file. A remote whose URL
    changed needs this, too. Prints what you agreed to.
    """
    from coord_kernel.sync import settings

    rows = settings.agree(call.journal.store, save=not show)
    if not rows:
        raise No("nothing to agree to: no remote and no refs are configured", code="not_found")
    call.put(rows)


def _once(call: Call, asked: str | None, seconds: float) -> None:
    from coord_kernel.sync import settings
    from coord_kernel.sync.quiet import quiet

    began, store = time.monotonic(), call.journal.store
    remote = settings.remote(store, asked)
    nothing_new = quiet(call.journal, remote, seconds)
    exchange = None if nothing_new else _exchanged(call, remote, began + seconds)
    if asked:  # only a remote that was reached is remembered
        settings.remember(store, remote)
    call.put(
        [_summary(exchange) if exchange else {"remote": remote.name, "received": 0, "sent": 0}]
    )
    for claim in exchange.conceded if exchange else ():
        call.fail(
            No(
                "conceded: another agent's claim was confirmed first",
                where=claim,
                todo="see `msg recv`",
                code="held",
            )
        )


def _exchanged(call: Call, remote: Remote, deadline: float) -> Exchange:
    from coord_kernel.sync.exchange import Exchange

    exchange = Exchange(call.journal, remote, deadline - time.monotonic())
    exchange.run()
    return exchange


def _watch(call: Call, asked: str | None, seconds: float, pause: float) -> None:
    from coord_kernel.sync import settings

    # A remote that does not exist would fail in every round.
    settings.remote(call.journal.store, asked)
    while True:
        try:
            _once(call, asked, seconds)
        except Refused:
            raise  # until the user agrees to the remote
        except Fault as fault:
            call.fail(fault)
            call.status = 0  # the next round may succeed
        time.sleep(pause)


def _summary(exchange: Exchange) -> Json:
    """The row of a sync: counts of events and, if there are any, the claims. Warns on stderr."""
    for line in dict.fromkeys(exchange.warnings):
        Call.warn(line)
    counts = {
        "remote": exchange.remote.name,
        "received": sum(exchange.received.values()),
        "sent": exchange.sent,
    }
    optional = {
        "confirmed": exchange.confirmed,
        "conceded": exchange.conceded,
        "from": exchange.received,
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


def _with(call: Call, directory: str) -> Json:
    """Give both stores the events of either."""
    from coord_kernel.sync.union import union

    is_store = os.path.basename(directory.rstrip("/")) == ".coord"
    path = directory if is_store else os.path.join(directory, ".coord")
    store = call.journal.store
    received, sent, warnings = union(store, Store(path, store.project))
    for line in warnings:
        call.warn(line)
    return {"with": path, "received": received, "sent": sent}


def _status(call: Call) -> Json:
    """The number of unpushed events, the time of the last sync, and events by other replicas."""
    from coord_kernel.sync import settings

    store = call.journal.store
    last = settings.last(store)
    own, unpushed, others = store.replicas(), 0, dict[str, int]()
    for name, seq in call.journal.end(live=False).items():
        replica = name.partition("!")[0].rpartition("~")[2]
        if replica in own:
            unpushed += max(seq - last["end"].get(name, 0), 0)
        else:
            others[replica] = others.get(replica, 0) + seq
    synced = {}
    if last["ts"]:
        age_s = (world.now_ms() - world.parse_ts(last["ts"])) // 1000
        synced = {"synced": last["ts"], "ago_s": age_s}
    return {"remote": locate.remote(store), "unpushed": unpushed, **synced, "from": others}
