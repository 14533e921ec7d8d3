"""Streams into one order: that of the event ids."""

from __future__ import annotations

import heapq

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope.event import Event


def merge(sources: Iterable[Iterable[Event]], newest_first: bool = False) -> Iterator[Event]:
    """All events by event_id, each once (Knuth's k-way merge: memory grows with the streams, not the events).

    Two that differ and have one id (a forgery) both come, in the order of their bytes: neither can hide the other,
    and it is the same whichever stream has which.
    """
    held: list[Event] = []
    for found in heapq.merge(*sources, key=_by_id, reverse=newest_first):
        if held and found["event_id"] != held[0]["event_id"]:
            yield from held if len(held) == 1 else _distinct(held, newest_first)
            held = []
        held.append(found)
    yield from _distinct(held, newest_first)


def _distinct(same: list[Event], newest_first: bool) -> list[Event]:
    found = {one.raw: one for one in same}
    return [found[raw] for raw in sorted(found, reverse=newest_first)]


def _by_id(found: Event) -> str:
    return found["event_id"]  # type: ignore[no-any-return]
