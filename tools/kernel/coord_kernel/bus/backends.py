"""The bus: publish an event, take a snapshot, subscribe. The same three calls on every backend.

    publish(draft)               the event, as soon as it is on the disk of the store
    snapshot(wanted, after)      the events after a cursor, in batches; then it ends
    subscribe(wanted, after)     the same, then new events as they arrive; it does not end

A Batch has events, the cursor after them, and the gaps among them. Delivery is at least once, in
order for each writer, without an order between writers. `FileBus` is a store, `GitBus` a store that
syncs with a remote, `LiveBus` the same over a held connection to a live one (nats, redis, ws);
`stdio.StdioBus` reaches either through pipes.
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
        """The calls of every backend."""

        def publish(self, draft: Json) -> Event: ...
        def snapshot(self, wanted: Filter | None, after: Cursor) -> Iterator[Batch]: ...
        def subscribe(self, wanted: Filter | None, after: Cursor) -> Iterator[Batch]: ...


MOST = 1000
"""Most events of a batch."""


class Batch:
    """Wanted events, oldest first; the cursor after them and the unwanted ones; the gaps."""

    __slots__ = ("cursor", "events", "gaps")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.cursor = Cursor()
        self.gaps: list[Json] = []
        """Each `{stream, from, to}`: seqs that are missing; if they arrive, in a later batch."""


class FileBus:
    """A store on this disk."""

    def __init__(self, journal: Journal, actor: Json) -> None:
        self.journal, self._actor = journal, actor

    def publish(self, draft: Json) -> Event:
        """Append the event, and return it when it is on the disk. Raises as `Transaction`."""
        (event,) = self.journal.append(self._actor, [draft])
        return event

    def snapshot(self, wanted: Filter | None, after: Cursor) -> Iterator[Batch]:
        """The events after the cursor: at least one batch; the last one's cursor is after all."""
        follower = self.journal.follow(after, live=False)
        yield from _cut(follower, follower.batch(), wanted)

    def subscribe(
        self, wanted: Filter | None, after: Cursor, also: int | None = None
    ) -> Iterator[Batch]:
        """The events after the cursor, and new ones as they arrive.

        Ends as `Follower.batches`, and not as long as stdout has a reader. Yields a batch for each
        wake-up, which may be empty; `also` is a descriptor of the caller's that wakes it, too.
        """
        follower = self.journal.follow(after, live=False)
        for batch in follower.batches(also=also):
            yield from _cut(follower, batch, wanted)


class GitBus(FileBus):
    """A store that exchanges events with others through a git remote."""

    def __init__(
        self, journal: Journal, actor: Json, remote: str | None = None, interval_s: float = 30.0
    ) -> None:
        """`remote`: a name, path or URL; the configured remote by default."""
        super().__init__(journal, actor)
        self._remote, self._interval_s, self._synced = remote, interval_s, float("-inf")
        self.trouble: Fault | None = None
        """Why the last sync failed. What was published is in the store; the next sync sends it."""

    def publish(self, draft: Json) -> Event:
        """Append the event, which is the ack, and try to sync."""
        event = super().publish(draft)
        self._sync()
        return event

    def snapshot(self, wanted: Filter | None, after: Cursor) -> Iterator[Batch]:
        """The events after the cursor, when a sync was tried."""
        self._sync()
        yield from super().snapshot(wanted, after)

    def subscribe(
        self, wanted: Filter | None, after: Cursor, also: int | None = None
    ) -> Iterator[Batch]:
        """The events after the cursor and new ones, with a sync at each interval.

        Nothing is delivered during a sync.
        """
        follower = self.journal.follow(after, live=False)
        self._sync()
        for batch in follower.batches(also=also, within=lambda: max(self._left_s(), 0) * 1000):
            if self._left_s() <= 0:
                self._sync()
            yield from _cut(follower, batch, wanted)

    def _left_s(self) -> float:
        return self._synced + self._interval_s - time.monotonic()

    def _sync(self) -> None:
        from coord_kernel.sync.remotes import sync  # git: some 100 ms

        try:
            sync(self.journal, self._remote)
            self.trouble = None
        except (Unreachable, TryAgain) as fault:
            self.trouble = fault
        self._synced = time.monotonic()


class LiveBus(GitBus):
    """A store that exchanges events with others through a live remote: at once, not at intervals.

    It holds the connection until `close`.
    """

    def __init__(
        self, journal: Journal, actor: Json, url: str, interval_s: float = 30.0, asked: bool = False
    ) -> None:
        """`asked`: the user has named the URL now. Raises as `sync.remotes.live`.

        What the log says by itself wakes a subscription; each interval it is looked at all the
        same.
        """
        super().__init__(journal, actor, url, interval_s)
        from coord_kernel.sync import remotes, settings  # and the engine's library: 100 ms

        self._live = remotes.live(journal.store, url, asked)
        self._alone = settings.git_remote(journal.store) is None

    def subscribe(
        self, wanted: Filter | None, after: Cursor, also: int | None = None
    ) -> Iterator[Batch]:
        """The events after the cursor and new ones, when they come."""
        import select

        log = self._live.wait()
        with select.epoll() as both:  # a descriptor that waits for two
            for fd in (log, also):
                if fd is not None:
                    both.register(fd, select.EPOLLIN)
            follower = self.journal.follow(after, live=False)
            self._sync()

            def within() -> float:
                return max(self._left_s(), 0) * 1000

            for batch in follower.batches(also=both.fileno(), within=within):
                if self._left_s() <= 0 or any(fd == log for fd, _ in both.poll(0)):
                    self._live.woken()
                    self._sync()
                yield from _cut(follower, batch, wanted)

    def close(self) -> None:
        """Let go of the connection. Idempotent."""
        self._live.close()

    def _sync(self) -> None:
        from coord_kernel.sync.live.exchange import LiveExchange

        try:
            LiveExchange(self.journal, self._live, alone=self._alone).run()
            self.trouble = None
        except (Unreachable, TryAgain) as fault:
            self.trouble = fault
        self._synced = time.monotonic()


def _cut(follower: Follower, events: Iterable[Event], wanted: Filter | None) -> Iterator[Batch]:
    """Events of a follower as batches of at most `MOST`; the last one may be empty."""
    batch, vouched = Batch(), Cursor(follower.reached)
    for event in events:
        if len(batch.events) == MOST:
            yield _ended(batch, follower, vouched)
            batch, vouched = Batch(), Cursor(follower.reached)
        seen, seq = follower.reached.get(event.stream, 0), event["seq"]
        # A fork begins anywhere, and leaves out what its author's stream has.
        if seq > seen + 1 and "!" not in event.stream:
            batch.gaps.append({"stream": event.stream, "from": seen + 1, "to": seq - 1})
        if wanted is None or wanted(event):
            batch.events.append(event)
    yield _ended(batch, follower, vouched)


def _ended(batch: Batch, follower: Follower, vouched: Cursor) -> Batch:
    follower.make_durable(vouched)  # the cursor may be saved: what it passes is on the disk
    batch.cursor = Cursor(follower.reached)
    return batch
