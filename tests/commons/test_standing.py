"""Reputation: a fold of stamps, weighted by the giver's own standing, which a ring cannot lift."""

from __future__ import annotations

import random
from math import isclose

import pytest
from commons.market_of import World, file_of

from coord_commons import standing
from coord_commons.towns import Parties


def stamps(*rows: tuple[str, str, int]) -> list[tuple[str, str, dict[str, object]]]:
    names = ("quality", "reliability", "creativity")
    return [
        (f"agent:{giver}", f"agent:{subject}", {"body": dict.fromkeys(names, value)})
        for giver, subject, value in rows
    ]


def shares(text: str, *rows: tuple[str, str, int]) -> dict[str, float]:
    found = standing.standing(Parties(text).seeds(), standing.opinions(stamps(*rows)))
    return {name.removeprefix("agent:"): share for name, share in found.items()}


def test_without_stamps_standing_is_the_seed_which_the_founder_shares() -> None:
    assert shares(file_of("ada")) == {"ada": 1.0}
    assert shares(file_of("ada", "bob", "eve")) == {"ada": 0.5, "bob": 0.25, "eve": 0.25}


def test_puppets_share_what_their_town_has() -> None:
    puppets = [f"puppet-{n}" for n in range(20)]
    text = file_of("ada", "bob", "mal") + file_of("ada", *puppets, by="mal").split("\n", 1)[1]
    found = shares(text)
    assert isclose(found["mal"] + sum(found[name] for name in puppets), 0.25)
    assert isclose(sum(found.values()), 1.0)


@pytest.mark.parametrize("size", [2, 3, 7])
def test_a_ring_that_nobody_outside_has_stamped_holds_its_seeds_however_it_stamps(
    size: int,
) -> None:
    ring = [f"ring-{n}" for n in range(size)]
    text = file_of("ada", "bob", "eve", *ring)
    alone = shares(text)
    honest = [("ada", "bob", 4), ("bob", "eve", 3), ("eve", "ada", 5)]
    rings = [
        (ring[n], ring[(n + step) % size], 5) for step in (1, size - 1) for n in range(size)
    ] * 30
    found = shares(text, *honest, *rings)
    assert sum(found[name] for name in ring) <= sum(alone[name] for name in ring) + 1e-9
    outward = shares(text, *honest, *rings, (ring[0], "ada", 5))
    assert sum(outward[name] for name in ring) < sum(found[name] for name in ring)


@pytest.mark.parametrize("seed", range(20))
def test_standing_is_a_share_of_one_and_the_order_does_not_matter(seed: int) -> None:
    random_ = random.Random(seed)
    names = ["ada", *(f"t{n}" for n in range(9))]
    rows = [(random_.choice(names), random_.choice(names), random_.randrange(6)) for _ in range(60)]
    rows = [row for row in rows if row[0] != row[1]]
    text = file_of(*names)
    found = shares(text, *rows)
    assert isclose(sum(found.values()), 1.0) and all(share >= 0 for share in found.values())
    random_.shuffle(rows)
    assert shares(text, *rows) == found


def test_what_standing_says_holds_after_the_last_round() -> None:
    names = ["ada", "bob", "eve", "kim"]
    rows = [("ada", "bob", 5), ("ada", "eve", 1), ("bob", "eve", 4), ("eve", "ada", 2)]
    found, seeds = shares(file_of(*names), *rows), shares(file_of(*names))
    assert isclose(found["kim"], seeds["kim"])  # it keeps what it does not pass on
    assert isclose(found["bob"], seeds["bob"] / 2 + found["ada"] / 2 * 5 / 6)
    assert isclose(found["eve"], seeds["eve"] / 2 + found["ada"] / 2 / 6 + found["bob"] / 2)


def test_zeros_pass_nothing_on() -> None:
    assert shares(file_of("ada", "bob"), ("ada", "bob", 0)) == shares(file_of("ada", "bob"))


def test_who_is_vouched_for_by_little_weight_is_near_zero() -> None:
    ring = ["x", "y", "z"]
    text = file_of("ada", "bob", "mal") + file_of("ada", *ring, by="mal").split("\n", 1)[1]
    rows = [("x", "y", 5), ("y", "z", 5), ("z", "x", 5), ("ada", "bob", 4)] * 10
    seeds = Parties(text).seeds()
    found = standing.reputations(seeds, stamps(*rows))
    assert found["agent:bob"]["quality"] > 2 > 1.1 > found["agent:y"]["quality"] > 0
    assert found["agent:bob"]["stamps"] == 10 and found["agent:bob"]["givers"] == 1
    assert found["agent:mal"]["quality"] == 0.0 and found["agent:mal"]["stamps"] == 0


def test_a_hundred_stamps_of_one_giver_are_one_opinion() -> None:
    text = file_of("ada", "bob", "eve", "kim")
    few = standing.reputations(Parties(text).seeds(), stamps(("eve", "bob", 5)))
    many = standing.reputations(Parties(text).seeds(), stamps(*[("eve", "bob", 5)] * 100))
    assert few["agent:bob"] | {"stamps": 100} == many["agent:bob"]


def test_reputation_of_a_whole_story() -> None:
    world = World("ada", "bob", "eve")
    for _ in range(3):
        world.stamp("ada", world.done("ada", "bob"), "ada", "bob", (5, 3, 1))
    world.stamp("bob", world.done("bob", "eve"), "bob", "eve", (2, 2, 2))
    rows = world.reputations()
    bob = rows["agent:bob"]
    assert bob["quality"] > bob["reliability"] > bob["creativity"] > 0
    assert isclose(bob["quality"] / bob["creativity"], 5, rel_tol=1e-3)
    assert bob["weight"] == rows["agent:ada"]["standing"]
