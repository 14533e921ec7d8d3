"""The bus: publish an event, subscribe to what comes, take a snapshot. The same words on every backend.

    publish(draft)               the event, when it is on the disk here
    snapshot(wanted, after)      what is there behind a cursor, in batches; then it ends
    subscribe(wanted, after)     the same, and then what comes; it does not end

A Batch has events, the cursor behind them, and the gaps found on the way. At least once; in order for each writer, no
order between writers. `FileBus` is a store, `GitBus` a store that syncs; `bus_stdio` reaches either through pipes.
"""

from __future__ import annotations

import time

from coord_envelope.cursor import Cursor
from coord_envelope.errors import Fault, TryAgain, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Protocol

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_envelope.filter import Filter
    from coord_kernel.journal.journal import Journal
    from coord_kernel.streams.follow import Follower

    class Bus(Protocol):
        """What every backend does."""

        def publish(self, draft: Json) -> Event: ...
        def snapshot(self, wanted: Filter | None, after: Cursor) -> Iterator[Batch]: ...
        def subscribe(self, wanted: Filter | None, after: Cursor) -> Iterator[Batch]: ...


MOST = 1000
"""Events in a batch."""


class Batch:
    """Wanted events, oldest first; the cursor behind them and what was not wanted; the holes among them."""

    __slots__ = ("cursor", "events", "gaps")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.cursor = Cursor()
        self.gaps: list[Json] = []
        """Each `{stream, from, to}`: these seqs are not here. Should they come, they come in a later batch."""


class FileBus:
    """The events of a store on this disk."""

    def __init__(self, journal: Journal, actor: Json) -> None:
        self.journal, self._actor = journal, actor

    def publish(self, draft: Json) -> Event:
        """Append it, and return it when it is on the disk. Raises as `append.append`."""
        (done,) = self.journal.append(self._actor, [draft])
        return done

    def snapshot(self, wanted: Filter | None, after: Cursor) -> Iterator[Batch]:
        """What is there behind the cursor. At least one batch; the last one's cursor is behind everything."""
        follower = self.journal.follow(after, live=False)
        yield from _cut(follower, follower.batch(), wanted)

    def subscribe(
        self, wanted: Filter | None, after: Cursor, also: int | None = None
    ) -> Iterator[Batch]:
        """What is there, and what comes. Ends as `Follower.batches`, and never by itself if stdout's reader stays.

        A batch for each wake-up, which may be empty; `also` is a descriptor of the caller's that wakes it too.
        """
        follower = self.journal.follow(after, live=False)
        for batch in follower.batches(also=also):
            yield from _cut(follower, batch, wanted)


class GitBus(FileBus):
    """The events of a store that exchanges them with others through a git remote."""

    def __init__(
        self, journal: Journal, actor: Json, remote: str | None = None, interval_s: float = 30.0
    ) -> None:
        """With this remote, or the configured one."""
        super().__init__(journal, actor)
        self._remote, self._interval_s, self._synced = remote, interval_s, float("-inf")
        self.trouble: Fault | None = None
        """Why the last sync failed: what was published then is here, and not there yet. The next one sends it."""

    def publish(self, draft: Json) -> Event:
        """Append it here, which is the ack; then try to sync."""
        done = super().publish(draft)
        self._sync()
        return done

    def snapshot(self, wanted: Filter | None, after: Cursor) -> Iterator[Batch]:
        """What is there, after a sync."""
        self._sync()
        yield from super().snapshot(wanted, after)

    def subscribe(
        self, wanted: Filter | None, after: Cursor, also: int | None = None
    ) -> Iterator[Batch]:
        """What is there and what comes, with a sync at each interval, while which nothing is given out."""
        follower = self.journal.follow(after, live=False)
        self._sync()
        for batch in follower.batches(also=also, within=lambda: max(self._left_s(), 0) * 1000):
            if self._left_s() <= 0:
                self._sync()
            yield from _cut(follower, batch, wanted)

    def _left_s(self) -> float:
        return self._synced + self._interval_s - time.monotonic()

    def _sync(self) -> None:
        from coord_kernel.sync.exchange import sync  # git: some 100 ms

        try:
            sync(self.journal, self._remote)
            self.trouble = None
        except (Unreachable, TryAgain) as fault:
            self.trouble = fault
        self._synced = time.monotonic()


def _cut(follower: Follower, found: Iterable[Event], wanted: Filter | None) -> Iterator[Batch]:
    """What a follower reads, as batches of at most `MOST` events; the last one may be empty."""
    batch, vouched = Batch(), Cursor(follower.reached)
    for one in found:
        if len(batch.events) == MOST:
            yield _ended(batch, follower, vouched)
            batch, vouched = Batch(), Cursor(follower.reached)
        seen = follower.reached.get(one.stream, 0)
        if (
            one["seq"] > seen + 1 and "!" not in one.stream
        ):  # a fork begins anywhere, and skips what its author has
            batch.gaps.append({"stream": one.stream, "from": seen + 1, "to": one["seq"] - 1})
        if wanted is None or wanted(one):
            batch.events.append(one)
    yield _ended(batch, follower, vouched)


def _ended(batch: Batch, follower: Follower, vouched: Cursor) -> Batch:
    follower.make_durable(vouched)  # a cursor may be saved, and must not outlive what it passes
    batch.cursor = Cursor(follower.reached)
    return batch
