"""Pins: how to tell a dead holder from a slow one.

A pin is a file that `lease with` has locked with flock; its command inherits the descriptor. While
either of them lives the lock is held; the kernel releases it when the last has exited. A pin can
only end a lease before its time, never prolong it.
"""

from __future__ import annotations

import fcntl
import os

from coord_envelope import world
from coord_envelope.platform import suppress
from coord_kernel.store import pins
from coord_lease.scope import LONGEST_MS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel import Store

_WHERE = ("local", "pins")


def make(store: Store) -> tuple[str, int]:
    """A new pin, held: its name, and its descriptor, which children inherit."""
    _sweep(store)
    name = world.entropy(8).hex()
    fd = pins.take(store, *_WHERE, name)
    assert fd is not None, "nobody else knows its name"
    os.set_inheritable(fd, True)
    return name, fd


def dropped(store: Store, name: str) -> bool:
    """Has every holder exited? False if that cannot be known: then the time to live decides."""
    try:
        return pins.dropped(store, *_WHERE, _checked(name))
    except FileNotFoundError:
        return False


def await_drop(store: Store, name: str, wake: int) -> None:
    """Write a byte to the descriptor `wake` when every holder has exited. Blocks until then."""
    fd = _open(store, name)
    if fd is not None:
        fcntl.flock(fd, fcntl.LOCK_SH)
        os.close(fd)
        with suppress(OSError):
            os.write(wake, b"\n")


def remove(store: Store, name: str) -> None:
    """Forget it: its lease has ended."""
    with suppress(OSError):
        parent = store.directory(*_WHERE)
        try:
            os.unlink(_checked(name), dir_fd=parent)
        finally:
            os.close(parent)


def _sweep(store: Store) -> None:
    """Remove pins whose makers died before they had a lease. A pin in use is held, however old."""
    for name in store.listdir(*_WHERE):
        fd = _open(store, name)
        if fd is not None:
            age_ms = world.now_ms() - os.fstat(fd).st_mtime_ns // 1_000_000
            os.close(fd)
            if age_ms > LONGEST_MS and dropped(store, name):
                remove(store, name)


def _open(store: Store, name: str) -> int | None:
    with suppress(FileNotFoundError):
        return pins.opened(store, *_WHERE, _checked(name))
    return None


def _checked(name: str) -> str:
    if not name.isalnum():  # it comes from an event, which anyone may have written
        raise FileNotFoundError(name)
    return name
