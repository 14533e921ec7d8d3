"""What the events of a commons mean, in any order: whose an offer is, what was accepted, which stamps count."""

from __future__ import annotations

import random

import pytest
from commons.market_of import World, fingerprint


def status(world: World, work: str) -> str:
    (offer,) = world.market().with_id(work)
    return offer.status


def test_an_offer_goes_from_wanted_to_accepted() -> None:
    world = World("ada", "bob")
    work = world.offer("ada")
    assert status(world, work) == "wanted"
    claim = world.claim("bob", work, "ada")
    assert status(world, work) == "taken"
    first = world.submit("bob", work, "ada", claim)
    assert status(world, work) == "submitted"
    world.about("ada", "returned", work, {"submission": first, "why": "no tests"}, "ada")
    assert status(world, work) == "taken"
    second = world.submit("bob", work, "ada", claim)
    world.accept("ada", work, second)
    assert status(world, work) == "accepted"


def test_a_claim_that_is_not_confirmed_or_of_nobody_takes_nothing() -> None:
    world = World("ada", "bob")
    work = world.offer("ada")
    world.add("bob", "work.claimed", work, {"gen": 1, "offerer": fingerprint("ada")})
    world.add("", "work.claimed", work, {"gen": 1, "offerer": fingerprint("ada")}, "agent:bob")
    assert status(world, work) == "wanted"


def test_what_others_write_about_an_offer_changes_nothing() -> None:
    world = World("ada", "bob", "mal")
    work = world.offer("ada")
    claim = world.claim("bob", work, "ada")
    world.add("mal", "work.closed", work, {"resolution": "cancelled"})
    world.add("mal", "work.released", work, {"claim": claim, "reason": "released"})
    stolen = world.claim("mal", work, "ada", n=2, steal=True)
    submission = world.submit("mal", work, "ada", stolen)
    world.accept("mal", work, submission)
    (offer,) = world.market().with_id(work)
    assert offer.status == "taken" and offer.holder and offer.holder["by"] == "agent:bob"
    assert [(each["id"], each["why"]) for each in offer.lost] == [(stolen, "was taken")]


def test_given_back_it_is_free_for_the_next_one() -> None:
    world = World("ada", "bob", "eve")
    work = world.offer("ada")
    claim = world.claim("bob", work, "ada")
    world.add("bob", "work.released", work, {"claim": claim, "reason": "released"})
    assert status(world, work) == "wanted"
    world.claim("eve", work, "ada", n=2)
    (offer,) = world.market().with_id(work)
    assert offer.holder and offer.holder["by"] == "agent:eve"


def test_ones_own_offer_cannot_be_submitted_by_oneself() -> None:
    world = World("ada", "bob")
    work = world.offer("ada")
    submission = world.submit("ada", work, "ada", world.claim("ada", work, "ada"))
    world.accept("ada", work, submission)
    assert status(world, work) == "taken"


def test_a_copy_of_an_offer_under_its_id_takes_nothing_of_the_original() -> None:
    world = World("ada", "bob", "mal")
    work = world.offer("ada", "original")
    world.add("mal", "work.created", work, {"title": "copy", "kind": "offer"})
    copy = world.events.pop()
    # As of another stream: the same id, another writer.
    forged = type(copy)(copy.raw, {**copy, "event_id": work}, copy.stream)
    world.events.append(forged)
    submission = world.submit("bob", work, "ada", world.claim("bob", work, "ada"))
    world.accept("ada", work, submission)
    stamp = world.stamp("ada", work, "ada", "bob")
    market = world.market()
    assert {(each.party, each.status) for each in market.with_id(work)} == {
        ("agent:ada", "accepted"),
        ("agent:mal", "wanted"),
    }
    assert [record["id"] for _, _, record in market.stamps()] == [stamp]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_and_copies_of_events_do_not_matter(seed: int) -> None:
    world = World("ada", "bob", "eve")
    works = [world.done("ada", "bob"), world.done("bob", "eve"), world.offer("eve")]
    world.stamp("ada", works[0], "ada", "bob")
    world.stamp("eve", works[0], "ada", "bob", (1, 2, 3))
    world.stamp("bob", works[1], "bob", "eve")
    shuffled = [*world.events, *world.events[::3]]
    random.Random(seed).shuffle(shuffled)
    market, other = world.market(), world.market(events=shuffled)
    assert list(market.stamps()) == list(other.stamps()) and len(list(market.stamps())) == 3
    assert [each.status for each in market.offers.values()] == [
        each.status for each in other.offers.values()
    ]


# ---- stamps


def test_a_stamp_counts_about_an_accepted_submission_once_a_giver() -> None:
    world = World("ada", "bob", "eve")
    work = world.done("ada", "bob")
    first = world.stamp("ada", work, "ada", "bob")
    again = world.stamp("ada", work, "ada", "bob", (5, 5, 5))
    third = world.stamp("eve", work, "ada", "bob")
    counted = [(giver, subject, stamp["id"]) for giver, subject, stamp in world.market().stamps()]
    assert counted == [("agent:ada", "agent:bob", first), ("agent:eve", "agent:bob", third)]
    assert world.refused() == {again: "repeated"}


def test_a_stamp_is_withdrawn_by_its_author_only() -> None:
    world = World("ada", "bob", "eve")
    work = world.done("ada", "bob")
    stamp = world.stamp("ada", work, "ada", "bob")
    world.about("bob", "stamp.withdrawn", work, {"stamp": stamp}, "ada")
    world.about("", "stamp.withdrawn", work, {"stamp": stamp}, "ada", by="agent:ada")
    assert len(list(world.market().stamps())) == 1
    world.about("ada", "stamp.withdrawn", work, {"stamp": stamp}, "ada")
    assert list(world.market().stamps()) == [] and world.refused() == {}
    second = world.stamp("ada", work, "ada", "bob", (1, 1, 1))
    assert [each["id"] for _, _, each in world.market().stamps()] == [second]


def test_a_self_stamp_is_refused_whatever_its_name_and_key() -> None:
    text = "".join(
        f"{line}\n"
        for line in (
            f"agent:ada {world_key('ada')}",
            f"agent:bob,agent:bobs-friend {world_key('bob')}",
            f"agent:bob,agent:bobs-friend {world_key('new')}",
        )
    )
    world = World(text=text)
    work = world.done("ada", "bob")
    under_a_name = world.stamp("bob", work, "ada", "bob", by="agent:bobs-friend")
    with_a_key = world.stamp("new", work, "ada", "bob", by="agent:bobs-friend")
    plain = world.stamp("bob", work, "ada", "bob")
    assert list(world.market().stamps()) == []
    assert world.refused() == dict.fromkeys((under_a_name, with_a_key, plain), "self")


def world_key(name: str) -> str:
    from commons.market_of import public

    return public(name)


def test_a_key_that_wrote_under_ones_name_is_oneself() -> None:
    world = World("ada", "bob", "alt")
    work = world.done("ada", "bob")
    # Another line of the file, which may also write as bob: it did so once.
    world.add("alt", "artifact.added", work, {"kind": "url", "uri": "x"}, by="agent:bob")
    stamp = world.stamp("alt", work, "ada", "bob")
    assert world.refused() == {stamp: "self"}


def test_forged_unsigned_early_and_malformed_stamps_are_refused() -> None:
    world = World("ada", "bob", "eve")
    work = world.offer("ada")
    submission = world.submit("bob", work, "ada", world.claim("bob", work, "ada"))
    early = world.stamp("ada", work, "ada", "bob")
    world.accept("ada", work, submission)
    forged = world.stamp("", work, "ada", "bob", by="agent:eve")
    other = world.stamp("eve", work, "ada", "ada")
    malformed = [
        world.stamp("eve", work, "ada", "bob", values)
        for values in ((6, 1, 1), (1, -1, 1), (1, 1, True), (1, "5", 1), (1, None, 1), (2.5, 1, 1))
    ]
    nowhere = world.stamp("eve", "01KF4QBCFS000DHT52RH6PKMCY", "ada", "bob")
    assert list(world.market().stamps()) == []
    assert world.refused() == {
        early: "not accepted",
        forged: "unsigned",
        other: "of another subject",
        **dict.fromkeys(malformed, "malformed"),
        nowhere: "of no offer",
    }


def test_a_copy_of_a_stamp_that_nobody_has_signed_hides_and_adds_nothing() -> None:
    world = World("ada", "bob")
    work = world.done("ada", "bob")
    stamp = world.stamp("ada", work, "ada", "bob")
    copy = type(world.events[-1])(b"", {**world.events[-1], "$key": ""}, "elsewhere")
    world.events.insert(0, copy)
    assert [each["id"] for _, _, each in world.market().stamps()] == [stamp]
    assert world.refused() == {}


def test_the_past_knows_nothing_of_later() -> None:
    world = World("ada", "bob")
    work = world.done("ada", "bob")
    world.ms += 60_000
    then = world.market().offers[work, "agent:ada"].accepted
    world.stamp("ada", work, "ada", "bob")
    assert then
    assert list(world.market(then["ts"]).stamps()) == []
    assert len(list(world.market().stamps())) == 1
    assert status(world, work) == "accepted"
