"""What others redact, reorder, copy and write at random: it changes nothing, and is shown."""

from __future__ import annotations

import random
from typing import Any

import pytest
from commons.market_of import World, fingerprint

from coord_commons import here, screen
from coord_commons.rows import shown


def status(world: World, work: str) -> str:
    (offer,) = world.market().with_id(work)
    return offer.status


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
