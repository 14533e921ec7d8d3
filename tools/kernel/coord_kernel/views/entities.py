"""The entities of one fold, as they are at one moment: what every tool asks of its view.

    Items.current(view)        as they are
    Items.at(events, then)     as they were at a time, folded in memory

Entities that were made with one idempotency key, in stores that had not met, are one. It is known
by all their ids, named by the oldest, and its state is the fold's `united` of theirs.
"""

from __future__ import annotations

from coord_envelope import world
from coord_kernel.views.view import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, ClassVar, Self

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_kernel.views.view import Source, View


class Entities:
    """One look at the entities of a fold. A tool's subclass names the fold and adds its questions."""

    fold: ClassVar[Any]
    """A module with `key(state)` (the idempotency key, or None if the entity has none or was never
    made), `made(state)` (has its first event come?) and `united(states)`, besides a view's."""

    def __init__(self, source: Source, now_ms: int) -> None:
        self._source, self.now_ms, self.now = source, now_ms, world.format_ts(now_ms)

    @classmethod
    def current(cls, view: View) -> Self:
        """As they are now; reads what is new."""
        return cls(view.refresh(), world.now_ms())

    @classmethod
    def at(cls, events: Iterable[Event], then: str) -> Self:
        """As these events, a replay until then, leave them. Costs the history up to then."""
        return cls(Snapshot(cls.fold, events), world.parse_ts(then))

    def state(self, entity: str) -> Json | None:
        """The folded state; None if there is no such entity."""
        return self._look(entity)[0]

    def name(self, entity: str) -> str:
        """The id that stands for the entity: the oldest of those that are one with it."""
        return self._look(entity)[1][0]

    def _look(self, entity: str) -> tuple[Json | None, list[str]]:
        """The state, and the ids of the entities that are one with it, its own too, oldest first."""
        state = self._source.get(entity)
        if not state or not self.fold.made(state):
            return None, [entity]
        key, same = self.fold.key(state), [entity]
        if key is not None:
            same = [other for _, other in self._source.find("key", key, key + "\0")] or same
        if len(same) > 1:
            state = self.fold.united([other for other in map(self._source.get, same) if other])
        return state, same

    def having(self, facet: str, about: str) -> Iterator[Json]:
        """States of the entities with a facet `ABOUT …`, in its order, each once."""
        return self.each(self._source.find(facet, f"{about} ", f"{about}!"))

    def each(self, found: Iterable[tuple[str, str]]) -> Iterator[Json]:
        """The states of what `find` found: of entities that are one, once, by the one that names it."""
        seen = set[str]()
        for _, entity in found:
            if entity in seen:
                continue
            seen.add(entity)
            if self.name(entity) == entity and (state := self.state(entity)):
                yield state
