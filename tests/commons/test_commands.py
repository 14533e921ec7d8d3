"""The commands as their user meets them: joining, admitting, taking, what is refused and how."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from commons.three_towns import NAMES, Towns

A, B, C = NAMES


@pytest.fixture(scope="module")
def towns(tmp_path_factory: pytest.TempPathFactory) -> Towns:
    """Two that have joined."""
    made = Towns(tmp_path_factory.mktemp("commons"), names=(A, B))
    made.join()
    return made


def refused(towns: Towns, name: str, line: str, status: int, says: str, **env: str) -> None:
    done = towns.town[name](line, expect=status, **env)
    assert done.err.count("\n") == 1 and says in done.err and done.out == "", done.err


def test_a_town_comes_in_by_a_person_and_by_the_digest(tmp_path: Path) -> None:
    towns = Towns(tmp_path, names=(A, B))
    first = towns.town[A](f"coord-commons join {towns.remote}").one
    assert (first["status"], first["town"], first["towns"]) == ("member", A, 1)
    joined = towns.town[B](f"coord-commons join {towns.remote}").one
    assert joined["status"] == "no signers agreed" and joined["key"] == towns.key(B)
    refused(towns, B, "coord-commons wanted", 77, "you have not agreed to who may write as whom")
    admit = f"coord-commons admit {B} {tmp_path / B}.pub"
    refused(towns, A, f"{admit} --as bot", 77, "only a person admits a town")
    refused(
        towns, A, f"coord-commons admit '{B},human:*' {tmp_path / B}.pub", 2, "not a valid name"
    )
    refused(towns, A, f"coord-commons admit {B} {tmp_path / B}", 65, "not an SSH public key")
    admitted = towns.town[A](admit).one
    assert admitted["fingerprint"] == joined["fingerprint"]

    # That the events came is not enough: nor is a digest of something else.
    towns.town[B]("coord-commons sync")
    refused(towns, B, "coord-commons wanted", 77, "you have not agreed")
    refused(towns, B, "coord-commons trust 0123", 77, "nothing was agreed to")
    rows = towns.town[B]("coord-commons trust").lines
    assert {row["digest"] for row in rows} == {admitted["digest"]}
    assert {row["town"]: row["status"] for row in rows} == {
        f"agent:{A}": "new",
        f"agent:{B}": "new",
    }
    agreed = towns.town[B](f"coord-commons trust {admitted['digest']}").lines
    assert {row["status"] for row in agreed} == {"agreed"}
    assert towns.town[B]("coord-commons ls").one["status"] == "member"
    towns.done(B, A)
    refused(towns, B, f"coord-commons join {towns.remote}", 77, "was joined already")
    assert towns.town[B]("coord-commons leave acme").one["left"]
    assert towns.town[B]("coord-commons ls").lines == []
    refused(towns, B, "coord-commons wanted", 1, "no commons was joined")


def test_a_commons_that_cannot_be_reached_leaves_nothing_behind(tmp_path: Path) -> None:
    towns = Towns(tmp_path, names=(A,))
    done = towns.town[A]("coord-commons join ../nowhere.git", expect=69)
    assert done.err.count("\n") == 1
    assert towns.town[A]("coord-commons ls").lines == []
    (tmp_path / f"{A}.gitconfig").write_text("[user]\nname = x\n")
    refused(towns, A, f"coord-commons join {towns.remote}", 77, "no signing key")
    assert towns.town[A]("coord-commons ls").lines == []


def test_only_what_is_named_is_shared(towns: Towns) -> None:
    shell = towns.town[A]
    item = shell(
        "wk new Title --desc Secret --label inside --field area=core --field path=/srv -o id"
    ).out.strip()
    refused(towns, A, f"coord-commons offer {item} --share nothing", 65, "the item has no nothing")
    refused(towns, A, f"coord-commons offer {item} --needs 'a b'", 2, "not a capability")
    offered = shell(f"coord-commons offer {item} --share area --needs rust --reward 'a beer'").one
    assert offered["body"] == {
        "title": "Title",
        "kind": "offer",
        "fields": {"share.area": "core", "reward": "a beer", "needs": "rust"},
    }
    assert offered["actor"] == {"agent_id": f"agent:{A}"} and item not in str(offered["body"])
    again = shell(f"coord-commons offer {item} --share area --needs rust --reward 'a beer'").one
    assert again["event_id"] == offered["event_id"] and again["$dup"]

    refused(towns, A, f"coord-commons offer {item} --reward more", 1, "was offered otherwise")
    towns.sync(B)
    work = offered["event_id"]
    for can, listed in (("python", False), ("python --can rust", True)):
        rows = towns.town[B](f"coord-commons wanted --can {can}").lines
        assert (work in [row["work_id"] for row in rows]) is listed
    shell(f"coord-commons withdraw {item}")
    refused(towns, B, f"coord-commons take {work}", 1, "is withdrawn")
    anew = shell(f"coord-commons offer {item}").one
    assert anew["event_id"] != work and anew["body"] == {"title": "Title", "kind": "offer"}


def test_a_person_is_asked_before_an_agent_starts_on_foreign_work(towns: Towns) -> None:
    work, shell = towns.offer(A, "Foreign"), towns.town[B]
    take = f"coord-commons take {work} --as bot"
    done = shell(take, expect=75)
    assert "a person is asked first" in done.err
    refused(towns, B, take, 75, "a person is asked first")
    (question,) = shell("wk ls").lines
    assert question["kind"] == "question" and len(question["options"]) == 2
    towns.sync(A)
    assert next(r for r in towns.listed(A) if r["work_id"] == work)["status"] == "wanted"
    shell(f"wk answer {question['id']} no")
    refused(towns, B, take, 77, "a person answered no")

    # The key of who offers needs no question, if the user's own file says so.
    trusted = towns.town[A]("coord-commons ls").one["fingerprint"]
    config = towns.place(B) / "coord.toml"
    config.write_text(config.read_text().replace("trusted = []", f'trusted = ["{trusted}"]'))
    taken = shell(take).one
    assert shell(f"wk show {taken['item_id']}").one["fields"] == {"mirror": f"acme#{work}"}
    assert shell(take).one["claim"] == taken["claim"]


def test_a_submission_is_returned_and_submitted_again(towns: Towns) -> None:
    item = towns.town[A]("wk new Parser -o id").out.strip()
    work = towns.town[A](f"coord-commons offer {item} -o id").out.strip()
    refused(towns, A, f"coord-commons take {work}", 1, "is your own offer")
    mirrored = towns.town[B](f"coord-commons take {work}").one["item_id"]
    refused(towns, B, f"coord-commons submit {mirrored}", 2, "--evidence is missing")
    refused(towns, B, f"coord-commons offer {mirrored}", 1, "stands for an offer of agent:")
    submit = f"coord-commons submit {mirrored} --evidence commit=abc --evidence https://x.example/l"
    first = towns.town[B](submit).one
    assert towns.town[B](submit).one["$dup"]
    refused(towns, B, f"coord-commons accept {work}", 77, "is an offer of agent:springfield")
    refused(towns, A, f"coord-commons stamp {work} --quality 1", 2, "--reliability --creativity")
    values = "--quality 5 --reliability 5 --creativity 5"
    refused(towns, A, f"coord-commons stamp {work} {values}", 1, "nothing was accepted")
    returned = towns.town[A](f"coord-commons return {item} --why 'No tests.'").one
    assert returned["to"] == [f"agent:{B}"]
    refused(towns, A, f"coord-commons accept {item}", 1, "nothing was submitted")
    towns.town[B](submit.replace("abc", "abd"))
    towns.town[A](f"coord-commons accept {item} --note 'as asked'")
    assert towns.town[A](f"wk show {item}").one["status"] == "done"
    assert towns.town[A](f"coord-commons accept {item}").one["$dup"]
    row = towns.town[A](f"coord-commons show {item}").one
    assert [each["status"] for each in row["submissions"]] == ["returned", "accepted"]
    assert row["submissions"][0]["event_id"] == first["event_id"]
    assert row["submissions"][0]["evidence"] == ["commit=abc", "url=https://x.example/l"]

    stamp = towns.town[A](f"coord-commons stamp {item} {values}").one
    assert towns.town[A](f"coord-commons stamp {item} {values}").one["$dup"]
    refused(towns, A, f"coord-commons stamp {item} {values} --note x", 1, "stamped by you already")
    towns.sync(B)
    refused(towns, B, f"coord-commons withdraw {stamp['event_id']}", 77, "is a stamp of agent:")
    before = towns.town[A](f"coord-commons reputation {B}").one["quality"]
    towns.town[A](f"coord-commons withdraw {stamp['event_id']}")
    assert towns.town[A](f"coord-commons reputation {B}").one["quality"] == 0.0 < before
    then = towns.town[A](f"coord-commons reputation {B} --at {stamp['ts']}").one
    assert then["quality"] == before

    # The mirrored item is closed by the controller that follows such items.
    closed = towns.town[B](f"coord-flow run --once --store acme={towns.place(B)}").lines
    assert [row["refs"]["work_id"] for row in closed if row["type"] == "work.closed"] == [mirrored]


def test_without_the_remote_what_was_written_waits_and_nothing_is_taken(towns: Towns) -> None:
    work = towns.offer(A, "Away")
    item = towns.town[A]("wk new Later -o id").out.strip()
    towns.sync(B)
    hub = Path(towns.remote)
    shutil.move(hub, f"{hub}.away")
    try:
        done = towns.town[A](f"coord-commons offer {item}")
        assert "not given yet" in done.err and done.err.count("\n") == 1
        refused(towns, B, f"coord-commons take {work}", 69, "")
    finally:
        shutil.move(f"{hub}.away", hub)
    assert towns.town[B](f"coord-commons take {work}").one["work_id"] == work
    towns.sync(A, B)
    assert "Later" in [row["title"] for row in towns.listed(B)]


def test_a_key_that_was_rotated_is_the_same_town(tmp_path: Path) -> None:
    towns = Towns(tmp_path, names=(A, B))
    towns.join()
    before = towns.town[A]("coord-commons ls").one
    towns.town[A](f"ssh-keygen -q -t ed25519 -N '' -f {tmp_path}/next")
    towns.there(A, f"ev sync --next-key {tmp_path}/next.pub")
    config = tmp_path / f"{A}.gitconfig"
    config.write_text(config.read_text().replace(f"{tmp_path / A}.pub", f"{tmp_path}/next.pub"))
    after = towns.town[A]("coord-commons ls").one
    assert after["key"] != before["key"] and after["fingerprint"] == before["fingerprint"]
    assert after["status"] == "member"
    work = towns.offer(A)
    towns.sync(B)
    (row,) = [row for row in towns.listed(B) if row["work_id"] == work]
    assert row["key"] == before["fingerprint"]


def test_an_offer_over_quota_is_refused_until_there_is_room(tmp_path: Path) -> None:
    towns = Towns(tmp_path, names=(A,))
    towns.join()
    last = towns.offer(A)
    lines = """for n in $(seq 99); do echo '{"title":"one of many","kind":"offer"}'; done"""
    towns.there(A, f"{lines} | wk new --as {A} -o id")
    towns.sync(A)  # which signs them
    item = towns.town[A]("wk new 'one too many' -o id").out.strip()
    refused(towns, A, f"coord-commons offer {item}", 1, "over quota: you have 100 offers of 100")
    assert len(towns.town[A]("coord-commons wanted -n 200").lines) == 100
    towns.town[A](f"coord-commons withdraw {last}")
    towns.town[A](f"coord-commons offer {item}")
    assert "one too many" in {row["title"] for row in towns.listed(A)}
