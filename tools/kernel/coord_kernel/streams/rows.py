"""The bytes of a segment as lines, and what bad ones among them count for."""

from __future__ import annotations

from coord_envelope import event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK = 1 << 16
SEGMENT = 1 << 20
"""Bytes after which a new segment begins."""
MOST_BAD = 2 * SEGMENT
"""What the bad lines of a segment that is read to its end count for, at most."""
LONGEST = MOST_BAD << 4
"""Bytes of a line that alone counts for so much."""


def cost_of(start: int, end: int) -> int:
    """What a line that is not an event counts for. (`stream`, 6.)"""
    return (end - start >> 4) + (1 << 10)


def readable(data: bytes) -> tuple[int, int]:
    """Of whole lines, the bytes before the place from which a reader passes over the rest.

    And what the bad lines before it count for. A line that begins as events do is taken for one.
    """
    likely = b'\n{"event_id":"'
    if data.count(likely) + data.startswith(likely[1:]) == data.count(b"\n"):
        return len(data), 0
    cost = 0
    for bounds, rows in lines(lambda at: data[at : at + CHUNK]):
        for start, end, row in zip(bounds[:-1], bounds[1:], rows, strict=True):
            if not row.startswith(likely[1:]) and isinstance(event.parse_or_reason(row), str):
                cost += cost_of(start, end)
                if cost > MOST_BAD:
                    return end, cost
    return len(data), cost


def lines(read: Callable[[int], bytes], offset: int = 0) -> Iterator[tuple[list[int], list[bytes]]]:
    """Whole lines from `offset` on, many at a time: where the first begins and each ends; the rows.

    `read` returns the bytes at a position, none at the end. A line ends behind its newline; its row
    has none. Of a line above the limit of an event the row is a part only, so memory is bounded. A
    line above LONGEST is the last, though it goes on.
    """
    start, position, unfinished = offset, offset, b""
    while chunk := read(position):
        *rows, rest = chunk.split(b"\n")
        if rows:
            ends = [position := position + len(row) + 1 for row in rows]
            rows[0] = unfinished + rows[0]
            yield [start, *ends], rows
            start, unfinished = position, b""
        position += len(rest)
        if len(unfinished) <= event.LIMIT:
            unfinished += rest
        if position - start > LONGEST:
            yield [start, position], [unfinished]
            return
