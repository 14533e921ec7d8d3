"""Who belongs to a commons: proposals that persons agree to, and what follows from the file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from commons.market_of import file_of, fingerprint, public
from commons.three_towns import Towns

from coord_commons import draft, place, towns
from coord_commons.towns import Parties
from coord_envelope.errors import Usage


def record(
    key: str, town: str, at: str = "1", signed: bool = True, by: str | None = None
) -> dict[str, object]:
    giver = fingerprint(key) if by is None else by
    body = {"town": town, "key": public(town), **({"by": giver} if key != town else {})}
    return {"id": at, "key": fingerprint(key) if signed else "", "body": body}


def statuses(proposal: towns.Proposal) -> dict[str, str]:
    return {row["town"]: row["status"] for row in proposal.rows}


def test_an_admission_proposes_and_changes_nothing() -> None:
    agreed = file_of("ada")
    found = towns.proposal(agreed, [record("ada", "ada", "0"), record("ada", "bob")])
    assert statuses(found) == {"agent:ada": "agreed", "agent:bob": "new"}
    assert found.text == file_of("ada", "bob")
    assert found.digest == towns.digest(found.text)
    assert [member.by for member in towns.members(found.text)] == ["", fingerprint("ada")]


def test_only_who_is_in_the_file_can_propose() -> None:
    agreed = file_of("ada")
    rows = [
        record("mal", "mal"),
        record("mal", "eve"),
        record("ada", "kim", signed=False),
        record("ada", "joe", by=fingerprint("mal")),
    ]
    assert towns.proposal(agreed, rows).text == agreed


def test_nobody_is_in_the_file_of_who_has_just_joined_so_the_digest_decides() -> None:
    rows = [record("ada", "ada", "0", signed=False), record("ada", "bob", signed=False)]
    found = towns.proposal("", rows)
    assert found.digest == towns.digest(file_of("ada", "bob"))
    more = towns.proposal("", [*rows, record("mal", "mal", signed=False)])
    assert more.digest != found.digest


def test_equal_events_give_equal_files_and_what_was_agreed_to_stays() -> None:
    both = [record("ada", "kim", "3"), record("bob", "kim", "2")]
    first = towns.proposal(file_of("ada", "bob"), both)
    assert first.text == towns.proposal(file_of("ada", "bob"), both[::-1]).text
    assert {member.by for member in towns.members(first.text)} == {
        "",
        fingerprint("ada"),
        fingerprint("bob"),
    }
    agreed = file_of("ada", "bob", "kim")
    assert towns.proposal(agreed, both).text == agreed


def test_nobody_becomes_the_founder_later() -> None:
    agreed = file_of("ada", "mal")
    alone: dict[str, object] = {
        **record("mal", "mal", "0"),
        "body": {"town": "mal", "key": public("mal")},
    }
    backdated = record("mal", "ada", "00")
    assert towns.proposal(agreed, [alone, backdated]).text == agreed
    first = [record("ada", "ada", "1", signed=False), record("ada", "mal", "2", signed=False)]
    assert towns.proposal("", [*first, alone]).text == agreed


def test_what_a_person_has_added_stays() -> None:
    agreed = f"# ours\n@revoked {public('mal')}\n{file_of('ada', 'mal')}"
    found = towns.proposal(agreed, [record("ada", "mal"), record("ada", "bob")])
    assert "# ours\n" in found.text and f"@revoked {public('mal')}\n" in found.text
    assert [member.principals for member in towns.members(found.text)] == ["agent:ada", "agent:bob"]


def test_hostile_names_and_keys_are_no_line() -> None:
    rows = [
        {
            "id": "1",
            "key": fingerprint("ada"),
            "body": {"town": town, "key": key, "by": fingerprint("ada")},
        }
        for town, key in (
            ("x,human:*", public("mal")),
            ("x\nagent:y", public("mal")),
            ("x", public("mal") + "\nhuman:* " + public("mal")),
            ("x", "ssh-ed25519 ====" + "A" * 20),
            ("x", "cert-authority ssh-ed25519 AAAA"),
            ("x" * 64, public("mal")),
            (None, public("mal")),
            ("x", ["k"]),
        )
    ]
    assert towns.proposal(file_of("ada"), rows).text == file_of("ada")


def test_keys_with_one_name_are_one_party() -> None:
    text = f"agent:ada {public('ada')}\nagent:bob {public('bob')}\nagent:bob {public('new')}\n"
    parties = Parties(text)
    assert parties.of(fingerprint("new")) == parties.of(fingerprint("bob")) == "agent:bob"
    assert parties.named("bob") == parties.named(fingerprint("new")) == "agent:bob"
    assert parties.named("mal") is None
    joined = Parties(text, [(fingerprint("ada"), "agent:bob")])
    assert len(joined.keys) == 1 and len(joined.keys["agent:ada"]) == 3


def test_seeds_end_also_where_towns_admitted_each_other() -> None:
    lines = [
        towns.line("a", public("a"), fingerprint("b")),
        towns.line("b", public("b"), fingerprint("a")),
        towns.line("c", public("c"), fingerprint("gone")),
    ]
    assert Parties("\n".join(lines)).seeds() == {"agent:a": 0.0, "agent:b": 0.0, "agent:c": 1.0}
    assert Parties("\n".join(lines[:2])).seeds() == {"agent:a": 0.5, "agent:b": 0.5}
    assert Parties("").seeds() == {}


def seeds(*rows: str) -> dict[str, float]:
    """Of lines `TOWN KEY BY`: without BY the town has founded the commons."""
    lines = [row.split() for row in rows]
    text = "\n".join(
        towns.line(town, public(key), fingerprint(by[0]) if by else "") for town, key, *by in lines
    )
    found = Parties(text).seeds()
    assert abs(sum(found.values()) - 1) < 1e-9
    return {name.removeprefix("agent:"): seed for name, seed in found.items()}


TREE = ("ada a", "bob b a", "eve e a", "kim k b")
SEEDS = {"ada": 0.5, "bob": 0.125, "eve": 0.25, "kim": 0.125}


@pytest.mark.parametrize("key", ["0", "z"])
@pytest.mark.parametrize(
    ("town", "by"),
    [
        ("ada", "k"),
        ("ada", "b"),
        ("bob", "k"),
        ("bob", "a"),
        ("bob", "b"),
        ("eve", "e"),
        ("kim", "b"),
        ("kim", "k"),
    ],
)
def test_a_second_key_of_a_town_changes_no_seed_and_founds_nothing(
    town: str, by: str, key: str
) -> None:
    assert seeds(*TREE) == SEEDS
    for lines in ((f"{town} {key} {by}", *TREE), (*TREE, f"{town} {key} {by}")):
        assert seeds(*lines) == SEEDS


def test_who_is_admitted_by_two_takes_nothing_from_either_ones_others() -> None:
    assert seeds(*TREE, "kim z e") == {"ada": 0.5, "bob": 0.125, "eve": 0.125, "kim": 0.25}


def test_who_has_lost_their_way_to_a_founder_does_not_become_one() -> None:
    orphans = seeds("ada a", "bob b gone", "mal m b", "eve e k", "kim k e")
    assert orphans == {"ada": 1.0, "bob": 0.0, "eve": 0.0, "kim": 0.0, "mal": 0.0}
    assert seeds("ada a", "bob b", "eve e k", "kim k e", "kim z b")["kim"] == 0.125


@pytest.mark.parametrize(
    ("key", "holds"),
    [
        (public("ada"), True),
        ("x " + public("ada").partition(" ")[2], False),
        ("ssh-rsa " + public("ada").partition(" ")[2], False),
        ("x AAAAAAAAAAAAAAAAAAAA", False),
        ("ssh-ed25519 " + "A" * 17, False),
        ("ssh-ed25519", False),
    ],
)
def test_the_blob_of_a_key_begins_with_its_type(key: str, holds: bool) -> None:
    assert towns.is_key(key) is holds


def test_who_admits_is_a_fingerprint_and_not_a_line_of_the_file() -> None:
    forged = f"SHA256:x\nagent:* {public('mal')}"
    assert towns.proposal("", [record("ada", "bob", signed=False, by=forged)]).rows == []


def test_a_further_key_of_a_town_is_marked_and_one_line_can_be_left_out() -> None:
    agreed = file_of("ada", "bob")
    again = {
        **record("ada", "bob"),
        "body": {"town": "bob", "key": public("mal"), "by": fingerprint("ada")},
    }
    found = towns.proposal(agreed, [again, record("ada", "kim", "2")])
    marks = {row["key"]: row["status"] for row in found.rows}
    assert marks[fingerprint("mal")] == "new key of bob" and marks[fingerprint("kim")] == "new"
    rest = towns.left_out(agreed, found, [fingerprint("mal")])
    assert rest.text == file_of("ada", "bob", "kim") and rest.digest == towns.digest(rest.text)
    assert statuses(rest) == {"agent:ada": "agreed", "agent:bob": "agreed", "agent:kim": "new"}
    assert towns.left_out(agreed, found, []) == found


@pytest.mark.parametrize("name", ["Ünal", "project", "\u5f20\u4f1f", "---", "\x1b[1m\u5f20"])
def test_a_name_without_latin_letters_asks_for_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "of_git", lambda: name)
    wanted = {"Ünal": "nal", "project": "project", "\x1b[1m\u5f20": "1m"}
    if name in wanted:
        assert place.town(None) == wanted[name]
        return
    with pytest.raises(Usage) as caught:
        place.town(None)
    assert "--town" in str(caught.value.todo)


CUT = """
import os, sys
from coord_commons import cli, place
agree = place.Place.agree
def cut(self, text):
    {before}
    os.kill(os.getpid(), 9)
place.Place.agree = cut
sys.argv[0] = "coord-commons"
cli.main()
"""


@pytest.mark.parametrize("before", ["agree(self, text)", "pass"])
def test_a_founder_whose_join_was_cut_short_has_still_founded_the_commons(
    tmp_path: Path, before: str
) -> None:
    towns_ = Towns(tmp_path, names=("springfield", "shelbyville"))
    (tmp_path / "cut.py").write_text(CUT.format(before=before))
    first, second = towns_.town["springfield"], towns_.town["shelbyville"]
    first(f"{sys.executable} {tmp_path}/cut.py join {towns_.remote}", expect=None)
    assert first(f"coord-commons join {towns_.remote}").one["status"] == "member"
    assert second(f"coord-commons join {towns_.remote}").one["status"] == "no signers agreed"
    (row,) = second("coord-commons trust").lines
    assert (row["town"], row["by"]) == ("agent:springfield", "founder")

    # Somebody without a key who can push blocks nobody: the file itself is agreed to.
    stranger = tmp_path / "acme"
    stranger.mkdir()
    mal = '{"town":"mal","key":"' + public("mal") + '"}'
    second(
        f"cd {stranger} && git init -q && ev init && ev emit commons.admitted --as mal"
        f" --body '{mal}' && ev sync --remote {towns_.remote}"
    )
    digest = first(f"coord-commons admit shelbyville {tmp_path}/shelbyville.pub").one["digest"]
    second("coord-commons sync")
    assert "--signers FILE" in second(f"coord-commons trust {digest}", expect=77).err
    file = towns_.place("springfield") / place.SIGNERS
    agreed = second(f"coord-commons trust {digest} --signers {file}").lines
    assert {row["town"] for row in agreed} == {"agent:springfield", "agent:shelbyville"}
    assert second("coord-commons ls").one["status"] == "member"


def test_a_founder_who_is_alone_learns_of_another_one(tmp_path: Path) -> None:
    towns_ = Towns(tmp_path, names=("springfield", "shelbyville"))
    first, second = towns_.town["springfield"], towns_.town["shelbyville"]
    first(f"coord-commons join {towns_.remote}")
    own = tmp_path / "own"
    own.write_text(f"agent:shelbyville {towns_.key('shelbyville')}\n")
    warning = second(f"coord-commons join {towns_.remote} --signers {own}").err
    assert "springfield (SHA256:" in warning and "coord-commons leave acme" in warning
    assert "shelbyville (SHA256:" in first("coord-commons sync").err

    # With a broken configuration it can still be left.
    (towns_.place("shelbyville") / place.CONFIG).write_text("[commons\n")
    assert second("coord-commons leave acme", expect=65).err.count("\n") == 1
    assert second("coord-commons leave acme --force").one["left"]
    (tmp_path / "away").mkdir()
    towns_.place("shelbyville").symlink_to(tmp_path / "away")
    (tmp_path / "away/.coord").mkdir()
    assert str(towns_.place("shelbyville")) in second("coord-commons leave acme", expect=77).err
    assert (tmp_path / "away/.coord").is_dir()


def test_an_offer_does_not_tell_what_its_item_is_called_here() -> None:
    item, other = "01M8ZZZZZZ0000000000000001", "01M8ZZZZZZ0000000000000002"
    rows = [draft.offered("T", item, "", {}), draft.offered("T", item, other, {})]
    assert not any(item in str(row) for row in rows)
    assert rows[0]["idempotency_key"] != rows[1]["idempotency_key"]
    assert draft.offered("T", item, "", {}) == rows[0]
