"""Follow: new events as they come, woken by the kernel and not by a poll.

Ends when the reader of stdout is gone, even if no event ever comes, and at SIGINT or SIGTERM, between two
lines. (A second signal ends it at once.)
"""

from __future__ import annotations

import contextlib
import os
import select
import signal

from coord_envelope.cursor import Cursor
from coord_kernel.streams.merge import merge
from coord_kernel.streams.stream import Stream, events, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from types import FrameType

    from inotify_simple import INotify

    from coord_envelope.event import Event
    from coord_envelope.filter import Filter
    from coord_kernel.store.directory import Store
    from coord_kernel.streams.redaction import Redactions

SWEEP_MS = 5_000
"""A look without a wake-up: for file systems that do not notify (some FUSE, 9p)."""
POLL_MS = 50
"""The same where there is no inotify, or no watch left."""


class Follower:
    """Reads what comes after a cursor. Streams that appear meanwhile are read from their beginning.

    `reached` is the cursor behind every event that was handed out and asked to be followed by the next; never
    behind one that was only read ahead. So it may be saved whenever the reading stops.
    """

    def __init__(
        self, store: Store, after: Cursor, redactions: Redactions, live: bool = True
    ) -> None:
        self._store, self._redactions, self._live = store, redactions, live
        self._known: dict[tuple[str, str], Stream] = {}
        self.reached = Cursor(after)

    def batch(
        self, wanted: Filter | None = None, caught: _Signals | None = None
    ) -> Iterator[Event]:
        """What is there and was not read yet, sorted by event_id. A late arrival comes in a later batch."""
        for found in self._redactions.all(merge(map(events, self._streams()))):
            if wanted is None or wanted(found):
                yield found
            self.reached[found.stream] = max(found["seq"], self.reached.get(found.stream, 0))
            if caught and caught.signal:
                return
        for (
            one
        ) in self._known.values():  # and behind what did not come out of the merge: a fork's copies
            self.reached[one.name] = max(one.seq, self.reached.get(one.name, 0))

    def batches(
        self,
        wanted: Filter | None = None,
        also: int | None = None,
        within: Callable[[], float] | None = None,
    ) -> Generator[Iterator[Event], None, None]:
        """A batch now and one for each wake-up, each to be read to its end; it may be empty.

        `also` is a descriptor of the caller's that wakes it too; `within` says how many ms it may sleep now.
        """
        watcher = Watcher(self._store.path)
        with _Signals() as caught:
            poll = select.poll()
            poll.register(1, 0)  # POLLERR and POLLHUP come unasked: stdout's reader is gone
            for fd in (caught.fd, watcher.fd, also):
                if fd is not None:
                    poll.register(fd, select.POLLIN)
            while not caught.signal:
                pause = watcher.watch(self.directories())
                yield self.batch(wanted, caught)
                ready = (
                    {}
                    if caught.signal
                    else dict(poll.poll(min(pause, within()) if within else pause))
                )
                if ready.get(1, 0) & (select.POLLERR | select.POLLHUP):
                    return
                watcher.drain()
        os.kill(os.getpid(), caught.signal)  # die of it, as whoever sent it expects

    def vouch(self, since: Cursor) -> None:
        """Make durable what was read after this cursor: one that outlives a crash must not be behind what does not."""
        for one in self._known.values():
            if one.segment and self.reached.get(one.name, 0) > since.get(one.name, 0):
                one.make_durable()

    def _streams(self) -> list[Stream]:
        for one in streams(self._store, self._live):
            if (one.kind, one.name) not in self._known:
                self._known[one.kind, one.name] = one.after(self.reached.get(one.name, 0))
        return list(self._known.values())

    def directories(self) -> Iterator[str]:
        """Where what comes is written."""
        for kind in ("journal", "live") if self._live else ("journal",):
            yield kind
            for name in self._store.listdir(kind):
                yield f"{kind}/{name}"


class Watcher:
    """Rings when a file in a directory it listens to grows or appears. Deaf where the system has no inotify."""

    def __init__(self, root: str) -> None:
        self._root, self._heard = root, set[str]()
        self._inotify: INotify | None = None
        with contextlib.suppress(ImportError, OSError):
            from inotify_simple import INotify  # ctypes: 20 ms

            self._inotify = INotify()
        self.fd = self._inotify.fileno() if self._inotify else None

    def watch(self, directories: Iterable[str]) -> int:
        """Watch these too, before they are read: what is written in between rings. Returns ms to wait at most."""
        if not self._inotify:
            return POLL_MS
        from inotify_simple import flags

        for name in directories:
            if name not in self._heard:
                try:
                    mask = flags.CREATE | flags.MODIFY | flags.MOVED_TO | flags.ONLYDIR
                    self._inotify.add_watch(os.path.join(self._root, name), mask)
                except NotADirectoryError:
                    continue
                except OSError:  # no watch left for this user
                    return POLL_MS
                self._heard.add(name)
        return SWEEP_MS

    def drain(self) -> None:
        """What rang was heard."""
        if self._inotify:
            self._inotify.read(timeout=0)


class _Signals:
    """While entered: SIGINT and SIGTERM are noted and wake up a poll of `fd`."""

    signal = 0

    def __enter__(self) -> _Signals:
        self.fd, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._write)
        # Who was started with one ignored (a background job, nohup) goes on ignoring it.
        heard = [
            n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN
        ]
        self._before = {number: signal.signal(number, self._note) for number in heard}
        return self

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.signal = number
        signal.signal(number, signal.SIG_DFL)

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, before in self._before.items():
            signal.signal(number, before)
        os.close(self.fd)
        os.close(self._write)
