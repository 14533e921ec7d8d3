"""`ev sync --watch` with live remotes: the loop of the mirror.

A git remote is synced beside it, at each interval, by a process of its own: it may take seconds.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

from coord_envelope import Fault, codec
from coord_kernel.proc.child import Signals
from coord_kernel.proc.notify import Notify
from coord_kernel.store import locate
from coord_kernel.streams.follow import Watcher
from coord_kernel.sync import remotes, settings
from coord_kernel.sync.live.mirror import SWEEP_S, Desk, Mirror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord_envelope.codec import Json
    from coord_kernel import Store
    from coord_kernel.cli.call import Call
    from coord_kernel.sync.rounds import Rounds

_ENDED = select.POLLERR | select.POLLHUP
_ABOVE = ("journal", "blobs/sha256", "live")
"""The directories of directories in which what is given appears."""
_SWITCH_S = 0.0005
"""How long an engine's thread may keep the interpreter from this one: by default it is 5 ms."""


def mirror(
    call: Call,
    asked: str | None,
    pause_s: float,
    show: Callable[[Rounds], None],
    signs: bool | None = None,
) -> None:
    """Hold the connections of the live remotes until a signal, or until stdout's reader is gone.

    `show` prints the row of a sync. `signs`: as `Rounds`.
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
    if signs is not None:
        mirror.signs = signs
    desk = Desk(mirror)
    options = ["--sign"] if signs else []
    beside = _Beside(pause_s, lambda row: call.put([row]), *options) if git else None
    try:
        for link in mirror.links:
            mirror.pull(link)
            if asked and not link.down:
                settings.remember_live(store, asked)
        Notify().say("READY=1")
        _loop(mirror, desk, signals, beside)
    finally:
        if beside:
            beside.end()
        desk.close()
        mirror.close()


def _loop(
    mirror: Mirror,
    desk: Desk,
    signals: Signals,
    beside: _Beside | None,
) -> None:
    watcher, remotes_fds = Watcher(mirror.store.path), mirror.fds()
    changed: set[str] | None = None
    pause = 0
    sys.setswitchinterval(_SWITCH_S)
    while not signals.take():
        if changed is None or not changed.isdisjoint(_ABOVE):
            pause = watcher.watch(_directories(mirror.store))
        poll = select.poll()
        poll.register(1, 0)  # POLLERR and POLLHUP come unasked: stdout's reader is gone
        others = [signals.fd, watcher.fd, beside.fd if beside else None]
        for fd in (*desk.fds(), *remotes_fds, *others):
            if fd is not None:
                poll.register(fd, select.POLLIN)
        polls = watcher.fd is None
        pauses = [mirror.wait_ms(), pause if polls else SWEEP_S * 1000]
        ready = dict(poll.poll(min([*pauses, beside.wait_ms()] if beside else pauses)))
        if ready.get(1, 0) & _ENDED:
            return
        desk.serve()
        changed = watcher.changed() if watcher.fd in ready or polls else set()
        if changed is None or changed:
            mirror.give(changed)
            desk.serve()  # often of the claim that was given
        for fd, link in remotes_fds.items():
            if fd in ready:
                link.live.woken()
                mirror.hear(link)
        if not ready:  # some file systems do not notify
            changed = None
        for link in list(mirror.due()):
            mirror.pull(link)
        if beside:
            beside.go_on(beside.fd in ready)


def _directories(store: Store) -> Iterator[str]:
    """Where what is given appears."""
    for above in _ABOVE:
        yield above
        for name in store.listdir(*above.split("/")):
            # Live events of others are written by the mirror itself.
            replica = name.rpartition("~")[2].removesuffix("+live")
            if above != "live" or replica in store.replicas():
                yield f"{above}/{name}"


class _Beside:
    """`ev sync` in a process of its own, at each interval. `fd` is readable when it has a row."""

    def __init__(self, pause_s: float, put: Callable[[Json], None], *options: str) -> None:
        """`options` of each sync."""
        self._pause_s, self._put, self._rest, self._options = pause_s, put, b"", options
        self._child: subprocess.Popen[bytes] | None = None
        self._due = 0.0

    @property
    def fd(self) -> int | None:
        """Of the process that runs now."""
        return self._child.stdout.fileno() if self._child and self._child.stdout else None

    def wait_ms(self) -> float:
        """How long until the next one is to be started."""
        return float("inf") if self._child else max(0.0, (self._due - time.monotonic()) * 1000)

    def go_on(self, ready: bool) -> None:
        """Start it if it is time; print its rows, if it has `ready` ones and they say something."""
        if self._child and ready:
            data = os.read(self.fd or 0, 1 << 16)
            *lines, self._rest = (self._rest + data).split(b"\n")
            for row in map(codec.loads, lines):
                if row.get("received") or row.get("sent"):
                    self._put(row)
            if not data:
                self._child.communicate()
                self._child, self._rest = None, b""
                self._due = time.monotonic() + self._pause_s
        elif not self._child and time.monotonic() >= self._due:
            command = [sys.executable, sys.argv[0], "sync", *self._options]
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
            )

    def end(self) -> None:
        """It is not waited for: every step of a sync may be cut off."""
        if self._child:
            self._child.terminate()
            self._child.communicate()
