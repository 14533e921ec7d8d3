"""Pins: how a dead holder is told from a slow one. A pin is a file that its holder has an flock on.

Children that inherit it hold it, too; the kernel frees it when the last of them is gone.
"""

from __future__ import annotations

import fcntl
import os

from coord_envelope.platform import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.store.directory import Store


def take(store: Store, *names: str) -> int | None:
    """Hold the file, made if it is not there: its descriptor, not inherited by commands. None if another holds it."""
    fd = store.open(*names, flags=os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def dropped(store: Store, *names: str) -> bool:
    """Is nobody left who holds it? No, if it cannot be told: it is not there."""
    fd = opened(store, *names)
    if fd is None:
        return False
    try:
        fcntl.flock(
            fd, fcntl.LOCK_SH | fcntl.LOCK_NB
        )  # shared: two who ask do not take each other for the holder
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(fd)


def opened(store: Store, *names: str) -> int | None:
    """A descriptor of the file, without manifest it; None if it cannot be opened."""
    with suppress(OSError):
        return store.open(*names)
    return None
