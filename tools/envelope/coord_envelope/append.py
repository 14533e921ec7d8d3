"""Append: the only place that writes durable events. One lock, one check, one write, one fdatasync; then it is said.

(`live` writes the others, by the same means but the fdatasync.)

The order of the steps is the guarantee:

    lock → replica, own tail → precondition, keys → ids → clock file → write → fdatasync → unlock → return

so check-then-append is atomic on a store, an event returned is on the disk, and a crash at any point leaves
at most one torn line, which the next append ends with a newline and never truncates.
"""

from __future__ import annotations

import os

from coord_envelope import clock, disk, event, world
from coord_envelope.codec import Json
from coord_envelope.context import suppress
from coord_envelope.errors import BadData, DiskFault, Fault
from coord_envelope.event import Event
from coord_envelope.keys import Keys, keyed
from coord_envelope.secrets import refuse_secret
from coord_envelope.stream import SEGMENT, SUFFIX, Stream, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from coord_envelope.index import Index
    from coord_envelope.store import Store

    Drafts = Sequence[Json] | Callable[[Index], Sequence[Json]]
    Witness = Callable[[Sequence[Event]], None]


def append(
    store: Store,
    actor: Json,
    drafts: Drafts,
    index: Index,
    allow_secret: bool = False,
    witness: Witness | None = None,
) -> list[Event]:
    """Write drafts as events of `actor`, all or none, and return them, in order, when they are on the disk.

    `drafts` may be a function: it is called under the lock with the index, and what it looks up there, after a
    `refresh`, still holds when its drafts are written. It must not wait, read the network or run user code.

    `witness` is called under the lock, too, with the events that are about to be written: what it notes of them is
    there before anybody reads them. It is bound as `drafts` is.

    A draft whose (type, idempotency_key) is taken is not written: the first event comes back with `$dup`.

    Raises BadData (a draft is bad, or its key was used for something else) or Refused (it holds a credential):
    nothing was written. Raises TryAgain after 10 s behind the lock. Raises DiskFault: its `accepted` were
    written, the rest was not, or after a failed fdatasync cannot be known.
    """
    answers = []
    for one in _append(store, actor, drafts, index, allow_secret, witness, whole=True):
        assert isinstance(one, Event)
        answers.append(one)
    return answers


def append_each(
    store: Store,
    actor: Json,
    drafts: Drafts,
    index: Index,
    allow_secret: bool = False,
    witness: Witness | None = None,
) -> list[Event | Fault]:
    """As `append`, but each draft for itself: the place of a bad one holds its Fault, the others are written."""
    return _append(store, actor, drafts, index, allow_secret, witness, whole=False)


def _append(
    store: Store,
    actor: Json,
    drafts: Drafts,
    index: Index,
    allow_secret: bool,
    witness: Witness | None,
    whole: bool,
) -> list[Event | Fault]:
    if not callable(drafts) and keyed(drafts):
        index.refresh()  # a long way to go (a first time, a rebuild) is gone before the lock is taken
    with store.lock():
        now = world.now_ms()
        tail = Tail(store, actor["agent_id"].replace(":", ".", 1), now)
        chosen = list(drafts(index) if callable(drafts) else drafts)
        numbering = Numbering(store, actor, tail, now, Keys(index, chosen), allow_secret)
        answers = [numbering.answer(draft, whole) for draft in chosen]
        numbering.keys.make_durable(store)
        if numbering.fresh:
            write_clock(store, numbering.stamp)
            if witness:
                witness(numbering.fresh)
            tail.write(numbering.fresh)
    return answers


class Tail:
    """The end of the stream that this agent writes on this replica: the durable one, or the live one."""

    def __init__(self, store: Store, agent: str, now: int, live: bool = False) -> None:
        self.store, self.live, self.kind = store, live, "live" if live else "journal"
        self._find(f"{agent}~{store.replica()}")
        if self.last_id and clock.ahead(clock.stamp_of(self.last_id), now):
            # Our clock ran ahead and was mended: its ids must not hold back the right ones for ever.
            self._find(f"{agent}~{store.renew_replica()}")

    def _find(self, writer: str) -> None:
        self.writer, self.seq, self.last_id = f"{writer}+live" if self.live else writer, 0, ""
        stream = Stream(self.store, self.kind, self.writer)
        self.segment = max(stream.segments(), default=0)
        self.size = self._end_torn_line()
        last = stream.last()
        if last:
            self.seq, self.last_id = last["seq"], last.id

    def _end_torn_line(self) -> int:
        """Give the last line its newline if a crash took it. Returns the segment's size.

        Before anything is looked up: what was cut may be the newline alone, and then it is an event after all.
        """
        if not self.segment:
            return 0
        fd = self._open(self.segment)
        try:
            size = os.fstat(fd).st_size
            if size and os.pread(fd, 1, size - 1) != b"\n":
                size += os.pwrite(fd, b"\n", size)
            return size
        finally:
            os.close(fd)

    def write(self, events: Sequence[Event]) -> None:
        """Put the events at the end, segment by segment. Raises DiskFault with those that are on the disk."""
        done = 0
        for group, segment in self._segments(events):
            try:
                self._write_segment(group, segment)
            except (DiskFault, OSError) as error:
                fault = error if isinstance(error, DiskFault) else self._no_room(error, ())
                fault.accepted = [*events[:done], *fault.accepted]
                fault.what += f": {len(fault.accepted)} of {len(events)} events were written"
                raise fault from None
            done += len(group)

    def _segments(self, events: Sequence[Event]) -> Iterator[tuple[list[Event], int]]:
        size, segment, group = self.size, self.segment, list[Event]()
        for one in events:
            if not segment or size >= SEGMENT:
                if group:
                    yield group, segment
                size, segment, group = 0, one["seq"], []
            group.append(one)
            size += len(one.raw) + 1
        yield group, segment

    def _open(self, segment: int) -> int:
        return self.store.open(self.kind, self.writer, f"{segment:012d}{SUFFIX}", flags=os.O_RDWR | os.O_CREAT)

    def _write_segment(self, group: Sequence[Event], segment: int) -> None:
        fd = self._open(segment)
        try:
            begin = os.lseek(fd, 0, os.SEEK_END)
            fault = None
            try:
                disk.write_all(fd, b"".join([one.raw + b"\n" for one in group]))
            except OSError as error:
                fault = self._no_room(error, _give_back(fd, begin, group))
            if not self.live:
                self._sync(fd, new=begin == 0)
        finally:
            os.close(fd)
        if fault:
            raise fault

    def _no_room(self, error: OSError, accepted: Sequence[Event]) -> DiskFault:
        what = (error.strerror or str(error)).lower()
        return DiskFault(what, where=self.writer, todo="make room and send the rest again", accepted=accepted)

    def _sync(self, fd: int, new: bool) -> None:
        try:
            disk.fdatasync(fd)
            if new:
                self.store.sync_directory("journal", self.writer)
        except OSError as error:
            # Never retried on this file: the kernel may have dropped the pages and then report success.
            # (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020)
            with suppress(OSError):
                self.store.renew_replica()
            what = f"fdatasync failed ({error.strerror}), whether the rest is on the disk is unknown"
            raise DiskFault(what, where=self.writer, todo="look at the disk, then at `ev tail`") from None


def _give_back(fd: int, begin: int, group: Sequence[Event]) -> Sequence[Event]:
    """After a short write: cut the file back to its last whole line. Returns the events that it has."""
    end, count = begin, 0
    size = os.fstat(fd).st_size
    while count < len(group) and end + len(group[count].raw) + 1 <= size:
        end += len(group[count].raw) + 1
        count += 1
    with suppress(OSError):
        os.ftruncate(fd, end)  # if even that fails, the rest is a torn line like a crash's
    return group[:count]


class Numbering:
    """Gives each draft its id and seq, or the event that already has its key."""

    def __init__(self, store: Store, actor: Json, tail: Tail, now: int, keys: Keys, allow_secret: bool = False) -> None:
        self.stamp, self.seq, self.keys = _last_stamp(store, tail, now), tail.seq, keys
        self.fresh: list[Event] = []
        self._made: dict[str, str] = {}
        self._store, self._actor, self._writer, self._now = store, actor, tail.writer, now
        self._allow_secret = allow_secret

    def answer(self, draft: Json, whole: bool) -> Event | Fault:
        try:
            event.check(draft)
            first = self.keys.first(draft, self._made)
            found = first or self._write(draft)
            if "$as" in draft:
                self._made[draft["$as"]] = found.id
            return found.noted(dup=True) if first else found
        except ValueError as reason:
            fault: Fault = BadData(str(reason))
        except Fault as refusal:
            fault = refusal
        if whole:
            raise fault
        return fault

    def _write(self, draft: Json) -> Event:
        stamp = clock.tick(self.stamp, self._now)
        event_id = clock.mint(stamp, world.entropy(8))
        filled = event.filled(draft, self._made, event_id)
        new = event.build(filled, event_id, self._now, self._store.project, self._writer, self.seq + 1, self._actor)
        if not self._allow_secret:
            refuse_secret(new.raw)
        self.stamp, self.seq = stamp, self.seq + 1
        self.keys.remember(new)
        self.fresh.append(new)
        return new


def _last_stamp(store: Store, tail: Tail, now: int) -> int:
    """The greatest stamp this store accepted. Without a clock file the streams' tails say it."""
    saved = (store.load("local", "clock") or b"")[:20]
    own = clock.stamp_of(tail.last_id) if tail.last_id else 0
    if saved.isdigit():
        known = [int(saved), own]
    else:
        tails = (stream.last() for stream in streams(store, live=True))
        known = [own, *(clock.stamp_of(last.id) for last in tails if last)]
    return max((stamp for stamp in known if not clock.ahead(stamp, now)), default=0)


def write_clock(store: Store, stamp: int) -> None:
    fd = store.open("local", "clock", flags=os.O_WRONLY | os.O_CREAT)
    try:
        os.pwrite(fd, b"%020d\n" % stamp, 0)
        os.ftruncate(fd, 21)
    finally:
        os.close(fd)
