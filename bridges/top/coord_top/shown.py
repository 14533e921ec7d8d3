"""The lines above and below the panels: parts of text with the names of their styles. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from coord_envelope import world
from coord_kernel.cli.words import age_ms, line
from coord_top.arrange import PANELS, TITLES
from coord_top.table import Ref

if TYPE_CHECKING:
    from coord_top.seen import Seen

Parts = list[tuple[str, str]]
HINTS = {
    "item": (("Enter", "open"), ("c", "claim"), ("t", "assign"), ("h", "hand off"), ("s", "say")),
    "question": (("Enter", "open"), ("a", "answer"), ("s", "say"), ("e", "escalate")),
    "agent": (("Enter", "open"), ("s", "say"), ("h", "hand off"), ("e", "escalate")),
    "lease": (("Enter", "open"), ("r", "release"), ("s", "say")),
    "job": (("Enter", "open"), ("x", "cancel"), ("s", "say")),
    "message": (("Enter", "open"), ("a", "answer"), ("d", "done")),
    "event": (("Enter", "open"), ("s", "say")),
    "store": (("Enter", "open"),),
    "": (),
}
"""Kind of a record → the keys that one wants there."""
ASKED: Parts = [
    (" Enter", "id"),
    (" do it  ", "dim"),
    ("Tab", "id"),
    (" complete  ", "dim"),
    ("Esc", "id"),
    (" leave it", "dim"),
]
"""The keys while a question is open."""
TRAVEL = (("n", "now"), ("[ ]", "step"), ("{ }", "hour"))
ALWAYS = (("?", "help"), ("p", "problems"), ("/", "filter"), ("@", "time"), ("q", "quit"))


def clock(ts: str) -> str:
    """The time of day of a stamp, here."""
    try:
        return datetime.fromisoformat(ts).astimezone().strftime("%H:%M:%S")
    except (ValueError, OverflowError):
        return line(ts, 8)


def day(ts: str) -> str:
    """Date and time of a stamp, here."""
    try:
        return datetime.fromisoformat(ts).astimezone().strftime("%a %d %b %H:%M:%S")
    except (ValueError, OverflowError):
        return line(ts, 30)


def header(seen: Sequence[Seen], query: str, marks: Sequence[str]) -> Parts:
    """Left of the header: what is looked at, and when. `marks`: `read only` and the like."""
    names = ", ".join(line(each.shop.project, 40) for each in seen)
    parts: Parts = [(f" {names or 'coord-top'}", "title")]
    counts = {name: sum(each.shop.counts.get(name, 0) for each in seen) for name in ("ready",)}
    groups = [agent["group"] for each in seen for agent in each.agents]
    for number, text, style in (
        (groups.count("stalled"), "stalled", "bad"),
        (groups.count("waiting"), "waiting", "soon"),
        (groups.count("working"), "working", "good"),
        (counts["ready"], "ready", "id"),
    ):
        if number:
            parts += [(" · ", "dim"), (f"{number:,} {text}", style)]
    for mark in marks:
        parts += [(" · ", "dim"), (mark, "soon")]
    if query:
        parts += [(" · ", "dim"), (f"/{line(query, 40)}", "id")]
    return parts


def when(at: str | None, now_ms: int) -> Parts:
    """Right of the header: live, or the moment that is shown and how long ago it was."""
    if at is None:
        return [("● ", "good"), ("live ", "dim")]
    ago = age_ms(max(0, now_ms - world.parse_ts(at)))
    return [("  ◀ ", "soon"), (day(at), "soon"), (f" · {ago} ago ", "dim")]


def tabs(counts: Mapping[str, int], chosen: str) -> Parts:
    """The panels with their keys, for a terminal that shows one of them."""
    parts: Parts = []
    for number, name in enumerate(PANELS, 1):
        count = f" {counts[name]:,}" if name != "events" and counts.get(name) else ""
        style = "title" if name == chosen else "dim"
        parts += [(f" {number}", "id"), (f" {TITLES[name]}{count} ", style)]
    return parts


def keys(ref: Ref | None, reading: bool, read_only: bool, past: bool, width: int) -> Parts:
    """The keys at the bottom that fit: those of the record first, as far as they do something.

    `reading`: its page is open.
    """
    own = HINTS[ref.kind if ref else ""]
    first = (("Esc", "back"),) if reading else own[:1]
    own = (*first, *(TRAVEL if past else () if read_only else own[1:]))
    parts: Parts = [(" ", "")]
    for key, about in (*own, *ALWAYS):
        width -= len(f"{key} {about}  ")
        if width >= 0:
            parts += [(key, "id"), (f" {about}  ", "dim")]
    return parts


def todo(ref: Ref | None) -> Parts:
    """What can be done about the chosen row, where it says so."""
    return [(ref.todo, "dim")] if ref and ref.todo else []
