"""Dependencies as a drawing: layers from what waits on nothing to what waits longest. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coord_wk.items import Row

WIDTH, HEIGHT, GAP_X, GAP_Y = 208, 52, 72, 14
"""Of a box, and between boxes."""
MOST = 120
"""Boxes in a drawing."""
ROUNDS = 4
"""How often the order in layers is improved."""


class Box(NamedTuple):
    """An item."""

    item: Row
    x: int
    y: int


class Arrow(NamedTuple):
    """From what is waited for to what waits: a curve, as SVG's `d` has it."""

    path: str
    kind: str
    """blocked_by or parent"""


class Drawing(NamedTuple):
    """All of it."""

    boxes: list[Box]
    arrows: list[Arrow]
    width: int
    height: int


def drawing(rows: Mapping[str, Row], edges: Sequence[tuple[str, str, str]]) -> Drawing:
    """The drawing of these items, by id, and of (before, after, kind) between them."""
    edges = [edge for edge in edges if edge[0] in rows and edge[1] in rows and edge[0] != edge[1]]
    layers = _layers(list(rows), edges)
    _order(layers, edges)
    places = {
        item: (column * (WIDTH + GAP_X) + 1, row * (HEIGHT + GAP_Y) + 1)
        for column, layer in enumerate(layers)
        for row, item in enumerate(layer)
    }
    boxes = [Box(rows[item], x, y) for item, (x, y) in places.items()]
    tallest = max(map(len, layers), default=0)
    return Drawing(
        boxes,
        [Arrow(_curve(places[before], places[after]), kind) for before, after, kind in edges],
        max(1, len(layers) * (WIDTH + GAP_X) - GAP_X + 2),
        max(1, tallest * (HEIGHT + GAP_Y) - GAP_Y + 2),
    )


def _layers(items: Sequence[str], edges: Sequence[tuple[str, str, str]]) -> list[list[str]]:
    """Each item is one layer behind all that it waits for; a cycle is cut anywhere."""
    level = dict.fromkeys(items, 0)
    for _ in range(len(items)):
        moved = False
        for before, after, _kind in edges:
            if level[after] <= level[before] < len(items):
                level[after], moved = level[before] + 1, True
        if not moved:
            break
    used = sorted(set(level.values()))
    return [[item for item in items if level[item] == number] for number in used]


def _order(layers: list[list[str]], edges: Sequence[tuple[str, str, str]]) -> None:
    """Put what is connected side by side, by the mean place of its neighbours."""
    near: dict[str, list[str]] = {}
    for before, after, _ in edges:
        near.setdefault(before, []).append(after)
        near.setdefault(after, []).append(before)
    for _ in range(ROUNDS):
        for layer in layers:
            row = {item: n for some in layers for n, item in enumerate(some)}

            def mean(item: str, row: Mapping[str, int] = row) -> float:
                others = near.get(item)
                return sum(row[o] for o in others) / len(others) if others else row[item]

            layer.sort(key=mean)


def _curve(begin: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1 = begin[0] + WIDTH, begin[1] + HEIGHT // 2
    x2, y2 = end[0], end[1] + HEIGHT // 2
    bend = max(24, abs(x2 - x1) // 2)
    return f"M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
