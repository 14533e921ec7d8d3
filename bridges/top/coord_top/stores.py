"""The stores that are shown, read by one thread: their state, their events, what is new."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from coord_envelope import world
from coord_envelope.errors import DiskFault, Fault
from coord_envelope.filter import Filter
from coord_kernel.store.disk import fault_of
from coord_shop import News, Reader
from coord_top import lists, rows
from coord_top.seen import Seen
from coord_top.shown import clock
from coord_top.table import Row

if TYPE_CHECKING:
    from coord_envelope import Event
    from coord_kernel.store.directory import Store

KEPT = 500
"""Events that can be scrolled back to."""
MANY = 10_000
"""Events since the last look at now, of which each is asked what it concerns."""
BEATS = ("agent.seen", "lease.renewed")
"""Signs of life: panels show their effect, and they would drown the rest."""


READ = (Fault, OSError, sqlite3.Error)
"""What reading raises."""


def fault(error: BaseException) -> Fault:
    """The failure of a reading, for a person."""
    if isinstance(error, sqlite3.Error):
        return DiskFault(f"a view cannot be read: {error}", todo="see `coord doctor`")
    return fault_of(error) if isinstance(error, Exception) else Fault(repr(error))


class Looked(NamedTuple):
    """What one look gave: all that is drawn."""

    seen: list[Seen]
    panels: dict[str, list[Row]]
    """Name of a panel → its rows."""
    board: dict[str, list[Row]]
    titles: dict[str, str]
    problems: list[Row]


class Stores:
    """Belongs to one thread, except for `stores` and the descriptors of `news`."""

    def __init__(self, stores: Sequence[Store], me: str) -> None:
        self.stores, self._me = stores, me
        self._readers: list[Reader] = []
        self.news: list[News] = []
        self._events: deque[Row] = deque(maxlen=KEPT)
        self._since: list[list[Event] | None] = [None for _ in stores]
        """Of each store what came since the last look at now; None: anything."""
        self._wanted = Filter(not_types=BEATS)

    def open(self) -> None:
        """Open the views, and stand behind the last event. Raises Fault, OSError."""
        self._readers = [Reader(store) for store in self.stores]
        self.news = [
            News(store, reader.end())
            for store, reader in zip(self.stores, self._readers, strict=True)
        ]
        self._events.extend(self._until(None))

    def look(self, at: str | None) -> Looked:
        """Everything, now or at a moment (a stamp). Raises Fault, OSError, sqlite3.Error.

        Of the events of now, those that were taken.
        """
        several = len(self._readers) > 1
        seen = []
        for number, reader in enumerate(self._readers):
            shop = reader.shop(at) if at else reader.shop(None, self._since[number])
            if not at:
                self._since[number] = []
            label = shop.project if several else ""
            seen.append(Seen(number, label, shop, self._me, world.parse_ts(shop.at)))
        items = lists.items(seen)
        panels = {
            "needs": rows.needs(seen),
            "agents": rows.agents(seen),
            "work": lists.work(seen, items),
            "leases": lists.leases(seen),
            "jobs": lists.jobs(seen),
            "mail": lists.mail(seen),
            "events": self._until(at) if at else list(self._events),
        }
        wrong = rows.problems(seen)
        return Looked(seen, panels, lists.board(items), lists.titles(seen), wrong)

    def take(self) -> tuple[int, list[Row]]:
        """Take in what was written: how many events of those that are shown, and the newest."""
        fresh: list[tuple[int, Event]] = []
        known = {row.ref.id for row in self._events if row.ref}
        for number, news in enumerate(self.news):
            events = news.read()
            since = self._since[number]
            if since is not None:
                self._since[number] = [*since, *events] if len(since) < MANY else None
            fresh += ((number, event) for event in events if self._wanted(event))
        fresh = [pair for pair in fresh if pair[1].id not in known]
        fresh.sort(key=lambda pair: pair[1].id)
        self._events.extend(self._row(*pair) for pair in fresh[-KEPT:])
        return len(fresh), list(self._events)

    def step(self, at: str, way: int) -> str | None:
        """The moment of the next event before (-1) or after (1) a moment; None if there is none."""
        found: list[str] = []
        for reader in self._readers:
            if way < 0:
                before = world.format_ts(world.parse_ts(at) - 1)
                events = reader.events(before, 1, self._wanted)
            else:
                events = reader.later(at, 1, self._wanted)
            found += (event["ts"] for event in events)
        return (max if way < 0 else min)(found, default=None)

    def _until(self, at: str | None) -> list[Row]:
        """The newest events up to a moment, oldest first."""
        pairs = [
            (number, event)
            for number, reader in enumerate(self._readers)
            for event in reader.events(at, KEPT, self._wanted)
        ]
        pairs.sort(key=lambda pair: pair[1].id)
        return [self._row(*pair) for pair in pairs[-KEPT:]]

    def _row(self, number: int, event: Event) -> Row:
        reader = self._readers[number]
        label = reader.store.project if len(self._readers) > 1 else ""
        return lists.event(event, reader.sentence(event), number, label, clock)
