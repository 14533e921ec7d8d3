"""One writer's stream: segments, read as events. No lock, no write, no exception on any bytes.

A stream is a directory of segments, each named after the seq of its first event. Every byte is in
an event, in a bad line, or in the torn tail.

Reading forwards (`Stream.read`):

    1. A line ends with a newline. Bytes after the last newline are the torn tail: a line that is
       being written, or whose writer died. The next append ends it with a newline. In a segment
       that has a later one (a sealed segment) no append can, so there it is a bad line.
    2. A line joins the stream if it is an event, the stream's writer wrote it, and its seq and id
       are greater than those of the last event that joined. Any other line is bad, and reported.
    3. A damaged seq or id that is too great would make every later line bad. So a line that could
       join is held until the next event is known (past at most 1,000 bad lines), and is refuted by
       it if
       a. the next one does not follow the held one, but does follow the event before that, and
       b. the held one is the one out of step: bad lines do not explain the hole in seq before it,
          or its seq is in order and so its id must be wrong.
       A refuted line is bad. Otherwise, and at the end of a segment, the held line joins.
    4. If the seq of a line that joins is not the last one + 1, events are missing. Each bad line
       since the last event accounts for one of them. If more are missing, the hole is reported.
       The line joins nevertheless.
    5. A live stream and a fork may begin with any seq, named by their first segment: older
       segments were pruned, or are in the stream that was forked.

    6. Bad lines have a bound, so that nobody can make a segment costly to read. A line that is not
       an event counts as a 16th of its bytes and 1 KiB, an event that cannot join as its bytes.
       Behind 2 MiB of them in one segment its rest is passed over, and reported once. Crashes leave
       one bad line each: no honest writer gets there. (If its segment is damaged so much, a writer
       continues in another one.)

Reading backwards (`backwards`), a segment at a time from the newest on:

    7. If the segment has exactly one line for each seq from its name to its last line, lines are
       parsed from the end, and an event is given out when the id before it is smaller.
    8. At a line that is out of order, or if the segment has too many or too few lines, only what
       comes before can tell which line is damaged: the rest of the segment is read forwards.
"""

from __future__ import annotations

import os

from coord_envelope import event
from coord_envelope.event import Event
from coord_envelope.platform import suppress
from coord_kernel.store.disk import IrregularError, fdatasync
from coord_kernel.streams.rows import CHUNK, MOST_BAD, SEGMENT, cost_of, lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import TypedDict

    from coord_kernel.store.directory import Store

    Held = tuple[int, int, Event]
    """A line's bounds (its first byte, and the byte after its newline) and its event."""

    class BadLineReport(TypedDict):
        """Where bad bytes are, as `ev verify` prints it."""

        file: str
        offset: int
        reason: str


LARGE = 4 * SEGMENT
"""Bytes from which a segment, which another program must have written, is not read at once."""
OVER = 1 << 50
"""The offset of a segment whose rest is passed over: behind the end of every file."""
MOST_HELD = 1_000
"""Bad lines after which a held line joins although its successor is unknown: to bound memory."""
SUFFIX = ".jsonl"


class BadLine:
    """A line that is not an event of its stream, or a hole in seq: where it is, and why."""

    __slots__ = ("file", "offset", "reason")

    def __init__(self, file: str, offset: int, reason: str) -> None:
        self.file, self.offset, self.reason = file, offset, reason

    def report(self) -> BadLineReport:
        return {"file": self.file, "offset": self.offset, "reason": self.reason}


class Stream:
    """One writer's events in order of seq, and a position in them from which reading continues.

    `segment` and `offset` are the position; `seq` and `last_id` are of the last event that joined.
    `bad_cost` is what the bad lines of the segment up to there count for, `stopped` the place from
    which on it was passed over.
    `start` is the first byte of the line that was read last.
    """

    def __init__(
        self, store: Store, kind: str, name: str, segment: int = 0, offset: int = 0
    ) -> None:
        self.store, self.kind, self.name = store, kind, name
        self.writer = name.partition("!")[0]
        self.segment, self.offset, self.start = segment, offset, 0
        self.seq, self.last_id, self.after_seq = 0, "", 0
        self.bad_since = 0  # bad lines since the last event
        self.bad_cost, self.stopped = 0, 0
        self.end: int | None = None
        """The seq behind which `read` gives out nothing, and does not go; None: all."""
        self._irregular, self._unreadable = False, False

    @property
    def path(self) -> str:
        """Its directory below the store."""
        return f"{self.kind}/{self.name}"

    @property
    def file(self) -> str:
        """The path of the segment at the position, below the store."""
        return f"{self.kind}/{self.name}/{self.segment:012d}{SUFFIX}"

    def segments(self) -> list[int]:
        """The seqs that its segments are named after, ascending. Raises OSError."""
        try:
            names = self.store.listdir(self.kind, self.name)
        except IrregularError:
            self._irregular = True
            return []
        return [
            int(name[:12])
            for name in names
            if len(name) == 18 and name.endswith(SUFFIX) and name.isascii() and name[:12].isdigit()
        ]

    def size(self) -> int:
        """About how many bytes follow the position: 1 MiB for each segment but the last."""
        firsts = [first for first in self.segments() if first >= self.segment]
        if not firsts:
            return 0
        directory = self.store.directory(self.kind, self.name)
        try:
            newest = f"{firsts[-1]:012d}{SUFFIX}"
            size = os.stat(newest, dir_fd=directory, follow_symlinks=False).st_size
        finally:
            os.close(directory)
        done = self.offset if firsts[0] == self.segment else 0
        return size + (len(firsts) - 1) * SEGMENT - min(done, SEGMENT if firsts[1:] else size)

    def read(self) -> Iterator[Event | BadLine]:
        """What follows the position. `start` and `offset` bound the line that was given out last.

        Raises OSError if the disk fails, for silence would be a loss.
        """
        return self._all() if self.end is None else self._up_to(self.end)

    def _all(self) -> Iterator[Event | BadLine]:
        for sealed in self.segments_ahead():
            yield from self.read_segment(sealed)
        if self._irregular:
            yield BadLine(f"{self.kind}/{self.name}", 0, "not a directory")

    def _up_to(self, end: int) -> Iterator[Event | BadLine]:
        place = self._place()
        for item in self._all():
            if isinstance(item, Event) and item["seq"] > end:
                self.segment, self.offset, self.start, self.seq, self.last_id = place[:5]
                self.bad_since, self.bad_cost, self.stopped = place[5:]
                return
            place = self._place()
            yield item

    def _place(self) -> tuple[int, int, int, int, str, int, int, int]:
        here = self.segment, self.offset, self.start, self.seq, self.last_id
        return *here, self.bad_since, self.bad_cost, self.stopped

    def segments_ahead(self) -> Iterator[bool]:
        """Move through the segments from the position on; gives out whether each is sealed.

        Read each one before taking the next.
        """
        firsts = [first for first in self.segments() if first >= self.segment]
        for place, first in enumerate(firsts):
            if first != self.segment:
                self._enter(first)
            yield place + 1 < len(firsts)

    def after(self, seq: int) -> Stream:
        """Move to the segment that `seq` is in, so that older ones cost nothing. Returns itself.

        Before the first read. `read` may give out events up to `seq`; `events` does not.
        """
        at_or_before = [first for first in self.segments() if first <= seq + 1] if seq else []
        if at_or_before:
            self.segment, self.after_seq = at_or_before[-1], seq
            self.seq = self.segment - 1
            rows, newest = self.complete_rows()
            if newest and newest["seq"] <= seq:
                self.offset = sum(map(len, rows)) + len(rows)
                self.seq, self.last_id = newest["seq"], newest.id
        return self

    def last(self) -> Event | None:
        """The newest event."""
        return next(backwards(self), None)

    def complete_rows(self) -> tuple[list[bytes], Event | None]:
        """The segment's whole lines, and the newest event if there is exactly one line a seq.

        With a line too many or too few (damage, a copy) there is no event, and the segment must be
        read from its start.
        """
        data = b""
        with suppress(IrregularError):
            data = self.chunk(0, LARGE)
        end = data.rfind(b"\n")
        try:
            newest = event.parse(data[data.rfind(b"\n", 0, max(end, 0)) + 1 : max(end, 0)])
        except ValueError:
            return [], None
        count = newest["seq"] - self.segment + 1
        # Counted before they are split: there may be millions.
        if newest["writer"] != self.writer or data.count(b"\n") != count or len(data) >= LARGE:
            return [], None
        newest.stream = self.name
        return data.split(b"\n")[:-1], newest

    def _enter(self, first: int) -> None:
        if not self.seq and (self.kind == "live" or self.name != self.writer):
            self.seq = first - 1
        self.segment, self.offset, self.bad_cost = first, 0, 0

    def read_segment(self, sealed: bool) -> Iterator[Event | BadLine]:
        """As `read`, of the segment at the position alone."""
        held: Held | None = None
        bad_after: list[tuple[int, int, str]] = []
        after_cost = 0
        try:
            for start, end, item in self._items() if self.offset < OVER else ():
                if held:
                    if isinstance(item, str):
                        after_cost += cost_of(start, end)
                        few = self.bad_cost + after_cost <= MOST_BAD
                        if few and len(bad_after) < MOST_HELD:
                            bad_after.append((start, end, item))
                            continue
                    elif (
                        not bad_after and item["seq"] == held[2]["seq"] + 1 and item.id > held[2].id
                    ):  # the usual case, not to pay for a generator
                        if hole := self._join(*held):
                            yield hole
                        yield held[2]
                        held = (start, end, item)
                        continue
                    yield from self._settle(held, bad_after, item)
                    held, bad_after, after_cost = None, [], 0
                misfit = item if isinstance(item, str) else self.misfit(item)
                if misfit:
                    yield self._bad(start, end, misfit, end - start if item is not misfit else 0)
                    if self.bad_cost > MOST_BAD:
                        self.offset, self.stopped = OVER, end
                        yield BadLine(self.file, end, "too many bad lines: the rest is passed over")
                        return
                elif isinstance(item, Event):
                    held = (start, end, item)
            if held:
                yield from self._settle(held, bad_after, None)
            if sealed and self.chunk(self.offset):
                self.bad_since += 1
                yield BadLine(self.file, self.offset, "torn line at the end of a sealed segment")
        except IrregularError:
            self._unreadable = True
            yield BadLine(self.file, 0, "not a regular file")

    def _settle(
        self, held: Held, bad_after: list[tuple[int, int, str]], following: Event | str | None
    ) -> Iterator[Event | BadLine]:
        """Give out the held line and the bad lines after it, now that the next item is known."""
        start, end, held_event = held
        if isinstance(following, Event) and self._refutes(following, held_event):
            yield self._bad(start, end, "seq or event_id does not fit the lines around it")
        else:
            if hole := self._join(*held):
                yield hole
            yield held_event
        for bad in bad_after:
            yield self._bad(*bad)

    def torn(self) -> bool:
        """Is there a torn tail at the position?"""
        return self.segment > 0 and not self._unreadable and bool(self.chunk(self.offset))

    def chunk(self, position: int, most: int = CHUNK) -> bytes:
        """Bytes of the segment at the position. Raises IrregularError, OSError."""
        # Opened for each chunk: 30 µs in 200 events, and many streams need no more descriptors.
        return self.store.pread(
            most, position, self.kind, self.name, f"{self.segment:012d}{SUFFIX}"
        )

    def _items(self) -> Iterator[tuple[int, int, Event | str]]:
        """For each line its bounds, and the writer's event or the reason why it is not one."""
        for bounds, rows in lines(self.chunk, self.offset):
            # Events are longer: so many lines in a chunk are looked at one by one, and not all.
            many = len(rows) > CHUNK // 64
            items = map(event.parse_or_reason, rows) if many else event.parse_all(rows)
            for start, end, item in zip(bounds[:-1], bounds[1:], items, strict=True):
                yield start, end, self.own(item)

    def own(self, item: Event | str) -> Event | str:
        """The item, or the reason if it is another writer's event."""
        if isinstance(item, str) or item["writer"] == self.writer:
            return item
        return f"belongs to writer {item['writer'][:80]!r}, not to this stream"

    def misfit(self, item: Event) -> str | None:
        """Why this event cannot join the stream; None if it can."""
        if item["seq"] <= self.seq:
            return f"seq {item['seq']} follows {self.seq}: a copy or a fork"
        return None if item.id > self.last_id else f"event_id {item.id} is not after {self.last_id}"

    def _refutes(self, following: Event, held: Event) -> bool:
        """Does the event show that the held one's seq or id is damaged? (3. above)"""
        later = following["seq"] > held["seq"]
        if (later and following.id > held.id) or self.misfit(following):
            return False
        return later or bool(held["seq"] > self.seq + self.bad_since + 1)

    def _bad(self, start: int, end: int, reason: str, cost: int = 0) -> BadLine:
        self.start, self.offset = start, end
        self.bad_since += 1
        self.bad_cost += cost or cost_of(start, end)
        return BadLine(self.file, start, reason)

    def _join(self, start: int, end: int, joining: Event) -> BadLine | None:
        """Make it the stream's last event. Returns the hole before it, if it is not explained."""
        before, explained, joining.stream = self.seq, self.bad_since, self.name
        self.start, self.offset = start, end
        self.seq, self.last_id, self.bad_since = joining["seq"], joining["event_id"], 0
        if (missing := self.seq - before - 1) <= explained:
            return None
        return BadLine(
            self.file, start, f"seq {self.seq} follows {before}: {missing} missing before it"
        )

    def make_durable(self) -> None:
        """fdatasync the segment at the position: its author may not have done so yet."""
        fd = self.store.open(self.kind, self.name, f"{self.segment:012d}{SUFFIX}")
        try:
            fdatasync(fd)
        finally:
            os.close(fd)


def streams(store: Store, live: bool = False) -> list[Stream]:
    """Every durable stream of the store, and with `live` the live ones, too."""
    kinds = ("journal", "live") if live else ("journal",)
    return [
        Stream(store, kind, name)
        for kind in kinds
        for name in store.listdir(kind)
        if not name.startswith(".")
    ]


def events(stream: Stream) -> Iterator[Event]:
    """The events after the seq that `Stream.after` was given. Bad lines are skipped."""
    return (
        item for item in stream.read() if isinstance(item, Event) and item["seq"] > stream.after_seq
    )


def backwards(stream: Stream) -> Iterator[Event]:
    """The stream's events, newest first. One segment is in memory at a time."""
    for first in reversed(stream.segments()):
        part = Stream(stream.store, stream.kind, stream.name, first)
        part.seq = first - 1
        rows, newest = part.complete_rows()
        remaining = (yield from _in_order(part, rows)) if newest else event.MAX_SEQ
        if remaining:
            items = [item for item in part.read_segment(sealed=True) if isinstance(item, Event)]
            stream.stopped = stream.stopped or part.stopped
            yield from (item for item in reversed(items) if item["seq"] <= remaining)


def _in_order(part: Stream, rows: list[bytes]) -> Generator[Event, None, int]:
    """The rows' events, newest first, up to two whose ids are out of order.

    Returns the seq up to which the segment must be read forwards: of the newer of the two; or 0.
    """
    held: Event | None = None
    for place in range(len(rows) - 1, -1, -1):
        item = part.own(event.parse_or_reason(rows[place]))
        if isinstance(item, Event) and item["seq"] == part.segment + place:
            if held and item.id >= held.id:
                return held["seq"]  # type: ignore[no-any-return]
            if held:
                yield held
            held, item.stream = item, part.name
    if held:
        yield held
    return 0
