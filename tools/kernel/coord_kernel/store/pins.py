"""Pins: how to tell a dead holder from a slow one. A pin is a file that its holder has locked.

The lock is an flock, so child processes that inherit the descriptor share it, and the kernel
releases it when the last of them has exited.
"""

from __future__ import annotations

import fcntl
import os

from coord_envelope.platform import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.store.directory import Store


def take(store: Store, *names: str) -> int | None:
    """Create the file if it is missing and lock it; None if another process holds it.

    The descriptor is closed on exec.
    """
    fd = store.open(*names, flags=os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def dropped(store: Store, *names: str) -> bool:
    """Has every holder exited? False if the file cannot be opened, as that cannot be known."""
    fd = opened(store, *names)
    if fd is None:
        return False
    try:
        # Shared, so that two who ask at once do not take each other for the holder.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(fd)


def opened(store: Store, *names: str) -> int | None:
    """A descriptor of the file, not locked; None if it cannot be opened."""
    with suppress(OSError):
        return store.open(*names)
    return None
