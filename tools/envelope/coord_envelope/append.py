"""Append: the only place that writes events. One lock, one check, one write, one fdatasync; then it is said.

The order of the steps is the guarantee:

    lock → replica, own tail → precondition, keys → ids → clock file → write → fdatasync → unlock → return

so check-then-append is atomic on a store, an event returned is on the disk, and a crash at any point leaves
at most one torn line, which the next append ends with a newline and never truncates.
"""

from __future__ import annotations

import contextlib
import os

from coord_envelope import clock, codec, event, world
from coord_envelope.codec import Json
from coord_envelope.errors import BadData, DiskFault, Fault
from coord_envelope.event import Event
from coord_envelope.secrets import refuse_secret
from coord_envelope.stream import SUFFIX, Stream, backwards, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from coord_envelope.index import Index
    from coord_envelope.store import Store

    Drafts = Sequence[Json] | Callable[[Index], Sequence[Json]]

SEGMENT = 1 << 20
"""Bytes after which a new segment begins."""
_fdatasync = getattr(os, "fdatasync", os.fsync)


def append(store: Store, actor: Json, drafts: Drafts, index: Index, allow_secret: bool = False) -> list[Event]:
    """Write drafts as events of `actor`, all or none, and return them, in order, when they are on the disk.

    `drafts` may be a function: it is called under the lock with an index that has read everything, and what
    it looks up still holds when its drafts are written. It must not wait, read the network or run user code.

    A draft whose (type, idempotency_key) is taken is not written: the first event comes back with `$dup`.

    Raises BadData (a draft is bad, or its key was used for something else) or Refused (it holds a credential):
    nothing was written. Raises TryAgain after 10 s behind the lock. Raises DiskFault: its `accepted` were
    written, the rest was not, or after a failed fdatasync cannot be known.
    """
    answers = []
    for one in _append(store, actor, drafts, index, allow_secret, whole=True):
        assert isinstance(one, Event)
        answers.append(one)
    return answers


def append_each(
    store: Store, actor: Json, drafts: Drafts, index: Index, allow_secret: bool = False
) -> list[Event | Fault]:
    """As `append`, but each draft for itself: the place of a bad one holds its Fault, the others are written."""
    return _append(store, actor, drafts, index, allow_secret, whole=False)


def _append(
    store: Store, actor: Json, drafts: Drafts, index: Index, allow_secret: bool, whole: bool
) -> list[Event | Fault]:
    with store.lock():
        chosen = list(drafts(index.refresh()) if callable(drafts) else drafts)
        now = world.now_ms()
        tail = _Tail(store, actor["agent_id"].replace(":", ".", 1), now)
        numbering = _Numbering(store, actor, tail, now, _Keys(index, chosen), allow_secret)
        answers = [numbering.answer(draft, whole) for draft in chosen]
        numbering.keys.make_durable(store)
        if numbering.fresh:
            _write_clock(store, numbering.stamp)
            tail.write(numbering.fresh)
    return answers


class _Tail:
    """The end of the stream that this agent writes on this replica."""

    def __init__(self, store: Store, agent: str, now: int) -> None:
        self.store = store
        self._find(f"{agent}~{store.replica()}")
        if self.last_id and clock.ahead(clock.stamp_of(self.last_id), now):
            # Our clock ran ahead and was mended: its ids must not hold back the right ones for ever.
            self._find(f"{agent}~{store.renew_replica()}")

    def _find(self, writer: str) -> None:
        self.writer, self.seq, self.last_id = writer, 0, ""
        stream = Stream(self.store, "journal", writer)
        last = stream.last()
        self.segment = stream.segment
        if last:
            self.seq, self.last_id = last["seq"], last.id

    def write(self, events: Sequence[Event]) -> None:
        """Put the events at the end, segment by segment. Raises DiskFault with those that are on the disk."""
        done = 0
        for group, segment in self._segments(events):
            try:
                self._write_segment(group, segment)
            except DiskFault as fault:
                fault.accepted = [*events[:done], *fault.accepted]
                raise
            done += len(group)

    def _segments(self, events: Sequence[Event]) -> Iterator[tuple[list[Event], int]]:
        size, segment, group = self._size(self.segment), self.segment, list[Event]()
        for one in events:
            if not segment or size >= SEGMENT:
                if group:
                    yield group, segment
                size, segment, group = 0, one["seq"], []
            group.append(one)
            size += len(one.raw) + 1
        yield group, segment

    def _size(self, segment: int) -> int:
        if not segment:
            return 0
        fd = self._open(segment)
        try:
            size = os.fstat(fd).st_size
            if size >= SEGMENT and os.pread(fd, 1, size - 1) != b"\n":
                os.pwrite(fd, b"\n", size)  # end a torn tail that no later line would end
            return size
        finally:
            os.close(fd)

    def _open(self, segment: int) -> int:
        return self.store.open("journal", self.writer, f"{segment:012d}{SUFFIX}", flags=os.O_RDWR | os.O_CREAT)

    def _write_segment(self, group: Sequence[Event], segment: int) -> None:
        fd = self._open(segment)
        try:
            size = os.lseek(fd, 0, os.SEEK_END)
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
            data = b"\n" * torn + b"".join([one.raw + b"\n" for one in group])
            accepted = group
            written, failure = _write_all(fd, data)
            if failure:
                accepted = self._give_back(fd, size, torn, data[:written], group)
            self._sync(fd, new=size == 0)
        finally:
            os.close(fd)
        if failure:
            what = f"{failure}: {len(accepted)} of {len(group)} events were written"
            raise DiskFault(what, where=self.writer, todo="make room and send the rest again", accepted=accepted)

    def _give_back(self, fd: int, size: int, torn: bool, written: bytes, group: Sequence[Event]) -> Sequence[Event]:
        """After a short write: cut the file back to its last whole line, and say which events it has."""
        os.ftruncate(fd, size + written.rfind(b"\n") + 1)
        return group[: max(0, written.count(b"\n") - torn)]

    def _sync(self, fd: int, new: bool) -> None:
        try:
            _fdatasync(fd)
            if new:
                directory = self.store.directory("journal", self.writer)
                try:
                    os.fsync(directory)
                finally:
                    os.close(directory)
        except OSError as error:
            # Never retried on this file: the kernel may have dropped the pages and then report success.
            # (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020)
            with contextlib.suppress(OSError):
                self.store.renew_replica()
            what = f"fdatasync failed ({error.strerror}): whether these events are on the disk is unknown"
            raise DiskFault(what, where=self.writer, todo="look at the disk, then at `ev tail`") from None


def _write_all(fd: int, data: bytes) -> tuple[int, str]:
    """How many bytes were written, and why not all."""
    view, written = memoryview(data), 0
    while written < len(data):
        try:
            written += os.write(fd, view[written:])
        except OSError as error:
            return written, (error.strerror or str(error)).lower()
    return written, ""


class _Numbering:
    """Gives each draft its id and seq, or the event that already has its key."""

    def __init__(self, store: Store, actor: Json, tail: _Tail, now: int, keys: _Keys, allow_secret: bool) -> None:
        self.stamp, self.seq, self.keys = _last_stamp(store, tail, now), tail.seq, keys
        self.fresh: list[Event] = []
        self._store, self._actor, self._writer, self._now = store, actor, tail.writer, now
        self._allow_secret = allow_secret

    def answer(self, draft: Json, whole: bool) -> Event | Fault:
        try:
            event.check(draft)
            first = self.keys.first(draft)
            return first.noted(dup=True) if first else self._write(draft)
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
        new = event.build(draft, event_id, self._now, self._store.project, self._writer, self.seq + 1, self._actor)
        if not self._allow_secret:
            refuse_secret(new.raw)
        self.stamp, self.seq = stamp, self.seq + 1
        self.keys.remember(new)
        self.fresh.append(new)
        return new


class _Keys:
    """Idempotency keys of the store and of this batch: (type, key) → its first event."""

    def __init__(self, index: Index, drafts: Sequence[Json]) -> None:
        self._index = index.refresh() if any("idempotency_key" in draft for draft in drafts) else index
        self._batch: dict[tuple[str, str], Event] = {}
        self._vouched: set[tuple[str, ...]] = set()

    def first(self, draft: Json) -> Event | None:
        """The event that has this draft's key. Raises BadData if it says something else."""
        key = draft.get("idempotency_key")
        if key is None:
            return None
        found = self._batch.get((draft["type"], key))
        if found is None:
            place = self._index.by_key(draft["type"], key)
            if place is None:
                return None
            found = place.event
            self._vouched.add(place.file)
        same = all(
            codec.same(found.get(name, empty), value)
            for name, empty, value in (
                ("body", {}, draft.get("body", {})),
                ("refs", {}, event.resolve_self(draft.get("refs", {}), found.id)),
                ("to", [], draft.get("to", [])),
            )
        )
        if not same:
            what = f"idempotency key {key!r} was used for another {draft['type']}, {found.id}"
            raise BadData(what, todo="use a new key")
        return found

    def remember(self, written: Event) -> None:
        if "idempotency_key" in written:
            self._batch[written["type"], written["idempotency_key"]] = written

    def make_durable(self, store: Store) -> None:
        """What a `$dup` answer vouches for is on the disk first: its writer may have died before its fdatasync."""
        for file in self._vouched:
            fd = store.open(*file)
            try:
                _fdatasync(fd)
            finally:
                os.close(fd)


def _last_stamp(store: Store, tail: _Tail, now: int) -> int:
    """The greatest stamp this store accepted. Without a clock file the streams' tails say it."""
    saved = (store.load("local", "clock") or b"").strip()
    own = clock.stamp_of(tail.last_id) if tail.last_id else 0
    if saved.isdigit():
        known = [int(saved), own]
    else:
        tails = (next(backwards(stream), None) for stream in streams(store, live=True))
        known = [own, *(clock.stamp_of(last.id) for last in tails if last)]
    return max((stamp for stamp in known if not clock.ahead(stamp, now)), default=0)


def _write_clock(store: Store, stamp: int) -> None:
    fd = store.open("local", "clock", flags=os.O_WRONLY | os.O_CREAT)
    try:
        os.pwrite(fd, b"%020d\n" % stamp, 0)
    finally:
        os.close(fd)
