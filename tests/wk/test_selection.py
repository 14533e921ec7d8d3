"""Questions about items: each filter alone and together, on the secondary index."""

from __future__ import annotations

import json
import sqlite3
from itertools import product

import pytest
from support import Json, Shell

from coord_envelope import Event
from coord_kernel.views import view
from coord_kernel.views.past import Snapshot
from coord_wk import fold
from coord_wk import groups as g
from coord_wk.items import Items
from coord_wk.selection import fits, groups, select

NOW_MS = 1_767_225_600_000
VALUES: dict[str, list[Json]] = {
    "kind": [{}, {"kind": "bug"}],
    "priority": [{}, {"priority": 0}],
    "assignee": [{}, {"assignee": "agent:ada"}],
    "labels": [{}, {"labels": ["ui", "area:x y"]}],
    "fields": [{}, {"fields": {"route": "east", "n": 7, "on": True}}],
    "parent": [{}, {"parent": "0" * 26}],
}


def new(shell: Shell, title: str, *options: str) -> str:
    return shell(f"wk new {title} {' '.join(options)} -o id").out.strip()


def refused(shell: Shell, line: str, status: int, words: str) -> None:
    done = shell(line, expect=status)
    assert words in done.err and done.out == "" and done.err.count("\n") == 1


def event(number: int, kind: str, body: Json, item: int | None = None) -> Event:
    about = f"{number if item is None else item:026}"
    return Event(
        b"",
        {
            "event_id": f"{number:026}",
            "type": f"work.{kind}",
            "refs": {"work_id": about},
            "base": [] if item is None else [about],
            "ts": "2026-01-01T00:00:00.000Z",
            "actor": {"agent_id": "agent:bob"},
            "writer": "agent.bob~00000001",
            "body": body,
        },
        "s",
    )


@pytest.fixture(scope="module")
def items() -> Items:
    """Every combination of values, open, held by somebody, and closed."""
    events, ends = [event(0, "created", {"title": "top"})], []
    for parts in product(*VALUES.values()):
        for end in (None, "claimed", "closed"):
            number = len(events)
            body = {"title": "t"} | {name: value for part in parts for name, value in part.items()}
            events.append(event(number, "created", body))
            if end:
                ends.append((number, end))
    for number, end in ends:
        body = {"gen": 1} if end == "claimed" else {"resolution": "done"}
        events.append(event(len(events), end, body, number))
    return Items(Snapshot(fold, events), NOW_MS)


ASKED = [
    g.Listing(kind=["bug"]),
    g.Listing(kind=["bug", "task"], priority=["0"]),
    g.Listing(priority=["2", "0"]),
    g.Listing(assignee="agent:ada"),
    g.Listing(unassigned=True),
    g.Listing(unassigned=True, assignee="agent:ada", label=["ui"]),
    g.Listing(label=["ui", "area:x y"]),
    g.Listing(field=["route=east", "n=7"]),
    g.Listing(field=["on=true"]),
    g.Listing(field=["route=eas"]),
    g.Listing(parent="0" * 26, kind=["bug"]),
    g.Listing(owner="agent:bob"),
    g.Listing(),
]


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: str(asked.given()))
def test_the_index_finds_what_reading_all_items_finds(items: Items, asked: g.Listing) -> None:
    wanted = groups(items, asked)
    all_of_them = [name for name in items.everything() if fits(items, name, wanted)]
    open_ones = [name for name in items.ranked("open") if fits(items, name, wanted)]
    assert list(select(items, wanted, closed=True)) == all_of_them
    assert list(select(items, wanted)) == open_ones
    assert bool(all_of_them) == (asked.field != ["route=eas"])


def test_a_question_is_one_search_of_the_index() -> None:
    db = sqlite3.connect(":memory:")
    db.executescript(view.View.tables)
    for sql in (view._PAGE, view._COUNT):
        values = ("has", "kind bug\0", "kind bug\0", "", 9)[: sql.count("?")]
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
        searches = [step for step in plan if "secondary" in step]
        assert searches and all("SEARCH" in step and "name=?" in step for step in searches), plan
        assert all("value" in step for step in searches), plan
        assert not [step for step in plan if "TEMP B-TREE" in step], plan


def test_ls_and_ready_take_the_same_filters(shell: Shell) -> None:
    top = new(shell, "top")
    a = new(shell, "a", "--field route=east --field n=7 -p 0 --assignee ada -l ui")
    b = new(shell, "b", "--field route=west --kind bug", "--parent", top)
    for verb, asked, answer in (
        ("ls", "--field route=east", [a]),
        ("ready", "--field route=east --field n=7", [a]),
        ("ready", "--field route=north", []),
        ("ls", f"--parent {top[-8:].lower()}", [b]),
        ("ready", f"--parent {top} --kind bug", [b]),
        ("ls", "-p 0 -p 1", [a]),
        ("ready", "--priority 0", [a]),
        ("ls", "--assignee ada", [a]),
        ("ready", "--unassigned", [b]),
        ("ls", "--unassigned --not-kind bug", [top]),
        ("ready", "--assignee ada --unassigned", [a, b]),
        ("ls", "--owner tester", []),
    ):
        assert shell(f"wk {verb} {asked} -o id").out.split() == answer, (verb, asked)
    shell(f"wk claim {b}; wk close {a}")
    assert shell("wk ls --owner tester -o id").out.split() == [b]
    assert shell("wk ls --status active -o id").out.split() == [b]
    assert shell("wk ls --all --field n=7 -o id").out.split() == [a]
    assert shell("wk ls --status done --label ui -o id").out.split() == [a]
    shell(f"wk reopen {a}; wk update {a} --field n=8 --rm-label ui --assignee bob")
    assert shell("wk ls --field n=7; wk ls --label ui; wk ls --assignee ada").out == ""
    assert shell("wk ls --field n=8 --assignee bob -o id").out.split() == [a]
    assert shell("wk ls --field n=7 --at 0s").out == ""


def test_full_rows_are_what_show_prints(shell: Shell) -> None:
    item = new(shell, "x", "--desc long --field a=b")
    assert shell("wk ls --full").lines == shell(f"wk show {item}").lines
    assert shell("wk ready --full -n 1").one["desc"] == "long"
    refused(shell, "wk ready --claim --full", 2, "--full")


def test_what_cannot_match_is_refused(shell: Shell) -> None:
    refused(shell, "wk ls --priority 7", 2, "not a valid priority")
    refused(shell, "wk ls --field route", 65, "not K=V")
    refused(shell, "wk ready --parent nothing-like-it", 1, "no such work item")
    refused(shell, "wk ls --assignee 'a b'", 65, "--assignee")


def test_a_value_of_any_length_and_sort_is_found(shell: Shell) -> None:
    values = ["x" * 4000, "x" * 3999 + "y", "a b=c", "~", "ünï", "7", "true"]
    lines = [{"title": str(at), "fields": {"k": value}} for at, value in enumerate(values)]
    made = shell("wk new -o id", "\n".join(map(json.dumps, lines))).out.split()
    for item, value in zip(made, values, strict=True):
        assert shell(f"wk ls --field 'k={value}' -o id").out.split() == [item]


def test_claiming_the_first_passes_over_what_is_assigned_to_others(shell: Shell) -> None:
    theirs = [new(shell, "theirs", "-p 0 --assignee lead") for _ in range(3)]
    mine = new(shell, "mine", "-p 3 --assignee tester -l ui")
    done = shell("wk ready --claim --assignee lead", expect=1)
    assert "3 are" in done.err and "--anyone" in done.err
    assert shell("wk ready --claim -o id").out.split() == [mine]
    assert shell("wk ready --claim --assignee lead --anyone -o id").out.split() == [theirs[0]]
