"""Print what a follower reads, and move a named cursor behind it.

The cursor moves only when what it passes cannot be lost any more:

    1. read a batch and write its lines
    2. with an ack descriptor, take the ids that came back; else what is written is delivered
    3. make durable what was read, then save the cursor behind what was delivered
"""

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
    """Print the wanted events after a cursor, at most `most`, each as `shown` returns it.

    The cursor `name` is saved after the lines were written: a reader that dies loses what it had
    in its pipe (at most once). With `ack_fd` it passes only events whose ids came back on that
    descriptor, one a line (at least once). With `follow` it goes on with what comes; else it ends
    when all is printed and acknowledged, or the descriptor is closed.
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
                break  # only now is the follower behind the one before
            left = None if left is None else left - 1
            if acks:
                acks.expect(event)
            call.out.put(shown(event) if shown else event)
        call.out.flush()
        last = left == 0 or not follow
        if acks and last:
            call.out.end()  # so that the consumer sees the end, and acknowledges or leaves
        if acks:
            acks.take(until_done=last)
        behind = follower.reached.without(acks.pending.values() if acks else ())
        if name and behind != saved:
            follower.make_durable(saved or Cursor())
            cursors.save(store, name, saved := behind)
        if left == 0 or (acks and acks.closed):
            return


class _Acks:
    """Ids that the consumer writes back."""

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
        """The event is printed next."""
        self.pending[event.id] = event

    def write(self, fd: int, data: bytes) -> None:
        """Write all data, and read acks meanwhile, or both could block on each other for ever.

        A pipe that is ready takes PIPE_BUF bytes without blocking, so one write gives it no more.
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
        """Read acks; with `until_done`, until none is missing or the consumer closed its end."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        wait = None if until_done else 0
        while not self.closed and (self.pending or not until_done) and poll.poll(wait):
            self._read()

    def _read(self) -> None:
        chunk = os.read(self._fd, 1 << 16)
        self.closed = not chunk
        *whole, self._held = (self._held + chunk).split(b"\n")
        for event_id in whole:
            self.pending.pop(event_id.decode("ascii", "replace").strip(), None)
