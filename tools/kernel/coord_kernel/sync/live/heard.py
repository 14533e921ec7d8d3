"""What a follower of a log received, from its thread to the thread that takes it in."""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_kernel.sync.live.log import Entry

MOST = 4 << 20
"""Bytes of payloads that wait to be taken in: more of them is read."""


class Heard:
    """Entries behind a position, without a hole, while the connection of the follower lasts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._after: str | None = None
        """The position before the first of them; None: nothing is known."""
        self._entries: list[Entry] = []
        self._size = 0

    def begin(self, after: str) -> None:
        """What comes from now on follows this position."""
        with self._lock:
            self._after, self._entries, self._size = after, [], 0

    def add(self, entries: Sequence[Entry]) -> bool:
        """These came next. False: there is no room, and nothing is known any more."""
        with self._lock:
            self._size += sum(len(entry.payload) for entry in entries)
            self._entries += entries
            full = self._size > MOST
        if full:
            self.lost()
        return not full

    def lost(self) -> None:
        """The connection broke, or something was left out."""
        with self._lock:
            self._after, self._entries, self._size = None, [], 0

    def behind(self, at: str) -> list[Entry] | None:
        """What came behind this position, once; None if that is not known."""
        with self._lock:
            if self._after is None:
                return None
            places = [self._after, *(entry.at for entry in self._entries)]
            if at not in places:
                return None
            entries = self._entries[places.index(at) :]
            self._after, self._entries, self._size = places[-1], [], 0
            return entries
