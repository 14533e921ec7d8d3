"""The cost model and the simulation of `bench/scale`, without its processes."""

from __future__ import annotations

import copy
import random
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"
sys.path.append(str(BENCH))

from scale import report, towns  # noqa: E402
from scale.model import Check, Line, Model, Point, fit, line  # noqa: E402

SIZES = (10, 30, 60, 100)
LINES = {"join": Line(0.2, 0.005), "one": Line(0.1, 0.001), "quiet": Line(0.06, 0.0002)}
MODEL = Model(LINES | {"ready": Line(0.05, 0.001), "tail": Line(0.04, 0.0)}, 0.003)


def figures(model: Model) -> dict[str, Any]:
    """What would have been measured if replicas cost exactly this."""
    points = list(towns.measured(model, SIZES))
    points += [
        Point(act, size, size - 1, model.cost(act, size))
        for act in ("ready", "tail")
        for size in SIZES
    ]
    measured = {"points": points, "facts": [], "manifests": {"with_s": 0.1, "without_s": 0.2}}
    return {"date": "", "machine": "", "kinds": {"git": measured}}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(10, 1.2), (30, 1.6), (60, 2.2)], (1.0, 0.02)),
        ([(10, 2.0), (60, 1.0)], (None, 0.0)),  # nothing is cheaper with more replicas
        ([(10, 1.0), (20, 4.0)], (0.0, None)),  # and nothing costs less than nothing
        ([(10, 1.5)], (1.5, 0.0)),
    ],
)
def test_a_line_through_costs(
    rows: list[tuple[float, float]], expected: tuple[float | None, float | None]
) -> None:
    fitted = line(rows)
    for value, wanted in zip(fitted, expected, strict=True):
        assert value >= 0
        assert wanted is None or value == pytest.approx(wanted)


def test_what_was_simulated_is_fitted_as_it_was() -> None:
    model = fit(point for point in towns.measured(MODEL, SIZES) if point.refs != 100)
    for act, wanted in LINES.items():
        assert model.lines[act] == pytest.approx(wanted)
    assert model.each == pytest.approx(MODEL.each)


def test_a_sync_takes_in_each_ref_that_was_pushed_since_the_last_one() -> None:
    chance, remote = random.Random(1), towns.Remote(3_000)
    log: list[int] = []
    seen = [0] * 20
    for _ in range(2_000):
        name = chance.randrange(20)
        assert remote.changed(seen[name], name) == len({*log[seen[name] :]} - {name})
        if chance.random() < 0.5:
            remote.push(name)
            log.append(name)
        seen[name] = len(log)
    assert remote.refs == 20


def test_the_schedule_is_that_of_the_real_replicas() -> None:
    taken = {(point.act, point.refs): point.taken for point in towns.measured(MODEL, SIZES)}
    assert [taken["join", size] for size in SIZES] == [9, 29, 59, 99]
    assert [taken["some", size] for size in SIZES] == [9, 20, 30, 40]
    assert [taken["one", size] for size in SIZES] == [1] * 4


def test_an_hour_is_what_its_seed_says_and_grows_with_the_replicas() -> None:
    days = [towns.hour(MODEL, refs, 30, 60, random.Random(5)) for refs in (10, 10, 300)]
    assert days[0] == days[1]
    assert 2 < days[0].taken < 6  # 4 of 10: e ** -0.5 of them have written nothing
    assert days[2].taken > 20 * days[0].taken
    assert days[2].busy > days[0].busy


def test_a_race_has_one_winner_a_tip() -> None:
    alone = towns.race(1, 0.2, 2, random.Random(3))
    assert (alone.confirmed, alone.tries) == (1, 1)
    few, many = (towns.race(count, 0.2, 1e9, random.Random(3)) for count in (5, 200))
    assert few.confirmed == 5 and few.tries > 1
    assert many.confirmed < 200 and many.tries <= towns.TRIES
    assert many == towns.race(200, 0.2, 1e9, random.Random(3))


def test_a_point_that_is_off_by_more_than_a_fifth_fails(capsys: pytest.CaptureFixture[str]) -> None:
    exact = figures(MODEL)
    assert report.show(exact) == 0
    assert "all demands hold" in capsys.readouterr().out
    for index, point in enumerate(exact["kinds"]["git"]["points"]):
        if point.refs == 60:
            off = copy.deepcopy(exact)
            dearer = point._replace(cpu_s=point.cpu_s * 2)
            off["kinds"]["git"]["points"][index] = dearer
            assert report.show(off) == 1, point
            assert "**missed**" in capsys.readouterr().out
    weak = copy.deepcopy(exact)
    weak["kinds"]["git"]["manifests"]["without_s"] = 0.11
    assert report.show(weak) == 1
    assert Check(Point("one", 10, 1, 1.0), 0.79).holds is False
