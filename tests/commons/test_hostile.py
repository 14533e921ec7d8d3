"""What the keys of a commons, and others who can push, write that they may not: refused or flagged, for all towns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commons.three_towns import Towns, rows_of

from coord_commons.exchange import Commons
from coord_envelope import SELF, ids

A, B, MAL = "springfield", "shelbyville", "ogdenville"


@pytest.fixture(scope="module")
def towns(tmp_path_factory: pytest.TempPathFactory) -> Towns:
    """Joined, with an offer that is accepted and one that is not; MAL may write under two names."""
    made = Towns(tmp_path_factory.mktemp("commons"), names=(A, B, MAL))
    file = made.signers()
    file.write_text(file.read_text().replace(f"agent:{MAL} ", f"agent:{MAL},agent:capital "))
    made.join(file)
    return made


def flags(towns: Towns, name: str = A) -> dict[str, str]:
    """Refused stamp → why."""
    rows = rows_of(towns.view(name), "flag")
    return {row["evidence"][0]: row["why"] for row in rows if row["flag"] == "refused"}


def stamps(towns: Towns, work: str) -> list[str]:
    (offer,) = (row for row in towns.view(A) if row.get("work_id") == work and "title" in row)
    return [row["event_id"] for row in offer["stamps"]]


def body(towns: Towns, work: str, subject: str, offerer: str = A) -> str:
    key = towns.town[offerer]("coord-commons ls").one["fingerprint"]
    values = {"quality": 5, "reliability": 5, "creativity": 5}
    about = {"work": work, "offerer": key, "subject": f"agent:{subject}"}
    return json.dumps({**about, **values})


def emit(towns: Towns, name: str, work: str, about: str, actor: str = "") -> str:
    """A stamp that no command of coord-commons would write; its id."""
    line = f"ev emit commons.stamped --as {actor or name} --ref work_id={work} --body '{about}'"
    made = towns.there(name, f"{line} && ev sync >&2")
    return str(made.one["event_id"])


def test_stamps_that_may_not_count_are_flagged_in_all_towns(towns: Towns) -> None:
    work = towns.done(A, MAL)
    waiting = towns.offer(B)
    expected = {
        # The same key under another name; and the town itself, past the command that refuses it.
        emit(towns, MAL, work, body(towns, work, MAL), "capital"): "self",
        emit(towns, MAL, work, body(towns, work, MAL)): "self",
        # Written as another town, by a key that may not.
        emit(towns, MAL, work, body(towns, work, MAL), A): "unsigned",
        # About what was never accepted.
        emit(towns, MAL, waiting, body(towns, waiting, A, B)): "not accepted",
        # A copy of a true stamp's words, about another's work.
        emit(towns, B, work, body(towns, work, A)): "of another subject",
    }
    good = towns.town[B](f"coord-commons stamp {work} --quality 4 --reliability 4 --creativity 4")
    again = emit(towns, B, work, body(towns, work, MAL))
    towns.same_views()
    assert flags(towns) == expected | {again: "repeated"}
    assert stamps(towns, work) == [good.one["event_id"]]
    assert towns.town[A](f"coord-commons reputation {MAL}").one["stamps"] == 1
    refusal = towns.town[MAL](
        f"coord-commons stamp {work} --quality 5 --reliability 5 --creativity 5", expect=77
    )
    assert refusal.err.count("\n") == 1 and "your own submission" in refusal.err


def test_who_signs_nothing_and_replays_counts_for_nothing(towns: Towns, tmp_path: Path) -> None:
    work = towns.done(B, A)
    stamp = towns.town[B](f"coord-commons stamp {work} --quality 4 --reliability 4 --creativity 4")
    genuine = str(stamp.one["event_id"])
    towns.sync()
    before = [row for row in towns.view(A) if "subject" in row]

    # Somebody who can push and has no key: as themselves, as a town, and copies of what was signed.
    stranger = towns._town("stranger")
    place = tmp_path / "acme"
    place.mkdir()
    stranger(f"git init -q {place} && cd {place} && ev init && ev sync --remote {towns.remote}")
    about = body(towns, work, A, B)
    for name in ("stranger", MAL):
        emitted = stranger(
            f"cd {place} && ev emit commons.stamped --as {name} --ref work_id={work} --body '{about}'"
        )
        assert emitted.status == 0
    journal = place / ".coord/journal"
    (line,) = (
        row
        for path in journal.glob(f"agent.{B}~*/*.jsonl")
        for row in path.read_bytes().splitlines(keepends=True)
        if genuine.encode() in row
    )
    (theirs,) = journal.glob("agent.stranger~*/*.jsonl")
    replica = theirs.parent.name.partition("~")[2]
    for stream in (f"agent.{B}~{replica}", f"agent.stranger~{replica}"):
        (journal / stream).mkdir(exist_ok=True)
        with open(journal / stream / theirs.name, "ab") as file:
            file.write(line)
    # And the statement that signed it, once more.
    (statements,) = journal.glob(f"bridge.signer~{_replica(towns, B)}/*.jsonl")
    (journal / f"bridge.signer~{replica}").mkdir()
    (journal / f"bridge.signer~{replica}" / statements.name).write_bytes(statements.read_bytes())
    stranger(f"cd {place} && ev sync", expect=None)

    towns.same_views()
    assert stamps(towns, work) == [genuine]
    assert [row for row in towns.view(A) if "subject" in row] == before
    assert list(flags(towns).values()).count("unsigned") == 3  # these two, and the one before


def _replica(towns: Towns, name: str) -> str:
    streams = (towns.place(name) / ".coord/journal").glob(f"agent.{name}~*")
    return next(streams).name.partition("~")[2]


def test_who_copies_an_offer_or_redacts_it_stops_nobody(towns: Towns) -> None:
    work = towns.offer(A)
    towns.sync(MAL)
    towns.there(MAL, f"ev redact {work} --reason secret")
    commons = Commons(towns.store(MAL))
    draft = {"type": "work.created", "refs": {"work_id": SELF}}
    with (
        pytest.MonkeyPatch.context() as patch,
        commons.journal.transaction({"agent_id": f"agent:{MAL}"}) as t,
    ):
        patch.setattr(ids, "mint", lambda *_: work)
        t.add({**draft, "body": {"title": "copy", "kind": "offer"}})
    towns.there(MAL, "ev sync")
    refusal = towns.town[B](f"coord-commons sync && coord-commons take {work}", expect=2)
    assert f"{work}@{MAL} or {work}@{A}" in refusal.err
    towns.town[B](f"coord-commons take {work}@{A}")
    towns.town[B](f"coord-commons submit {work} --evidence commit=abc")
    towns.town[A](f"coord-commons accept {work}")
    towns.town[A](f"coord-commons accept {work}")
    towns.sync()
    rows = [row for row in towns.listed(B) if row["work_id"] == work]
    assert {(row["status"], row["title"]) for row in rows} == {
        ("accepted", "a thing"),
        ("wanted", "copy"),
    }


def test_text_of_others_does_not_reach_the_terminal_or_run(towns: Towns) -> None:
    hostile = "$(touch pwned) \x1b[31m<script>alert(1)</script>\u202e"
    towns.town[B].env["HOSTILE"] = hostile
    work = towns.town[B](
        'coord-commons offer $(wk new "$HOSTILE" --desc "$HOSTILE" --field "gate=command" '
        '--label convoy -o id) --share desc --share gate --share labels --reward "$HOSTILE" -o id'
    ).out.strip()
    towns.town[A]("coord-commons sync")
    for line in (f"show {work}", "wanted --all"):
        shown = towns.town[A](f"coord-commons {line} -o table; coord-commons {line}").out
        assert "\x1b" not in shown and "\u202e" not in shown.split("{")[0]
    towns.town[A](f"coord-commons take {work}")
    item = towns.town[A](f"wk show {towns.town[A]('wk ls').lines[-1]['id']}").one
    assert item["fields"].keys() == {"mirror"} and "labels" not in item and "\x1b" not in str(item)
    assert all(line.startswith("> ") for line in item["desc"].split("\n\n", 1)[1].split("\n"))
    assert towns.town[A]("coord-flow run --once").lines == []
    assert not list(towns.root.rglob("pwned"))
