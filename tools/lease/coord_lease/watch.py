"""Following leases: their events as they come, and each expiry when it happens."""

from __future__ import annotations

from coord_envelope import Event, world
from coord_kernel.store import machine
from coord_lease import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from coord_envelope import Filter
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_lease.fold import Lease
    from coord_lease.scope import Scope


def watch(call: Call, scopes: Sequence[Scope], wanted: Filter) -> None:
    """Print what comes and is wanted, until stdout's reader is gone.

    For the filter, an expiry without an event is one of the lease's holder, now.
    """
    follower = call.journal.follow(call.journal.end())
    # After the end was taken: what comes between is seen twice, and folded alike.
    local, remotes = Local(scopes[0].held()), [Remote(scope) for scope in scopes[1:]]
    followed: list[Local | Remote] = [local, *remotes]

    def within() -> float:
        now = machine.boot_ns()
        return min(leases.within(now) for leases in followed)

    for batch in follower.batches(within=within):
        news = [event for event in batch if event["type"].startswith("lease.")]
        call.put(filter(wanted, local.learn(news)))
        for leases in followed:
            expired = leases.expired(machine.boot_ns())
            call.put(line for line in expired if wanted(_as_event(line)))
        for remote in remotes:
            remote.learn(news)


class Remote:
    """The running leases of a scope that other stores decide on: looked up again after news."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._look()

    def _look(self) -> None:
        now = machine.boot_ns()
        self._running = dict[str, tuple[int, Lease]]()
        for lease in self._scope.held():
            left_ms = self._scope.row(lease).get("left_ms", 0)
            self._running[lease["lease_id"]] = now + left_ms * 1_000_000, lease

    def learn(self, events: Iterable[Event]) -> None:
        if any(event["body"].get("scope") == self._scope.name for event in events):
            self._look()

    def within(self, now: int) -> float:
        """How many ms until the next expiry."""
        return _within((over for over, _ in self._running.values()), now)

    def expired(self, now: int) -> Iterator[Json]:
        """A line for each lease whose time is over, as a watcher must see it."""
        over = [lease_id for lease_id, (end, _) in self._running.items() if end <= now]
        for lease_id in over:
            yield _expired(self._running.pop(lease_id)[1])


class Local:
    """The running leases of scope `local`, and which have expired though no event says so."""

    def __init__(self, leases: Iterable[Lease]) -> None:
        self._fold = fold.Fold(machine.boot_id())
        self._running = {lease["lease_id"]: lease for lease in leases}
        self._reported = set[str]()

    def learn(self, events: Iterable[Event]) -> Iterator[Event]:
        """The events, without the late record of an expiry that was printed."""
        for event in events:
            for lease_id in self._fold.entities(event):
                lease = self._fold.step(self._running.get(lease_id), event)
                self._running[lease_id] = lease
                if not fold.open_(lease):
                    del self._running[lease_id]
            lease_id = fold.about(event) or ""
            if event["type"] == "lease.expired" and lease_id in self._reported:
                self._reported.discard(lease_id)
            else:
                yield event

    def within(self, now: int) -> float:
        """How many ms until the next expiry."""
        return _within(map(fold.over_at, self._running.values()), now)

    def expired(self, now: int) -> Iterator[Json]:
        """A line for each lease whose time is over.

        There is no event: it is written by whoever takes the resource next.
        """
        over = [lease for lease in self._running.values() if fold.over_at(lease) <= now]
        for lease in over:
            del self._running[lease["lease_id"]]
            self._reported.add(lease["lease_id"])
            yield _expired(lease)


def _within(ends: Iterable[int], now: int) -> float:
    return max(0.0, min(((end - now) / 1e6 + 1 for end in ends), default=1e9))


def _as_event(line: Json) -> Event:
    fields = {
        "event_id": line["refs"]["lease_id"],
        "ts": world.format_ts(world.now_ms()),
        "actor": {"agent_id": line["body"]["holder"]},
    }
    return Event(b"", {**line, **fields})


def _expired(lease: Lease) -> Json:
    return {
        "type": "lease.expired",
        "refs": {"lease_id": lease["lease_id"]},
        "body": {name: lease[name] for name in ("token", "resources", "holder")},
        "$stored": False,
    }
