"""How much of a party may be open at once. Pure.

Time is in ids of events. What is over quota when it is made stays so, and is never open.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Times = list[tuple[str, str]]
    """From, up to; "": it has not ended."""
    Span = tuple[str, str, Times]
    """Party, id, and when it is open."""


def times(made: str, closing: Iterable[str], opening: Iterable[str], end: str) -> Times:
    """When something is open that is closed and opened again, until it ends."""
    marks = sorted([(at, False) for at in closing] + [(at, True) for at in opening])
    found: Times = []
    begin = made
    for at, opens in marks:
        if at <= made or (end and at >= end):
            continue
        if opens:
            begin = begin or at
        elif begin:
            found.append((begin, at))
            begin = ""
    return [*found, (begin, end)] if begin else found


def beyond(spans: Sequence[Span], most: int) -> set[tuple[str, str]]:
    """(id, party) of those that were made when so many of the party's were open."""
    found = set()
    before: dict[str, list[Times]] = {}
    for party, made, open_ in sorted(spans, key=lambda span: span[:2]):
        # What has ended is over for all that comes later.
        known = [each for each in before.get(party, ()) if _later(each[-1], made)]
        before[party] = known
        opened = [
            each
            for each in known
            if any(at <= made and _later((at, end), made) for at, end in each)
        ]
        if len(opened) >= most:
            found.add((made, party))
        elif open_:
            known.append(open_)
    return found


def still(spans: Iterable[Span], over: set[tuple[str, str]], party: str) -> int:
    """How many of a party's are open."""
    return sum(
        who == party and (made, who) not in over and bool(open_) and not open_[-1][1]
        for who, made, open_ in spans
    )


def _later(time: tuple[str, str], at: str) -> bool:
    return not time[1] or time[1] > at
