"""Questions over live remotes: two clones answer at once, one answer counts, and the other learns whose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from live.engines import Server, serving
from live.test_mirror import clone
from support import Shell


@pytest.fixture(params=["redis", "nats", "ws"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with serving(request.param, tmp_path / "server") as started:
        yield started


def test_of_two_clones_one_answers_and_the_other_learns_whose_counts(
    server: Server, tmp_path: Path
) -> None:
    clones = [clone(tmp_path, name, server) for name in ("one", "two")]
    asker = clone(tmp_path, "asker", server)
    asked = asker("wk ask 'Deploy?' --to human:ada -o id").out.strip()
    asker("ev sync")
    for each in clones:
        each("ev sync")
    given = [("human:ada", "yes"), ("human:bob", "no")]
    running = [
        each.popen(f"wk answer {asked} {option} --as {name}", stdout=-1, stderr=-1)
        for each, (name, option) in zip(clones, given, strict=True)
    ]
    ended = [(process.communicate(), process.returncode) for process in running]
    assert sorted(code for _, code in ended) == [0, 1], ended
    winner = given[[code for _, code in ended].index(0)]
    (lost,) = [err.decode() for (_, err), code in ended if code]
    assert f"{winner[0]} answer" in lost and winner[1] in lost
    everybody: list[Shell] = [*clones, asker]
    for _ in range(2):
        for each in everybody:
            each("ev sync")
    checked = [each(f"wk check {asked}", expect=None) for each in everybody]
    assert {(done.one["answered_by"], done.one["answer"]) for done in checked} == {winner}
    assert {done.status for done in checked} == {0 if winner[1] == "yes" else 1}
