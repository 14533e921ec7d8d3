"""The slider: a window of the history with what happened in it, and a place in that. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from coord_envelope import world

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from coord_shop.history import Mark

HOUR_MS = 3_600_000
SPANS = {"1h": HOUR_MS, "6h": 6 * HOUR_MS, "1d": 24 * HOUR_MS, "7d": 168 * HOUR_MS, "all": 0}
"""Name of a window → its length; 0: the whole history."""
STEPS = 1_000
"""Places of the slider."""
PARTS = 120
"""Bars of the picture."""
LEAST_MS = 600_000
MARKED = {
    "failed": "A job failed",
    "died": "An agent died",
    "stopped": "Work was stopped",
    "asked": "A question was asked",
    "answered": "A question was answered",
    "landed": "Work landed",
}
"""Kinds of marks that are drawn, the most important first, and what they are."""


class Window(NamedTuple):
    """A part of the history. Unix milliseconds."""

    span: str
    begin: int
    end: int


class Tick(NamedTuple):
    """A mark in the picture."""

    at: str
    """Its moment, a stamp."""
    left: int
    """Thousandths of the width."""
    kind: str
    about: str
    event: str


def window(first: int, now: int, at: int | None, span: str) -> Window:
    """The window of a length that ends now, or later than `at` if that is before it."""
    name = span if span in SPANS else _fitting(now - (first if at is None else min(first, at)))
    length = SPANS[name] or max(LEAST_MS, now - first)
    end = now
    if at is not None and at < now - length:
        end = min(now, at + length // 2)
    return Window(name, end - length, end)


def _fitting(length: int) -> str:
    """The shortest window that has all of it, up to a day."""
    for name in ("1h", "6h"):
        if length <= SPANS[name]:
            return name
    return "1d"


def place(window: Window, ms: int) -> int:
    """Where a moment is on the slider, 0 to STEPS."""
    inside = min(max(ms, window.begin), window.end)
    return round((inside - window.begin) * STEPS / max(1, window.end - window.begin))


def ticks(window: Window, marks: Iterable[Mark]) -> list[Tick]:
    """The marks to draw: of a kind and a place one, the most important kinds last, on top."""
    order = list(MARKED)
    known: dict[tuple[int, str], Tick] = {}
    for mark in marks:
        left = place(window, mark.ms)
        if mark.kind in MARKED and (left // 4, mark.kind) not in known:
            tick = Tick(world.format_ts(mark.ms), left, mark.kind, mark.about, mark.event)
            known[left // 4, mark.kind] = tick
    return sorted(known.values(), key=lambda tick: (-order.index(tick.kind), tick.left))


def bars(density: Sequence[int]) -> list[tuple[int, int]]:
    """(number, height of 100) of the parts in which something happened."""
    most = max(density, default=0)
    return [
        (n, max(6, round(100 * (count / most) ** 0.5))) for n, count in enumerate(density) if count
    ]


def neighbours(at: int, marks: Iterable[Mark]) -> tuple[str | None, str | None]:
    """The moments of the marks before and after a moment."""
    times = sorted({mark.ms for mark in marks if mark.kind in MARKED})
    before = max((ms for ms in times if ms < at), default=None)
    after = min((ms for ms in times if ms > at), default=None)
    return (
        None if before is None else world.format_ts(before),
        None if after is None else world.format_ts(after),
    )
