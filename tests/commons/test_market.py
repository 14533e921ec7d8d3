"""What the events of a commons mean, in any order: whose an offer is, what was accepted, which stamps count."""

from __future__ import annotations

import random
from typing import Any

import pytest
from commons.market_of import World, fingerprint

from coord_commons import here, quota, screen
from coord_commons import market as markets
from coord_commons.rows import shown


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


# ---- what others redact, reorder and copy


def everything(world: World) -> Any:
    """What a person can see of all offers, with the texts."""
    market = world.market()
    return [shown(offer, market) for offer in market.offers.values()]


def test_whoever_redacts_anothers_events_changes_nothing() -> None:
    world = World("ada", "bob", "mal")
    world.stamp("ada", world.done("ada", "bob"), "ada", "bob")
    before, written = everything(world), [each.id for each in world.events]
    for target in written:
        world.redact("mal", target)
        world.redact("", target)
    assert everything(world) == before


def test_a_redaction_of_ones_own_empties_the_texts_and_nothing_else() -> None:
    world = World("ada", "bob")
    work = world.offer("ada", "a secret", fields={"share.desc": "more"})
    claim = world.claim("bob", work, "ada")
    body = {"claim": claim, "note": "a secret", "artifacts": []}
    submission = world.about("bob", "submitted", work, body, "ada")
    world.accept("ada", work, submission)
    stamp = world.stamp("ada", work, "ada", "bob")
    for each in list(world.events):
        world.redact("ada" if each["$key"] == fingerprint("ada") else "bob", each.id)
    (row,) = everything(world)
    assert "secret" not in str(row) and "more" not in str(row)
    assert (row["status"], row["title"], row["taken_by"]) == ("accepted", "", "agent:bob")
    assert [(each["event_id"], each["quality"]) for each in row["stamps"]] == [(stamp, 4)]
    assert len(list(world.market().stamps())) == 1


@pytest.mark.parametrize("n", [-5, 0, 1, 2**53])
def test_the_number_of_a_confirmation_takes_nothing(n: int) -> None:
    world = World("ada", "bob", "mal")
    work = world.offer("ada")
    submission = world.submit("bob", work, "ada", world.claim("bob", work, "ada", n=1))
    stolen = world.claim("mal", work, "ada", n=n, steal=True)
    (offer,) = world.market().with_id(work)
    assert offer.holder and offer.holder["by"] == "agent:bob"
    assert [each["id"] for each in offer.lost] == [stolen]
    world.accept("ada", work, submission)
    assert status(world, work) == "accepted"


@pytest.mark.parametrize("stream", ["arbiter.main~00000000", "arbiter.main~zzzzzzzz"])
def test_an_arbiter_stream_of_ones_own_comes_after_that_of_all(stream: str) -> None:
    world = World("ada", "bob", "mal")
    work, early = world.offer("ada"), world.offer("ada")
    whole = {"gen": 1, "offerer": fingerprint("ada")}
    claim = world.add("mal", "work.claimed", work, whole)
    world.confirm("mal", work, claim, -1, writer=stream)
    world.claim("bob", work, "ada", n=7)
    world.claim("ada", early, "ada")
    (offer,) = world.market().with_id(work)
    assert offer.holder and offer.holder["by"] == "agent:bob"
    assert [each["id"] for each in offer.lost] == [claim]


@pytest.mark.parametrize("first", [False, True])
def test_an_event_copied_under_its_id_replaces_nothing(first: bool) -> None:
    """Each of them, by a key that sorts after and by one that sorts before the original's."""
    world = World("ada", "bob", "mal", "eve")
    work = world.offer("ada")
    claim = world.claim("bob", work, "ada")
    artifact = world.add("bob", "artifact.added", work, {"kind": "url", "uri": "https://real"})
    body = {"claim": claim, "artifacts": [artifact]}
    submission = world.about("bob", "submitted", work, body, "ada")
    world.accept("ada", work, submission)
    world.stamp("ada", work, "ada", "bob")
    before = everything(world)
    for each in list(world.events):
        changed = {**each["body"], "uri": "https://forged", "note": "forged", "n": -1}
        for key in ("mal", "eve"):
            if each["type"] not in ("work.created", "commons.stamped"):
                writer = each["writer"] if "arbiter" in each["writer"] else ""
                world.add(key, each["type"], work, changed, writer=writer, id=each.id)
    if first:
        world.events.reverse()
    (offer,) = everything(world)
    assert [each["why"] for each in offer.pop("lost")] == ["was taken"] * 2
    assert [offer] == before


@pytest.mark.parametrize("seed", range(3))
def test_two_lines_with_one_id_by_one_key_are_one_in_any_order(seed: int) -> None:
    world = World("ada", "bob")
    work = world.offer("ada")
    world.add("ada", "work.created", work, {"title": "other", "kind": "offer"}, id=work)
    before = everything(world)
    random.Random(seed).shuffle(world.events)
    assert everything(world) == before and len(before) == 1


def test_of_offers_with_one_id_ones_own_is_meant_or_what_one_took_or_as_one_says() -> None:
    world = World("ada", "bob", "mal", "eve")
    work = world.offer("ada")
    world.add("mal", "work.created", work, {"title": "copy", "kind": "offer"}, id=work)
    world.claim("bob", work, "ada")
    market = world.market()

    def meant(mine: str, town: str = "") -> list[str]:
        found = market.meant(market.with_id(work), f"agent:{mine}", town)
        return [offer.party for offer in found]

    assert meant("ada") == meant("bob") == meant("eve", "ada") == ["agent:ada"]
    assert meant("mal") == meant("bob", "mal") == meant("ada", "agent:mal") == ["agent:mal"]
    assert meant("eve") == ["agent:ada", "agent:mal"] and meant("eve", "bob") == []


ODD: list[Any] = [5, True, None, 2.5, "text", [], ["x", 5, ["y"]], {}, {"quality": "x", "a": [1]}]
FIELDS: tuple[str, ...] = (
    "title",
    "kind",
    "fields",
    "offerer",
    "claim",
    "n",
    "submission",
    "resolution",
    "subject",
)
FIELDS += ("artifacts", "note", "why", "uri", "quality", "stamp", "target")


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("field", FIELDS)
def test_whatever_a_body_has_everything_can_be_shown(field: str, odd: Any) -> None:
    world = World("ada", "bob", "eve")
    work = world.offer("ada", fields={"needs": "rust"})
    body = {"claim": world.claim("bob", work, "ada"), "artifacts": [], "note": "fine"}
    submission = world.about("bob", "submitted", work, body, "ada")
    world.about("ada", "returned", work, {"submission": submission, "why": "no"}, "ada")
    world.accept("ada", work, submission)
    withdrawn = world.stamp("eve", work, "ada", "bob")
    world.about("eve", "stamp.withdrawn", work, {"stamp": withdrawn}, "ada")
    world.stamp("eve", work, "ada", "bob")
    events = list(world.events)
    for each in events:
        for changed in (
            {**each["body"], field: odd},
            {name: each["body"][name] for name in each["body"] if name != field},
        ):
            world.events = list(events)
            world.events[events.index(each)] = type(each)(
                each.raw, {**each, "body": changed}, each.stream
            )
            lines = everything(world)
            for row in lines:
                assert screen.page(row, None) is not None  # type: ignore[arg-type]
                texts = [said.get("note", "") for said in (*row["submissions"], *row["stamps"])]
                assert all(isinstance(text, str) for text in texts)
            assert lines == [] or screen.rows(lines, world.ms) is not None
            world.reputations()
            assert screen.rows(world.flags(), world.ms) is not None
            for offer in world.market().offers.values():
                assert here.quoted(offer).startswith("> ")


def test_a_long_offer_is_cut_where_it_is_quoted() -> None:
    world = World("ada")
    world.offer("ada", fields={f"share.{n}": "\x1b" * 2_000 for n in range(5)})
    (offer,) = world.market().offers.values()
    text = here.quoted(offer)
    assert len(text) < here.QUOTED + 100 and f"show {offer.id}`)" in text
    assert all(line.startswith("> ") for line in text.split("\n")[:-1]) and "\x1b" not in text


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


# ---- quotas


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
