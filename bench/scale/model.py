"""What a sync costs, as lines fitted to measured points. Pure.

A store that joins takes in all N refs (or streams of a log); one that has synced before takes in k
of N. So four acts are measured at each size, and their cost in CPU seconds is taken for

    join    a + b N
    quiet   a + b N              nothing is new on either side
    one     a + b N              gives one event, takes in one ref
    some    one(N) + c (k - 1)   gives one event, takes in k refs

and a few other acts (`ready`, `tail`, …) for a line, too. The lines are fitted to all sizes; how
well those through the smaller ones foretell the last one is shown beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

MOST_OFF = 0.2
"""How far a prediction may be off a measured point, as a part of it."""


class Point(NamedTuple):
    """One measured cost."""

    act: str
    refs: int
    """Replicas there, this one among them."""
    taken: int
    """Refs that had something new for this store."""
    cpu_s: float
    """User and system, of the command and its children."""


class Line(NamedTuple):
    """`base + slope x`, both at least 0: nothing becomes cheaper by more of it."""

    base: float
    slope: float

    def at(self, count: float) -> float:
        return self.base + self.slope * count


class Model(NamedTuple):
    """The lines of one kind of remote."""

    lines: dict[str, Line]
    """Per act, over the refs."""
    each: float
    """CPU seconds for each ref that is taken in, beyond the first one."""

    def cost(self, act: str, refs: float, taken: float = 1) -> float:
        """CPU seconds. Raises KeyError if the act was not measured."""
        if act == "some":
            return self.lines["one"].at(refs) + self.each * max(taken - 1, 0)
        return self.lines[act].at(refs)


def line(rows: Sequence[tuple[float, float]]) -> Line:
    """The least squares of relative errors through (count, cost); flat if it would fall."""
    weights = [1 / cost**2 for _, cost in rows]
    total = sum(weights)
    mean_x = sum(w * x for w, (x, _) in zip(weights, rows, strict=True)) / total
    mean_y = sum(w * y for w, (_, y) in zip(weights, rows, strict=True)) / total
    spread = sum(w * (x - mean_x) ** 2 for w, (x, _) in zip(weights, rows, strict=True))
    both = zip(weights, rows, strict=True)
    slope = sum(w * (x - mean_x) * (y - mean_y) for w, (x, y) in both) / spread if spread else 0
    if slope <= 0:
        return Line(mean_y, 0.0)
    base = mean_y - slope * mean_x
    if base < 0:
        squares = sum(w * x * x for w, (x, _) in zip(weights, rows, strict=True))
        return Line(0.0, sum(w * x * y for w, (x, y) in zip(weights, rows, strict=True)) / squares)
    return Line(base, slope)


def fit(points: Iterable[Point]) -> Model:
    """The model of these points. Without an act "some" a ref costs nothing to take in."""
    rows: dict[str, list[tuple[float, float]]] = {}
    some: list[Point] = []
    for point in points:
        if point.act == "some":
            some.append(point)
        else:
            rows.setdefault(point.act, []).append((point.refs, point.cpu_s))
    lines = {act: line(of_act) for act, of_act in rows.items()}
    parts = [(p.taken - 1, p.cpu_s - lines["one"].at(p.refs)) for p in some if p.taken > 1]
    squares = sum(count * count for count, _ in parts)
    each = max(sum(count * cost for count, cost in parts) / squares, 0.0) if squares else 0.0
    return Model(lines, each)


class Check(NamedTuple):
    """A measured point beside what the simulation says of it."""

    point: Point
    simulated_s: float
    foretold_s: float | None = None
    """At the last size: what the lines through the other sizes say. Not a demand."""

    @property
    def off(self) -> float:
        return _off(self.simulated_s, self.point)

    @property
    def foretold(self) -> str:
        return "" if self.foretold_s is None else f"{_off(self.foretold_s, self.point):+.0%}"

    @property
    def holds(self) -> bool:
        return abs(self.off) <= MOST_OFF


def _off(said_s: float, point: Point) -> float:
    """The difference as a part of what was measured."""
    return said_s / point.cpu_s - 1
