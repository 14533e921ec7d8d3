"""The greatest stamp this store accepted, in `local/clock`: 20 digits and a newline."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.store.directory import Store


def load(store: Store) -> int | None:
    """The stamp; None if none is saved, or the file holds something else."""
    saved = (store.load("local", "clock") or b"")[:20]
    return int(saved) if saved.isdigit() else None


def save(store: Store, stamp: int) -> None:
    """Replace it in place. Under the store's lock; not durable, for the streams' tails say it too."""
    fd = store.open("local", "clock", flags=os.O_WRONLY | os.O_CREAT)
    try:
        os.pwrite(fd, b"%020d\n" % stamp, 0)
        os.ftruncate(fd, 21)
    finally:
        os.close(fd)
