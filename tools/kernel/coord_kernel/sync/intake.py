"""Taking in what another replica holds. A copy of a segment is a prefix of its author's bytes, and only grows.

What does not continue the bytes held (a rolled-back disk, a forgery) is kept as a stream of its own, `WRITER!8HEX`,
after the first line that differs: nothing is spliced and nothing rewritten, and a replay has both. Which of them is
the plain one may differ between replicas; what they replay does not. Lines are not judged here: a reader passes over
the bad ones and reports them, here as at their author's.
"""

from __future__ import annotations

import contextlib
import os

from coord_envelope import event, ids, world
from coord_kernel.store import disk, stamp
from coord_kernel.streams.stream import SUFFIX, Stream
from coord_kernel.sync import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord_envelope.event import Event
    from coord_kernel.store.directory import Store
    from coord_kernel.sync.held import Held

    Segments = list[tuple[int, str]]  # first seq and blob id of each, ascending


class Intake:
    """What came in by one exchange."""

    def __init__(self, store: Store, held: Held) -> None:
        self._store, self._held = store, held
        self.stamp = 0
        self.warnings: list[str] = []
        """What was not as it should be, in sentences."""
        self.early: dict[str, str] = {}
        """Of a source with a segment that came before the one it follows: what to say, if that does not come."""
        self.sources: dict[str, int] = {}
        """Lines by writer."""

    def take(self, files: dict[str, str], read: Callable[[str, int], bytes], where: str) -> None:
        """Take in files of the layout, path → blob id; `where` names the source.

        `read` gives a blob's bytes, at most so many; it raises ValueError where it cannot.
        """
        self.early.pop(where, None)
        streams: dict[str, Segments] = {}
        for path, oid in sorted(files.items()):
            found = tree.JOURNAL.fullmatch(path)
            if found:
                streams.setdefault(found[1], []).append((int(found[2]), oid))
            elif self._held.oid(path) is None:
                with self._told(where, path):
                    self._blob(path, read(oid, tree.BLOB_BYTES), where)
        for name, segments in streams.items():
            with self._told(where, f"journal/{name}"):
                self._stream(name, segments, read, where)

    @contextlib.contextmanager
    def _told(self, where: str, path: str) -> Iterator[None]:
        try:
            yield
        except ValueError as reason:
            self.warnings.append(f"{where}: {path} {reason}, not taken")

    def finish(self) -> None:
        """Let our clock know of the newest id, unless that came from a clock far ahead."""
        with self._store.lock():
            known = stamp.load(self._store)
            if (
                known is not None
                and known < self.stamp
                and not ids.ahead(self.stamp, world.now_ms())
            ):
                stamp.save(self._store, self.stamp)

    def _stream(
        self, name: str, segments: Segments, read: Callable[[str, int], bytes], where: str
    ) -> None:
        path = f"journal/{name}"
        follows = "!" in name  # a fork begins anywhere
        for at, (first, oid) in enumerate(segments):
            file = f"{path}/{first:012d}{SUFFIX}"
            ours = self._held.oid(file)
            if ours != oid:
                data = whole(read(oid, tree.SEGMENT_BYTES), file)
                have = whole(self._bytes(file), file) if ours else b""
                if not have.startswith(data):
                    if not data.startswith(have) or (ours and self._sealed(name, first)):
                        self._fork(name, data, have, segments[at + 1 :], read, where)
                        return
                    if not (follows or ours or first == self._next(name)):
                        self.early[where] = (
                            f"{where}: {file}: what comes before it is missing, it waits"
                        )
                        return
                    self._append(name, file, have, data, where)
            follows = True

    def _sealed(self, name: str, first: int) -> bool:
        return any(later > first for later in Stream(self._store, "journal", name).segments())

    def _next(self, name: str) -> int:
        last = Stream(self._store, "journal", name).last()
        return last["seq"] + 1 if last else 1

    def _fork(
        self,
        name: str,
        data: bytes,
        have: bytes,
        later: Segments,
        read: Callable[[str, int], bytes],
        where: str,
    ) -> None:
        rest = data[_same(data, have) :]
        import hashlib  # 3 ms

        digest = hashlib.sha256(rest[: rest.find(b"\n")]).hexdigest()[:8]
        fork = f"{name.partition('!')[0]}!{digest}"
        first = _first(rest)
        if first is None:
            self.warnings.append(
                f"{where}: journal/{name}: does not continue what is held and has no event, not taken"
            )
        else:
            file = f"journal/{fork}/{first['seq']:012d}{SUFFIX}"
            there = whole(self._bytes(file), file)
            shared = _same(rest, there)
            if shared not in (len(rest), len(there)):
                if shared:  # a fork of the fork
                    self._fork(fork, rest, there, later, read, where)
                else:
                    self.warnings.append(
                        f"{where}: journal/{name}: another fork is kept as {fork}, not taken"
                    )
                return
            if len(rest) > len(there):
                self._append(fork, file, there, rest, where)
                self.warnings.append(
                    f"{where}: journal/{name}: does not continue what is held; kept as {fork}"
                )
        if later:
            self._stream(fork, later, read, where)

    def _append(self, name: str, file: str, have: bytes, data: bytes, where: str) -> None:
        """Make the file `data`, of which it holds `have`. Durably, under the store's lock."""
        names = file.split("/")
        with self._store.lock():
            if name.partition("!")[0].endswith(
                f"~{self._store.replica()}"
            ):  # who holds more of it is our past
                self._store.renew_replica()  # nobody writes this stream any more
                self.warnings.append(
                    f"{where}: {file}: holds more of this store than it: a new replica id from here on"
                )
            fd = self._store.open(*names, flags=os.O_RDWR | os.O_CREAT)
            try:
                there = os.pread(fd, os.fstat(fd).st_size, 0)
                if whole(there, file) != have:
                    return  # it has grown meanwhile: the next sync compares again
                if not data.startswith(there):
                    os.ftruncate(
                        fd, len(have)
                    )  # half a line is none yet; ended with a newline it would fork the copy
                    there = have
                os.lseek(fd, 0, os.SEEK_END)
                disk.write_all(fd, data[len(there) :])
                disk.fdatasync(fd)
            finally:
                os.close(fd)
            self._store.sync_directory(*names[:-1])
        self._count(name, data[len(have) :])

    def _count(self, name: str, data: bytes) -> None:
        lines = data.count(b"\n")
        writer = name.partition("!")[0]
        self.sources[writer] = self.sources.get(writer, 0) + lines
        last = _first(data[data.rfind(b"\n", 0, -1) + 1 :])
        if last:
            self.stamp = max(self.stamp, ids.stamp_of(last.id))

    def _blob(self, path: str, data: bytes, where: str) -> None:
        import hashlib

        if hashlib.sha256(data).hexdigest() != path.removeprefix("blobs/sha256/").replace("/", ""):
            self.warnings.append(
                f"{where}: {path}: holds other bytes than its name says, not taken"
            )
            return
        self._store.save(data, *path.split("/"))

    def _bytes(self, file: str) -> bytes:
        return self._store.load(*file.split("/"), most=tree.SEGMENT_BYTES) or b""


def whole(data: bytes, path: str) -> bytes:
    """A segment's whole lines: what follows the last newline is not written yet. Of a blob all of it."""
    return data[: data.rfind(b"\n") + 1] if path.startswith("journal/") else data


def _same(one: bytes, other: bytes) -> int:
    """Bytes of the whole lines that both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:  # of equal beginnings, the longest
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return one.rfind(b"\n", 0, low) + 1


def _first(data: bytes) -> Event | None:
    """The first event of these lines."""
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        if end - start < event.LIMIT:
            with contextlib.suppress(ValueError):
                return event.parse(data[start:end])
        start = end + 1
    return None
