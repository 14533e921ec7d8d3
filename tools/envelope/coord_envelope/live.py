"""Live events: those that need not outlive a reboot. Written as durable ones are, without the fdatasync.

Each agent has a live stream beside its durable one, with a seq of its own. A killed process loses no line of it; a
power loss may. It is never synced, and its old segments are pruned.
"""

from __future__ import annotations

import itertools
import os

from coord_envelope import world
from coord_envelope.append import Numbering, Tail, write_clock
from coord_envelope.context import suppress
from coord_envelope.index import Index
from coord_envelope.keys import Keys
from coord_envelope.store import LOCK_WAIT_S
from coord_envelope.stream import SUFFIX, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_envelope.store import Store

    Decide = Callable[[], Sequence[Json]]

KEPT_MS = 7 * 24 * 60 * 60 * 1000


def append(store: Store, actor: Json, decide: Decide, wait_s: float = LOCK_WAIT_S) -> list[Event]:
    """Write what `decide` says under the store's lock, all or none, as live events of `actor`, and return them.

    No idempotency keys: those are for what is kept. Raises as `append.append`, and TryAgain after `wait_s`.
    """
    with store.lock(wait_s):
        now = world.now_ms()
        tail = Tail(store, actor["agent_id"].replace(":", ".", 1), now, live=True)
        numbering = Numbering(store, actor, tail, now, Keys(Index(store), ()))
        for draft in decide():
            numbering.answer(draft, whole=True)
        if numbering.fresh:
            write_clock(store, numbering.stamp)
            tail.write(numbering.fresh)
    return numbering.fresh


def prune(store: Store, writer: str, needed: Callable[[], int]) -> None:
    """Remove the stream's segments that nobody wrote to for 7 days. Under the lock, or by the stream's one writer.

    The newest segment stays, and so does every one from the seq on that `needed` says; it is asked only if there is
    something old.
    """
    firsts = Stream(store, "live", writer).segments()
    if len(firsts) < 2:
        return
    directory = store.directory("live", writer)
    try:
        for first, following in itertools.pairwise(firsts):
            name = f"{first:012d}{SUFFIX}"
            age = world.now_ms() - os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime_ns // 1_000_000
            if age < KEPT_MS or following > needed():
                return
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)
    finally:
        os.close(directory)
