"""Printing what a follower reads, and moving a named cursor behind it only when it may be lost no more."""

from __future__ import annotations

import fcntl
import os
import select

from coord_envelope.cursor import Cursor
from coord_envelope.errors import Usage
from coord_kernel.store import cursors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_envelope.event import Event
    from coord_envelope.filter import Filter
    from coord_kernel.cli.call import Call


def deliver(
    call: Call,
    after: Cursor,
    wanted: Filter | None,
    follow: bool = True,
    name: str | None = None,
    ack_fd: int | None = None,
    shown: Callable[[Event], Event] | None = None,
    most: int | None = None,
) -> None:
    """Print what comes after the cursor, at most so many events, each as `shown` makes it; with `follow`, go on.

    The cursor `name` is saved after the lines were written: what a reader had in its pipe when it died is
    lost to it (at most once). With `ack_fd` it passes only events whose ids came back on that descriptor, one
    a line (at least once). Without `follow` it ends when all is printed, and acked or the descriptor closed.
    """
    store = call.journal.store
    acks = _Acks(ack_fd) if ack_fd is not None else None
    saved = cursors.load(store, name) if name else None
    if acks:
        call.out.write = acks.write
    follower, left = call.journal.follow(after), most
    for batch in follower.batches(wanted, also=ack_fd) if follow else [follower.batch(wanted)]:
        for event in batch:
            if left == 0:
                break  # only now is the reader behind the one before
            left = None if left is None else left - 1
            if acks:
                acks.expect(event)
            call.out.put(shown(event) if shown else event)
        call.out.flush()
        last = left == 0 or not follow
        if acks and last:
            call.out.end()  # so the consumer sees its end, and acks or leaves
        if acks:
            acks.take(until_done=last)
        behind = follower.reached.without(acks.pending.values() if acks else ())
        if name and behind != saved:
            follower.vouch(saved or Cursor())
            cursors.save(store, name, saved := behind)
        if left == 0 or (acks and acks.closed):
            return


class _Acks:
    """Ids read back from the consumer."""

    def __init__(self, fd: int) -> None:
        try:
            readable = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_WRONLY
        except OSError:
            readable = False
        if not readable:
            raise Usage(f"--ack-fd {fd}: not open for reading", todo="open it in the shell: 3<ACKS")
        self._fd, self._held, self.closed = fd, b"", False
        self.pending: dict[str, Event] = {}

    def expect(self, event: Event) -> None:
        """This event is given out next."""
        self.pending[event.id] = event

    def write(self, fd: int, data: bytes) -> None:
        """Write it all, and read acks meanwhile: a consumer that is blocked on its acks would block us for ever.

        A pipe that is ready takes PIPE_BUF bytes without blocking, so no more are given to it at once.
        """
        view, poll = memoryview(data), select.poll()
        poll.register(fd, select.POLLOUT)
        if not self.closed:
            poll.register(self._fd, select.POLLIN)
        while view:
            ready = dict(poll.poll())
            if self._fd in ready and not self.closed:
                self._read()
                if self.closed:
                    poll.unregister(self._fd)
            if fd in ready:
                view = view[os.write(fd, view[: select.PIPE_BUF]) :]

    def take(self, until_done: bool = False) -> None:
        """Read the acks that are there; with `until_done`, wait until none is missing or the consumer closed."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        while (
            not self.closed
            and (self.pending or not until_done)
            and poll.poll(None if until_done else 0)
        ):
            self._read()

    def _read(self) -> None:
        chunk = os.read(self._fd, 1 << 16)
        self.closed = not chunk
        *whole, self._held = (self._held + chunk).split(b"\n")
        for event_id in whole:
            self.pending.pop(event_id.decode("ascii", "replace").strip(), None)
