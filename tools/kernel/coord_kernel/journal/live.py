"""Live events need not outlive a reboot: they are written as durable ones, without fdatasync.

Each agent has a live stream beside its durable one, with a seq of its own. A killed process loses
no line of it; a power loss may. It is never synced, and its old segments are pruned.
"""

from __future__ import annotations

import itertools
import os

from coord_envelope import world
from coord_envelope.platform import suppress
from coord_kernel.streams.stream import SUFFIX, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_kernel.store.directory import Store

KEPT_MS = 7 * 24 * 60 * 60 * 1000
"""How long a segment of a live stream is kept after the last write to it."""


def prune(store: Store, writer: str, needed: Callable[[], int]) -> None:
    """Remove segments of a live stream that are older than 7 days. Under the store's lock.

    The newest segment stays, and so does each with a seq from `needed()` on, which is called only
    if a segment is old.
    """
    firsts = Stream(store, "live", writer).segments()
    if len(firsts) < 2:
        return
    directory = store.directory("live", writer)
    try:
        for first, following in itertools.pairwise(firsts):
            name = f"{first:012d}{SUFFIX}"
            written_ns = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime_ns
            age = world.now_ms() - written_ns // 1_000_000
            if age < KEPT_MS or following > needed():
                return
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)
    finally:
        os.close(directory)
