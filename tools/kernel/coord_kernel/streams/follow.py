"""Following a store: new events as they are written, woken by inotify instead of polling.

Ends when the reader of stdout is gone, even if no event ever comes, and at SIGINT or SIGTERM,
between two events. (A second signal ends it at once.)
"""

from __future__ import annotations

import os
import select

from coord_envelope.cursor import Cursor
from coord_envelope.platform import signal, suppress
from coord_kernel.streams.merge import merge
from coord_kernel.streams.stream import Stream, events, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from types import FrameType

    from coord_envelope.event import Event
    from coord_envelope.filter import Filter
    from coord_kernel.store.directory import Store
    from coord_kernel.streams.inotify import Inotify
    from coord_kernel.streams.redaction import Redactions

SWEEP_MS = 5_000
"""Longest pause without a wake-up: some file systems do not notify (some FUSE, 9p)."""
POLL_MS = 50
"""The same without inotify, or if the user has no watch left."""


class Follower:
    """Reads the events after a cursor. A stream that appears later is read from its beginning.

    `reached` is the cursor after every event that was given out and whose successor was asked for.
    Events that were only read ahead are not in it, so it may be saved whenever reading stops.
    """

    def __init__(
        self, store: Store, after: Cursor, redactions: Redactions, live: bool = True
    ) -> None:
        self._store, self._redactions, self._live = store, redactions, live
        self._known: dict[tuple[str, str], Stream] = {}
        self.reached = Cursor(after)

    def batch(
        self, wanted: Filter | None = None, signals: _Signals | None = None
    ) -> Iterator[Event]:
        """The events not read yet, by event_id. What arrives later is in a later batch."""
        for event in self._redactions.apply_all(merge(map(events, self._streams()))):
            if wanted is None or wanted(event):
                yield event
            self._reach(event.stream, event["seq"])
            if signals and signals.received:
                return
        for stream in self._known.values():  # merge left out what a fork has in common
            self._reach(stream.name, stream.seq)

    def _reach(self, stream: str, seq: int) -> None:
        self.reached[stream] = max(seq, self.reached.get(stream, 0))

    def batches(
        self,
        wanted: Filter | None = None,
        also: int | None = None,
        within: Callable[[], float] | None = None,
    ) -> Generator[Iterator[Event], None, None]:
        """A batch now and after each wake-up, each to be read to its end; it may be empty.

        `also` is another descriptor that wakes it when readable. `within` returns how many ms it
        may sleep now.
        """
        watcher = Watcher(self._store.path)
        with _Signals() as signals:
            poll = select.poll()
            poll.register(1, 0)  # reports POLLERR and POLLHUP: stdout's reader is gone
            for fd in (signals.fd, watcher.fd, also):
                if fd is not None:
                    poll.register(fd, select.POLLIN)
            while not signals.received:
                pause = watcher.watch(self.directories())
                yield self.batch(wanted, signals)
                if signals.received:
                    break
                ready = dict(poll.poll(min(pause, within()) if within else pause))
                if ready.get(1, 0) & (select.POLLERR | select.POLLHUP):
                    return
                watcher.drain()
        os.kill(os.getpid(), signals.received)  # die of it, as its sender expects

    def make_durable(self, since: Cursor) -> None:
        """Make durable what was read after this cursor.

        A cursor that survives a crash must not be ahead of events that do not.
        """
        for stream in self._known.values():
            if stream.segment and self.reached.get(stream.name, 0) > since.get(stream.name, 0):
                stream.make_durable()

    def _streams(self) -> list[Stream]:
        for stream in streams(self._store, self._live):
            if (stream.kind, stream.name) not in self._known:
                seq = self.reached.get(stream.name, 0)
                self._known[stream.kind, stream.name] = stream.after(seq)
        known = list(self._known.values())
        if self._store.signers():
            from coord_kernel.streams.trusted import limited  # only with signers

            return limited(self._store, known)
        return known

    def directories(self) -> Iterator[str]:
        """The directories below the store in which new events appear."""
        for kind in ("journal", "live") if self._live else ("journal",):
            yield kind
            for name in self._store.listdir(kind):
                yield f"{kind}/{name}"
        if self._store.signers():
            yield "local/signed"  # what was judged is read now


class Watcher:
    """`fd` is readable when a file in a watched directory grows or appears; None without it."""

    def __init__(self, root: str) -> None:
        self._root, self._watched = root, dict[str, int]()
        self._inotify: Inotify | None = None
        with suppress(ImportError, OSError):
            from coord_kernel.streams.inotify import Inotify  # ctypes: 2 ms

            self._inotify = Inotify()
        self.fd = self._inotify.fd if self._inotify else None

    def watch(self, directories: Iterable[str]) -> int:
        """Watch these directories below the root, too. Returns the longest time to wait, in ms.

        Before they are read, so that nothing that is written in between is missed.
        """
        if not self._inotify:
            return POLL_MS
        for name in directories:
            if name not in self._watched:
                try:
                    self._watched[name] = self._inotify.watch(os.path.join(self._root, name))
                except NotADirectoryError:
                    continue
                except OSError:  # this user has no watch left
                    return POLL_MS
        return SWEEP_MS

    def drain(self) -> None:
        """Discard the notifications that woke it."""
        if self._inotify:
            self._inotify.drain()

    def changed(self) -> set[str] | None:
        """As `drain`, the directories that they are about; None if that is not known."""
        if not self._inotify:
            return None
        from coord_kernel.streams.inotify import numbers

        woken = numbers(self._inotify.drain())
        if not woken <= set(self._watched.values()):
            return None
        return {name for name, number in self._watched.items() if number in woken}


class _Signals:
    """While entered, SIGINT and SIGTERM are kept in `received` and make `fd` readable."""

    received = 0

    def __enter__(self) -> _Signals:
        self.fd, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._write)
        # A process that was started with a signal ignored (a background job, nohup) ignores it.
        self._before = {
            number: signal.signal(number, self._receive)
            for number in (signal.SIGINT, signal.SIGTERM)
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        return self

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
        signal.signal(number, signal.SIG_DFL)

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self.fd)
        os.close(self._write)
