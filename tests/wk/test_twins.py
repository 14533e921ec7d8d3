"""Items made with one key in stores that had not met are one: the oldest stands for all (DESIGN 6)."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from support import Shell


class Two:
    """A store where an item and its part were made, another where they were made too, and how they meet."""

    def __init__(self, here: Shell, there: Shell) -> None:
        self.here, self.there = here, there
        self.items: list[list[str]] = []
        for shell in (here, there):
            shell.env["COORD_AGENT"] = f"at-{shell.cwd.name}"
            whole = shell("wk new whole --key k1 -o id").out.strip()
            part = shell(f"wk new part --key k2 --parent {whole} -o id").out.strip()
            self.items.append([whole, part])

    def meet(self) -> None:
        for one, other in ((self.here, self.there), (self.there, self.here)):
            for file in (one.cwd / ".coord/journal").glob("*/*"):
                to = other.cwd / ".coord/journal" / file.parent.name / file.name
                if not to.exists() or to.stat().st_size < file.stat().st_size:
                    to.parent.mkdir(exist_ok=True)
                    shutil.copy(file, to)

    def both(self, line: str) -> list[dict[str, object]]:
        found = [shell(line).lines for shell in (self.here, self.there)]
        assert found[0] == found[1]
        return found[0]


@pytest.fixture
def two(shell: Shell, tmp_path: Path) -> Two:
    there = Shell(tmp_path / "there")
    there.cwd.mkdir()
    there("git init -q && ev init")
    return Two(shell, there)


def test_each_is_listed_once_and_every_id_leads_to_it(two: Two) -> None:
    two.meet()
    whole, part = map(min, zip(*two.items, strict=True))
    assert [(row["work_id"], row.get("parent")) for row in two.both("wk ls --all")] == [
        (whole, None),
        (part, whole),
    ]
    for one in (each for pair in two.items for each in pair):
        full = whole if one in (two.items[0][0], two.items[1][0]) else part
        assert [row["work_id"] for row in two.both(f"wk show {one} wk-{one[-8:].lower()}")] == [
            full,
            full,
        ]
    assert [row["work_id"] for row in two.both("wk tree")] == [whole, part]


def test_what_was_done_to_either_was_done_to_it(two: Two) -> None:
    two.there(f"wk claim {two.items[1][1]}")
    two.there(f"wk comment {two.items[1][1]} there")
    two.here(f"wk comment {two.items[0][1]} here")
    two.here(f"wk update {two.items[0][1]} --title other --label a")
    two.meet()
    part = min(two.items[0][1], two.items[1][1])
    (found,) = two.both(f"wk show {part}")
    assert (found["status"], found["owner"], found["labels"]) == (
        "active",
        f"agent:at-{two.there.cwd.name}",
        ["a"],
    )
    assert sorted(one["text"] for one in found["comments"]) == ["here", "there"]  # type: ignore[attr-defined]
    assert (
        two.here(f"wk claim {two.items[0][1]}", expect=1).err.count("is held by agent:at-there")
        == 1
    )
    two.there(f"wk close {two.items[0][1]}")
    two.meet()
    assert [row["status"] for row in two.both("wk ls --all")] == ["ready", "done"]
    assert [row["work_id"] for row in two.both("wk ready")] == [
        min(two.items[0][0], two.items[1][0])
    ]


def test_a_write_that_saw_both_values_ends_the_conflict(two: Two) -> None:
    for shell, (whole, _) in zip((two.here, two.there), two.items, strict=True):
        shell(f"wk update {whole} --title {shell.cwd.name}")
    two.meet()
    whole = min(two.items[0][0], two.items[1][0])
    assert len(two.both(f"wk show {whole}")[0]["conflicts"]["title"]) == 1  # type: ignore[index]
    two.here(f"wk update {whole} --title agreed")
    two.meet()
    (found,) = two.both(f"wk show {whole}")
    assert found["title"] == "agreed"
    assert "conflicts" not in found


def test_what_one_waits_on_the_other_waits_on(two: Two) -> None:
    first = two.there("wk new first -o id").out.strip()
    two.there(f"wk dep {two.items[1][1]} {first}")
    two.meet()
    assert [row["work_id"] for row in two.both("wk ready")] == [first]
    two.here(f"wk dep {first} {two.items[0][1]}", expect=65)


def test_what_is_closed_in_one_store_is_not_open_through_the_other(two: Two) -> None:
    # `wk status` ended in a traceback, and `wk ls` listed it: the other's line still said that it was open.
    two.there(f"wk close {two.items[1][1]}")
    two.meet()
    whole = min(two.items[0][0], two.items[1][0])
    assert two.both("wk status") == [{"ready": 1, "active": 0, "blocked": 0, "held": 0}]
    for line in ("wk ls", "wk tree", "wk ready"):
        assert [(row["work_id"], row["status"]) for row in two.both(line)][:1] == [(whole, "ready")]
    assert [row["work_id"] for row in two.both("wk ls")] == [whole]


def test_of_two_parents_only_the_one_that_counts_waits_for_it(two: Two) -> None:
    # Both listed it as a child and waited for it, though its parent is one of them.
    other = two.there("wk new other -o id").out.strip()
    two.there(f"wk update {two.items[1][1]} --parent {other}")
    two.meet()
    whole, part = map(min, zip(*two.items, strict=True))
    assert two.both(f"wk show {part}")[0]["parent"] == other
    assert [row.get("children") for row in two.both(f"wk show {whole} {other}")] == [None, [part]]
    assert {row["work_id"] for row in two.both("wk ready")} == {whole, part}


def test_what_is_open_for_all_of_it_is_listed_though_each_half_says_closed(
    two: Two, tmp_path: Path
) -> None:
    # `wk ls` and `wk ready` did not have it: each half was found by its own last word alone.
    third = Shell(tmp_path / "third")
    third.cwd.mkdir()
    third("git init -q && ev init")
    early, now, late = "2026-01-17T02:00:00Z", "2026-01-17T12:00:00Z", "2026-01-17T22:00:00Z"
    old = two.there("wk new t --key k -o id", COORD_NOW=early).out.strip()
    new = two.here("wk new t --key k -o id", COORD_NOW=now).out.strip()
    two.here(f"wk close {new}", COORD_NOW=now)
    third(f"ev sync --with {two.here.cwd}", COORD_NOW=late)
    two.here(f"wk reopen {new}", COORD_NOW=now)
    third(f"wk reopen {new} && wk close {new}", COORD_NOW=late)
    two.there(f"ev sync --with {third.cwd} && wk reopen {old} && wk close {old}", COORD_NOW=early)
    two.here(f"ev sync --with {two.there.cwd}", COORD_NOW=now)
    assert old in [row["work_id"] for row in two.both("wk ls --all --status ready")]
    for line in ("wk ls", "wk ready"):
        assert old in [row["work_id"] for row in two.both(line)]


def test_a_filter_finds_only_what_the_united_item_is(two: Two) -> None:
    for shell, (whole, _), who in zip(
        (two.here, two.there), two.items, ("ada", "bob"), strict=True
    ):
        shell(f"wk update {whole} --assignee {who} --field route={who}")
    two.meet()
    whole = min(two.items[0][0], two.items[1][0])
    (found,) = two.both(f"wk show {whole}")
    for who in ("ada", "bob"):
        answer = [whole] if found["assignee"] == f"agent:{who}" else []
        assert [row["work_id"] for row in two.both(f"wk ls --assignee {who}")] == answer
        answer = [whole] if found["fields"] == {"route": who} else []
        assert [row["work_id"] for row in two.both(f"wk ls --all --field route={who}")] == answer


def test_what_two_stores_made_is_counted_once(two: Two) -> None:
    two.there(f"wk claim {two.items[1][0]}; wk update {two.items[1][1]} --hold x")
    two.here("wk new alone --key k9; wk new free")
    two.meet()
    for line in ("wk ls", f"wk close {two.items[0][1]}", f"wk reopen {two.items[0][1]}"):
        two.here(line)
        two.meet()
        statuses = Counter(row["status"] for row in two.both("wk ls"))
        (counts,) = two.both("wk status")
        assert {name: number for name, number in counts.items() if number} == statuses
