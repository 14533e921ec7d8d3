"""What is over quota, and when there is room again."""

from __future__ import annotations

from typing import Any

import pytest
from commons.market_of import World

from coord_commons import market as markets
from coord_commons import quota


def status(world: World, work: str) -> str:
    (offer,) = world.market().with_id(work)
    return offer.status


def test_what_is_over_quota_is_shown_and_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markets, "OFFERS", 2)
    monkeypatch.setattr(markets, "CLAIMS", 1)
    monkeypatch.setattr(markets, "STAMPS", 1)
    world = World("ada", "bob", "eve")
    works = [world.offer("ada") for _ in range(3)]
    assert [status(world, work) for work in works] == ["wanted", "wanted", "over quota"]
    world.claim("bob", works[0], "ada")
    over = world.claim("bob", works[1], "ada")
    assert [status(world, work) for work in works] == ["taken", "wanted", "over quota"]
    world.claim("eve", works[1], "ada", n=2, steal=True)
    (offer,) = world.market().with_id(works[1])
    assert offer.holder and offer.holder["by"] == "agent:eve"
    assert [each["id"] for each in offer.lost] == [over]
    # It stays so when there is room again: what was decided then does not change.
    submission = world.submit(
        "bob", works[0], "ada", world.market().with_id(works[0])[0].claims[0]["id"]
    )
    world.accept("ada", works[0], submission)
    assert world.market().with_id(works[1])[0].holder == offer.holder
    assert status(world, works[2]) == "over quota"
    assert status(world, world.offer("ada")) == "wanted"

    other = world.done("bob", "ada")
    first, second = (
        world.stamp("eve", works[0], "ada", "bob"),
        world.stamp("eve", other, "bob", "ada"),
    )
    assert [each["id"] for _, _, each in world.market().stamps()] == [first]
    assert world.refused() == {second: "over quota"}


def test_an_offer_over_quota_is_not_taken_accepted_or_stamped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(markets, "OFFERS", 1)
    world = World("ada", "bob", "eve")
    first, over = world.offer("ada"), world.offer("ada")
    claim = world.claim("bob", over, "ada")
    world.accept("ada", over, world.submit("bob", over, "ada", claim))
    stamp = world.stamp("eve", over, "ada", "bob")
    (offer,) = world.market().with_id(over)
    assert (offer.status, offer.holder, offer.accepted) == ("over quota", None, None)
    assert [(each["id"], each["why"]) for each in offer.lost] == [(claim, "over quota")]
    assert world.refused() == {stamp: "not accepted"}
    assert status(world, first) == "wanted"


def test_what_was_submitted_and_returned_is_open_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markets, "CLAIMS", 1)
    world = World("ada", "bob", "eve")
    works = [world.offer("ada") for _ in range(4)]
    junk = world.submit("bob", works[0], "ada", world.claim("bob", works[0], "ada"))
    # A return by another than the owner opens nothing.
    world.about("eve", "returned", works[0], {"submission": junk, "why": "no"}, "ada")
    assert world.market().full("agent:bob", "claims") == ""
    world.about("ada", "returned", works[0], {"submission": junk, "why": "no"}, "ada")
    assert world.market().full("agent:bob", "claims") == "1 claims of 1"
    world.claim("bob", works[1], "ada")
    assert [status(world, work) for work in works[:2]] == ["taken", "wanted"]
    world.add("ada", "work.closed", works[0], {"resolution": "cancelled"})
    world.claim("bob", works[2], "ada")
    assert [status(world, work) for work in works[1:3]] == ["wanted", "taken"]


@pytest.mark.parametrize(
    ("closing", "opening", "end", "open_"),
    [
        ("", "", "", [("b", "")]),
        ("c", "", "", [("b", "c")]),
        ("c", "d", "", [("b", "c"), ("d", "")]),
        ("ce", "d", "f", [("b", "c"), ("d", "e")]),
        ("c", "d", "e", [("b", "c"), ("d", "e")]),
        ("a", "a", "", [("b", "")]),
        ("f", "g", "d", [("b", "d")]),
    ],
)
def test_when_a_claim_is_open(closing: str, opening: str, end: str, open_: Any) -> None:
    assert quota.times("b", closing, opening, end) == open_


def test_a_stamp_that_does_not_count_is_found_and_no_room_is_said() -> None:
    world = World("ada", "bob", "eve")
    work = world.done("ada", "bob")
    first = world.stamp("ada", work, "ada", "bob")
    again = world.stamp("ada", work, "ada", "bob")
    market = world.market()
    for stamp in (first, again):
        found = market.stamped(stamp, "agent:ada")
        assert found and found[0].id == work and found[1]["id"] == stamp
    assert market.stamped(work, "agent:ada") is None


def test_room_is_that_of_a_party_and_of_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OFFERS", "CLAIMS", "STAMPS"):
        monkeypatch.setattr(markets, name, 1)
    world = World("ada", "bob", "eve")
    assert world.market().full("agent:ada", "offers") == ""
    work = world.done("ada", "bob")
    world.stamp("eve", work, "ada", "bob")
    world.claim("bob", world.offer("ada"), "ada")
    market = world.market()
    full = {
        (name, what)
        for name in ("ada", "bob", "eve")
        for what in ("offers", "claims", "stamps")
        if market.full(f"agent:{name}", what, "2027-01-15")
    }
    assert full == {("ada", "offers"), ("bob", "claims"), ("eve", "stamps")}
    assert market.full("agent:eve", "stamps", "2027-01-16") == ""
