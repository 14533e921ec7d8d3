"""The journal of a store: append to it, replay it, take its tail, follow it."""

from __future__ import annotations

from itertools import islice, takewhile

from coord_envelope import codec
from coord_envelope.event import file_form
from coord_kernel.streams import stream
from coord_kernel.streams.stream import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from coord_envelope.codec import Json
    from coord_envelope.cursor import Cursor
    from coord_envelope.event import Event
    from coord_envelope.filter import Filter
    from coord_kernel.journal.keys import Keys
    from coord_kernel.journal.transaction import Transaction
    from coord_kernel.store.directory import Store
    from coord_kernel.streams.follow import Follower
    from coord_kernel.streams.redaction import Redactions
    from coord_kernel.streams.trusted import Trusted
    from coord_kernel.views.index import Index

LAST_TS = "9999-12-31T23:59:59.999Z"
LOOKED = 1_000
"""Newest events of a stream that are looked at for one whose clock was not ahead."""


class Journal:
    """The events of a store in one order, the same in every replica that has the same events.

    A redacted event is read as its tombstone.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._index: Index | None = None
        self._keys: Keys | None = None
        self._redactions: Redactions | None = None
        self._trusted: Trusted | None = None

    @property
    def index(self) -> Index:
        """Where an id or a key is."""
        if self._index is None:
            from coord_kernel.views.index import Index  # who only appends or reads needs none

            self._index = Index(self.store)
        return self._index

    @property
    def keys(self) -> Keys:
        """Which idempotency keys are taken."""
        if self._keys is None:
            from coord_kernel.journal.keys import Keys  # who only reads needs none

            self._keys = Keys(self.store, lambda: self.index)
        return self._keys

    @property
    def redactions(self) -> Redactions:
        """Which events are read as tombstones."""
        if self._redactions is None:
            from coord_kernel.streams.redaction import Redactions  # who only appends needs none

            self._redactions = Redactions(self.store)
        return self._redactions

    def transaction(
        self,
        actor: Json,
        *,
        live: bool = False,
        allow_secret: bool = False,
        wait_s: float | None = None,
    ) -> Transaction:
        """Write events of `actor` under one lock; see `coord_kernel.journal.transaction`."""
        from coord_kernel.journal.transaction import Transaction

        return Transaction(
            self.store, self.keys, actor, live=live, allow_secret=allow_secret, wait_s=wait_s
        )

    def prepare(self, drafts: Sequence[Json]) -> None:
        """Before a transaction: read what drafts with a key need. The first time it is long."""
        from coord_kernel.journal.keys import keyed

        if keyed(drafts):
            self.index.refresh()

    def append(
        self, actor: Json, drafts: Sequence[Json], allow_secret: bool = False
    ) -> list[Event]:
        """Write drafts in a transaction of their own, all or none. Raises as `Transaction`."""
        self.prepare(drafts)
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
        """The wanted events in order of event_id, behind a cursor `after`, up to the time `until`.

        `until` is compared with `ts`. Memory grows with the number of streams only.
        """
        from coord_kernel.streams.merge import merge

        seen: dict[str, int] = after or {}
        streams = [one.after(seen.get(one.name, 0)) for one in self._streams(live)]
        events = self.redactions.apply_all(merge(map(stream.events, streams)))
        if wanted:
            events = filter(wanted, events)
        return (event for event in events if event["ts"] <= until) if until else events

    def lines(self, types: Collection[str]) -> Iterator[list[bytes]]:
        """The lines of `replay`, many at a time, of these types or all: 20 times as fast."""
        from coord_kernel.streams import lines

        return lines.replay(self.store, self.redactions, types)

    def follow(self, after: Cursor, live: bool = True) -> Follower:
        """A reader of the events behind the cursor, those there and those to come."""
        from coord_kernel.streams.follow import Follower

        return Follower(self.store, after, self.redactions, live)

    def shown(self, event: Event) -> Event:
        """The event, or its tombstone if it was redacted; with `$trust` if nobody has signed it."""
        return self.showing()(event)

    def showing(self) -> Callable[[Event], Event]:
        """`shown` for many events, as it is now: what it depends on is looked at once."""
        apply = self.redactions.refresh().apply
        if not self.store.signers():
            return apply
        from coord_kernel.streams.trusted import Trusted  # only with signers

        self._trusted = self._trusted or Trusted(self.store)
        unsigned = self._trusted.refresh().unsigned

        def shown(event: Event) -> Event:
            event = apply(event)
            return event.annotated(trust="unsigned") if unsigned(event) else event

        return shown

    def tail(
        self, count: int, wanted: Filter | None = None, until: Cursor | None = None
    ) -> list[Event]:
        """The newest `count` wanted events up to the cursor `until`, oldest first.

        Reads from the end, and only as far back as it must.
        """
        from coord_kernel.streams.merge import merge

        newest: list[Event] = []
        sources = map(stream.backwards, stream.streams(self.store, live=True) if count > 0 else ())
        for event in self.redactions.apply_all(merge(sources, newest_first=True)):
            if (wanted is None or wanted(event)) and (until is None or until.has(event)):
                newest.append(event)
            if len(newest) == count:
                break
        return newest[::-1]

    def last_seen(self, agent: str, until: str = LAST_TS) -> str | None:
        """The `ts` of the agent's newest event up to `until`, in any of its streams, or None.

        With `until` only the last of each stream's events are looked at.
        """
        mine = file_form(agent) + "~"
        streams = (one for one in stream.streams(self.store, True) if one.name.startswith(mine))
        tails = (islice(stream.backwards(one), LOOKED) for one in streams)
        seen: str | None = None
        for tail in tails:
            stamps = (event["ts"] for event in tail)
            seen = max(seen or "", next((ts for ts in stamps if ts <= until), "")) or None
        return seen

    def end(self, live: bool = True) -> Cursor:
        """The cursor behind everything that is there."""
        from coord_envelope.cursor import Cursor  # who appends needs none

        streams = self._judged(live)
        lasts = [(one, last["seq"]) for one in streams if (last := one.last())]
        ends = {one.name: seq if one.end is None else min(seq, one.end) for one, seq in lasts}
        return Cursor({name: seq for name, seq in ends.items() if seq})

    def behind(self, event: Event) -> Cursor:
        """The cursor behind everything up to this event, in order of event_id."""
        from coord_kernel.streams.merge import merge

        sources = map(stream.backwards, stream.streams(self.store, live=True))
        newest_first = merge(sources, newest_first=True)
        return self.end().without(takewhile(lambda one: one.id > event.id, newest_first))

    def size(self) -> int:
        """The approximate size of the durable streams, in bytes."""
        return sum(one.size() for one in stream.streams(self.store))

    def _judged(self, live: bool) -> list[Stream]:
        """The streams; in a store that knows signers each up to where it was judged."""
        streams = stream.streams(self.store, live)
        if self.store.signers():
            from coord_kernel.streams.trusted import limited  # only with signers

            return limited(self.store, streams)
        return streams

    def _streams(self, live: bool) -> list[Stream]:
        streams = self._judged(live)
        if sum(one.size() for one in streams) > codec.MANY:
            codec.bulk()
        return streams
