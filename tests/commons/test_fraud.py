"""Stamps that look arranged are shown with the events that show it, and count as before."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from commons.market_of import World

from coord_commons.fraud import circles


def flagged(world: World, flag: str) -> list[dict[str, Any]]:
    return [row for row in world.flags() if row["flag"] == flag]


def test_a_rubber_stamper_is_flagged_with_each_stamp() -> None:
    world = World("ada", "bob", "eve", "kim")
    evidence = []
    for values in ((5, 5, 5),) * 5:
        world.ms += 3_600_000
        evidence.append(world.stamp("ada", world.done("ada", "bob"), "ada", "bob", values))
        world.stamp("eve", world.done("eve", "bob"), "eve", "bob", (len(evidence), 2, 3))
    (row,) = flagged(world, "uniform")
    assert row == {
        "flag": "uniform",
        "who": ["agent:ada"],
        "ratio": 1.0,
        "values": [5, 5, 5],
        "evidence": evidence,
    }
    assert world.reputations()["agent:bob"]["stamps"] == 10


def test_four_equal_stamps_are_no_pattern() -> None:
    world = World("ada", "bob")
    for _ in range(4):
        world.ms += 3_600_000
        world.stamp("ada", world.done("ada", "bob"), "ada", "bob", (5, 5, 5))
    assert world.flags() == []


@pytest.mark.parametrize("size", [2, 3, 6])
def test_a_ring_is_flagged_with_its_stamps(size: int) -> None:
    ring = [f"r{n}" for n in range(size)]
    world = World("ada", *ring)
    evidence = []
    for giver, subject in zip(ring, ring[1:] + ring[:1], strict=True):
        world.ms += 3_600_000
        evidence.append(world.stamp(giver, world.done(giver, subject), giver, subject))
    (row,) = flagged(world, "circle")
    assert row["who"] == [f"agent:{name}" for name in ring] and row["evidence"] == evidence
    assert row["ratio"] == 1.0


def test_a_ring_does_not_hide_in_the_circle_of_all() -> None:
    world = World("ada", "x", "y", "z", "bob", "eve", "kim")
    for _ in range(4):
        for giver, subject in (("x", "y"), ("y", "z"), ("z", "x")):
            world.ms += 3_600_000
            world.stamp(giver, world.done(giver, subject), giver, subject, (5, 5, 4))
    for giver, subject in itertools.permutations(("ada", "bob", "eve", "kim"), 2):
        world.ms += 3_600_000
        world.stamp(giver, world.done(giver, subject), giver, subject, (1, 2, 3))
    for giver, subject in (("x", "ada"), ("ada", "x")):  # as if it were one of them
        world.ms += 3_600_000
        world.stamp(giver, world.done(giver, subject), giver, subject, (3, 4, 3))
    rows = flagged(world, "circle")
    (ring,) = [row for row in rows if row["who"] == ["agent:x", "agent:y", "agent:z"]]
    assert ring["ratio"] > 0.9 and len(rows) == 3


def test_a_burst_is_flagged() -> None:
    world = World("ada", "bob", "eve")
    works = [world.done("ada", "bob") for _ in range(12)]
    evidence = [
        world.stamp("eve", work, "ada", "bob", (n % 5, 1, 1)) for n, work in enumerate(works)
    ]
    (row,) = flagged(world, "burst")
    assert (row["who"], row["stamps"], row["evidence"]) == (["agent:eve"], 12, evidence)


def test_refused_stamps_are_shown_with_the_reason() -> None:
    world = World("ada", "bob")
    work = world.done("ada", "bob")
    stamp = world.stamp("bob", work, "ada", "bob")
    assert world.flags() == [
        {
            "flag": "refused",
            "who": ["agent:bob"],
            "why": "self",
            "work_id": work,
            "evidence": [stamp],
        }
    ]


def test_components_of_graphs() -> None:
    assert circles([]) == [] == circles([("a", "b"), ("b", "c")])
    assert circles([("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "c")]) == [
        ["a", "b"],
        ["c", "d"],
    ]
    ring = [(f"{n:04}", f"{(n + 1) % 5000:04}") for n in range(5000)]
    assert [len(found) for found in circles(ring)] == [5000]
