"""Taking in what another replica holds. A copy of a segment is a prefix of its author's bytes, and only grows.

What does not continue the bytes held (a rolled-back disk, a forgery) is kept as a stream of its own, `WRITER!8HEX`,
after the first line that differs: nothing is spliced and nothing rewritten, and a replay has both. Which of them is
the plain one may differ between replicas; what they replay does not. Lines are not judged here: a reader passes over
the bad ones and reports them, here as at their author's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os

from coord_envelope import clock, disk, event, world
from coord_envelope.append import write_clock
from coord_envelope.codec import Json
from coord_envelope.stream import SUFFIX, Stream
from coord_envelope.sync import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from git import Repo

    from coord_envelope.event import Event
    from coord_envelope.store import Store

    Segments = list[tuple[int, str]]  # first seq and blob id of each, ascending

_PLACE = ("local", "oids")


class Held:
    """The blob ids of the files held, each read only when it has grown. Files only grow: so size is its key."""

    def __init__(self, store: Store) -> None:
        from coord_envelope import codec

        self._store = store
        self._known: Json = {}
        with contextlib.suppress(ValueError):
            self._known = codec.loads(store.load(*_PLACE, most=1 << 26) or b"{}")

    def oid(self, path: str) -> str | None:
        """Of its whole lines; None if there is no such file."""
        data = b""
        try:
            fd = self._store.open(*path.split("/"))
        except OSError:
            return None
        try:
            size = os.fstat(fd).st_size
            known = self._known.get(path)
            if isinstance(known, list) and known[0] == size:
                return str(known[1])
            data = os.pread(fd, size, 0)
        finally:
            os.close(fd)
        found = tree.blob_id(whole(data, path))
        self._known[path] = [size, found]
        return found

    def save(self) -> None:
        """Remember them for the next sync; forgotten, they are read again."""
        from coord_envelope import codec

        self._store.save(codec.dumps(self._known), *_PLACE)


class Intake:
    """What came in by one exchange."""

    def __init__(self, store: Store, held: Held, own: Callable[[str], bool]) -> None:
        """`own` says whether a writer's stream is this replica's: who holds more of it than we does is our past."""
        self._store, self._held, self._own = store, held, own
        self.stamp = 0
        self.odd: list[str] = []
        """What was not as it should be, in sentences."""
        self.sources: dict[str, int] = {}
        """Lines by writer."""

    def take(self, files: dict[str, str], read: Callable[[str], bytes], where: str) -> None:
        """Take in files of the layout, path → blob id; `read` gives a blob's bytes, `where` names the source."""
        streams: dict[str, Segments] = {}
        for path, oid in sorted(files.items()):
            found = tree.JOURNAL.fullmatch(path)
            if found:
                streams.setdefault(found[1], []).append((int(found[2]), oid))
            elif self._held.oid(path) is None:
                self._blob(path, read(oid), where)
        for name, segments in streams.items():
            self._stream(name, segments, read, where)

    def finish(self) -> None:
        """Let our clock know of the newest id, unless that came from a clock far ahead."""
        with self._store.lock():
            saved = (self._store.load("local", "clock") or b"")[:20]
            known = int(saved) if saved.isdigit() else 0
            if saved and self.stamp > known and not clock.ahead(self.stamp, world.now_ms()):
                write_clock(self._store, self.stamp)

    def _stream(self, name: str, segments: Segments, read: Callable[[str], bytes], where: str) -> None:
        path = f"journal/{name}"
        follows = "!" in name  # a fork begins anywhere
        for at, (first, oid) in enumerate(segments):
            file = f"{path}/{first:012d}{SUFFIX}"
            ours = self._held.oid(file)
            if ours != oid:
                data = whole(read(oid), file)
                have = whole(self._bytes(file), file) if ours else b""
                if not have.startswith(data):
                    if not data.startswith(have) or (ours and self._sealed(name, first)):
                        self._fork(name, data, have, segments[at + 1 :], read, where)
                        return
                    if not (follows or ours or first == self._next(name)):
                        self.odd.append(f"{where}: {file}: what comes before it is missing, it waits")
                        return
                    self._append(name, file, have, data, where)
            follows = True

    def _sealed(self, name: str, first: int) -> bool:
        return any(later > first for later in Stream(self._store, "journal", name).segments())

    def _next(self, name: str) -> int:
        last = Stream(self._store, "journal", name).last()
        return last["seq"] + 1 if last else 1

    def _fork(
        self, name: str, data: bytes, have: bytes, later: Segments, read: Callable[[str], bytes], where: str
    ) -> None:
        rest = data[_same(data, have) :]
        events = _events(rest)
        digest = hashlib.sha256(rest[: rest.find(b"\n")]).hexdigest()[:8]
        fork = f"{name.partition('!')[0]}!{digest}"
        if events:
            file = f"journal/{fork}/{events[0]['seq']:012d}{SUFFIX}"
            there = whole(self._bytes(file), file)
            if rest.startswith(there) and len(rest) > len(there):
                self._append(fork, file, there, rest, where)
                self.odd.append(f"{where}: journal/{name}: does not continue what is held; kept as {fork}")
        if later:
            self._stream(fork, later, read, where)

    def _append(self, name: str, file: str, have: bytes, data: bytes, where: str) -> None:
        """Make the file `data`, of which it holds `have`. Durably, under the store's lock."""
        names = file.split("/")
        with self._store.lock():
            if self._own(name):
                self._store.renew_replica()  # nobody writes this stream any more
                self.odd.append(f"{where}: {file}: holds more of this store than it: a new replica id from here on")
            fd = self._store.open(*names, flags=os.O_RDWR | os.O_CREAT)
            try:
                size = os.fstat(fd).st_size
                if whole(os.pread(fd, size, 0), file) != have:
                    return  # it has grown meanwhile: the next sync compares again
                new = data[len(have) :]
                if size > len(have):  # a torn tail of ours: what is appended begins a line of its own
                    new = b"\n" + new
                os.lseek(fd, 0, os.SEEK_END)
                disk.write_all(fd, new)
                disk.fdatasync(fd)
            finally:
                os.close(fd)
            self._store.sync_directory(*names[:-1])
        self._count(name, data[len(have) :])

    def _count(self, name: str, data: bytes) -> None:
        lines = data.count(b"\n")
        writer = name.partition("!")[0]
        self.sources[writer] = self.sources.get(writer, 0) + lines
        last = _events(data[data.rfind(b"\n", 0, -1) + 1 :])
        if last:
            self.stamp = max(self.stamp, clock.stamp_of(last[-1].id))

    def _blob(self, path: str, data: bytes, where: str) -> None:
        if hashlib.sha256(data).hexdigest() != path.removeprefix("blobs/sha256/").replace("/", ""):
            self.odd.append(f"{where}: {path}: holds other bytes than its name says, not taken")
            return
        self._store.save(data, *path.split("/"))

    def _bytes(self, file: str) -> bytes:
        return self._store.load(*file.split("/"), most=tree.SEGMENT_BYTES) or b""


def whole(data: bytes, path: str) -> bytes:
    """A segment's whole lines: what follows the last newline is not written yet. Of a blob all of it."""
    return data[: data.rfind(b"\n") + 1] if path.startswith("journal/") else data


def newest(repo: Repo, holding: tree.Holding) -> int:
    """The time of the newest event that a ref holds, by its id, in ms; 0 if it holds none."""
    ends: dict[str, str] = {}
    for path, (oid, _) in sorted(holding.files.items()):
        if tree.JOURNAL.fullmatch(path):
            ends[path.split("/")[1]] = oid
    last = (_events(tree.read(repo, oid))[-1:] for oid in ends.values())
    return max((clock.stamp_of(one.id) >> 16 for found in last for one in found), default=0)


def _same(one: bytes, other: bytes) -> int:
    """Bytes of the whole lines that both begin with."""
    end = 0
    for mine, theirs in zip(one.split(b"\n"), other.split(b"\n"), strict=False):
        if mine != theirs or end + len(mine) >= min(len(one), len(other)):
            break
        end += len(mine) + 1
    return end


def _events(data: bytes) -> list[Event]:
    found = []
    for line in data.split(b"\n"):
        with contextlib.suppress(ValueError):
            found.append(event.parse(line))
    return found
