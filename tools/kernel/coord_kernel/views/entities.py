"""The entities of one fold, as they are at one moment: what every tool asks of its view.

    Items.current(view)        as they are
    Items.past(view, then)     as they were at a time

Entities that were made with one idempotency key, in stores that had not met, are one. It is known
by all their ids, named by the oldest, and its state is the fold's `united` of theirs.
"""

from __future__ import annotations

from itertools import islice

from coord_envelope import world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, ClassVar, Self

    from coord_envelope.event import Event
    from coord_kernel.views.view import Source, View


FEW, MANY = 4, 256
"""States that are read together: at first, since often one is asked for, and at most."""


class Entities:
    """The entities of a fold at one moment. A tool's subclass names the fold and adds questions."""

    fold: ClassVar[Any]
    """A module with what a `Fold` has, and besides:

    `made(state)`     has the entity's first event come?
    `key(state)`      its idempotency key, which `indexed` yields as ("key", key); None without one
    `united(states)`  the state of entities that are one, given theirs, the oldest first
    """

    def __init__(self, source: Source, now_ms: int) -> None:
        self._source, self.now_ms, self.now = source, now_ms, world.format_ts(now_ms)

    @classmethod
    def current(cls, view: View) -> Self:
        """As they are now; reads what is new."""
        return cls(view.refresh(), world.now_ms())

    @classmethod
    def past(cls, view: View, then: str) -> Self:
        """As they were at a time; reads what is new."""
        from coord_kernel.views.past import Past  # only for time travel

        return cls(Past(view.refresh(), cls.fold, then), world.parse_ts(then))

    @classmethod
    def at(cls, events: Iterable[Event], then: str) -> Self:
        """As these events, a replay until then, leave them: to compare with."""
        from coord_kernel.views.past import Snapshot

        return cls(Snapshot(cls.fold, events), world.parse_ts(then))

    def state(self, entity: str) -> Any:
        """The folded state; None if there is no such entity."""
        return self.look(entity)[0]

    def name(self, entity: str) -> str:
        """The id that stands for the entity: the oldest of those that are one with it."""
        return self.look(entity)[1][0]

    def look(self, entity: str) -> tuple[Any, list[str]]:
        """The state, and the ids of the entities that are one with it, oldest first, its own too.

        Of an entity that is not there: None, and its id.
        """
        return self._united(entity, self._source.get(entity))

    def _united(self, entity: str, state: Any) -> tuple[Any, list[str]]:
        if not state or not self.fold.made(state):
            return None, [entity]
        key, same = self.fold.key(state), [entity]
        if key is not None:
            same = [other for _, other in self._source.find("key", key, key + "\0")] or same
        if len(same) > 1:
            state = self.fold.united([other for other in map(self._source.get, same) if other])
        return state, same

    def having(self, name: str, about: str) -> Iterator[Any]:
        """States of the entities that the secondary index has as `ABOUT …` under a name.

        In its order, each once.
        """
        return self.each(self._source.find(name, f"{about} ", f"{about}!"))

    def each(self, found: Iterable[tuple[str, str]]) -> Iterator[Any]:
        """The states of what `find` found: those that are one once, as the oldest."""
        seen, rest, size = set[str](), iter(found), FEW
        while page := list(islice(rest, size)):
            size = min(4 * size, MANY)
            fresh = dict.fromkeys(entity for _, entity in page if entity not in seen)
            seen.update(fresh)
            states = self._source.many(fresh)
            for entity in fresh:
                state, same = self._united(entity, states.get(entity))
                if state and same[0] == entity:
                    yield state
