"""Streams merged into one order: that of the event ids."""

from __future__ import annotations

import heapq

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope.event import Event


def merge(sources: Iterable[Iterable[Event]], newest_first: bool = False) -> Iterator[Event]:
    """All events by event_id, each once. Memory grows with the streams, not with the events.

    Of different events with the same id (one is forged) all are given out, in the order of their
    bytes: none can hide another, and the order does not depend on which stream has which.
    """
    same_id: list[Event] = []
    for event in heapq.merge(*sources, key=_id, reverse=newest_first):
        if same_id and event["event_id"] != same_id[0]["event_id"]:
            yield from same_id if len(same_id) == 1 else _distinct(same_id, newest_first)
            same_id = []
        same_id.append(event)
    yield from _distinct(same_id, newest_first)


def _distinct(events: list[Event], newest_first: bool) -> list[Event]:
    by_bytes = {event.raw: event for event in events}
    return [by_bytes[raw] for raw in sorted(by_bytes, reverse=newest_first)]


def _id(event: Event) -> str:
    return event["event_id"]  # type: ignore[no-any-return]
