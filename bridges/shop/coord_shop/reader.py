"""A store read for people: the shop at a moment, its events in words, marks of its history."""

from __future__ import annotations

from itertools import islice

from coord_envelope import ids, world
from coord_envelope.errors import Fault
from coord_kernel.cli import health as configured
from coord_kernel.cli import words
from coord_kernel.journal.journal import Journal
from coord_kernel.rules import control, health, presence
from coord_kernel.store import pins
from coord_kernel.streams.redaction import TYPE as REDACTED
from coord_kernel.sync import remotes
from coord_kernel.views.presence import Sessions, Stops
from coord_kernel.views.resolve import short
from coord_kernel.views.view import View
from coord_lease.board import Board
from coord_msg.mail import Mail
from coord_run.jobs import Jobs
from coord_shop import build
from coord_shop.history import History, id_before
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Any, TypeVar

    from coord_envelope.codec import Json
    from coord_envelope.cursor import Cursor
    from coord_envelope.event import Event
    from coord_envelope.filter import Filter
    from coord_kernel.rules.control import Control
    from coord_kernel.store.directory import Store
    from coord_kernel.views.entities import Entities
    from coord_kernel.views.index import Index
    from coord_shop.history import Mark
    from coord_shop.model import Shop

    Kind = TypeVar("Kind", bound=Entities)

EVER = 1 << 47
"""A time in milliseconds that comes after all others."""
PAGE = 200
SEARCHED = 20_000
"""Events that are looked at for those that a filter wants."""
_NEWEST = f"""SELECT id, stream, first, offset FROM event JOIN segment ON no = segment
              WHERE id < ? ORDER BY id DESC LIMIT {PAGE}"""
_NEXT = f"""SELECT id, stream, first, offset FROM event JOIN segment ON no = segment
            WHERE id > ? ORDER BY id LIMIT {PAGE}"""
_FIRST = "SELECT min(id) FROM event"
_KEPT = 10_000
"""Titles that are kept in memory."""


class Reader:
    """One store. Its views stay open, so asking again costs what is new.

    It belongs to the thread that made it.
    """

    def __init__(self, store: Store) -> None:
        self.store, self.journal = store, Journal(store)
        self.names = Names(self.journal)
        self._sessions, self._stops = Sessions(store), Stops(store)
        self._work, self._jobs = View(store, Items.fold), View(store, Jobs.fold)
        self._mail = View(store, Mail.fold)
        self._board, self._history = Board(store), History(store)
        self._last: Shop | None = None
        self._first: int | None = None

    def shop(self, at: str | None = None, news: Collection[Event] | None = None) -> Shop:
        """The state now, or at a time (a stamp). Raises Fault, OSError if it cannot be read.

        `news`: all events that came since the last call; only what they concern is looked at
        again. None: anything may have come.
        """
        then_ms = world.parse_ts(at) if at else world.now_ms()
        history = self._history.refresh() if news is None or news else self._history
        closings = history.newest("landed", then_ms, build.LOOKED)
        leases = self._last is None or news is None or any(map(_of_lease, news))
        same = bool(not at and self._last and not self._concerned(Items.fold, news))
        parts = build.Parts(
            self.items(at) if at else self._now(Items, self._work, news),
            self.mail(at) if at else self._now(Mail, self._mail, news),
            self.jobs(at) if at else self._now(Jobs, self._jobs, news),
            history.sessions(then_ms) if at else self._looked(self._sessions, presence, news),
            history.control(then_ms) if at else self._stopped(news),
            list(self._board.at(at) if at else self._board.now(leases)),
            [(world.format_ts(mark.ms), mark.about) for mark in closings],
        )
        shop = build.shop(parts, self._place(live=not at), self._last if same else None)
        self._last = self._last if at else shop
        return shop

    def _now(self, kind: type[Kind], view: View, news: Collection[Event] | None) -> Kind:
        now: Kind = kind(self._looked(view, kind.fold, news), world.now_ms())
        return now

    def _looked(self, view: View, fold: Any, news: Collection[Event] | None) -> View:
        """The view, refreshed if one of the events concerns it."""
        return view.refresh() if self._concerned(fold, news) else view

    def _stopped(self, news: Collection[Event] | None) -> Control:
        state: Control | None = self._looked(self._stops, control, news).get(control.ENTITY)
        return state or control.nothing()

    def _concerned(self, fold: Any, news: Collection[Event] | None) -> bool:
        if news is None or self._last is None:
            return True
        return any(tuple(fold.entities(event)) or event["type"] == REDACTED for event in news)

    def _place(self, live: bool) -> build.Place:
        times = health.Times()
        fault = None
        try:
            configured.configured(self.store, times)
        except Fault as error:
            fault = str(error)
        sync = remotes.oldest(self.store) if live else {"remote": None, "ts": None}
        return build.Place(
            self.store.project,
            self.store.path,
            self.store.replicas(),
            times,
            sync | {"fault": fault} if fault else sync,
            (lambda path: pins.dropped(self.store, *path)) if live else None,
        )

    def items(self, at: str | None = None) -> Items:
        """The work items, now or at a time (a stamp)."""
        items = Items.past(self._work, at) if at else Items.current(self._work)
        items.fetch = self._fetched
        return items

    def _fetched(self, blob: Json) -> str:
        from coord_kernel.store.blobs import Blobs

        try:
            return Blobs(self.store).fetch(blob).decode("utf-8", "replace")
        except (Fault, OSError):
            return ""

    def mail(self, at: str | None = None) -> Mail:
        """The mail, now or at a time."""
        return Mail.past(self._mail, at) if at else Mail.current(self._mail)

    def jobs(self, at: str | None = None) -> Jobs:
        """The jobs, now or at a time."""
        return Jobs.past(self._jobs, at) if at else Jobs.current(self._jobs)

    def end(self) -> Cursor:
        """The cursor behind everything that is there: take it before `shop`, then follow it."""
        return self.journal.end()

    def events(
        self, at: str | None = None, count: int = 50, wanted: Filter | None = None
    ) -> list[Event]:
        """The newest events up to a time (durable ones), newest first; the wanted ones of them.

        With a filter at most the newest SEARCHED events are looked at.
        """
        until = id_before(world.parse_ts(at)) if at else "~"
        newest = (event for event in self._before(until) if not at or event["ts"] <= at)
        searched = islice(newest, SEARCHED) if wanted else newest
        return list(islice(filter(wanted, searched) if wanted else searched, count))

    def later(self, at: str, count: int, wanted: Filter | None = None) -> list[Event]:
        """The first (durable) events after a time, oldest first; the wanted ones of them."""
        events = (event for event in self._after(id_before(world.parse_ts(at))) if event["ts"] > at)
        return list(islice(filter(wanted, islice(events, SEARCHED)), count))

    def _after(self, after: str) -> Iterator[Event]:
        """Durable events with a greater id, oldest first."""
        index, shown = self.journal.index.refresh(), self.journal.showing()
        while rows := sorted(set(index.query(_NEXT, after)))[:PAGE]:
            for event_id, stream, first, offset in rows:
                stored = index.read(stream, first, offset)
                if stored and stored.event.id == event_id:
                    yield shown(stored.event)
            after = rows[-1][0]

    def _before(self, before: str) -> Iterator[Event]:
        """Durable events with a smaller id, newest first."""
        index, shown = self.journal.index.refresh(), self.journal.showing()
        while rows := sorted(set(index.query(_NEWEST, before)), reverse=True)[:PAGE]:
            for event_id, stream, first, offset in rows:
                stored = index.read(stream, first, offset)
                if stored and stored.event.id == event_id:
                    yield shown(stored.event)
            before = rows[-1][0]

    def event(self, event_id: str) -> Event | None:
        """The event with this full id."""
        stored = self.journal.index.refresh().by_id(event_id)
        return self.journal.shown(stored.event) if stored else None

    def sentence(self, event: Event) -> str:
        """What happened, as `ev tail` prints it at a terminal, without when."""
        return words.sentence(event, self.names)

    def span(self) -> tuple[int, int]:
        """The time of the first event, and now: Unix milliseconds; equal in an empty store."""
        now = world.now_ms()
        if self._first is None:
            rows = self.journal.index.refresh().query(_FIRST)
            firsts = [ids.stamp_of(row[0]) >> 16 for row in rows if row[0]]
            self._first = min(firsts, default=None)
        return (now if self._first is None else min(self._first, now)), now

    def marks(self, begin_ms: int, end_ms: int, most: int = 200) -> list[Mark]:
        """The newest that mattered between two times, as of the last shop, newest first."""
        return self._history.marks(begin_ms, end_ms, most)

    def density(self, begin_ms: int, end_ms: int, most: int) -> list[int]:
        """About how many events were written in each of equal parts of a time, at most so many.

        As of the last shop.
        """
        return self._history.density(begin_ms, end_ms, most)


def _of_lease(event: Event) -> bool:
    kind: str = event["type"]
    return kind.startswith("lease.") or kind == REDACTED


class Names:
    """What entities are called, for sentences: of few, so that a batch costs few look-ups."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._titles: dict[str, str] = {}
        self._shorts: dict[str, str] = {}
        self._known: Index | None = None
        """The index as of some refresh: a sentence of a batch needs no look at every file."""

    def title(self, entity: str) -> str:
        """What its first event calls it; empty if that is not here."""
        title = self._titles.get(entity, "")
        if not title:  # else it may have come meanwhile
            index = self._known or self._refreshed()
            place = index.by_id(entity) or self._refreshed().by_id(entity)
            title = words.titled(self._journal.shown(place.event)["body"]) if place else ""
            _keep(self._titles, entity, title)
        return title

    def short(self, prefix: str, entity: str) -> str:
        """The short id that names it."""
        if entity not in self._shorts:
            count = (self._known or self._refreshed()).ending_so
            _keep(self._shorts, entity, short(prefix, entity, count))
        return self._shorts[entity]

    def _refreshed(self) -> Index:
        self._known = self._journal.index.refresh()
        return self._known


def _keep(known: dict[str, str], entity: str, text: str) -> None:
    if len(known) > _KEPT:
        known.clear()
    known[entity] = text
