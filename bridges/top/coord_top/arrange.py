"""Which panels are shown, and how high: of the size of the terminal, and how much there is. Pure.

Wide and high: everything, in two columns. Otherwise what needs a person, the chosen panel, and the
newest events; the others are a key away.
"""

from __future__ import annotations

from collections.abc import Mapping

LEFT, RIGHT = ("needs", "agents", "leases", "jobs"), ("work", "mail", "events")
PANELS = ("needs", "agents", "work", "leases", "jobs", "mail", "events")
"""In the order of their keys."""
TITLES = {
    "needs": "Needs you",
    "agents": "Agents",
    "work": "Work",
    "leases": "Leases",
    "jobs": "Jobs",
    "mail": "Mail",
    "events": "Events",
}
WIDE, HIGH = 120, 34
"""From here on everything is shown."""
LEAST = (40, 12)
"""Columns and lines without which nothing can be shown."""
AROUND = 4
"""Lines of the header, the tabs if there are any, the status and the keys."""


def wide(width: int, height: int) -> bool:
    """Is there room for everything?"""
    return width >= WIDE and height >= HIGH


def heights(
    size: tuple[int, int], counts: Mapping[str, int], chosen: str, alone: bool
) -> dict[str, int]:
    """The lines of each panel that is shown, its title included.

    `counts`: rows of each panel. `alone`: only the chosen panel is shown.
    """
    width, height = size
    lines = height - AROUND + wide(width, height)
    if alone:
        return {chosen: lines}
    if not wide(width, height):
        return _narrow(lines, counts, chosen)
    left = _column(lines, LEFT, counts, "agents")
    right = _column(lines, RIGHT, counts, "work")
    return left | right


def _narrow(lines: int, counts: Mapping[str, int], chosen: str) -> dict[str, int]:
    shown: dict[str, int] = {}
    if chosen != "needs":
        shown["needs"] = min(1 + max(1, counts["needs"]), max(2, lines // 3))
    if chosen != "events":
        shown["events"] = max(2, lines // 4)
    return {**shown, chosen: lines - sum(shown.values())}


def _column(
    lines: int, names: tuple[str, ...], counts: Mapping[str, int], first: str
) -> dict[str, int]:
    """Each is as high as its rows, up to a part; `first` takes what is left."""
    most = {"needs": lines // 4, "events": lines // 3}
    shown = {
        name: min(1 + max(1, counts[name]), most.get(name, lines // 5))
        for name in names
        if name != first
    }
    if "events" in shown:
        shown["events"] = most["events"]
    return shown | {first: lines - sum(shown.values())}
