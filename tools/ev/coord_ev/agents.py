"""The agents of a store as a view: who is there costs their number, not the history."""

from __future__ import annotations

from coord_envelope import codec
from coord_ev import fold
from coord_kernel.rules import claims
from coord_kernel.streams.stream import streams
from coord_kernel.views.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from coord_kernel.store.directory import Store
    from coord_kernel.streams.stream import Stream


class Agents(View):
    """Everyone who wrote into the durable or the live streams."""

    commutes = True

    def __init__(self, store: Store) -> None:
        super().__init__(store, fold)

    def streams(self, known: Collection[str]) -> list[Stream]:
        return streams(self._store, live=True)

    def newest_first(self) -> Iterator[fold.State]:
        """All of them, those seen last first."""
        return self.states(agent for _, agent in self.newest("seen", "", "~"))

    def lines(self, until: str) -> Iterator[bytes]:
        """Their rows as JSON, in that order. A time later than `until` is of a clock ahead."""
        for value, agent in self.newest("seen", "", "~"):
            ts, _, line = value.partition(" ")
            if ts <= until:
                yield line.encode()
            else:
                yield codec.dumps({**fold.row(self.get(agent), until)})


def begun(store: Store, agent: str) -> fold.State | None:
    """An agent that has not written yet: a job has begun a session of it. None if none has."""
    from coord_kernel.views.presence import Sessions  # 2 ms

    sessions = [each for each in Sessions(store).refresh().of(agent) if "started" in each]
    return fold.begun(
        agent, ((each["replica"], each["session"], each["started"][1]) for each in sessions)
    )


def holds(store: Store, agent: str) -> Iterator[str]:
    """The work items that an agent holds, in the order of its claims."""
    view = View(store, claims).refresh()
    for _, entity in view.find("owner", f"{agent} ", f"{agent}!"):
        kind, _, item = entity.partition(" ")
        if kind == "work":
            yield item
