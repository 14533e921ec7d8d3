"""coord-dispatch with real processes: never more than allowed, each item once, and a person is asked about a rock."""

from __future__ import annotations

from pathlib import Path

import pytest
from bridges.stubs import install
from proof.witness import Watched
from support import Json, Shell

PRESETS = """
[good]
output = "id"
pass = ["LOG"]
usage = { match = { type = "end" }, input = "in" }
[good.headless]
start = ["{prompt}"]
[bad]
output = "id"
[bad.headless]
start = ["{prompt}"]
[mute.headless]
start = ["{prompt}"]
"""
GOOD = """#!/bin/sh
echo + >>"$LOG"
echo '{"id":"x"}'
wk close "$COORD_WORK" --note "by $COORD_AGENT" >&2
echo '{"type":"end","in":7}'
echo - >>"$LOG"
"""
BAD = """#!/bin/sh
echo '{"id":"x"}'
exit 3
"""


@pytest.fixture
def town(shell: Shell, tmp_path: Path) -> Shell:
    mute = "#!/bin/sh\nexec sleep 600\n"
    install(shell, tmp_path, PRESETS, {"good": GOOD, "bad": BAD, "mute": mute})
    shell.env |= {"LOG": str(tmp_path / "log"), "COORD_AGENT": "boss"}
    return shell


def items(town: Shell, count: int) -> list[str]:
    lines = "\n".join(f'{{"title":"Part {n}"}}' for n in range(count))
    return town("wk new -o id", lines).out.split()


def most_at_once(town: Shell) -> int:
    running = most = 0
    for sign in Path(town.env["LOG"]).read_text().split():
        running += 1 if sign == "+" else -1
        most = max(most, running)
    return most


def started(town: Shell) -> list[Json]:
    rows = town("ev replay --type session.started --agent bridge:dispatch").lines
    return [row for row in rows if "preset" in row["body"]]


@pytest.mark.parametrize(("count", "cap"), [(6, 2)])
def test_two_dispatchers_start_each_item_once_and_never_more_than_allowed(
    town: Shell, count: int, cap: int
) -> None:
    works = items(town, count)
    line = f"coord-dispatch --preset good --max {cap} --delay 0ms"
    with Watched(town, line), Watched(town, line), Watched(town, "coord-patrol"):
        reports = "ev replay --type usage.reported -o id | wc -l"
        town(f"timeout 110 sh -c 'until [ $({reports}) = {count} ]; do sleep 0.1; done'")
    assert most_at_once(town) <= cap
    assert sorted(row["refs"]["work_id"] for row in started(town)) == sorted(works)
    assert all(row["status"] == "done" for row in town("wk ls --all").lines)
    assert {e["body"]["input"] for e in town("ev replay --type usage.reported").lines} == {7}
    agents = {row["body"]["agent"] for row in started(town)}
    assert agents == {f"agent:good-{number}" for number in range(1, cap + 1)}


def test_what_does_not_come_up_is_undone_by_the_dispatcher(town: Shell) -> None:
    (town.cwd / "coord.toml").write_text('[agents]\nwithin = "1ms"\n')
    (work,) = items(town, 1)
    town("coord-dispatch --preset mute --once")
    town("coord-dispatch --preset mute --once")
    (row,) = town("coord-agent ls --all").lines
    assert (row["status"], row["how"], row["why"]) == ("ended", "crash", "did not come up")
    assert town(f"wk show {work}").one["status"] == "ready"
    for job in town("run ls -o id").out.split():  # its runner may be about to report
        town(f"timeout 60 run attach {job}", expect=None)
    assert town("run ls").out == town("coord-patrol --once").out == ""


def test_a_rock_is_held_and_what_the_person_answers_is_done(town: Shell) -> None:
    settings = '[dispatch]\npresets = ["bad"]\nbackoff = "0ms"\ndelay = "0ms"\n[patrol]\noverseer = "human:eve"\n'
    (town.cwd / "coord.toml").write_text(settings)
    work, other = items(town, 2)
    town(f"wk dep {other} {work}")

    def tries(count: int) -> None:
        for _ in range(count):
            town("coord-dispatch --once")
            run = town("coord-agent ls --all").lines[-1]["run"]
            town(f"run attach {run}", expect=3)
            town("coord-patrol --once")

    tries(3)
    (skipped,) = town("coord-dispatch --once").lines
    assert (skipped["type"], skipped["body"]["failures"]) == ("mountain.skipped", 3)
    held = town(f"wk show {work}").one
    assert (held["status"], held["labels"]) == ("held", ["mountain.skipped"])
    assert town("coord-dispatch --once").out == town("coord-dispatch --dry-run").out == ""
    (asked,) = town("msg recv --as human:eve").lines
    assert "failed 3 times and is on hold" in asked["body"]["subject"]
    question = asked["refs"]["work_id"]
    assert skipped["body"]["question"] == question
    town(f"wk answer {question} retry --as human:eve")
    (cleared,) = town("coord-dispatch --once").lines[:1]
    assert cleared["type"] == "mountain.cleared"
    town("coord-dispatch --once")
    run = town("coord-agent ls --all").lines[-1]["run"]
    town(f"run attach {run}", expect=3)
    town("coord-patrol --once")
    tries(2)
    town("coord-dispatch --once")
    (again,) = [row["work_id"] for row in town("wk ls --kind question").lines]
    assert again != question
    town(f"wk answer {again} 'accept partial' --as human:eve")
    town("coord-dispatch --once")
    assert town(f"wk show {work}").one["status"] == "done"
    assert town(f"wk show {other}").one["status"] in ("ready", "active")


def test_what_is_wrong_is_one_line(town: Shell) -> None:
    for line, text, status, what in (
        ("coord-dispatch --once", "", 2, "no preset; use --preset P, or [dispatch] presets"),
        ("coord-dispatch --once", "[dispatch]\nmaxx = 3", 65, "not a valid setting: dispatch.maxx"),
        ("coord-dispatch --once", "[dispatch]\nmax = 0", 65, "dispatch.max is not a number from 1"),
        ("coord-dispatch --preset no --once", "", 1, "unknown preset: no; known presets: "),
        ("coord-dispatch --preset good --delay 5 --once", "", 2, "not a valid time: --delay 5"),
    ):
        (town.cwd / "coord.toml").write_text(text)
        done = town(line, expect=status)
        assert what in done.err
        assert done.err.count("\n") == 1
    (town.cwd / "coord.toml").write_text("")
    (work,) = items(town, 1)
    assert "was not passed over" in town(f"coord-dispatch clear {work}", expect=1).err
