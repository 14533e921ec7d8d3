"""Every byte of a store's streams: an event, a bad line, or a torn tail."""

from __future__ import annotations

from coord_envelope import ids
from coord_kernel.streams.stream import BadLine, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_kernel import Store
    from coord_kernel.streams.stream import BadLineReport


def _replica(name: str) -> str:
    return name.rpartition("~")[2].partition("+")[0]


def check(store: Store, now_ms: int) -> Iterator[tuple[BadLineReport, bool]]:
    """A report of each problem, and whether it is damage (a torn tail is not)."""
    for stream in streams(store, live=True):
        told = stream.kind == "live" and _replica(stream.name) not in store.all_replicas()
        for item in stream.read():
            if isinstance(item, BadLine):
                # What a live remote tells of others is a part of their live streams.
                if told and item.reason.endswith("missing before it"):
                    continue
                yield item.report(), True
            elif ids.ahead(ids.stamp_of(item.id), now_ms):
                reason = f"event {item.id} is from more than 5 minutes in the future"
                yield BadLine(stream.file, stream.start, reason).report(), True
        if stream.torn():
            reason = "torn tail: no event yet; the next append ends it"
            yield BadLine(stream.file, stream.offset, reason).report(), False
        if "!" in stream.name:
            yield BadLine(stream.file, 0, "a fork: its writer wrote two histories").report(), True
