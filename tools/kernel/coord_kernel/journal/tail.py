"""The end of one stream, where its writer continues it."""

from __future__ import annotations

import os

from coord_envelope import ids
from coord_envelope.errors import DiskFault
from coord_envelope.platform import suppress
from coord_kernel.store import disk
from coord_kernel.streams.stream import SEGMENT, SUFFIX, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_envelope.event import Event
    from coord_kernel.store.directory import Store


class Tail:
    """The end of the stream that this agent writes on this replica: the durable one, or the live one."""

    def __init__(self, store: Store, agent: str, now: int, live: bool = False) -> None:
        self.store, self.live, self.kind = store, live, "live" if live else "journal"
        self._find(f"{agent}~{store.replica()}")
        if self.last_id and ids.ahead(ids.stamp_of(self.last_id), now):
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
        size, segment = self.size, self.segment
        group: list[Event] = []
        for one in events:
            if not segment or size >= SEGMENT:
                if group:
                    yield group, segment
                size, segment, group = 0, one["seq"], []
            group.append(one)
            size += len(one.raw) + 1
        yield group, segment

    def _open(self, segment: int) -> int:
        return self.store.open(
            self.kind, self.writer, f"{segment:012d}{SUFFIX}", flags=os.O_RDWR | os.O_CREAT
        )

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
        return DiskFault(
            what, where=self.writer, todo="make room and send the rest again", accepted=accepted
        )

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
            what = (
                f"fdatasync failed ({error.strerror}), whether the rest is on the disk is unknown"
            )
            raise DiskFault(
                what, where=self.writer, todo="look at the disk, then at `ev tail`"
            ) from None


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
