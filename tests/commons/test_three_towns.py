"""Three towns over git and over the relay: races, kills at random, submissions, stamps; one winner, equal views.

The long form (`make commons`) has 50 offers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest
from commons.three_towns import KILLED, NAMES, Towns, rows_of
from live.engines import serving

VALUES = "--quality {} --reliability {} --creativity {}"


@pytest.fixture(params=["git", "ws"])
def towns(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Towns]:
    if request.param == "git":
        yield Towns(tmp_path)
        return
    with serving(request.param, tmp_path / "server") as server:
        yield Towns(tmp_path, server)


class Story:
    """What towns do, some of it killed at a random moment and then done again."""

    def __init__(self, towns: Towns, seed: int) -> None:
        self.towns, self._random, self.kills = towns, random.Random(seed), 0

    def run(self, rows: list[tuple[str, str]]) -> list[int]:
        """Commands at once, until none was killed; their statuses."""
        cut = [self._cut(line) for _, line in rows]
        pairs = [(town, line) for (town, _), line in zip(rows, cut, strict=True)]
        statuses = [done.status for done in self.towns.at_once(pairs)]
        again = [at for at, status in enumerate(statuses) if status in KILLED]
        self.kills += len(again)
        for at, done in zip(again, self.towns.at_once(rows[at] for at in again), strict=True):
            statuses[at] = done.status
        return statuses

    def _cut(self, line: str) -> str:
        if self._random.random() > 0.4:
            return line
        return f"timeout -s KILL {self._random.uniform(0.02, 1.5):.3f} {line}"

    def each(self, rows: list[tuple[str, str]]) -> list[int]:
        """The same, for any number: of each town one at a time."""
        order = sorted(range(len(rows)), key=lambda at: rows[at][0])
        queues = [list(group) for _, group in groupby(order, key=lambda at: rows[at][0])]
        statuses = [-1] * len(rows)
        while any(queues):
            turn = [queue.pop(0) for queue in queues if queue]
            for at, status in zip(turn, self.run([rows[at] for at in turn]), strict=True):
                statuses[at] = status
        return statuses


def test_one_winner_each_stamped_once_a_giver_and_equal_views(
    towns: Towns, request: pytest.FixtureRequest
) -> None:
    long = request.config.getoption("--long")
    towns.join()
    story = Story(towns, 7)
    owners = [NAMES[n % 3] for n in range(50 if long else 1 if towns.server else 2)]
    items = [
        towns.town[name](f"wk new 'thing {n}' -o id").out.strip() for n, name in enumerate(owners)
    ]
    pairs = list(zip(owners, items, strict=True))
    assert set(story.each([(name, f"coord-commons offer {item}") for name, item in pairs])) == {0}
    towns.sync()
    offers = {row["title"]: row for row in towns.listed(NAMES[2])}
    works = [offers[f"thing {n}"]["work_id"] for n in range(len(owners))]
    assert [offers[f"thing {n}"]["by"] for n in range(len(owners))] == [
        f"agent:{name}" for name in owners
    ]

    winners = []
    for owner, work in zip(owners, works, strict=True):
        others = [name for name in NAMES if name != owner]
        statuses = story.run([(name, f"coord-commons take {work}") for name in others])
        assert sorted(statuses) == [0, 1], f"one wins: {statuses}"
        winners.append(others[statuses.index(0)])
    towns.sync()
    taken = {row["work_id"]: row["taken_by"] for row in towns.listed(NAMES[2])}
    assert [taken[work] for work in works] == [f"agent:{name}" for name in winners]
    for name in NAMES:
        mirrored = towns.town[name]("wk ls").lines
        assert len(mirrored) == winners.count(name) + owners.count(name)

    lines = [
        (name, f"coord-commons submit {work} --evidence commit=abc")
        for name, work in zip(winners, works, strict=True)
    ]
    assert set(story.each(lines)) == {0}
    towns.sync()
    assert set(
        story.each(
            [
                (owner, f"coord-commons accept {work}")
                for owner, work in zip(owners, works, strict=True)
            ]
        )
    ) == {0}
    towns.sync()
    stamps = [
        (name, f"coord-commons stamp {work} {VALUES.format(n % 6, (n + 1) % 6, 3)}")
        for n, work in enumerate(works)
        for name in NAMES
    ]
    twice = stamps + stamps if long else stamps
    statuses = story.each(twice)
    for (name, line), status in zip(twice, statuses, strict=True):
        winner = winners[works.index(line.split()[2])]
        assert status == (77 if name == winner else 0), f"{name}: {line}"

    view = towns.same_views()
    assert {row["status"] for row in rows_of(view, "title")} == {"accepted"}
    reputations = rows_of(view, "subject")
    assert sum(row["stamps"] for row in reputations) == 2 * len(works)
    assert not [row for row in view if row.get("flag") == "refused" and row["why"] != "repeated"]
    for row in rows_of(view, "title"):
        givers = [stamp["by"] for stamp in row["stamps"]]
        assert len(givers) == len(set(givers)) == 2
    for name in NAMES:
        printed = towns.town[name]("coord-commons reputation").lines
        assert sorted(row["subject"] for row in printed) == [row["subject"] for row in reputations]
    assert story.kills, "nothing was killed"
