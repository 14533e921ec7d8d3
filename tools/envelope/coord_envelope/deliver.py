"""Printing what a follower reads, and moving a named cursor behind it only when it may be lost no more."""

from __future__ import annotations

import os
import select

from coord_envelope import cursor
from coord_envelope.cursor import Cursor
from coord_envelope.errors import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.event import Event
    from coord_envelope.filter import Filter
    from coord_envelope.tool import Call


def deliver(
    call: Call,
    after: Cursor,
    wanted: Filter | None,
    follow: bool = True,
    name: str | None = None,
    ack_fd: int | None = None,
    live: bool = True,
) -> None:
    """Print what comes after the cursor; with `follow`, what comes later too.

    The cursor `name` is saved after the lines were written: what a reader had in its pipe when it died is
    lost to it (at most once). With `ack_fd` it passes only events whose ids came back on that descriptor, one
    a line (at least once). Without `follow` it ends when all is printed, and acked or the descriptor closed.
    """
    store = call.journal.store
    acks = _Acks(ack_fd) if ack_fd is not None else None
    saved = cursor.load(store, name) if name else None
    follower = call.journal.follow(after, live)
    for batch in follower.batches(wanted, also=ack_fd) if follow else [follower.batch(wanted)]:
        for event in batch:
            call.out.put(event)
            if acks:
                acks.expect(event)
        call.out.flush()
        if acks and not follow:
            call.out.end()  # so the consumer sees its end, and acks or leaves
        if acks:
            acks.take(until_done=not follow)
        behind = follower.reached.without(acks.pending.values() if acks else ())
        if name and behind != saved:
            cursor.save(store, name, saved := behind)
        if acks and acks.closed:
            return


class _Acks:
    """Ids read back from the consumer."""

    def __init__(self, fd: int) -> None:
        try:
            os.fstat(fd)
        except OSError:
            raise Usage(f"--ack-fd {fd}: not open", todo="open it for reading in the shell: 3<ACKS") from None
        self._fd, self._held, self.closed = fd, b"", False
        self.pending: dict[str, Event] = {}

    def expect(self, event: Event) -> None:
        """This event was given out. Reads acks meanwhile: a consumer blocked on its acks would block us."""
        self.pending[event.id] = event
        self.take()

    def take(self, until_done: bool = False) -> None:
        """Read the acks that are there; with `until_done`, wait until none is missing or the consumer closed."""
        while not self.closed and (self.pending or not until_done) and self._ready(None if until_done else 0):
            for event_id in self._read():
                self.pending.pop(event_id.decode("ascii", "replace").strip(), None)

    def _ready(self, timeout: float | None) -> bool:
        return bool(select.select([self._fd], [], [], timeout)[0])

    def _read(self) -> Iterator[bytes]:
        chunk = os.read(self._fd, 1 << 16)
        self.closed = not chunk
        *whole, self._held = (self._held + chunk).split(b"\n")
        return iter(whole)
