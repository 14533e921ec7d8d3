"""Every byte of a store's streams: an event, a bad line, or a torn tail."""

from __future__ import annotations

from coord_envelope import ids
from coord_kernel.streams.stream import Bad, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json
    from coord_kernel import Store


def check(store: Store, now_ms: int) -> Iterator[tuple[Json, bool]]:
    """What is not as it should be, and whether it is damage (a torn tail is none)."""
    for stream in streams(store, live=True):
        for item in stream.read():
            if isinstance(item, Bad):
                yield item.report(), True
            elif ids.ahead(ids.stamp_of(item.id), now_ms):
                reason = f"event {item.id} is from more than 5 minutes in the future"
                yield Bad(stream.file, stream.start, reason).report(), True
        if stream.torn():
            reason = "torn tail: no event yet; the next append ends it"
            yield Bad(stream.file, stream.offset, reason).report(), False
        if "!" in stream.name:
            yield Bad(stream.file, 0, "a fork: its writer wrote two histories").report(), True
