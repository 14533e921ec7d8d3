"""Wakes a loop when a process is gone: nobody holds its pin any more.

A thread for each pin waits for its lock, which costs nothing: the kernel grants it when the last
holder has exited. No event, no poll and no parent is needed for that.
"""

from __future__ import annotations

import fcntl
import os
import threading

from coord_envelope.platform import suppress
from coord_kernel.store import pins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_kernel.store.directory import Store


class Deaths:
    """The pins that are waited for. `fd` is readable when one was dropped."""

    def __init__(self, store: Store) -> None:
        self._store, self._watched = store, set[tuple[str, ...]]()
        self.fd, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def watch(self, paths: Iterable[tuple[str, ...]]) -> None:
        """Wait for these pins, too. Those of earlier calls are still waited for."""
        for path in set(paths) - self._watched:
            fd = pins.opened(self._store, *path)
            if fd is not None:
                self._watched.add(path)
                threading.Thread(target=self._wait, args=(fd,), daemon=True).start()

    def take(self) -> bool:
        """Was one dropped since the last call?"""
        with suppress(BlockingIOError):
            return bool(os.read(self.fd, 4096))
        return False

    def _wait(self, fd: int) -> None:
        try:
            # Shared, so that others who wait are not taken for the holder.
            fcntl.flock(fd, fcntl.LOCK_SH)
        finally:
            os.close(fd)
            with suppress(BlockingIOError):
                os.write(self._write, b"\n")
