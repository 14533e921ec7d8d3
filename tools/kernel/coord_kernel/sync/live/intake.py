"""Taking in chunks: the rules of `sync.intake`, for bytes at an offset.

`size` is how many bytes of whole lines of the file are held.

    offset <= size   what overlaps is compared. If it is equal it is held already (often it is what
                     this store gave), and the rest is appended, up to its last newline
    offset > size    early: it waits in `pending` until what precedes it has come. So does a segment
                     that does not follow what is held, half a line, and a part of a blob
    it differs       a fork from the first line that differs, under the name that `sync.intake`
                     gives it. The source goes on to use the plain name and its offsets: `diverted`
                     says where its bytes belong. Where that is unknown, a fork that has the line
                     already is continued, so that no second copy is made

What was taken in is durable after `settle`, and only then may the mark be saved.
"""

from __future__ import annotations

import hashlib
import os
from typing import NamedTuple

from coord_kernel.rules import claims
from coord_kernel.store import disk
from coord_kernel.streams import changes, redaction
from coord_kernel.streams.rows import readable
from coord_kernel.streams.stream import SUFFIX
from coord_kernel.sync import layout
from coord_kernel.sync.intake import BAD, OLD_HEX, Taken, digest, first_event, same
from coord_kernel.sync.live import chunk as chunks
from coord_kernel.sync.live import spans

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.event import Event
    from coord_kernel.store.directory import Store
    from coord_kernel.sync.live.log import Entry
    from coord_kernel.sync.live.pending import Pending
    from coord_kernel.sync.live.state import State

_TAIL = 1 << 16
_REDACTED = redaction.TYPE.encode()
_NOWHERE = ""
_REPORTED = 20


class _Last(NamedTuple):
    """The end of a stream, when it was appended to."""

    file: str
    size: int
    event: Event | None
    mark: tuple[int, ...]
    """Of the directory: another one, and there may be another segment. () of an own stream."""


class Intake(Taken):
    """What was taken in from one log."""

    checks = False

    def __init__(self, store: Store, state: State, pending: Pending) -> None:
        super().__init__(store)
        self._state, self._pending = state, pending
        self._unsettled, self._entered = set[str](), set[str]()
        """Files that were written to, and directories that have a new file, since `settle`."""
        self._bad: dict[str, int] = {}
        self._lasts: dict[str, _Last] = {}
        """Of a stream: where it was appended to."""
        self.full = False
        """Was there no room for a chunk that came early? Then it must be read again."""

    def take(self, entry: Entry) -> None:
        """Take in the chunk of an entry. Whatever is wrong with it is a warning."""
        try:
            chunk = chunks.unpack(entry.payload)
            if layout.is_blob(chunk.path):
                self._blob(entry.subject, chunk)
                return
            if self._continues(entry.subject, chunk):
                return
            try:
                self._segment(entry.subject, chunk.path, chunk.offset, chunk.data)
            except ValueError:
                self._pass_over(entry.subject, chunk.path)
                raise
        except ValueError as reason:
            self._warn(f"{entry.subject}: entry {entry.at} {reason}; ignored")

    def settle(self) -> None:
        """Make durable what was taken in."""
        for path in self._unsettled:
            fd = self._store.open(*path.split("/"))
            try:
                disk.fdatasync(fd)
            finally:
                os.close(fd)
        for directory in self._entered:
            self._store.sync_directory(*directory.split("/"))
        self._unsettled.clear()
        self._entered.clear()
        if self.stamp:
            self.finish()
            self.redacted = False

    def waits(self) -> bool:
        """Is there something of the arbiter's stream that came early?"""
        streams = (path.split("/")[1] for _, path in self._pending.pieces)
        return any(claims.is_arbiter(name) and "!" not in name for name in streams)

    def _warn(self, text: str) -> None:
        if len(self.warnings) < _REPORTED:
            self.warnings.append(text)

    # ---- segments

    def _continues(self, source: str, chunk: chunks.Chunk) -> bool:
        """Append a chunk that goes on exactly where this stream was appended to last.

        False: it is something else, and nothing was done.
        """
        path, data = chunk.path, chunk.data
        _, name, file = path.split("/")
        last = self._lasts.get(name)
        if last is None or (last.file, last.size) != (file, chunk.offset) or not last.mark:
            return False
        diverted = self._state.diverted
        forked = diverted and any(f"{source} {each}" in diverted for each in (path, path[:-19]))
        if forked or (source, path) in self._pending.pieces or data[-1:] != b"\n":
            return False
        if readable(data) != (len(data), 0):
            return False
        with self._store.lock():
            if self._store.mark("journal", name) != last.mark:
                return False
            fd = self._store.open("journal", name, file, flags=os.O_RDWR | os.O_APPEND)
            try:
                if os.fstat(fd).st_size != chunk.offset:
                    return False
                changes.add(self._store, f"journal/{name}")
                disk.write_all(fd, data)
            finally:
                os.close(fd)
        self._written(path, chunk.offset, data, last.mark)
        self._given(path, chunk.offset, chunk.end)
        return True

    def _segment(self, source: str, path: str, offset: int, data: bytes) -> None:
        key = source, path
        while data:
            target, base = self._target(source, path)
            if not target:
                return
            if offset < base:
                self._take(source, path, (path, offset), data[: base - offset])
                offset, data = base, data[base - offset :]
                continue
            held = base + self._size(target)
            if offset > held:
                self._wait(key, offset, data)
                if not (half := self._pending.take(key, held)):
                    return
                offset, data = half
            data = self._pending.joined(key, offset, data)
            taken = self._take(source, path, (target, offset - base), data)
            half_a_line = taken == 0 and self._target(source, path) == (target, base)
            if taken is None or half_a_line:
                self._wait(key, offset, data)
                return
            offset, data = offset + taken, data[taken:]
        self._next_segment(source, path)

    def _wait(self, key: tuple[str, str], offset: int, data: bytes) -> None:
        if not self._pending.add(key, offset, data):
            self.full = True
            self._warn(f"{key[1]}: too much came early; it is read again later")

    def _pass_over(self, source: str, path: str) -> None:
        """Nothing more of this file and those behind it is taken from this source."""
        stream, _, file = path.rpartition("/")
        self._state.diverted[f"{source} {path}"] = [_NOWHERE, 0]
        self._state.diverted[f"{source} {stream}"] = [_NOWHERE, int(file[:12])]

    def _next_segment(self, source: str, path: str) -> None:
        """A segment of the source that waited for this one."""
        stream = path.rpartition("/")[0]
        for other, early in sorted(self._pending.pieces):
            if other == source and early > path and early.startswith(f"{stream}/"):
                offset, data = next(iter(sorted(self._pending.pieces[other, early].items())))
                if offset == 0 and self._follows(source, early, data):
                    self._pending.drop((other, early), 0)
                    self._segment(source, early, 0, data)
                return

    def _target(self, source: str, path: str) -> tuple[str, int]:
        """The file here that has the bytes that this source has at this path, and where it begins.

        In a fork the segment in which it began begins later; those behind it do not.
        """
        known = self._state.diverted.get(f"{source} {path}")
        if known:
            return str(known[0]), int(known[1])
        stream, _, file = path.rpartition("/")
        known = self._state.diverted.get(f"{source} {stream}")
        if known and int(file[:12]) > int(known[1]):
            return f"{known[0]}/{file}" if known[0] else _NOWHERE, 0
        return path, 0

    def _follows(self, source: str, path: str, data: bytes) -> bool:
        target, _ = self._target(source, path)
        _, name, file = target.split("/")
        return self._size(target) > 0 or self._is_next(name, int(file[:12]), data)

    def _take(self, source: str, path: str, at: tuple[str, int], data: bytes) -> int | None:
        """Take in bytes at an offset of a file here. None: early; else how many are done."""
        target, offset = at
        _, name, file = target.split("/")
        first = int(file[:12])
        with self._store.lock():
            size = self._size(target)
            if offset > size:
                return None
            end = data.rfind(b"\n") + 1
            have = self._load(target, offset, min(len(data), size - offset))
            if not data.startswith(have):
                return self._fork(source, path, (offset, data, have))
            self._given(target, offset, offset + len(have))
            if end <= len(have):
                return len(have)
            if size:
                if self._sealed(name, first):
                    return self._fork(source, path, (offset, data, have))
            elif len(name.partition("!")[2]) != OLD_HEX and not self._is_next(name, first, data):
                return None
            else:
                self._check_begin(name, first, data[:end])
            rest = self._judged(source, target, data[len(have) : end])
            self._append(target, size, rest)
        self._given(target, offset, offset + len(have) + len(rest))
        if len(have) + len(rest) < end:
            self._state.diverted[f"{source} {path}"] = [_NOWHERE, 0]
        return len(have) + len(rest)

    def _judged(self, source: str, target: str, data: bytes) -> bytes:
        """The lines without those behind which readers pass over the rest of the segment.

        Raises ValueError if the source has sent too many bad lines.
        """
        if readable(data) == (len(data), 0):
            return data
        have = self._load(target, 0, self._size(target))
        end, _ = readable(have + data)
        _, bad = readable(data)
        self._bad[source] = self._bad.get(source, 0) + bad
        if self._bad[source] > BAD:
            raise ValueError(f"has too many bad lines for {target}")
        if end < len(have) + len(data):
            self._warn(f"{target}: too many bad lines, what is behind them is ignored")
        return data[: max(end - len(have), 0)]

    def _fork(self, source: str, path: str, part: tuple[int, bytes, bytes]) -> int:
        """The source's bytes go to a fork from the first line on that differs. Under the lock."""
        offset, data, have = part
        begin = len(have) if data.startswith(have) else same(data, have)
        line = data[begin : data.find(b"\n", begin) + 1]
        first = first_event(data[begin:])
        stream, _, file = path.rpartition("/")
        before = self._target(source, path)[1]
        at = before + offset + begin  # as the source counts
        if not line or first is None:
            self._state.diverted[f"{source} {path}"] = [_NOWHERE, 0]
            self._warn(f"{path}: does not continue what is held, has no event; ignored")
            return len(data)
        writer = stream.split("/")[1].partition("!")[0]
        target, base = self._continued(writer, line) or (
            f"journal/{writer}!{digest(line)}/{first['seq']:012d}{SUFFIX}",
            0,
        )
        self._state.diverted[f"{source} {path}"] = [target, at - base]
        self._state.diverted[f"{source} {stream}"] = [target.rpartition("/")[0], int(file[:12])]
        if not self._size(target):
            self._warn(f"{path}: does not continue what is held; kept as {target.split('/')[1]}")
        return begin

    def _continued(self, writer: str, line: bytes) -> tuple[str, int] | None:
        """A file of a fork of this writer that has the line, and where."""
        for name in self._store.listdir("journal"):
            if not name.startswith(f"{writer}!"):
                continue
            for file in self._store.listdir("journal", name):
                path = f"journal/{name}/{file}"
                data = b"\n" + self._load(path, 0, self._size(path))
                place = data.find(b"\n" + line)
                if place >= 0:
                    return path, place
        return None

    # ---- files

    def _size(self, path: str) -> int:
        """Bytes of whole lines of a file that is held."""
        return whole_size(self._store, path)

    def _last(self, name: str) -> Event | None:
        last = self._lasts.get(name)
        if last and last.event:
            there = max(self._store.listdir("journal", name), default="")
            if there == last.file and self._store.mark("journal", name, there)[1:2] == (last.size,):
                return last.event  # to read it back takes longer than all else
        return super()._last(name)

    def _load(self, path: str, offset: int, count: int) -> bytes:
        return self._store.pread(count, offset, *path.split("/")) if count > 0 else b""

    def _append(self, path: str, size: int, data: bytes) -> None:
        """Append to a file that has whole lines up to `size`. Under the lock."""
        if not data:
            return
        names = path.split("/")
        writer = names[1].partition("!")[0]
        if writer.endswith(f"~{self._store.replica()}"):
            self._store.renew_replica()  # nobody writes this stream any more
            what = "has events of this store that are missing here; taking a new replica id"
            self._warn(f"{path}: {what}")
        self._not_ours(names[1], int(names[2][:12]))
        changes.add(self._store, f"journal/{names[1]}")
        fd = self._store.open(*names, flags=os.O_RDWR | os.O_CREAT)
        try:
            # Half a line is not written yet; ended with a newline it would be a fork.
            os.ftruncate(fd, size)
            os.lseek(fd, size, os.SEEK_SET)
            disk.write_all(fd, data)
        finally:
            os.close(fd)
        replica = names[1].rpartition("~")[2].partition("!")[0]
        ours = replica in self._store.all_replicas()
        self._written(path, size, data, () if ours else self._store.mark("journal", names[1]))
        if not size:
            self._entered.add(path.rpartition("/")[0])

    def _written(self, path: str, size: int, data: bytes, mark: tuple[int, ...]) -> None:
        """Note what was appended at `size`."""
        _, name, file = path.split("/")
        self._unsettled.add(path)
        self.redacted = self.redacted or _REDACTED in data
        writer = name.partition("!")[0]
        event = self._count(writer, data)
        known = event if event is not None and event["writer"] == writer else None
        self._lasts[name] = _Last(file, size + len(data), known, mark)

    def _given(self, path: str, begin: int, end: int) -> None:
        has = self._state.has
        has[path] = spans.added(has.get(path, []), begin, end)

    # ---- blobs

    def _blob(self, source: str, chunk: chunks.Chunk) -> None:
        names = chunk.path.split("/")
        if self._store.load(*names, most=1) is not None:
            self._given(chunk.path, chunk.offset, chunk.end)
            return
        key, data = (source, chunk.path), chunk.data
        if chunk.size > len(data):
            pieces = {**self._pending.pieces.get(key, {}), chunk.offset: data}
            data = b""
            for offset, piece in sorted(pieces.items()):
                if offset <= len(data):
                    data += piece[len(data) - offset :]
            if len(data) < chunk.size:
                self.full = not self._pending.add(key, chunk.offset, chunk.data) or self.full
                return
            for offset in pieces:
                self._pending.drop(key, offset)
        if hashlib.sha256(data).hexdigest() != "".join(names[2:]):
            raise ValueError(f"{chunk.path}: its bytes do not have the hash in its name")
        self._store.save(data, *names)
        self._given(chunk.path, 0, chunk.size)


def whole_size(store: Store, path: str) -> int:
    """Bytes of whole lines of a file; 0 if there is none. Of a blob: all of it."""
    try:
        fd = store.open(*path.split("/"))
    except FileNotFoundError:
        return 0
    try:
        size = os.fstat(fd).st_size
        if path.startswith("blobs/"):
            return size
        end = size
        while end:
            begin = max(end - _TAIL, 0)
            data = os.pread(fd, end - begin, begin)
            newline = data.rfind(b"\n")
            if newline >= 0:
                return begin + newline + 1
            end = begin
        return 0
    finally:
        os.close(fd)
