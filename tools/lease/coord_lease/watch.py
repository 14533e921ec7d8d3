"""Following leases: their events as they come, and each expiry when it happens."""

from __future__ import annotations

from coord_kernel.store import machine
from coord_lease import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_lease.scope import Scope


def watch(call: Call, scopes: Sequence[Scope]) -> None:
    """Print what comes, until stdout's reader is gone."""
    follower = call.journal.follow(call.journal.end())
    # After the end was noted: what comes between is seen twice, and folded alike.
    clock, heard = Expiries(scopes[0].held()), [Heard(scope) for scope in scopes[1:]]
    clocks: list[Expiries | Heard] = [clock, *heard]

    def within() -> float:
        now = machine.boot_ns()
        return min(one.within(now) for one in clocks)

    for batch in follower.batches(within=within):
        news = [one for one in batch if one["type"].startswith("lease.")]
        call.put(clock.told(news))
        for one in clocks:
            call.put(one.due(machine.boot_ns()))
        for scope in heard:
            scope.told(news)


class Heard:
    """Which leases of a scope run that this store only hears of. After news of them all are looked at anew."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._look()

    def _look(self) -> None:
        now, held = (
            machine.boot_ns(),
            [(self._scope.row(state), state) for state in self._scope.held()],
        )
        left = ((row["lease_id"], row.get("left_ms", 0), state) for row, state in held)
        self._states = {lease_id: (now + ms * 1_000_000, state) for lease_id, ms, state in left}

    def told(self, events: Iterable[Event]) -> None:
        if any(one["body"].get("scope") == self._scope.name for one in events):
            self._look()

    def within(self, now: int) -> float:
        """How many ms until the next expiry."""
        return max(
            0.0, min(((over - now) / 1e6 + 1 for over, _ in self._states.values()), default=1e9)
        )

    def due(self, now: int) -> Iterator[Json]:
        """A line for each lease that is over, as who watches has to see it."""
        for lease_id in [lease_id for lease_id, (over, _) in self._states.items() if over <= now]:
            yield _expired(self._states.pop(lease_id)[1])


class Expiries:
    """Which leases run, and which of them have expired without a word."""

    def __init__(self, states: Iterable[Json]) -> None:
        self._states = {state["lease_id"]: state for state in states}
        self._said: set[str] = set()

    def told(self, events: Iterable[Event]) -> Iterator[Event]:
        """The events, without the late record of an expiry that was said."""
        for event in events:
            lease_id = fold.about(event)
            if lease_id and event["body"]["boot"] == machine.boot_id():
                self._states[lease_id] = fold.step(self._states.get(lease_id), event)
                if not fold.open_(self._states[lease_id]):
                    del self._states[lease_id]
            if event["type"] == "lease.expired" and lease_id in self._said:
                self._said.discard(lease_id)
            else:
                yield event

    def within(self, now: int) -> float:
        """How many ms until the next expiry."""
        return max(
            0.0,
            min(
                ((fold.over_at(one) - now) / 1e6 + 1 for one in self._states.values()), default=1e9
            ),
        )

    def due(self, now: int) -> Iterator[Json]:
        """A line for each lease whose time is over: no event, which is written by who takes the resource next."""
        for lease_id in [
            lease_id for lease_id, state in self._states.items() if fold.over_at(state) <= now
        ]:
            state = self._states.pop(lease_id)
            self._said.add(lease_id)
            yield _expired(state)


def _expired(state: Json) -> Json:
    body = {name: state[name] for name in ("token", "resources", "holder")}
    return {
        "type": "lease.expired",
        "refs": {"lease_id": state["lease_id"]},
        "body": body,
        "$stored": False,
    }
