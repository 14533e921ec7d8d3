"""The unit on the wire: bytes of a segment or a blob, at an offset of the file.

    payload = PATH SP OFFSET SP SIZE SP GIVER LF BYTES

`PATH` is a path of `layout` below the store, `OFFSET` a decimal number, `SIZE` the size of a blob
(0: a segment, which grows), `GIVER` the replica id of the store that gives it. The same bytes as
their author's file has there: so a store that syncs through git, too, holds the same files.
"""

from __future__ import annotations

from typing import NamedTuple

from coord_kernel.sync import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 512 << 10
"""Bytes of a chunk: a payload with its head stays below any engine's limit."""
_HEAD = 400


class Chunk(NamedTuple):
    """Bytes at an offset of a file of the layout."""

    path: str
    offset: int
    size: int
    """Of a blob; 0 for a segment."""
    giver: str
    data: bytes

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.offset + len(self.data)

    @property
    def stream(self) -> str:
        """The stream of a segment, or `blobs`."""
        return self.path.split("/")[1] if self.path.startswith("journal/") else "blobs"


def pack(chunk: Chunk) -> bytes:
    """The payload."""
    head = f"{chunk.path} {chunk.offset} {chunk.size} {chunk.giver}\n"
    return head.encode() + chunk.data


def unpack(payload: bytes) -> Chunk:
    """The chunk of a payload. Raises ValueError if it is none; whoever can write may send it."""
    head, newline, data = payload.partition(b"\n") if b"\n" in payload[:_HEAD] else (b"", b"", b"")
    fields = head.decode("ascii").split(" ")  # UnicodeDecodeError is a ValueError
    if not newline or len(fields) != 4 or not data:
        raise ValueError("is not a chunk")
    path, offset, size, giver = fields
    if not all(number.isdigit() and len(number) <= 9 for number in (offset, size)):
        raise ValueError("has no offset and size")
    chunk = Chunk(path, int(offset), int(size), giver, data)
    if len(giver) != 8 or not giver.isalnum() or giver != giver.lower():
        raise ValueError("names no replica")
    if layout.segment(path):
        if chunk.size or chunk.end > layout.SEGMENT_BYTES:
            raise ValueError(f"{path} is too large")
    elif not layout.is_blob(path) or not chunk.end <= chunk.size <= layout.BLOB_BYTES:
        raise ValueError("names no file that is synced")
    return chunk


def cut(data: bytes) -> Iterator[bytes]:
    """The bytes in pieces of at most `MOST`, cut at ends of lines where there are any."""
    begin = 0
    while begin < len(data):
        end = min(begin + MOST, len(data))
        if end < len(data):
            end = data.rfind(b"\n", begin, end) + 1 or end
        yield data[begin:end]
        begin = end
