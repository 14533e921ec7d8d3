"""What brings an item to a wished state: a table of events, for each state that an item may be in."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from support import Shell

from coord_envelope import BadData
from coord_kernel.cli.call import Call
from coord_wk.desk import Desk, agent_of, fields_of, shown, spread

HOLD = {"set": {"hold": "blocked"}, "status": "held"}
IN_PROGRESS: Any = {"status": "in_progress"}
CLOSED: Any = {"status": "closed", "closing": {"resolution": "done", "note": "n"}}
TABLE: list[tuple[str, Any, str]] = [
    ("open", {}, ""),
    ("open", {"set": {"title": "x"}}, ""),
    ("open", {"set": {"title": "y", "priority": 2}}, "updated"),
    ("open", {"set": {"assignee": "agent:bob"}}, "updated"),
    ("open", IN_PROGRESS, "claimed"),
    ("open", {**IN_PROGRESS, "set": {"assignee": "agent:bob"}}, "updated claimed"),
    ("open", CLOSED, "closed"),
    ("open", HOLD, "updated"),
    ("open", {"add": {"labels": ["a", "b"]}, "rm": {"labels": ["b", "c"]}}, "updated"),
    ("open", {"rm": {"labels": ["c"]}}, ""),
    ("mine", IN_PROGRESS, ""),
    ("mine", {"set": {"title": "y"}}, "updated"),
    ("mine", {"set": {"assignee": "agent:bob"}}, "updated released claimed"),
    ("mine", {"set": {"assignee": None}}, "released"),
    ("mine", {"status": "open"}, "released"),
    ("mine", HOLD, "updated released"),
    ("mine", CLOSED, "closed"),
    ("theirs", IN_PROGRESS, ""),
    ("theirs", {"status": "open"}, "released"),
    ("theirs", CLOSED, "closed"),
    ("closed", CLOSED, ""),
    ("closed", {"set": {"fields.k": "v"}}, "updated"),
    ("closed", {"status": "open"}, "reopened"),
    ("closed", IN_PROGRESS, "reopened claimed"),
    ("held", {"status": "open"}, "updated"),
    ("held", IN_PROGRESS, "updated claimed"),
]


@pytest.fixture
def desk(shell: Shell) -> Desk:
    return Desk(Call("ada"), "ax")


def made(desk: Desk, state: str) -> str:
    """An item in this state."""
    with desk.transaction() as (t, items):
        item = desk.create(t, items, {"title": "x"}).id
    before = {"mine": IN_PROGRESS, "closed": CLOSED, "held": HOLD}.get(state)
    if before:
        change(desk, item, before)
    if state == "theirs":
        change(Desk(Call("eve"), "ax"), item, IN_PROGRESS)
    return item


def change(desk: Desk, item: str, wish: Any) -> list[Any]:
    with desk.transaction() as (t, items):
        return list(desk.bring(t, items, item, wish))


def test_each_wish_is_the_fewest_events(desk: Desk) -> None:
    for state, wish, events in TABLE:
        item = made(desk, state)
        done = change(desk, item, wish)
        assert " ".join(event["type"].removeprefix("work.") for event in done) == events, (
            state,
            wish,
        )
        assert change(desk, item, wish) == [], "once it is so, nothing is written"
        if state == "theirs" and done:
            assert done[-1]["to"] == ["agent:eve"], "whose claim ends has mail"
        for before, after in pairwise(done):
            assert after["base"] == [before.id]


def test_a_cycle_and_a_bad_value_write_nothing(desk: Desk) -> None:
    a, b = made(desk, "open"), made(desk, "open")
    change(desk, a, {"add": {"deps": [{"rel": "blocked_by", "to": b}]}})
    wishes: list[Any] = [{"add": {"deps": [{"rel": "blocked_by", "to": a}]}}, {"set": {"priority": 9}},
                         {"set": {"parent": b}}, {"add": {"labels": [" x"]}}]  # fmt: skip
    for wish in wishes:
        with pytest.raises(BadData):
            change(desk, b, wish)
    assert [to for _, to in desk.items().dependents(b)] == [a]
    assert desk.items().waits_on(a) == [b] and desk.items().waits_on(b) == []


def test_names_and_long_texts_come_back(desk: Desk) -> None:
    names = {
        "Ada Smith": "agent:ada-smith",
        "mayor/": "agent:mayor/",
        "human:Bo": "human:bo",
        "a@b.c": "agent:a-b.c",
    }
    assert {name: agent_of(name) for name in names} == names
    item = made(desk, "open")
    for size in (9_000, 4_000, 3, 0):
        text = "x" * size
        change(desk, item, {"set": {f"fields.{n}": v for n, v in spread("notes", text).items()}})
        assert fields_of(desk.items().known(item)).get("notes", "") == text
    with desk.transaction() as (t, items):
        alias = desk.fresh_part(items, item)
        part = desk.create(t, items, {"title": "y", "parent": item}, alias).id
    assert shown(desk.items(), part) == f"{shown(desk.items(), item)}.1"
    assert desk.fresh_part(desk.items(), item).endswith(".2")
    assert desk.resolve(desk.items(), shown(desk.items(), item).removeprefix("ax-")) == item
