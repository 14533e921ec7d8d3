"""The end of one stream, where its writer continues it."""

from __future__ import annotations

import itertools
import os

from coord_envelope import event, ids
from coord_envelope.errors import DiskFault
from coord_envelope.platform import suppress
from coord_kernel.store import disk
from coord_kernel.streams import changes
from coord_kernel.streams.rows import SEGMENT
from coord_kernel.streams.stream import SUFFIX, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_kernel.store.directory import Store


class Tail:
    """The end of an agent's stream on this replica: of the durable one, or of the live one."""

    def __init__(self, store: Store, agent: str, now: int, live: bool = False) -> None:
        self.store, self.live, self.kind = store, live, "live" if live else "journal"
        self._find(f"{agent}~{store.replica()}")
        if self.last_id and ids.ahead(ids.stamp_of(self.last_id), now):
            # Our clock ran ahead and was corrected: new ids must not be held back by its old ones.
            self._find(f"{agent}~{store.renew_replica()}")

    @property
    def name(self) -> str:
        """The stream, as `KIND/NAME`."""
        return f"{self.kind}/{self.writer}"

    def _find(self, writer: str) -> None:
        self.writer, self.seq, self.last_id = f"{writer}+live" if self.live else writer, 0, ""
        stream = Stream(self.store, self.kind, self.writer)
        self.segment = max(stream.segments(), default=0)
        self.size = self._end_torn_line()
        last = stream.last()
        if last:
            self.seq, self.last_id = last["seq"], last.id
        if stream.stopped:  # no reader would find what is appended there
            self.size, self.seq = SEGMENT, max(self.seq, self.segment)

    def _end_torn_line(self) -> int:
        """End the last line with a newline, if a crash cut it. Returns the segment's size.

        Before anything is looked up: if only the newline was cut, the line is an event.
        """
        if not self.segment:
            return 0
        fd = self._open(self.segment)
        try:
            size = os.fstat(fd).st_size
            if size and os.pread(fd, 1, size - 1) != b"\n":
                changes.add(self.store, self.name)
                size += os.pwrite(fd, b"\n", size)
            return size
        finally:
            os.close(fd)

    def write(self, rows: Sequence[bytes], seq: int) -> None:
        """Append the lines of events, whose first one has this seq, segment by segment.

        Raises DiskFault with the events that were written.
        """
        done = 0
        for group, segment in self._segments(rows, seq):
            try:
                self._write_segment(group, segment)
            except (DiskFault, OSError) as error:
                fault = error if isinstance(error, DiskFault) else self._no_room(error, ())
                fault.accepted = [*map(event.parse, rows[:done]), *fault.accepted]
                fault.what += f": {len(fault.accepted)} of {len(rows)} events were written"
                raise fault from None
            done += len(group)

    def write_whole(self, rows: Sequence[bytes], seq: int) -> None:
        """As `write`, as a segment of its own, which appears by a rename.

        So all are there or none, whatever ends this process or the machine. Raises DiskFault.
        """
        data = b"\n".join([*rows, b""])
        try:
            self.store.save(data, self.kind, self.writer, f"{seq:012d}{SUFFIX}")
        except OSError as error:
            raise self._no_room(error, ()) from None

    def _segments(self, rows: Sequence[bytes], seq: int) -> Iterator[tuple[Sequence[bytes], int]]:
        ends = list(itertools.accumulate(len(raw) + 1 for raw in rows))
        size, segment, begin, done = self.size, self.segment, 0, 0
        if segment and size + ends[-1] < SEGMENT:  # the usual case
            yield rows, segment
            return
        import bisect  # 0.3 ms

        while begin < len(rows):
            if not segment or size >= SEGMENT:
                size, segment = 0, seq + begin
            # With the line that fills the segment.
            end = bisect.bisect_left(ends, done + SEGMENT - size) + 1
            yield rows[begin:end], segment
            begin, size = end, SEGMENT
            done = ends[min(end, len(rows)) - 1]

    def _open(self, segment: int) -> int:
        name = f"{segment:012d}{SUFFIX}"
        return self.store.open(self.kind, self.writer, name, flags=os.O_RDWR | os.O_CREAT)

    def _write_segment(self, group: Sequence[bytes], segment: int) -> None:
        fd = self._open(segment)
        try:
            begin = os.lseek(fd, 0, os.SEEK_END)
            fault = None
            try:
                disk.write_all(fd, b"\n".join([*group, b""]))
            except OSError as error:
                fault = self._no_room(error, _give_back(fd, begin, group))
            if not self.live:
                self._sync(fd, new=begin == 0)
        finally:
            os.close(fd)
        if fault:
            raise fault

    def _no_room(self, error: OSError, accepted: Sequence[bytes]) -> DiskFault:
        what, written = (error.strerror or str(error)).lower(), list(map(event.parse, accepted))
        return DiskFault(what, self.writer, "make room and send the rest again", written)

    def _sync(self, fd: int, new: bool) -> None:
        try:
            disk.fdatasync(fd)
            if new:
                self.store.sync_directory("journal", self.writer)
        except OSError as error:
            # Never retried on this file: the kernel may have dropped the pages and report success.
            # (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020)
            with suppress(OSError):
                self.store.renew_replica()
            what = f"fdatasync failed ({error.strerror}); the rest may or may not be on the disk"
            todo = "check the disk, then `ev tail`"
            raise DiskFault(what, self.writer, todo) from None


def _give_back(fd: int, begin: int, group: Sequence[bytes]) -> Sequence[bytes]:
    """After a short write: cut the file back to whole lines. Returns the lines it has."""
    end, count = begin, 0
    size = os.fstat(fd).st_size
    while count < len(group) and end + len(group[count]) + 1 <= size:
        end += len(group[count]) + 1
        count += 1
    with suppress(OSError):
        os.ftruncate(fd, end)  # if that fails, too, the rest is a torn line, as after a crash
    return group[:count]
