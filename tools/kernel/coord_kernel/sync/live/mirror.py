"""The mirror: a process that holds the connections to live remotes, and answers commands.

1. What comes at a remote wakes it: it takes that in at once, and a moment later it pulls,
   settles, gives; at once if there is a claim to judge.
2. What this store writes wakes it: what was appended to known segments it gives at once, and looks
   at the rest a moment later. If there is a claim, or a new segment, it gives all, and asks the
   arbiter.
3. A command asks it by `local/bus.sock` (see `sync.bus`): it answers when the round is done.
4. While a remote cannot be reached it answers so without trying, and tries again by itself:
   after 100 ms, later after 2 s at most.
5. Live events are sent at these moments, too (see `presence`), and received a moment later.
6. What others have written and a remote lacks is given a moment later, if nobody else has done
   so by then. Otherwise every store that syncs with git, too, would give it at once.
"""

from __future__ import annotations

import os
import select
import socket
import time

from coord_envelope import codec, world
from coord_envelope.errors import Fault, Refused, TryAgain, Unreachable
from coord_envelope.platform import suppress
from coord_kernel.rules import claims
from coord_kernel.sync import bus, settle
from coord_kernel.sync import seat as seats
from coord_kernel.sync.live.exchange import LiveExchange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from coord_envelope.codec import Json
    from coord_kernel.journal.journal import Journal
    from coord_kernel.sync.live.remote import Live
    from coord_kernel.sync.settle import Wishes

ROUND_S = 10.0
_FIRST_S, _LONGEST_S = 0.1, 2.0
_SAVE_S = 1.0
_LATER_S = 0.2
SWEEP_S = 30.0
"""How often everything is looked at, woken or not."""


class Link:
    """One live remote, and what the mirror knows of the way to it."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.down: Fault | None = None
        """Why it could not be reached."""
        self.due = 0.0
        """When to look at it unasked, on the monotonic clock."""
        self.pause_s, self.saved = _FIRST_S, 0.0

    def failed(self, fault: Fault) -> bool:
        """Take note that it cannot be reached. Is that new?"""
        new, self.down = self.down is None, fault
        self.due = time.monotonic() + self.pause_s * (0.5 + _random())
        self.pause_s = min(2 * self.pause_s, _LONGEST_S)
        return new

    def succeeded(self, whole: bool = True) -> None:
        """A round was done; `whole`: nothing was left to look at."""
        self.down, self.pause_s = None, _FIRST_S
        if not whole:
            self.later()
            return
        pause = _LATER_S * (1 + _random()) if self.live.later else SWEEP_S
        self.due = time.monotonic() + pause

    def later(self) -> None:
        """Something is to be looked at in a moment, if it can be reached."""
        if self.down:
            return
        self.due = min(self.due, time.monotonic() + _LATER_S * (1 + _random()))


class Mirror:
    """The mirror of one store and its live remotes."""

    def __init__(
        self,
        journal: Journal,
        lives: Sequence[Live],
        alone: bool,
        report: Callable[[LiveExchange | Fault], None],
    ) -> None:
        """`alone`: the store has no git remote. `report` gets rounds and failures."""
        self._journal, self.store, self._alone = journal, journal.store, alone
        self.links, self._report = [Link(live) for live in lives], report
        self.signs = settle.signs(self.store)
        """Is what it gives signed?"""
        self._marked: tuple[int, ...] = (0,)
        self._ids: list[str] = []

    def fds(self) -> dict[int, Link]:
        """A descriptor for each remote that is readable when something may have come."""
        return {link.live.wait(): link for link in self.links}

    def wait_ms(self) -> float:
        """How long nothing is to be done unasked."""
        soonest = min(link.due for link in self.links)
        return max(0.0, (soonest - time.monotonic()) * 1000)

    def due(self) -> Iterator[Link]:
        """The remotes to look at now."""
        now = time.monotonic()
        return (link for link in self.links if link.due <= now)

    def pull(self, link: Link) -> None:
        """A whole round."""
        with suppress(Unreachable, TryAgain):
            if self._round(link, foreign=link.live.later):
                link.due = min(link.due, time.monotonic() + _LATER_S)  # more may follow it at once
            else:
                link.live.share()

    def hear(self, link: Link) -> None:
        """Something has come: take in what is known of it, else a whole round."""
        if link.down:
            return self.pull(link)
        with suppress(Unreachable, TryAgain):
            exchange = self._exchange(link)
            exchange.hears, exchange.foreign = True, False
            self._run(link, exchange)
            if not exchange.heard:
                link.live.share()
        return None

    def give(self, changed: set[str] | None) -> None:
        """The store has grown: give it to all that can be reached.

        `changed`: the directories that have; None: that is not known.
        """
        ours = None if changed is None else {name for name in changed if not self._of_others(name)}
        if ours is not None and not ours:
            for link in self.links:
                link.live.later = True
                link.later()
            return
        for link in self.links:
            if not link.down:
                with suppress(Unreachable, TryAgain):
                    exchange = self._exchange(link)
                    exchange.quick, exchange.foreign = True, False
                    exchange.hastes = tuple(ours or ())
                    self._run(link, exchange)
                    if not exchange.rests:
                        link.live.share(hear=False)

    def _of_others(self, directory: str) -> bool:
        """Is it a stream that this store does not write?

        What came of the arbiter's stream is given at once, if it came by another remote.
        """
        kind, _, name = directory.partition("/")
        if kind != "journal" or not name:
            return False
        if claims.is_arbiter(name):
            return self._alone and len(self.links) == 1
        return name.rpartition("~")[2] not in self._replicas()

    def _replicas(self) -> list[str]:
        mark = self.store.mark("local", "replica")
        if mark != self._marked:
            self._marked, self._ids = mark, self.store.replicas()
        return self._ids

    def answer(self, line: bytes) -> Json:
        """The answer to a command's request."""
        try:
            request = codec.loads(line.rstrip())
            claims = request.get("elapsed")
            drafts = None if claims else request["confirm"]
            after = request.get("after")
        except (ValueError, KeyError, TypeError, AttributeError):
            return _fault(Unreachable("not a request", where=bus.NAME))
        seat = seats.seat(self.store)
        link = self._home(seat)
        if link is None:
            return {"elsewhere": True}
        if link.down:
            return _fault(link.down)
        if claims:
            return self._elapsed(link, claims)
        moved = False

        def settle() -> Wishes:
            nonlocal moved
            stream = seats.seat(self.store).stream
            moved = moved or seats.end(self.store, stream) != after
            return [] if moved else [("", draft) for draft in drafts or ()]

        try:
            self._round(link, quick=True, foreign=False, settle=settle if drafts else None)
        except Fault as fault:
            return _fault(fault)
        return {"moved": True} if moved else {"done": True}

    def _elapsed(self, link: Link, claims: Sequence[str]) -> Json:
        exchange = LiveExchange(self._journal, link.live, ROUND_S, None, self._alone)
        try:
            with exchange.locked():
                return {"elapsed": exchange.elapsed(claims)}
        except Fault as fault:
            return _fault(fault)

    def _home(self, seat: seats.Seat) -> Link | None:
        if not seat.place:
            return self.links[0] if self._alone else None
        return next((link for link in self.links if link.live.lives_here(seat)), None)

    def _round(
        self,
        link: Link,
        quick: bool = False,
        foreign: bool = True,
        settle: Callable[[], Wishes] | None = None,
    ) -> bool:
        """A whole round. Was something taken in?"""
        exchange = self._exchange(link, settle)
        exchange.quick, exchange.foreign = quick, foreign
        return self._run(link, exchange)

    def _exchange(self, link: Link, settle: Callable[[], Wishes] | None = None) -> LiveExchange:
        exchange = LiveExchange(self._journal, link.live, ROUND_S, settle, self._alone)
        exchange.signs, exchange.saves = self.signs, time.monotonic() - link.saved > _SAVE_S
        return exchange

    def _run(self, link: Link, exchange: LiveExchange) -> bool:
        try:
            exchange.run()
        except TryAgain as fault:
            link.due = time.monotonic() + link.pause_s
            self._report(fault)
            raise
        except Refused:
            raise  # until the user does something
        except Unreachable as fault:
            if exchange.unconfirmed is fault:
                link.succeeded()
                raise
            if link.failed(fault):
                self._report(fault)
            raise
        link.succeeded(whole=not exchange.rests)
        if exchange.saves:
            link.saved = time.monotonic()
        self._report(exchange)
        return bool(exchange.received)

    def close(self) -> None:
        """Save what is known of each remote, and let go of it."""
        for link in self.links:
            link.live.state.save()
            link.live.close()


class Desk:
    """The socket at which commands ask. One mirror of a store has it. Raises TryAgain."""

    def __init__(self, mirror: Mirror) -> None:
        from filelock import FileLock, Timeout

        self._mirror, store = mirror, mirror.store
        self._lock = FileLock(os.path.join(store.path, "local", "bus.lock"), mode=0o600)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise TryAgain("another mirror of this store is running") from None
        self._directory = store.directory("local", make=True)
        with suppress(FileNotFoundError):
            os.unlink(bus.NAME, dir_fd=self._directory)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            self._socket.bind(bus.path(store, self._directory))
        finally:
            os.umask(before)
        self._socket.listen(64)
        self._socket.setblocking(False)
        self._clients: dict[int, tuple[socket.socket, bytes]] = {}

    def fds(self) -> list[int]:
        """Descriptors that are readable when there is something to do."""
        return [self._socket.fileno(), *self._clients]

    def serve(self) -> None:
        """Take the clients that wait, and answer them: commands."""
        while True:
            poll = select.poll()
            for fd in self.fds():
                poll.register(fd, select.POLLIN)
            ready = poll.poll(0)
            if not ready:
                return
            for fd, _ in ready:
                self._serve(fd)

    def _serve(self, fd: int) -> None:
        if fd == self._socket.fileno():
            with suppress(OSError):
                client, _ = self._socket.accept()
                client.settimeout(1)
                self._clients[client.fileno()] = client, b""
            return
        client, data = self._clients.pop(fd)
        try:
            part = client.recv(1 << 16)
            data += part
            if not part or len(data) > bus.MOST:
                raise OSError
            if data.endswith(b"\n"):
                client.sendall(codec.dumps(self._mirror.answer(data)) + b"\n")
                data = b""
            self._clients[fd] = client, data
        except OSError:
            client.close()

    def close(self) -> None:
        """Nobody is answered any more."""
        with suppress(FileNotFoundError):
            os.unlink(bus.NAME, dir_fd=self._directory)
        os.close(self._directory)
        self._socket.close()
        self._lock.release()


def _fault(fault: Fault) -> Json:
    return {"fault": {"what": fault.what, "where": fault.where, "todo": fault.todo}}


def _random() -> float:
    return world.entropy(1)[0] / 256
