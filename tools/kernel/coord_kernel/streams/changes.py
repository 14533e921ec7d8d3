"""Which streams changed, in a store that has too many to look at each one again.

`local/changes` is a log: before a writer adds lines to a stream, under the store's lock, it adds
the stream's name. A reader that has looked at all streams remembers its place in the log, and
later looks at the streams that are named from there on.

1. A reader makes the log, where there are `MANY` streams. Without it writers do nothing.
2. Writers take turns, so only the write of the last entry can still be going on. So a place is the
   beginning of the last entry, which is looked at again.
3. An entry has the clock's stamp. If the clock shows another one, somebody wrote without the log.
4. All streams are looked at if the log is missing or another one, after a reboot, if 3. says so,
   and `FULL_S` seconds after the last time: only then are bytes noticed that another program put
   into a stream without the store's lock. A new directory is noticed at once.
5. A log that has grown too long is removed, and made again by the next reader.
"""

from __future__ import annotations

import os

from coord_envelope import codec, world
from coord_envelope.errors import TryAgain
from coord_envelope.platform import suppress
from coord_kernel.store import disk, machine, stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    from coord_kernel.store.directory import Store

MANY = 256
"""Streams from which the log is worth its upkeep."""
FULL_S = 300
LONGEST = 1 << 22
"""Bytes of a log: some 80,000 entries."""
KINDS = ("journal", "live")
_FILE = ("local", "changes")
ALL = "*"
"""How the name begins in an entry about no stream: the first one, and one of the clock alone."""


def add(store: Store, name: str) -> None:
    """Tell readers that this stream, `KIND/NAME`, is about to change. Under the store's lock.

    Also after the clock was changed. Raises OSError if it cannot be recorded.
    """
    try:
        fd = store.open(*_FILE, flags=os.O_WRONLY | os.O_APPEND)
    except FileNotFoundError:
        return
    try:
        if os.fstat(fd).st_size < LONGEST:
            disk.write_all(fd, _entry(store, name))
            return
    except OSError:
        pass  # no room for it: readers look at all streams
    finally:
        os.close(fd)
    _remove(store)


class Changes:
    """What a reader has to look at, that looked at all streams at a `place`."""

    def __init__(self, store: Store, place: str, count: int) -> None:
        """`place` as an earlier `Changes` said it, or ""; `count` streams are known."""
        self._store, self._before = store, place
        self._named: set[str] | None = None
        self.place = ""
        """What to remember once all that `among` returned was looked at; "" if nothing."""
        self.moved = False
        """Has a stream come or gone?"""
        if count < MANY:
            return
        try:
            self.place = self._now()
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            self._named = None
            with suppress(OSError, TryAgain):
                _make(store)
                self.place = self._now()

    def none(self) -> bool:
        """Has nothing changed at all?"""
        return self._named is not None and not self._named and not self.moved

    def among(self, known: Callable[[], Collection[str]]) -> Collection[str] | None:
        """The streams that may have changed or are not known, as `KIND/NAME`; None for all."""
        if self._named is None or not self.moved:
            return self._named
        there = {f"{kind}/{name}" for kind in KINDS for name in self._store.listdir(kind)}
        before = set(known())
        return None if before - there else self._named | (there - before)

    def _now(self) -> str:
        """The place now; sets what was named since the one before. Raises ValueError, OSError."""
        store, was = self._store, codec.loads(self._before.encode()) if self._before else {}
        clock = _clock(store)
        directories = [_changed(store, kind) for kind in KINDS]
        fd = store.open(*_FILE)
        try:
            head = os.pread(fd, 64, 0).partition(b"\n")[0]
            here = {"log": head.decode("ascii"), "boot": machine.boot_id()}
            same = all(was.get(name) == value for name, value in here.items())
            begin = was["at"] if same else 0
            entries = os.pread(fd, 2 * LONGEST, begin)
        finally:
            os.close(fd)
        last = entries.rindex(b"\n", 0, -1) + 1 if entries.count(b"\n") > 1 else 0
        if not entries.endswith(b"\n") or entries[last:].split(b" ")[0] != clock:
            raise ValueError("somebody wrote without the log")
        now = machine.boot_ns() // 1_000_000_000
        self.moved = was.get("directories") != directories
        if same and now - was["full"] <= FULL_S:
            names = {row.partition(b" ")[2].decode() for row in entries[:-1].split(b"\n")}
            self._named, full = {name for name in names if name[0] != ALL}, was["full"]
        else:
            full = now
        place: dict[str, Any] = {"at": begin + last, "full": full, "directories": directories}
        return codec.dumps(here | place).decode()


def _make(store: Store) -> None:
    # Under the lock nobody is writing: whoever comes later finds the log.
    with store.lock(0):
        _remove(store)
        fd = store.open(*_FILE, flags=os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            # A file may get the inode of a removed one: by this they differ.
            disk.write_all(fd, _entry(store, ALL + world.entropy(8).hex()))
        finally:
            os.close(fd)


def _remove(store: Store) -> None:
    directory = store.directory("local")
    try:
        with suppress(FileNotFoundError):
            os.unlink(_FILE[-1], dir_fd=directory)
    finally:
        os.close(directory)


def _entry(store: Store, name: str) -> bytes:
    return b"%s %s\n" % (_clock(store), name.encode())


def _clock(store: Store) -> bytes:
    return b"%d" % (stamp.load(store) or 0)


def _changed(store: Store, kind: str) -> int:
    try:
        fd = store.directory(kind)
    except FileNotFoundError:
        return 0
    try:
        return os.fstat(fd).st_mtime_ns
    finally:
        os.close(fd)
