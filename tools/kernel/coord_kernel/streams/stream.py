"""Reading: segments into streams. No lock, no write, no exception on any bytes.

A stream is a directory of segments, each named after its first seq. Every byte read is in an event, in a
`Bad` line, or in the torn tail: the bytes after the last newline, which are not an event yet.
"""

from __future__ import annotations

import os

from coord_envelope import event
from coord_envelope.codec import Json
from coord_envelope.event import Event
from coord_envelope.platform import suppress
from coord_kernel.store.disk import IrregularError, fdatasync

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from coord_kernel.store.directory import Store

CHUNK = 1 << 16
SEGMENT = 1 << 20
"""Bytes after which a new segment begins."""
LARGE = 4 * SEGMENT
"""Bytes from which another author's segment is not read in one piece."""
BEHIND = 1_000
"""Bad lines after which an event is believed that no other has followed yet: memory has an end."""
SUFFIX = ".jsonl"


class Bad:
    """Bytes that are no event, or a hole between two: where they are, and why."""

    __slots__ = ("file", "offset", "reason")

    def __init__(self, file: str, offset: int, reason: str) -> None:
        self.file, self.offset, self.reason = file, offset, reason

    def report(self) -> Json:
        return {"file": self.file, "offset": self.offset, "reason": self.reason}


class Stream:
    """One writer's events in order of seq, and the place reached in them: reading again goes on from there.

    A line joins if it is whole, its writer is the stream's, and its seq and id are greater than the last
    one's. Anything else comes out as `Bad`, once; so does a hole in seq that no bad line explains.
    """

    def __init__(
        self, store: Store, kind: str, name: str, segment: int = 0, offset: int = 0
    ) -> None:
        self.store, self.kind, self.name = store, kind, name
        self.segment, self.offset = segment, offset
        self.seq, self.last_id, self.start, self.behind = 0, "", 0, 0
        self.lost, self._irregular, self._unread = 0, False, False
        self.writer = name.partition("!")[0]

    @property
    def file(self) -> str:
        return f"{self.kind}/{self.name}/{self.segment:012d}{SUFFIX}"

    def segments(self) -> list[int]:
        """The first seqs of its segments, ascending."""
        try:
            names = self.store.listdir(self.kind, self.name)
        except IrregularError:
            self._irregular = True
            return []
        return [
            int(n[:12])
            for n in names
            if len(n) == 18 and n.endswith(SUFFIX) and n.isascii() and n[:12].isdigit()
        ]

    def size(self) -> int:
        """About how many bytes lie ahead of the place reached: its sealed segments are 1 MiB each."""
        firsts = [first for first in self.segments() if first >= self.segment]
        if not firsts:
            return 0
        directory = self.store.directory(self.kind, self.name)
        try:
            last = os.stat(
                f"{firsts[-1]:012d}{SUFFIX}", dir_fd=directory, follow_symlinks=False
            ).st_size
        finally:
            os.close(directory)
        return (
            last + (len(firsts) - 1) * SEGMENT - (self.offset if firsts[0] == self.segment else 0)
        )

    def read(self) -> Iterator[Event | Bad]:
        """What came since the last read. `start` and `offset` bound the line just given.

        Raises OSError where the disk fails: silence would be a loss.
        """
        for sealed in self.ahead():
            yield from self.read_segment(sealed)
        if self._irregular:
            yield Bad(f"{self.kind}/{self.name}", 0, "is no directory")

    def ahead(self) -> Iterator[bool]:
        """Go through the segments from the one reached on; is it sealed? Each must be read before the next."""
        firsts = [first for first in self.segments() if first >= self.segment]
        for place, first in enumerate(firsts):
            if first != self.segment:
                self._enter(first)
            yield place + 1 < len(firsts)

    def after(self, seq: int) -> Stream:
        """Begin behind `seq`: at the segment it is in, so what lies before costs nothing. Before the first read."""
        at_or_before = [first for first in self.segments() if first <= seq + 1] if seq else []
        if at_or_before:
            self.segment, self.seq, self.behind = at_or_before[-1], at_or_before[-1] - 1, seq
            rows, newest = self._clean()
            if newest and newest["seq"] <= seq:
                self.offset, self.seq, self.last_id = (
                    sum(map(len, rows)) + len(rows),
                    newest["seq"],
                    newest.id,
                )
        return self

    def last(self) -> Event | None:
        """The newest event."""
        return next(backwards(self), None)

    def _clean(self) -> tuple[list[bytes], Event | None]:
        """The segment's whole lines, and the newest event if they can only be its events: one for each seq.

        A line too many or too few (damage, a copy) gives no event; then the segment must be read from its start.
        """
        data = b""
        with suppress(IrregularError):
            data = self.chunk(0, LARGE)
        rows = data.split(b"\n")[:-1]
        try:
            newest = event.parse(rows[-1])
        except (ValueError, IndexError):
            return rows, None
        fits = newest["writer"] == self.writer and newest["seq"] == self.segment + len(rows) - 1
        newest.stream = self.name
        return rows, newest if fits and len(data) < LARGE else None

    def _enter(self, first: int) -> None:
        if not self.seq and (self.kind == "live" or self.name != self.writer):
            self.seq = first - 1  # a pruned live stream, and a fork, begin later than 1
        self.segment, self.offset = first, 0

    def read_segment(self, sealed: bool) -> Iterator[Event | Bad]:
        """As `read`, of the segment reached alone."""
        # A line is given when the next event agrees with it. If that one follows what came before, and not this
        # one, this one's seq or id is damaged: believed, it would hide everything after it.
        waiting: tuple[int, int, Event] | None = None
        behind: list[tuple[int, int, str]] = []
        try:
            for start, end, found in self._found():
                if waiting:
                    if isinstance(found, str):
                        if len(behind) < BEHIND:
                            behind.append((start, end, found))
                            continue
                    elif (
                        not behind
                        and found["seq"] == waiting[2]["seq"] + 1
                        and found.id > waiting[2].id
                    ):  # mostly so
                        if hole := self._join(*waiting):
                            yield hole
                        yield waiting[2]
                        waiting = (start, end, found)
                        continue
                    yield from self._settled(waiting, behind, found)
                    waiting, behind = None, []
                misfit = found if isinstance(found, str) else self.misfit(found)
                if misfit:
                    yield self._bad(start, end, misfit)
                elif isinstance(found, Event):
                    waiting = (start, end, found)
            if waiting:
                yield from self._settled(waiting, behind, None)
            if sealed and self.chunk(self.offset):
                self.lost += 1
                yield Bad(self.file, self.offset, "torn line in a segment that goes on in the next")
        except IrregularError:
            self._unread = True
            yield Bad(self.file, 0, "is no regular file")

    def _settled(
        self,
        waiting: tuple[int, int, Event],
        behind: list[tuple[int, int, str]],
        following: Event | str | None,
    ) -> Iterator[Event | Bad]:
        """What the line that waited and the bad ones behind it come to, now that it is known what follows them."""
        start, end, held = waiting
        if isinstance(following, Event) and self._refutes(following, held):
            yield self._bad(start, end, "its seq or event_id does not fit the lines around it")
        else:
            if hole := self._join(*waiting):
                yield hole
            yield held
        for bad in behind:
            yield self._bad(*bad)

    def torn(self) -> bool:
        """Do bytes stand after the last newline? They are a line that does not exist yet."""
        return self.segment > 0 and not self._unread and bool(self.chunk(self.offset))

    def chunk(self, position: int, most: int = CHUNK) -> bytes:
        """Bytes of the segment reached. Raises IrregularError, OSError."""
        # Opened anew for each chunk: 30 µs in 200 events, and no number of streams runs out of descriptors.
        return self.store.pread(
            most, position, self.kind, self.name, f"{self.segment:012d}{SUFFIX}"
        )

    def _found(self) -> Iterator[tuple[int, int, Event | str]]:
        """Of each line its bounds, and the event on it or the reason why there is none of this stream."""
        for bounds, rows in lines(self.chunk, self.offset):
            for start, end, found in zip(
                bounds[:-1], bounds[1:], event.parse_all(rows), strict=True
            ):
                yield start, end, self._own(found)

    def _own(self, found: Event | str) -> Event | str:
        if isinstance(found, str) or found["writer"] == self.writer:
            return found
        return f"belongs to writer {found['writer'][:80]!r}, not to this stream"

    def misfit(self, found: Event) -> str | None:
        """Why this line cannot come after those before it."""
        if found["seq"] <= self.seq:
            return f"seq {found['seq']} follows {self.seq}: a copy or a fork"
        return (
            None if found.id > self.last_id else f"event_id {found.id} is not after {self.last_id}"
        )

    def _refutes(self, found: Event, before: Event) -> bool:
        """Does this line follow what came before the other, and not it, which alone is out of step?"""
        if (found["seq"] > before["seq"] and found.id > before.id) or self.misfit(found):
            return False
        return bool(before["seq"] > self.seq + self.lost + 1 or found["seq"] > before["seq"])

    def _bad(self, start: int, end: int, reason: str) -> Bad:
        self.start, self.offset = start, end
        self.lost += 1
        return Bad(self.file, start, reason)

    def _join(self, start: int, end: int, found: Event) -> Bad | None:
        """Take the event in as the stream's last; the hole before it, if there is one."""
        before, lost, found.stream = self.seq, self.lost, self.name
        self.start, self.offset, self.seq, self.last_id, self.lost = (
            start,
            end,
            found["seq"],
            found["event_id"],
            0,
        )
        if (missing := self.seq - before - 1) <= lost:
            return None
        return Bad(
            self.file, start, f"seq {self.seq} follows {before}: {missing} missing before it"
        )

    def make_durable(self) -> None:
        """fdatasync the segment reached: its author may not have come to it."""
        fd = self.store.open(self.kind, self.name, f"{self.segment:012d}{SUFFIX}")
        try:
            fdatasync(fd)
        finally:
            os.close(fd)


def lines(read: Callable[[int], bytes], offset: int = 0) -> Iterator[tuple[list[int], list[bytes]]]:
    """Whole lines from `offset`, many at a time: where the first begins and each ends, its newline included; the bytes.
    Of an over-long one its beginning only.

    `read` gives the bytes at a position, none at the end. A line is held up to little more than an event's
    limit, so memory is constant. What follows the last newline is not given.
    """
    start, position, held = offset, offset, b""
    while chunk := read(position):
        *rows, rest = chunk.split(b"\n")
        if rows:
            ends = [position := position + len(row) + 1 for row in rows]
            rows[0] = held + rows[0]
            yield [start, *ends], rows
            start, held = position, b""
        position += len(rest)
        if len(held) <= event.LIMIT:
            held += rest


def streams(store: Store, live: bool = False) -> list[Stream]:
    """Every stream of the store, durable ones, and with `live` the ephemeral ones too."""
    kinds = ("journal", "live") if live else ("journal",)
    return [
        Stream(store, kind, name)
        for kind in kinds
        for name in store.listdir(kind)
        if not name.startswith(".")
    ]


def events(stream: Stream) -> Iterator[Event]:
    """The stream's events behind its beginning; bad lines are passed over."""
    return (
        found
        for found in stream.read()
        if isinstance(found, Event) and found["seq"] > stream.behind
    )


def backwards(stream: Stream) -> Iterator[Event]:
    """The stream's events from the newest on, one segment in memory at a time."""
    for first in reversed(stream.segments()):
        part = Stream(stream.store, stream.kind, stream.name, first)
        part.seq = first - 1
        rows, newest = part._clean()
        left = (yield from _in_order(part, rows)) if newest else event.MAX_SEQ
        if left:
            forwards = [one for one in part.read_segment(sealed=True) if isinstance(one, Event)]
            yield from (one for one in reversed(forwards) if one["seq"] <= left)


def _in_order(part: Stream, rows: list[bytes]) -> Generator[Event, None, int]:
    """The rows' events from the newest on, up to two that are out of order; the seq of the newer of those, or 0.

    One of the two is damaged, and only what comes before them tells which.
    """
    held: Event | None = None
    for place in range(len(rows) - 1, -1, -1):
        found = part._own(event.tried(rows[place]))
        if isinstance(found, Event) and found["seq"] == part.segment + place:
            if held and found.id >= held.id:
                return held["seq"]  # type: ignore[no-any-return]
            if held:
                yield held
            held, found.stream = found, part.name
    if held:
        yield held
    return 0
