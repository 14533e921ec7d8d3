"""The bytes of a file, as its author has them, in whichever stream they are kept here.

A file whose author's bytes do not continue what came first under its name is kept as the beginning
that both have, and the rest in a fork. `copies` puts each of these together again. Which of them
has the plain name does not matter.
"""

from __future__ import annotations

from typing import NamedTuple

from coord_envelope import event
from coord_envelope.event import Event
from coord_kernel.streams.stream import SUFFIX
from coord_kernel.sync import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_kernel.store.directory import Store

MOST = 64
"""Copies of a file that are looked at."""


class Copy(NamedTuple):
    """The bytes of a file, and the streams here in which they stand, from which offset on."""

    data: bytes
    pieces: tuple[tuple[int, str], ...]

    def parts(self, begin: int, end: int) -> Iterator[tuple[str, bytes]]:
        """The bytes of a range, by stream."""
        starts = [at for at, _ in self.pieces[1:]]
        for (at, stream), until in zip(self.pieces, [*starts, len(self.data)], strict=True):
            if max(at, begin) < min(until, end):
                yield stream, self.data[max(at, begin) : min(until, end)]


def copies(store: Store, path: str, streams: Sequence[str]) -> list[Copy]:
    """What is here of a file, under the plain name first. `streams` are those of its writer."""
    _, name, file = path.split("/")
    plain = name.partition("!")[0]
    found = list[Copy]()
    for stream in sorted(streams, key=lambda each: (each != plain, each)):
        data = _bytes(store, f"journal/{stream}/{file}")
        if data:
            found.append(Copy(data, ((0, stream),)))
        if "!" in stream:
            found += _continued(store, stream, int(file[:12]), found)
    return found[:MOST]


def _continued(store: Store, fork: str, first: int, known: Sequence[Copy]) -> Iterator[Copy]:
    """The copies that go on in a fork which begins within the file."""
    begins = [
        int(name[:12])
        for name in store.listdir("journal", fork)
        if len(name) == 18 and name.endswith(SUFFIX) and name[:12].isdigit()
    ]
    begin = min(begins, default=0)
    if begin <= first:
        return
    rest = _bytes(store, f"journal/{fork}/{begin:012d}{SUFFIX}")
    for copy in list(known)[:MOST] if rest else ():
        for at in _places(copy.data, begin):
            kept = tuple(piece for piece in copy.pieces if piece[0] < at)
            yield Copy(copy.data[:at] + rest, (*kept, (at, fork)) if at else ((0, fork),))


def _places(data: bytes, seq: int) -> list[int]:
    """Where lines may have followed whose first event has this seq: behind the last event before
    it, or, with bad lines between, before the first event that has it."""
    before, at = 0, 0
    for row in data.split(b"\n")[:-1]:
        item = event.parse_or_reason(row)
        if isinstance(item, Event):
            if item["seq"] >= seq:
                return sorted({before, at})
            before = at + len(row) + 1
        at += len(row) + 1
    return sorted({before, at})


def _bytes(store: Store, path: str) -> bytes:
    return layout.whole(store.load(*path.split("/"), most=layout.SEGMENT_BYTES) or b"", path)


def runs(data: bytes, in_step: bool) -> list[tuple[int, int]]:
    """The seqs that these lines have, in runs: (first, last). In step they are one run.

    A seq between those of two signed events that no signed line has is not signed: whoever can push
    can add a line that claims it.
    """
    rows = data.split(b"\n")[:-1]
    items = event.parse_all(rows[:1] + rows[-1:] if in_step else rows)
    seqs = sorted({int(item["seq"]) for item in items if isinstance(item, Event)})
    if in_step and seqs:
        return [(seqs[0], seqs[-1])]
    found: list[tuple[int, int]] = []
    for seq in seqs:
        if found and seq == found[-1][1] + 1:
            found[-1] = found[-1][0], seq
        else:
            found.append((seq, seq))
    return found
