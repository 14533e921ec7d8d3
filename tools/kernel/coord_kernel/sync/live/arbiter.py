"""The lines that continue the arbiter's stream on a log."""

from __future__ import annotations

from coord_kernel.store.directory import fresh_id
from coord_kernel.streams.rows import SEGMENT
from coord_kernel.streams.stream import SUFFIX, Stream
from coord_kernel.sync import settle
from coord_kernel.sync.live.chunk import Chunk
from coord_kernel.sync.live.intake import whole_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store


def lines(store: Store, stream: str, drafts: Sequence[Json], replica: str) -> Chunk:
    """The chunk that adds these events to the arbiter's stream; "": a new stream.

    From the journal: everything that the log has of the stream must have been taken in.
    """
    writer = stream or f"arbiter.main~{fresh_id()}"
    known = Stream(store, "journal", writer)
    last, segment = known.last(), max(known.segments(), default=0)
    path = f"journal/{writer}/{segment:012d}{SUFFIX}"
    size = whole_size(store, path) if segment else 0
    if not segment or size >= SEGMENT:
        path, size = f"journal/{writer}/{last['seq'] + 1 if last else 1:012d}{SUFFIX}", 0
    data = b""
    for draft in drafts:
        last = settle.entry(store, writer, last, draft)
        data += last.raw + b"\n"
    return Chunk(path, size, 0, replica, data)
