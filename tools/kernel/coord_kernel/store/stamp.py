"""The greatest stamp this store has accepted, in `local/clock`: 20 digits and a newline."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.store.directory import Store


def load(store: Store) -> int | None:
    """The stamp; None if no valid one is saved."""
    saved = (store.load("local", "clock") or b"")[:20]
    return int(saved) if saved.isdigit() else None


def save(store: Store, stamp: int) -> None:
    """Overwrite it in place. Under the store's lock.

    Not durable: after a power loss it can be recovered from the newest events of the streams.
    """
    fd = store.open("local", "clock", flags=os.O_WRONLY | os.O_CREAT)
    try:
        os.pwrite(fd, b"%020d\n" % stamp, 0)
        os.ftruncate(fd, 21)
    finally:
        os.close(fd)
