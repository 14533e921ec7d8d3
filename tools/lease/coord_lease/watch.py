"""Following leases: their events as they come, and each expiry when it happens."""

from __future__ import annotations

from coord_envelope import world
from coord_lease import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_envelope.tool import Call
    from coord_lease.scope import Scope


def watch(call: Call, scope: Scope) -> None:
    """Print what comes, until stdout's reader is gone."""
    follower = call.journal.follow(call.journal.end())
    clock = Expiries(scope.held())  # after the end was noted: what comes between is seen twice, and folded alike
    for batch in follower.batches(within=lambda: clock.within(world.boot_ns())):
        call.put(clock.told(one for one in batch if one["type"].startswith("lease.")))
        call.put(clock.due(world.boot_ns()))


class Expiries:
    """Which leases run, and which of them have expired without a word."""

    def __init__(self, states: Iterable[Json]) -> None:
        self._states = {state["lease_id"]: state for state in states}
        self._said: set[str] = set()

    def told(self, events: Iterable[Event]) -> Iterator[Event]:
        """The events, without the late record of an expiry that was said."""
        for event in events:
            lease_id = fold.about(event)
            if lease_id and event["body"]["boot"] == world.boot_id():
                self._states[lease_id] = fold.step(self._states.get(lease_id), event)
                if not fold.open_(self._states[lease_id]):
                    del self._states[lease_id]
            if event["type"] == "lease.expired" and lease_id in self._said:
                self._said.discard(lease_id)
            else:
                yield event

    def within(self, now: int) -> float:
        """How many ms until the next expiry."""
        return max(0.0, min(((fold.over_at(one) - now) / 1e6 + 1 for one in self._states.values()), default=1e9))

    def due(self, now: int) -> Iterator[Json]:
        """A line for each lease whose time is over: no event, which is written by who takes the resource next."""
        for lease_id in [lease_id for lease_id, state in self._states.items() if fold.over_at(state) <= now]:
            state = self._states.pop(lease_id)
            self._said.add(lease_id)
            body = {name: state[name] for name in ("token", "resources", "holder")}
            yield {"type": "lease.expired", "refs": {"lease_id": lease_id}, "body": body, "$stored": False}
