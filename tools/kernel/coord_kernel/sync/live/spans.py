"""Sets of byte ranges of one file, as sorted lists of [begin, end) that do not touch."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Spans = list[list[int]]


def added(spans: Spans, begin: int, end: int) -> Spans:
    """The ranges and this one."""
    if begin >= end:
        return spans
    before = [span for span in spans if span[1] < begin]
    behind = [span for span in spans if span[0] > end]
    touching = spans[len(before) : len(spans) - len(behind)]
    low = min([begin, *(span[0] for span in touching)])
    high = max([end, *(span[1] for span in touching)])
    return [*before, [low, high], *behind]


def holes(spans: Spans, size: int) -> Iterator[tuple[int, int]]:
    """The ranges of a file of this size that they do not cover."""
    position = 0
    for begin, end in spans:
        if begin > position:
            yield position, min(begin, size)
        position = max(position, end)
        if position >= size:
            return
    if position < size:
        yield position, size


def end(spans: Spans) -> int:
    """The end of the last one."""
    return spans[-1][1] if spans else 0
