"""An exporter: the next events, as logs, spans and metrics, to a collector.

It writes no event, so it never feeds itself. A batch is sent signal by signal, and each that was
acknowledged is noted before the next is sent. A collector that is down is asked again after 1, 2, 4
… 60 s, or when it said; meanwhile nothing is read.
"""

from __future__ import annotations

import copy
import zlib

from coord_envelope import Cursor, ids, world
from coord_envelope.errors import Fault, Refused, TryAgain
from coord_kernel.cli.complaints import warn
from coord_kernel.controller import Act, Plan
from coord_kernel.store import pins
from coord_otel import meters as metering
from coord_otel import records, spans
from coord_otel.collector import Busy, resource
from coord_otel.state import PLACE, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Journal
    from coord_kernel.streams.follow import Follower
    from coord_otel.collector import Collector
    from coord_otel.meters import Meters
    from coord_otel.spans import Open, Span

EVENTS, BYTES = 1_000, 1 << 20
"""Most events of a batch, and most bytes of their lines."""
FIRST, LONGEST_S = 10_000, 60
"""Most events of a first export that nobody has asked for; longest pause of its own."""
FRESH_MS = 60_000
"""An event of another replica that is older came before this looked: its way is not measured."""


class Batch:
    """Events, and what becomes of them."""

    def __init__(self, events: list[Event], until: Cursor) -> None:
        self.events, self.until = events, until
        self.records: list[Json] = []
        self.spans: list[Span] = []
        self.open: Open = {}
        self.meters: Meters = {}


class Exporter:
    """Exports a journal to a collector, or with None only counts."""

    def __init__(self, journal: Journal, collector: Collector | None, beside: str = "") -> None:
        """`beside`: the URL of a collector that the same process exports to. Raises BadData."""
        self._journal, self._collector = journal, collector
        self.to = collector.url if collector else "prometheus"
        self._target = f"{self.to} {beside}".rstrip()
        self.state = State(journal.store, self._target, world.now_ms())
        self._resource = resource(journal.store.project, journal.store.replica())
        self._batch: Batch | None = None
        self._known: dict[str, Event | None] = {}
        self._reading: tuple[Follower, Iterator[Event]] | None = None
        self._not_before, self._pause_s = 0, 1
        self.counted: Callable[[Meters], object] = lambda _: None
        """What is to see the meters after each batch."""

    def alone(self) -> None:
        """Be the only one of this store and collector until the process ends. Raises TryAgain."""
        target = self._target if self._target != "prometheus" else ""
        name = f"{zlib.crc32(target.encode()):08x}.pin"
        if pins.take(self._journal.store, *PLACE, name) is None:
            raise TryAgain("another coord-otel exports this store there")

    def behind(self) -> int:
        """How many events were not exported."""
        end, cursor = self._journal.end(live=False), self.state.cursor
        return sum(seq - cursor.get(stream, 0) for stream, seq in end.items())

    def status(self) -> Json:
        """How far it is."""
        row: Json = {"to": self.to, "exported": self.state.exported, "behind": self.behind()}
        return row | {"open": len(self.state.open)}

    def begin(self, now: bool, all_: bool) -> None:
        """A first export, of which nothing was acknowledged: behind what is there, or bounded.

        Raises Refused.
        """
        if self.state.acknowledged():
            return
        if now:
            self.state.skip(self._journal.end(live=False))
        elif self._collector and self.behind() > FIRST and not all_:
            what = f"the first export has {self.behind():,} events, more than {FIRST:,}"
            raise Refused(what, todo="use --all, or --now to begin behind them")

    def plan(self) -> Plan:
        now = world.now_ms()
        if now < self._not_before:
            return Plan([], self._not_before)
        self._batch = self._batch or self._next()
        if self._batch is None:
            return Plan([])
        return Plan([Act("export", f"export:{self._target}:{self.state.exported}", exporter=self)])

    def export(self) -> None:
        """Send the batch that was planned. Raises Fault."""
        batch, state = self._batch, self.state
        assert batch is not None, "an act is planned with its batch"
        if not state.count:
            state.begin(batch.until, len(batch.events))
        now = world.now_ms()
        try:
            for signal, request in self._requests(batch, now):
                if self._collector and signal not in state.done:
                    self._send(signal, request())
                    state.done.append(signal)
                    state.save()
        except Fault as fault:
            self._wait(fault, now)
            raise
        state.end(batch.open, batch.meters)
        self._batch, self._pause_s = None, 1
        self._known.clear()
        self.counted(state.meters)

    def _wait(self, fault: Fault, now: int) -> None:
        asked = fault.wait_s if isinstance(fault, Busy) else LONGEST_S
        self._not_before = now + (self._pause_s if asked is None else asked) * 1_000
        self._pause_s = min(LONGEST_S, self._pause_s * 2)

    def _requests(self, batch: Batch, now: int) -> list[tuple[str, Callable[[], bytes]]]:
        from coord_otel import otlp  # protobuf: 60 ms

        found: list[tuple[str, Callable[[], bytes]]] = [
            ("logs", lambda: otlp.log_request(self._resource, batch.records, now))
        ]
        if batch.spans:
            found.append(("traces", lambda: otlp.trace_request(self._resource, batch.spans)))
        begun = self.state.begun
        found.append(
            ("metrics", lambda: otlp.metric_request(self._resource, batch.meters, begun, now))
        )
        return found

    def _send(self, signal: str, data: bytes) -> None:
        from coord_otel import otlp

        assert self._collector
        count, why = otlp.rejected(signal, self._collector.send(signal, data))
        if count:  # the specification: it must not be sent again
            warn(f"{self._collector.place}: {count:,} of {signal} were rejected: {why[:200]}")

    # ---- what comes next

    def _next(self) -> Batch | None:
        """The batch that was begun, else the next events; None if there are none."""
        events, until = self._read()
        if not events:
            if until != self.state.cursor:  # forks of what was exported
                self.state.cursor = until
            return None
        self._journal.index.refresh()
        batch, now = Batch(events, until), world.now_ms()
        batch.open, batch.meters = copy.deepcopy((self.state.open, self.state.meters))
        replicas = self._journal.store.all_replicas()
        for event in events:
            fresh = now - spans.ms(event["ts"]) < FRESH_MS
            here = metering.Here(replicas, self._find, now if fresh else None)
            ended = list(spans.taken(event, batch.open, self._find))
            batch.records.append(records.record(event, self._find))
            batch.spans += ended
            metering.count(batch.meters, event, ended, here)
        return batch

    def _read(self) -> tuple[list[Event], Cursor]:
        cursor, begun = self.state.cursor, self.state.count
        if self._reading is None:  # else it stands where the batch before ended
            follower = self._journal.follow(Cursor(cursor), live=False)
            self._reading = follower, follower.batch()
        (follower, rest), events, size = self._reading, list["Event"](), 0
        for event in rest:
            if begun and not self.state.until.has(event):
                continue
            events.append(event)
            size += len(event.raw)
            if begun and len(events) == begun:
                self._reading = None
                return events, self.state.until
            if not begun and (len(events) == EVENTS or size >= BYTES):
                until = Cursor(follower.reached)
                until[event.stream] = max(event["seq"], until.get(event.stream, 0))
                break
        else:
            until, self._reading = Cursor(follower.reached), None
        follower.make_durable(cursor)
        return events, until

    def _find(self, event_id: object) -> Event | None:
        if not ids.valid(event_id):
            return None
        name = str(event_id)
        if name not in self._known:
            place = self._journal.index.by_id(name)
            self._known[name] = place.event if place else None
        return self._known[name]

    def rehearsed(self) -> Json:
        """What an export would send, if it began now."""
        total: Json = {"events": 0, "spans": 0}
        batch, state = self._batch or self._next(), self.state
        while batch:
            total["events"] += len(batch.events)
            total["spans"] += len(batch.spans)
            total.setdefault("first", batch.events[0]["ts"])
            total["last"] = batch.events[-1]["ts"]
            state.cursor, state.open, state.meters = batch.until, batch.open, batch.meters
            state.count = 0
            batch = self._next()
        return total | {"series": sum(map(len, state.meters.values()))}
