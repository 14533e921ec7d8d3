"""ev sync: exchange events with a remote, or with another store beside this one."""

from __future__ import annotations

import os
import time

from coord_envelope import Fault, No, Usage, world
from coord_kernel import Store
from coord_kernel.cli import complaints, values
from coord_kernel.store import locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_ev import options as o
    from coord_kernel.cli.call import Call
    from coord_kernel.sync.exchange import Exchange
    from coord_kernel.sync.remote import Remote
    from coord_kernel.sync.upkeep import Upkeep

INTERVAL = "30s"


def sync(
    call: Call,
    remote: o.Remote = None,
    with_: o.With = None,
    watch: o.Watch = False,
    interval: o.Interval = None,
    budget: o.Budget = "60s",
    status: o.SyncStatus = False,
    archive: o.Archive = False,
    repair_arbiter: o.Repair = False,
) -> None:
    """Exchange events with a remote.

    Nothing is pushed unasked: a remote is configured by [sync] remote in coord.toml, or by --remote, once. It goes
    through refs of its own; nothing of the user's repository is written. Prints what came and went.
    """
    if sum(map(bool, (with_, watch, status, archive, repair_arbiter))) > 1:
        raise Usage("--with, --watch, --status, --archive and --repair-arbiter are one at a time")
    if remote and (with_ or status):
        raise Usage("--remote does not go with --with and --status", todo="leave out one of them")
    if interval and not watch:
        raise Usage("--interval is how long between two syncs", todo="give --watch, too")
    seconds, pause = (
        values.span(budget, "--budget") / 1000,
        values.span(interval or INTERVAL, "--interval") / 1000,
    )
    if status:
        call.put([_status(call)])
    elif with_:
        call.put([_with(call, with_)])
    elif repair_arbiter:
        done = _upkeep(call, remote, seconds)
        call.put([{"remote": done.remote.name, "repaired": done.repair()}])
    elif archive:
        done = _upkeep(call, remote, seconds)
        call.put([{"remote": done.remote.name, "archived": done.archive()}])
    elif watch:
        _watch(call, remote, seconds, pause)
    else:
        _once(call, remote, seconds)


def _once(call: Call, remote: str | None, seconds: float) -> None:
    from coord_kernel.sync import settings
    from coord_kernel.sync.quiet import quiet

    began, store = time.monotonic(), call.journal.store
    found = settings.remote(store, settings.required(store, remote))
    if remote and not locate.remote(store):
        settings.remember(store, found.name)
    done = (
        None
        if quiet(call.journal, found, seconds)
        else _met(call, found, seconds - (time.monotonic() - began))
    )
    if remote:  # now that it was met, it may take the place of another
        settings.remember(store, found.name)
    call.put([_said(done) if done else {"remote": found.name, "received": 0, "sent": 0}])
    for claim in done.conceded if done else ():
        call.fail(
            No(
                "the claim is another's, who was confirmed first",
                where=claim,
                todo="`msg recv` says whose",
            )
        )


def _met(call: Call, found: Remote, seconds: float) -> Exchange:
    from coord_kernel.sync.exchange import Exchange

    done = Exchange(call.journal, found, seconds)
    done.run()
    return done


def _watch(call: Call, remote: str | None, seconds: float, pause: float) -> None:
    from coord_kernel.sync import settings

    settings.remote(
        call.journal.store, settings.required(call.journal.store, remote)
    )  # else no round does better
    while True:
        try:
            _once(call, remote, seconds)
        except Fault as fault:
            call.fail(fault)
            call.status = 0  # the next round may do better
        time.sleep(pause)


def _said(done: Exchange) -> Json:
    """The summary of a sync; what was odd goes to stderr."""
    for line in dict.fromkeys(done.warnings):
        complaints.warn(line)
    some = {"confirmed": done.confirmed, "conceded": done.conceded, "from": done.received}
    counts = {
        "remote": done.remote.name,
        "received": sum(done.received.values()),
        "sent": done.sent,
    }
    return counts | {name: what for name, what in some.items() if what}


def _upkeep(call: Call, remote: str | None, seconds: float) -> Upkeep:
    from coord_kernel.sync import settings
    from coord_kernel.sync.upkeep import Upkeep

    store = call.journal.store
    return Upkeep(call.journal, settings.remote(store, settings.required(store, remote)), seconds)


def _with(call: Call, directory: str) -> Json:
    """Both stores have what either had."""
    from coord_kernel.sync.union import union

    path = (
        directory
        if os.path.basename(directory.rstrip("/")) == ".coord"
        else os.path.join(directory, ".coord")
    )
    mine = call.journal.store
    received, sent, odd = union(mine, Store(path, mine.project))
    for line in odd:
        complaints.warn(line)
    return {"with": path, "received": received, "sent": sent}


def _status(call: Call) -> Json:
    """What a sync would give, when the last one was, and what came from whom."""
    from coord_kernel.sync import settings

    store = call.journal.store
    done = settings.last(store)
    own, unpushed, others = store.replicas(), 0, dict[str, int]()
    for name, seq in call.journal.end(live=False).items():
        replica = name.partition("!")[0].rpartition("~")[2]
        if replica in own:
            unpushed += max(seq - done["end"].get(name, 0), 0)
        else:
            others[replica] = others.get(replica, 0) + seq
    at = (
        {"synced": done["ts"], "ago_s": (world.now_ms() - world.parse_ts(done["ts"])) // 1000}
        if done["ts"]
        else {}
    )
    return {"remote": locate.remote(store), "unpushed": unpushed, **at, "from": others}
