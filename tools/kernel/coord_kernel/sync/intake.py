"""Taking in what another replica holds, file by file. The same with every remote.

    1. A copy of a segment is a prefix of its author's bytes, and only grows. Bytes that continue
       the copy held here are appended: durably, under the store's lock, never rewritten.
    2. A copy that has a prefix of what is held here has nothing new.
    3. A segment whose predecessor is missing waits (`early`) until that has arrived.
    4. Bytes that do neither (a disk restored from a backup, a forgery) are a fork. From the first
       line that differs they are kept as a stream of their own, `WRITER!64HEX`, with the SHA-256 of
       that line, and so are the segments that follow. Nothing is spliced, and a replay has both.
       Which of two histories has the plain name may differ between replicas; what they replay does
       not. So the first segment of a fork is taken in only if its first line has the hash in the
       name and the seq in the file's name: nobody can occupy the place of a fork with other lines.
       (Forks of earlier versions, `WRITER!8HEX`, are continued where they are.)
    5. What has no use is not stored: a segment that begins with no event of the writer, or with an
       event that cannot follow what is held; the bytes behind the place from which readers pass
       over the rest of a segment; bad lines of one source beyond BAD; and bytes of one source
       beyond FREE_BYTES that are out of proportion to what they occupy on the remote.
    6. If another replica holds more of this store's own stream than this store, then this disk was
       restored: the store takes a new replica id, and takes in its own past.
    7. A blob is taken in if its bytes have the hash that its name says.

Else lines are not judged here: readers skip bad ones and report them, as at their author's.
"""

from __future__ import annotations

import os
import sys

from coord_envelope import event, ids, world
from coord_envelope.platform import contextmanager, suppress
from coord_kernel.store import disk, stamp
from coord_kernel.streams import changes
from coord_kernel.streams.rows import MOST_BAD, readable
from coord_kernel.streams.stream import SUFFIX, Stream
from coord_kernel.sync import layout
from coord_kernel.views import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord_envelope.event import Event
    from coord_kernel.store.directory import Store
    from coord_kernel.sync.held import Held

    Segments = list[tuple[int, str]]
    """The first seq and the blob id of each segment, in order."""

BAD = 16 * MOST_BAD
"""What the bad lines of a source count for, at most, in one exchange: some 30,000 lines."""
FREE_BYTES = 1 << 26
RATIO = 64
"""Events are a tenth or a twentieth of their size when git stores them."""
_REPORTED = 5
MANY = 10_000
"""Lines of an exchange from which they are checked at once."""
OLD_HEX = 8
"""Digits of the hash in the name of a fork of an earlier version."""


class Source:
    """Where files come from."""

    __slots__ = ("files", "name", "read", "size")

    def __init__(
        self,
        name: str,
        files: dict[str, str],
        read: Callable[[str, int], bytes],
        size: Callable[[], int] | None = None,
    ) -> None:
        """`name` is for messages, `files` is path → blob id.

        `read` gives the bytes of a blob, at most so many, or raises ValueError. `size` gives the
        bytes that the files occupy there, all together; without it as many are taken in as there
        are.
        """
        self.name, self.files, self.read, self.size = name, files, read, size


class _Budget:
    """What may still be taken in from one source."""

    def __init__(self, source: Source) -> None:
        self._size, self._bad = source.size, BAD
        self._bytes = FREE_BYTES if source.size else sys.maxsize

    def spend(self, count: int, bad: int = 0) -> None:
        """Take so many bytes, whose bad lines count for so much. Raises ValueError."""
        if bad > self._bad:
            raise ValueError("too many bad lines, with those of other files")
        if count > self._bytes and self._size:
            self._bytes += max(RATIO * self._size() - FREE_BYTES, 0)
            self._size = None
        if count > self._bytes:
            raise ValueError("too large, with other files, for what it occupies on the remote")
        self._bad, self._bytes = self._bad - bad, self._bytes - count


class Taken:
    """What was taken in, and the rules for segments that every way of taking in shares."""

    checks = True
    """Are many lines checked at once, or by who reads them first?"""

    redacted = True
    """May a redaction have come since `finish`, or before this process?"""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.stamp = 0
        """The greatest stamp of an id taken in."""
        self.warnings: list[str] = []
        self.sources: dict[str, int] = {}
        """Lines by writer."""

    def finish(self) -> None:
        """Advance the store's clock to the newest id, unless that is of a clock far ahead.

        And delete views that were made before a redaction which came with it.
        """
        if self.checks and sum(self.sources.values()) >= MANY:
            from coord_kernel.streams import lines  # who reads them first need not, nor who judges

            lines.check(self._store, self.sources)
        if self.sources and self._store.signers():
            from coord_kernel.sync.signed.judge import judge  # only with signers

            self.warnings += judge(self._store)  # also whose redactions count
        if self.sources and (self.redacted or self._store.signers()):
            shown.purge(self._store)
        with self._store.lock():
            known = stamp.load(self._store)
            if known is None or known >= self.stamp:
                return
            if not ids.ahead(self.stamp, world.now_ms()):
                stamp.save(self._store, self.stamp)
                changes.add(self._store, changes.ALL)

    def _sealed(self, name: str, first: int) -> bool:
        """Does a later segment follow this one?"""
        return any(later > first for later in Stream(self._store, "journal", name).segments())

    def _last(self, name: str) -> Event | None:
        """The newest event of a stream that is held."""
        return Stream(self._store, "journal", name).last()

    def _is_next(self, name: str, first: int, data: bytes) -> bool:
        """May this segment come next? The first one of a fork has the line that is in its name."""
        last = self._last(name)
        if last or "!" not in name:
            return first == (last["seq"] + 1 if last else 1)
        return name.endswith(f"!{digest(data)}")

    def _check_begin(self, name: str, first: int, data: bytes) -> None:
        """Raises ValueError if a new segment's first event is not to be read."""
        begin, last = first_event(data), self._last(name)
        if begin is None or begin["writer"] != name.partition("!")[0]:
            raise ValueError(f"segment {first} has no event of its writer")
        forked = last is None and len(name.partition("!")[2]) > OLD_HEX
        if begin["seq"] < first or (forked and begin["seq"] != first):
            raise ValueError(f"segment {first} begins with seq {begin['seq']}")
        if last and (first <= last["seq"] or begin.id <= last.id):
            raise ValueError(f"segment {first} begins before what is held ends")

    def _not_ours(self, name: str, first: int) -> None:
        """A remote adds to this segment. If the stream was this store's own, that is not.

        Before anything was added. Under the store's lock.
        """
        if "!" not in name and name.rpartition("~")[2] in self._store.all_replicas():
            from coord_kernel.streams import trusted  # a disk was restored: seldom

            trusted.begin_of_others(self._store, name, first)

    def _count(self, writer: str, data: bytes) -> Event | None:
        """Note that these lines were taken in. The last one, if it is an event."""
        self.sources[writer] = self.sources.get(writer, 0) + data.count(b"\n")
        last = first_event(data[data.rfind(b"\n", 0, -1) + 1 :])
        if last:
            self.stamp = max(self.stamp, ids.stamp_of(last.id))
        return last


class Intake(Taken):
    """What was taken in by one exchange, file by file."""

    def __init__(self, store: Store, held: Held) -> None:
        super().__init__(store)
        self._held = held
        self.early: dict[str, str] = {}
        """Source → the warning that one of its segments waits for an earlier one."""
        self._budget: _Budget
        self._reported = 0

    def take(self, source: Source) -> None:
        """Take in the files of a source that are new or longer there."""
        self.early.pop(source.name, None)
        self._budget, self._reported = _Budget(source), 0
        streams: dict[str, Segments] = {}
        for path, oid in sorted(source.files.items()):
            if segment := layout.segment(path):
                streams.setdefault(segment[0], []).append((segment[1], oid))
            elif self._held.oid(path) is None:
                with self._warned(source, path):
                    data = source.read(oid, layout.BLOB_BYTES)
                    self._budget.spend(len(data))
                    self._blob(source, path, data)
        for name, segments in streams.items():
            with self._warned(source, f"journal/{name}"):
                self._stream(source, name, segments)
        if self._reported > _REPORTED:
            more = f"{self._reported - _REPORTED:,} more like these"
            self.warnings.append(f"{source.name}: {more}")

    @contextmanager
    def _warned(self, source: Source, path: str) -> Iterator[None]:
        try:
            yield
        except ValueError as reason:
            self._warn(source, f"{path}: {reason}; ignored")

    def _warn(self, source: Source, text: str) -> None:
        self._reported += 1
        if self._reported <= _REPORTED:
            self.warnings.append(f"{source.name}: {text}")

    def _stream(self, source: Source, name: str, segments: Segments) -> None:
        follows = len(name.partition("!")[2]) == OLD_HEX  # an old fork begins anywhere
        for at, (first, oid) in enumerate(segments):
            file = f"journal/{name}/{first:012d}{SUFFIX}"
            ours = self._held.oid(file)
            if ours != oid:
                data = layout.whole(source.read(oid, layout.SEGMENT_BYTES), file)
                have = layout.whole(self._bytes(file), file) if ours else b""
                end, bad = readable(data)
                if end < len(data):
                    text = f"too many bad lines, {len(data) - end:,} bytes behind them"
                    self._warn(source, f"{file}: {text}; ignored")
                    data = data[:end]
                if not have.startswith(data):
                    if not data.startswith(have) or (ours and self._sealed(name, first)):
                        self._budget.spend(len(data), bad)
                        self._fork(source, name, data, have, segments[at + 1 :])
                        return
                    if not (follows or ours or self._is_next(name, first, data)):
                        self.early[source.name] = (
                            f"{source.name}: {file}: waits, an earlier segment is missing"
                        )
                        return
                    if not ours:
                        self._check_begin(name, first, data)
                    self._budget.spend(len(data) - len(have), bad)
                    self._append(source, file, have, data)
            follows = True

    def _fork(self, source: Source, name: str, data: bytes, have: bytes, later: Segments) -> None:
        rest, path = data[same(data, have) :], f"journal/{name}"
        first = first_event(rest)
        fork = self._fork_name(name.partition("!")[0], digest(rest), first)
        if first is None:
            self._warn(source, f"{path}: does not continue what is held, has no event; ignored")
            if later:  # then the fork begins there
                data = layout.whole(source.read(later[0][1], layout.SEGMENT_BYTES), "journal/")
                self._fork(source, name, data, b"", later[1:])
            return
        file = f"journal/{fork}/{first['seq']:012d}{SUFFIX}"
        there = layout.whole(self._bytes(file), file)
        if same(rest, there) < min(len(rest), len(there)):
            self._fork(source, fork, rest, there, later)  # a fork of the fork
            return
        if len(rest) > len(there):
            self._append(source, file, there, rest)
            self._warn(source, f"{path}: does not continue what is held; kept as {fork}")
        if later:
            self._stream(source, fork, later)

    def _fork_name(self, writer: str, sha256: str, first: Event | None) -> str:
        """The stream of a fork: an old name, if it begins with this line here, or a new one."""
        old = f"{writer}!{sha256[:OLD_HEX]}"
        if first:
            there = self._bytes(f"journal/{old}/{first['seq']:012d}{SUFFIX}")
            if there and digest(there) == sha256:
                return old
        return f"{writer}!{sha256}"

    def _append(self, source: Source, file: str, have: bytes, data: bytes) -> None:
        """Make the file `data`, of which it has `have`: durably, under the store's lock."""
        names = file.split("/")
        writer = names[1].partition("!")[0]
        with self._store.lock():
            if writer.endswith(f"~{self._store.replica()}"):
                self._store.renew_replica()  # nobody writes this stream any more
                what = "has events of this store that are missing here; taking a new replica id"
                self._warn(source, f"{file}: {what}")
            fd = self._store.open(*names, flags=os.O_RDWR | os.O_CREAT)
            try:
                there = os.pread(fd, os.fstat(fd).st_size, 0)
                if layout.whole(there, file) != have:
                    return  # it has grown meanwhile: the next sync compares again
                if not have:  # the file may be new: nobody looks again once it has bytes
                    self._store.sync_directory(*names[:-1])
                changes.add(self._store, "/".join(names[:2]))
                if not data.startswith(there):
                    # Half a line is not written yet; ended with a newline it would be a fork.
                    os.ftruncate(fd, len(have))
                    there = have
                self._not_ours(names[1], int(names[2][:12]))
                os.lseek(fd, 0, os.SEEK_END)
                disk.write_all(fd, data[len(there) :])
                disk.fdatasync(fd)
            finally:
                os.close(fd)
        self._count(writer, data[len(have) :])

    def _blob(self, source: Source, path: str, data: bytes) -> None:
        import hashlib

        if hashlib.sha256(data).hexdigest() != path.removeprefix("blobs/sha256/").replace("/", ""):
            self._warn(source, f"{path}: its bytes do not have the hash in its name; ignored")
            return
        self._store.save(data, *path.split("/"))

    def _bytes(self, file: str) -> bytes:
        return self._store.load(*file.split("/"), most=layout.SEGMENT_BYTES) or b""


def same(one: bytes, other: bytes) -> int:
    """How many bytes of whole lines both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:  # bisection for the longest common beginning
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return one.rfind(b"\n", 0, low) + 1


def digest(data: bytes) -> str:
    """The SHA-256 of the first of these lines."""
    import hashlib  # 3 ms

    return hashlib.sha256(data[: data.find(b"\n")]).hexdigest()


def first_event(data: bytes) -> Event | None:
    """The first event of these lines."""
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        if end - start < event.LIMIT:
            with suppress(ValueError):
                return event.parse(data[start:end])
        start = end + 1
    return None
