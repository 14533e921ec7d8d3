"""The measured and the simulated figures as tables; exit status 1 if a demand is missed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from scale import towns
from scale.model import MOST_OFF, Check, Model, Point, fit

LEAST_GAIN = 1.15
"""How many times as much a sync costs at the last size if it must read each ref's manifest."""
SEED = 32
LARGE = (1_000, 10_000)
TOWN, EVERY_S, EVENTS = 10, 30.0, 60.0
"""Replicas of a town; a sync of each every 30 s, and 60 events an hour."""
BURSTS, OWN_MACHINES = (10, 100, 1_000), 1e9


def show(figures: dict[str, Any]) -> int:
    """Print everything."""
    print(f"{figures['date']}; {figures['machine']}\n")
    missed = 0
    for kind, measured in figures["kinds"].items():
        points = [Point(*point) for point in measured["points"]]
        sizes = sorted({point.refs for point in points})
        model, checks = checked(points, sizes)
        print(f"{kind}: CPU of one act, measured and simulated; and foretold from fewer replicas\n")
        print("\n".join(curve(checks)))
        for fact in measured["facts"]:
            print(fact)
        for name in ("fanout", "claims", "manifests", "archived"):
            if name in measured:
                print(f"{name}: {measured[name]}")
        missed += sum(not check.holds for check in checks)
        if "manifests" in measured:
            gain = measured["manifests"]["without_s"] / measured["manifests"]["with_s"]
            print(f"a sync that reads every manifest costs {gain:.2f} times; at least {LEAST_GAIN}")
            missed += gain < LEAST_GAIN
        print("\n".join(["", *simulated(model), ""]))
    if "git" in figures["kinds"]:
        print("\n".join(races(figures["kinds"]["git"])))
    print(f"\n{missed} demands are missed" if missed else "\nall demands hold")
    return int(missed > 0)


def checked(points: Sequence[Point], sizes: Sequence[int]) -> tuple[Model, list[Check]]:
    """The model, and what the simulation says beside each measured point."""
    model, last = fit(points), sizes[-1]
    said = _said(model, sizes)
    smaller = fit(point for point in points if point.refs != last)
    foretold = {key: cost for key, cost in _said(smaller, sizes).items() if key[1] == last}
    places = [(point.act, point.refs) for point in points]
    return model, [
        Check(point, said[place], foretold.get(place))
        for point, place in zip(points, places, strict=True)
    ]


def _said(model: Model, sizes: Sequence[int]) -> dict[tuple[str, int], float]:
    """The simulated cost of each act at each size."""
    said = {(point.act, point.refs): point.cpu_s for point in towns.measured(model, sizes)}
    views = {(act, size): model.cost(act, size) for act in ("ready", "tail") for size in sizes}
    return said | views


def curve(checks: Sequence[Check]) -> Iterator[str]:
    """One row a point."""
    yield "| act | replicas | taken in | measured | simulated | off | foretold | |"
    yield "|---|---:|---:|---:|---:|---:|---:|---|"
    for check in sorted(checks, key=lambda check: (check.point.act, check.point.refs)):
        act, refs, taken, cpu_s = check.point
        verdict = "holds" if check.holds else f"**missed**: more than {MOST_OFF:.0%}"
        costs = shown(cpu_s), shown(check.simulated_s)
        cells = (act, refs, taken, *costs, f"{check.off:+.0%}", check.foretold, verdict)
        yield f"| {' | '.join(map(str, cells))} |"


def simulated(model: Model) -> Iterator[str]:
    """The costs with more replicas than were measured."""
    yield "| replicas at one remote | join | quiet | a sync that takes in k | k | of a CPU, each |"
    yield "|---:|---:|---:|---:|---:|---:|"
    for refs in (TOWN, 100, *LARGE):
        day = towns.hour(model, refs, EVERY_S, EVENTS, random.Random(SEED))
        join, quiet = (shown(model.cost(act, refs)) for act in ("join", "quiet"))
        cells = (
            f"{refs:,}",
            join,
            quiet,
            shown(day.sync_s),
            f"{day.taken:,.0f}",
            f"{day.busy:.1%}",
        )
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield f"first `wk ready`: {_views(model, 'ready')}; `ev tail -n 100`: {_views(model, 'tail')}"


def _views(model: Model, act: str) -> str:
    return ", ".join(f"{shown(model.cost(act, refs))} at {refs:,}" for refs in (100, *LARGE))


def races(git: dict[str, Any]) -> Iterator[str]:
    """Claims at once: as measured on this machine, and with a machine for each replica."""
    cores, round_s = 2.0, next(p[3] for p in git["points"] if p[0] == "one")
    yield "| claims at once | | confirmed | tries a claim | the median after | the last after |"
    yield "|---:|---|---:|---:|---:|---:|"
    for row in git.get("claims", ()):
        tries = row["pushes"] / row["claims"]
        ends = f"{row['median_s']:.1f} s | {row['last_s']:.1f} s"
        yield f"| {row['claims']} | measured | {row['confirmed']} | {tries:.1f} | {ends} |"
        yield _race(row["claims"], round_s, cores, "simulated, 2 CPUs")
    for count in BURSTS:
        yield _race(count, round_s, OWN_MACHINES, "simulated, git, own machines")
    for count in BURSTS:
        yield _race(count, LIVE_ROUND_S, OWN_MACHINES, "simulated, a live arbiter")


LIVE_ROUND_S = 0.004
"""A round of a mirror: `pause_s` of `coord_kernel.sync.live.exchange` is made for it."""


def _race(count: int, round_s: float, cores: float, what: str) -> str:
    race = towns.race(count, round_s, cores, random.Random(SEED))
    ends = f"{race.median_s:.1f} s | {race.seconds:.1f} s"
    return f"| {count:,} | {what} | {race.confirmed:,} | {race.tries:.1f} | {ends} |"


def shown(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
