"""The log of a relay: entries in one order, each put behind a known last one of its subject.

One file is the data and the order:

    coord-relay 1 EPOCH SALT PROJECT
    AT FIRST MS CRC BYTES SUBJECT
    payload

- AT rises by 1, and begins at 1 unless somebody has removed the beginning. FIRST is the AT of the
  first entry of the same write. MS is this machine's clock, never less than that of the entry
  before. CRC is over the rest of the line and the payload, and begins with SALT: a payload can
  contain no entry that would pass for one.
- Entries that arrive together are one write and one fdatasync, and are acknowledged after it. So
  an entry proves that all entries before its FIRST had been on the disk.
- All entries are read at the start. What a crash left behind the last sound one was not
  acknowledged, and is cut. But if a later entry proves that a damaged one was, the log is not
  opened: to cut it would lose it.
- After a failed write the file is cut to what is durable. After a failed fdatasync nothing more
  is written: what the system kept of it is not known.

The relay never removes an entry. Memory: 8 bytes an entry, and the last place of each subject.
"""

from __future__ import annotations

import fcntl
import os
import re
import zlib
from array import array
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote

from coord_envelope import BadData, world
from coord_envelope.errors import DiskFault, TryAgain
from coord_kernel.store.disk import fault_of, fdatasync, write_all

if TYPE_CHECKING:
    from collections.abc import Sequence

_ENTRY = re.compile(
    rb"(?P<at>\d{1,18}) (?P<first>\d{1,18}) (?P<ms>\d{1,18}) (?P<crc>[0-9a-f]{8})"
    rb" (?P<bytes>\d{1,9}) (?P<subject>[!-~]{1,400})\n"
)
_BIRTH = re.compile(rb"coord-relay 1 ([0-9a-f]{32}) ([0-9a-f]{8}) ([!-~]{1,1000})\n")
_LINE = 1 << 11
"""More bytes than a line before a payload has."""
PAGE = 1 << 20
"""Bytes after which a page of entries ends."""


class Entry(NamedTuple):
    """A payload at its place, and when it was appended."""

    at: int
    subject: str
    ms: int
    payload: bytes


class Put(NamedTuple):
    """To append, if the subject's last entry is at `expected` (0: it has none)."""

    subject: str
    expected: int
    payload: bytes


class Log:
    """The log in a directory. One process has it open.

    One thread appends; others may read meanwhile, and see an entry when it is on the disk.
    """

    def __init__(self, directory: str, project: str = "") -> None:
        """Open the log. With a `project`, make one if there is none.

        Raises FileNotFoundError, TryAgain if another process has it open, and BadData if it is not
        a log or acknowledged entries are damaged.
        """
        self.path = os.path.join(directory, "log")
        if project and not os.path.exists(self.path):
            _make(directory, self.path, project)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            birth = _BIRTH.match(os.pread(self._fd, _LINE, 0))
            if not birth:
                raise BadData("not the log of a relay", where=self.path)
            self.epoch, self.project = birth[1].decode(), unquote(birth[3].decode())
            self._salt = int(birth[2], 16)
            self._starts, self._ends, self._ms = array("Q", [birth.end()]), dict[str, int](), 0
            self._base = 0
            self.broken = False
            """Whether a write failed in such a way that nothing more is written."""
            self._load()
        except BlockingIOError:
            self.close()
            raise TryAgain("another relay has it open", where=self.path) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another process open it."""
        os.close(self._fd)

    @property
    def end(self) -> int:
        """The place of the last entry; 0: there is none."""
        return self._base + len(self._starts) - 1

    @property
    def begin(self) -> int:
        """The place of the first entry, if there is one."""
        return self._base + 1

    @property
    def deleted(self) -> bool:
        """Whether the file has been removed or replaced since."""
        return os.fstat(self._fd).st_nlink == 0

    @property
    def _size(self) -> int:
        """Where the next entry will start."""
        return self._starts[-1]

    def now(self) -> int:
        """Unix milliseconds, never before the last entry."""
        return max(self._ms, world.now_ms())

    def place(self, subject: str) -> int:
        """Where the subject's last entry is; 0: it has none."""
        return self._ends.get(subject, 0)

    def length(self, first: int) -> int:
        """Bytes of the entries from a place on, with their lines."""
        return self._size - self._starts[min(max(first, self.begin), self.end + 1) - self.begin]

    def read(self, first: int, most: int = PAGE) -> list[Entry]:
        """The entries from a place on: one if there is one, and more up to `most` bytes in all."""
        entries: list[Entry] = []
        size = 0
        for index in range(max(first, self.begin) - self.begin, len(self._starts) - 1):
            start = self._starts[index]
            length = self._starts[index + 1] - start
            size += length
            if entries and size > most:
                break
            entries.append(_parsed(os.pread(self._fd, length, start))[0])
        return entries

    def append(self, puts: Sequence[Put]) -> list[int | None]:
        """The place of each, when all are on the disk; None: its subject's last one is another.

        Each is judged as if those before it were there. Raises DiskFault: none was appended.
        """
        places, records = self._judged(puts)
        if records:
            self._write(b"".join(record for _, record in records))
        for subject, record in records:
            self._add(subject, len(record))
        return places

    def _judged(self, puts: Sequence[Put]) -> tuple[list[int | None], list[tuple[str, bytes]]]:
        """Where each will be; subject and record of those to write."""
        ends, first = dict[str, int](), self.end + 1
        self._ms = self.now()
        places: list[int | None] = []
        records: list[tuple[str, bytes]] = []
        for put in puts:
            if ends.get(put.subject, self.place(put.subject)) != put.expected:
                places.append(None)
                continue
            ends[put.subject] = at = first + len(records)
            places.append(at)
            entry = Entry(at, put.subject, self._ms, put.payload)
            records.append((put.subject, _record(entry, first, self._salt)))
        return places, records

    def _write(self, data: bytes) -> None:
        if self.broken:
            raise DiskFault("a write failed before; start the relay again", where=self.path)
        self.broken = True
        try:
            try:
                os.lseek(self._fd, self._size, os.SEEK_SET)
                write_all(self._fd, data)
            except OSError:
                os.ftruncate(self._fd, self._size)
                self.broken = False
                raise
            fdatasync(self._fd)
        except OSError as error:
            raise fault_of(error, self.path) from None
        self.broken = False

    def _add(self, subject: str, length: int) -> None:
        self._ends[subject] = self.end + 1
        self._starts.append(self._size + length)

    def _load(self) -> None:
        """Read all entries, and cut what a crash left."""
        size = os.fstat(self._fd).st_size
        while record := self._record_at(self._size):
            entry, first = _parsed(record)
            if len(self._starts) == 1:
                self._base = entry.at - 1
            if entry.at != self.end + 1 or not first <= entry.at:
                break
            self._ms = max(self._ms, entry.ms)
            self._add(entry.subject, len(record))
        if self._size < size:
            self._check_unacknowledged(size)
            os.ftruncate(self._fd, self._size)
            os.fsync(self._fd)

    def _check_unacknowledged(self, size: int) -> None:
        """Raise BadData if behind the damage there is an entry of a later write."""
        for position in range(self._size, size, PAGE):
            for line in _ENTRY.finditer(os.pread(self._fd, PAGE + _LINE, position)):
                later = int(line["first"]) > self.end + 1
                if later and self._record_at(position + line.start()):
                    raise BadData(
                        f"damaged at byte {self._size}, before entries that were acknowledged",
                        where=self.path,
                        todo="restore a copy, or move it away and let the stores fill a new one",
                    )

    def _record_at(self, position: int) -> bytes:
        """The record that begins there, or nothing if it is not as it was written."""
        line = _ENTRY.match(os.pread(self._fd, _LINE, position))
        if not line:
            return b""
        length = line.end() + int(line["bytes"]) + 1
        record = os.pread(self._fd, length, position)
        sound = len(record) == length and record == _record(*_parsed(record), self._salt)
        return record if sound else b""


def _make(directory: str, path: str, project: str) -> None:
    """A log without entries, whole and durable or not there."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    epoch, salt = world.entropy(16).hex(), world.entropy(4).hex()
    fields = ("coord-relay", "1", epoch, salt, quote(project, safe=""))
    temporary = f"{path}.new"
    with open(temporary, "wb") as file:
        file.write((" ".join(fields) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    for parent in (directory, os.path.dirname(directory)):
        fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(fd)
        os.close(fd)


def _record(entry: Entry, first: int, salt: int) -> bytes:
    line = f"{entry.at} {first} {entry.ms}".encode()
    rest = f"{len(entry.payload)} {entry.subject}\n".encode()
    crc = zlib.crc32(entry.payload, zlib.crc32(rest, zlib.crc32(line, salt)))
    return b"%b %08x %b%b\n" % (line, crc, rest, entry.payload)


def _parsed(record: bytes) -> tuple[Entry, int]:
    """The entry of a record, and the first one of its write."""
    line = _ENTRY.match(record)
    assert line, "a record begins with such a line"
    subject, payload = line["subject"].decode(), record[line.end() : -1]
    return Entry(int(line["at"]), subject, int(line["ms"]), payload), int(line["first"])
