"""Sessions and stops, as views of the durable and the live streams of a store."""

from __future__ import annotations

from coord_kernel.rules import control, presence
from coord_kernel.streams.stream import streams
from coord_kernel.views.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from coord_kernel.rules.control import Control
    from coord_kernel.rules.presence import Session
    from coord_kernel.store.directory import Store
    from coord_kernel.streams.stream import Stream


class Sessions(View):
    """The sessions of agents. Who is there costs their number, not the history of their beats."""

    commutes = True

    def __init__(self, store: Store) -> None:
        super().__init__(store, presence)

    def streams(self, known: Collection[str]) -> list[Stream]:
        return streams(self._store, live=True)

    def of(self, agent: str) -> Iterator[Session]:
        """The agent's sessions, those seen last first."""
        return self.states(entity for _, entity in self.newest("agent", f"{agent} ", f"{agent}!"))


class Stops(View):
    """What stops controllers and workers."""

    commutes = True

    def __init__(self, store: Store) -> None:
        super().__init__(store, control)

    def control(self) -> Control:
        """The state now; reads what is new."""
        state: Control | None = self.refresh().get(control.ENTITY)
        return state or control.nothing()
