"""The journal of a store: append to it, replay it, take its tail, follow it."""

from __future__ import annotations

from coord_envelope import codec
from coord_envelope.cursor import Cursor
from coord_kernel.journal.keys import keyed
from coord_kernel.journal.transaction import Transaction
from coord_kernel.streams import stream
from coord_kernel.streams.redaction import Redactions
from coord_kernel.streams.stream import Stream
from coord_kernel.views.index import Index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_envelope.filter import Filter
    from coord_kernel.store.directory import Store
    from coord_kernel.streams.follow import Follower


class Journal:
    """All events of a store, as one order that is the same in every replica with the same events.

    Who reads a redacted event here gets its tombstone.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.index = Index(store)
        self.redactions = Redactions(store)

    def transaction(
        self,
        actor: Json,
        *,
        live: bool = False,
        allow_secret: bool = False,
        wait_s: float | None = None,
    ) -> Transaction:
        """Write events of `actor` under one lock; see `coord_kernel.journal.transaction`."""
        return Transaction(
            self.store, self.index, actor, live=live, allow_secret=allow_secret, wait_s=wait_s
        )

    def append(
        self, actor: Json, drafts: Sequence[Json], allow_secret: bool = False
    ) -> list[Event]:
        """Write drafts in a transaction of their own, all or none. Raises as `Transaction`."""
        if keyed(drafts):
            self.index.refresh()  # a long way to go (a first time) is gone before the lock is taken
        with self.transaction(actor, allow_secret=allow_secret) as t:
            for draft in drafts:
                t.add(draft)
        return t.events

    def replay(
        self,
        wanted: Filter | None = None,
        after: Cursor | None = None,
        live: bool = False,
        until: str | None = None,
    ) -> Iterator[Event]:
        """Events in order of event_id, without those that `after` has, or whose `ts` is later than `until`.

        Memory grows with the number of streams only.
        """
        from coord_kernel.streams.merge import merge

        seen = after or Cursor()
        merged = merge(
            [stream.events(one.after(seen.get(one.name, 0))) for one in self._streams(live)]
        )
        shown = self.redactions.all(merged)
        found = filter(wanted, shown) if wanted else shown
        return (one for one in found if one["ts"] <= until) if until else found

    def lines(self, types: Collection[str]) -> Iterator[list[bytes]]:
        """The lines of what `replay` gives, many at a time; of these types, or all. Some twenty times as fast."""
        from coord_kernel.streams import raw

        return raw.replay(self.store, self.redactions, types)

    def follow(self, after: Cursor, live: bool = True) -> Follower:
        """A reader of what is there after the cursor, and of what comes."""
        from coord_kernel.streams.follow import Follower

        return Follower(self.store, after, self.redactions, live)

    def shown(self, found: Event) -> Event:
        """The event, or its tombstone if it was redacted."""
        return self.redactions.refresh().shown(found)

    def tail(
        self, count: int, wanted: Filter | None = None, until: Cursor | None = None
    ) -> list[Event]:
        """The newest `count` events that are wanted, oldest first, of those that `until` has.

        Reads back from the end only as far as it must.
        """
        from coord_kernel.streams.merge import merge

        newest: list[Event] = []
        sources = (
            [stream.backwards(one) for one in stream.streams(self.store, live=True)]
            if count > 0
            else []
        )
        for found in self.redactions.all(merge(sources, newest_first=True)):
            if (wanted is None or wanted(found)) and (until is None or until.has(found)):
                newest.append(found)
            if len(newest) == count:
                break
        return newest[::-1]

    def last_seen(self, agent: str) -> str | None:
        """The `ts` of the agent's newest event, in any of its streams; None if it has none."""
        mine = agent.replace(":", ".", 1) + "~"
        lasts = (
            one.last() for one in stream.streams(self.store, live=True) if one.name.startswith(mine)
        )
        return max((last["ts"] for last in lasts if last), default=None)

    def end(self, live: bool = True) -> Cursor:
        """The cursor behind everything that is there now."""
        lasts = ((one.name, one.last()) for one in stream.streams(self.store, live))
        return Cursor({name: last["seq"] for name, last in lasts if last})

    def size(self) -> int:
        """About how many bytes the durable streams have."""
        return sum(one.size() for one in stream.streams(self.store))

    def _streams(self, live: bool) -> list[Stream]:
        found = stream.streams(self.store, live)
        if sum(one.size() for one in found) > codec.MANY:
            codec.bulk()
        return found
