"""`ev sync --watch` with live remotes: the loop of the mirror.

A git remote is synced beside it, at each interval, in a thread: it may take seconds.
"""

from __future__ import annotations

import os
import queue
import select
import signal
import threading
import time

from coord_envelope import Fault
from coord_envelope.errors import Refused
from coord_kernel import Store
from coord_kernel.journal.journal import Journal
from coord_kernel.proc.child import Signals
from coord_kernel.proc.notify import Notify
from coord_kernel.store import locate
from coord_kernel.streams.follow import Watcher
from coord_kernel.sync import remotes, settings
from coord_kernel.sync.live.mirror import Desk, Mirror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord_kernel.cli.call import Call
    from coord_kernel.sync.rounds import Rounds

_ENDED = select.POLLERR | select.POLLHUP


def mirror(call: Call, asked: str | None, pause_s: float, show: Callable[[Rounds], None]) -> None:
    """Hold the connections of the live remotes until a signal, or until stdout's reader is gone.

    `show` prints the row of a sync.
    """
    store = call.journal.store
    git = None if asked else settings.git_remote(store)
    urls = [asked] if asked else [name for name in locate.remotes(store) if settings.is_live(name)]
    lives = [remotes.live(store, url, asked=asked is not None) for url in urls]

    def report(result: Rounds | Fault) -> None:
        if isinstance(result, Fault):
            call.fail(result)
            call.status = 0  # the next round may succeed
        elif result.sent or result.received or result.confirmed or result.conceded:
            show(result)

    signals = Signals(signal.SIGINT, signal.SIGTERM)
    mirror = Mirror(call.journal, lives, git is None and not settings.git_remote(store), report)
    desk = Desk(mirror)
    try:
        for link in mirror.links:
            mirror.pull(link)
            if asked and not link.down:
                settings.remember_live(store, asked)
        beside = _Beside(store, pause_s) if git else None
        Notify().say("READY=1")
        _loop(mirror, desk, signals, beside, report)
    finally:
        desk.close()
        mirror.close()


def _loop(
    mirror: Mirror,
    desk: Desk,
    signals: Signals,
    beside: _Beside | None,
    report: Callable[[Rounds | Fault], None],
) -> None:
    watcher, remotes_fds = Watcher(mirror.store.path), mirror.fds()
    while not signals.take():
        pause = watcher.watch(_directories(mirror.store))
        poll = select.poll()
        poll.register(1, 0)  # POLLERR and POLLHUP come unasked: stdout's reader is gone
        others = [signals.fd, watcher.fd, beside.fd if beside else None]
        for fd in (*desk.fds(), *remotes_fds, *others):
            if fd is not None:
                poll.register(fd, select.POLLIN)
        polls = watcher.fd is None
        ready = dict(poll.poll(min(mirror.wait_ms(), pause) if polls else mirror.wait_ms()))
        if ready.get(1, 0) & _ENDED:
            return
        for fd in desk.fds():  # commands wait for it
            if fd in ready:
                desk.serve(fd)
        woken = watcher.fd in ready or polls
        watcher.drain()
        if woken:
            mirror.give()
        for fd, link in remotes_fds.items():
            if fd in ready:
                link.live.woken()
                mirror.pull(link)
        for link in list(mirror.due()):
            mirror.pull(link)
        if beside:
            for result in beside.results():
                report(result)


def _directories(store: Store) -> Iterator[str]:
    """Where what is given appears."""
    for above in (("journal",), ("blobs", "sha256")):
        yield "/".join(above)
        for name in store.listdir(*above):
            yield "/".join((*above, name))


class _Beside:
    """Syncs with the git remote, in a thread. `fd` is readable when it has a result."""

    def __init__(self, store: Store, pause_s: float) -> None:
        self._store, self._pause_s = store, pause_s
        self._results = queue.SimpleQueue[Rounds | Fault]()
        self.fd, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        threading.Thread(target=self._run, daemon=True).start()

    def results(self) -> Iterator[Rounds | Fault]:
        """What came of the syncs since the last call."""
        try:
            os.read(self.fd, 4096)
        except BlockingIOError:
            return
        while not self._results.empty():
            yield self._results.get()

    def _run(self) -> None:
        while True:
            store = Store(self._store.path, self._store.project)
            try:
                rounds = remotes.exchange(Journal(store), named=settings.git_remote(store))
                rounds.run()
                self._results.put(rounds)
            except Refused as fault:  # until the user agrees to the remote
                self._results.put(fault)
                return
            except Fault as fault:
                self._results.put(fault)
            finally:
                os.write(self._write, b"x")
            time.sleep(self._pause_s)
