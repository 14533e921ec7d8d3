"""What controllers need of wk: acts that name what was judged, and that a second look repeats."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from proof.hub import Hub, at_once
from support import Json, Shell


def new(shell: Shell, *options: str) -> str:
    return shell(" ".join(["wk new item -o id", *options])).out.strip()


def claim(shell: Shell, item: str, agent: str) -> str:
    return str(shell(f"wk claim {item} --as {agent}").one["event_id"])


def mail(shell: Shell, agent: str) -> list[str]:
    return [event["type"] for event in shell(f"msg recv --as {agent}").lines]


def test_what_is_mine_names_the_session_that_has_it_and_how_that_is(
    shell: Shell, tmp_path: Path
) -> None:
    begin = "2026-06-01T09:00:00Z"
    own, other = new(shell), new(shell)
    shell(f"wk claim {own} --as ada", COORD_NOW=begin, COORD_SESSION="")
    shell(f"wk claim {other} --as ada", COORD_NOW=begin, COORD_SESSION="s9")
    rows = shell("wk mine --as ada", COORD_NOW="2026-06-01T09:20:00Z").lines
    assert [(row.get("session"), row["health"], row["age_ms"]) for row in rows] == [
        *((None, "stalled", 1_200_000), ("s9", "stalled", 1_200_000))
    ]
    there = Shell(tmp_path / "there")
    there.cwd.mkdir()
    there("git init -q && ev init")
    there(f"ev sync --with {shell.cwd}/.coord")
    elsewhere = there("wk mine --as ada").lines
    replica = shell("ev replay -n 1").one["writer"].partition("~")[2]
    assert [(row["replica"], "health" in row) for row in elsewhere] == [(replica, False)] * 2
    (shell.cwd / "coord.toml").write_text("[patrol]\nfresh = 5\n")
    unknown = shell("wk mine --as ada")
    assert ["health" in row for row in unknown.lines] == [False, False]
    assert unknown.err == 'wk: coord.toml: patrol.fresh is not a time; use "15m"\n'


def count(shell: Shell) -> int:
    return len(shell("ev replay").lines)


def test_a_claim_that_is_named_ends_and_no_later_one(shell: Shell) -> None:
    item = new(shell)
    first = claim(shell, item, "ada")
    ended = shell(f"wk release {item} --claim {first} --reason 'its job is over'").one
    assert (ended["body"]["claim"], ended["body"]["reason"]) == (first, "forced")
    assert (ended["to"], ended["body"]["note"]) == (["agent:ada"], "its job is over")
    assert mail(shell, "ada") == ["work.released"]
    second, before = claim(shell, item, "bob"), count(shell)
    again = shell(f"wk release {item} --claim {first}")
    assert (again.one["event_id"], again.one["$dup"]) == (ended["event_id"], True)
    assert "is over already" in again.err
    assert count(shell) == before
    assert shell(f"wk show {item}").one["claim"]["id"] == second
    missing = "0" * 26
    done = shell(f"wk release {item} --claim {missing}", expect=1)
    assert done.err.endswith(f"has no claim {missing}\n")


def test_a_claim_that_a_close_or_a_theft_ended_is_over(shell: Shell) -> None:
    item, other = new(shell), new(shell)
    first, stolen = claim(shell, item, "ada"), claim(shell, other, "ada")
    shell(f"wk close {item} --as ada")
    shell(f"wk claim {other} --steal --force --reason why")
    for ended, claimed in ((item, first), (other, stolen)):
        done = shell(f"wk release {ended} --claim {claimed}")
        assert (done.out, "is over already" in done.err) == ("", True)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("wk release {} --force", "work.released"),
        ("wk close {} --force", "work.closed"),
        ("wk claim {} --steal --force --reason why", "work.claimed"),
        ("wk close {} --force --require local", "work.closed"),
    ],
)
def test_who_is_robbed_has_mail(shell: Shell, line: str, kind: str) -> None:
    item = new(shell)
    claim(shell, item, "ada")
    shell(line.format(item))
    assert mail(shell, "ada") == [kind]
    own = new(shell)
    shell(f"wk claim {own}; {line.format(own)}", expect=None)
    assert mail(shell, "tester") == []


def test_an_update_that_changes_nothing_is_not_written(shell: Shell) -> None:
    item, other, whole = new(shell, "-l x"), new(shell), new(shell)
    lines = [
        f"wk update {item} --hold why -p 1 --field n=1 -l y --rm-label x",
        f"wk update {item} --title other --defer-until 2030-01-01",
        f"wk dep {item} {other}",
        f"wk update {item} --assignee ada --parent {whole}",
    ]
    for line in lines:
        event, before = shell(line).one, count(shell)
        again = shell(line)
        assert (again.one["event_id"], again.one["$dup"]) == (event["event_id"], True)
        assert "nothing to do" in again.err
        assert count(shell) == before
    assert shell(f"wk update {item} --hold other").one["body"] == {"set": {"hold": "other"}}
    assert shell(f"wk update {item} --hold ''").one["body"] == {"set": {"hold": None}}
    assert "nothing to do" in shell(f"wk update {item} --rm-label never").err
    shell(f"wk dep {item} {other} --rm")
    assert "nothing to do" in shell(f"wk dep {item} {other} --rm").err
    operations = [{"op": "update", "id": item, "set": {"priority": n}} for n in (1, 3, 1)]
    done = shell("wk apply", "\n".join(map(json.dumps, operations)))
    assert [event.get("$dup", False) for event in done.lines] == [True, False, False]


def test_a_claim_for_another_is_its_own_and_no_sign_of_its_life(shell: Shell) -> None:
    item = new(shell)
    shell("ev emit a.b --as ada", COORD_NOW="2026-01-02T03:00:00Z")
    then = "2026-01-02T04:00:00Z"
    shell(f"wk claim {item} --for ada --session s7", COORD_NOW=then)
    held = shell(f"wk show {item}").one["claim"]
    assert (held["agent"], held["session"]) == ("agent:ada", "s7")
    silent = f"wk claim {item} --steal --reason gone --as bob"
    refusal = "has written an event"
    assert refusal not in shell(silent, expect=None, COORD_NOW=then).err, "only tester wrote"
    shell(f"wk release {item} --as bob", COORD_NOW=then)
    shell(f"wk claim {item} --for ada --session s7", COORD_NOW=then)
    assert "your session s7" in shell(f"wk close {item} --as ada", expect=1, COORD_SESSION="s8").err
    assert shell(f"wk claim {item} --for ada --session s7").one["$dup"] is True
    assert shell(f"wk close {item} --as ada", COORD_SESSION="s7").one["type"] == "work.closed"
    shell(f"wk claim {item} --session s7", expect=2)


def test_of_two_clones_one_answer_counts(repo: Path, tmp_path: Path) -> None:
    hub = Hub(tmp_path, 2)
    first, second = hub.clones
    question = first("wk new 'which one?' -o id; ev sync >/dev/null").out.strip()
    second("ev sync")
    line = f"wk close {question} --require confirmed --note yes"
    answers = at_once(hub.clones, line)
    assert sorted(answer.status for answer in answers) == [0, 1]
    for clone in (first, second, first):
        clone("ev sync")
    (winner,) = [answer.one for answer in answers if not answer.status]
    shown = [clone(f"wk show {question}").one for clone in hub.clones]
    assert [detail["closed"]["by"] for detail in shown] == [winner["actor"]["agent_id"]] * 2
    assert not any("conflicts" in detail for detail in shown)


def test_an_answer_that_cannot_be_confirmed_is_none(repo: Path, tmp_path: Path) -> None:
    hub = Hub(tmp_path, 1)
    (clone,) = hub.clones
    question = clone("wk new 'which one?' -o id; ev sync >/dev/null").out.strip()
    for remote in tmp_path.glob("*.git"):
        shutil.rmtree(remote)
    clone(f"wk close {question} --require confirmed", expect=69)
    assert clone(f"wk show {question}").one["status"] == "ready"
    claimed = clone(f"wk claim {question}")
    assert "claimed, tentatively: the remote is not reachable" in claimed.err
    assert clone(f"wk show {question}").one["level"] == "tentative"
    clone(f"wk close {question} --require confirmed", expect=69)
    assert clone(f"wk show {question}").one["status"] == "active", "what was held before still is"


def test_what_an_item_waits_on_may_be_unknown_here(shell: Shell) -> None:
    other, first = "01JN7KF7M0000E3K2RCRA2JSYZ", new(shell)
    shell(f"wk new x --blocked-by {other}", expect=1)
    shell("wk new x --blocked-by nonsense --allow-missing", expect=1)
    made = [
        new(shell, f"--blocked-by {other} --allow-missing"),
        shell(f"wk dep {first} {other} --allow-missing -o id").out.strip(),
    ]
    line: Json = {"title": "x", "deps": [{"rel": "blocked_by", "to": other}]}
    made.append(shell("wk new --allow-missing -o id", json.dumps(line)).out.strip())
    apply = "wk apply --allow-missing -o id"
    made.append(shell(apply, json.dumps(line | {"op": "new"})).out.strip())
    assert shell("wk ready").out == ""
    for row in shell("wk ready --explain").lines:
        assert (row["work_id"] in made, row["unknown_here"]) == (True, [other])
    assert shell(f"wk show {made[0]}").one["unknown_here"] == [other]
    assert f"{other} (unknown here)" in shell(f"wk claim {made[0]}", expect=1).err


def test_a_field_that_was_removed_is_not_shown(shell: Shell) -> None:
    item = new(shell, "--field a=1 --field b=2")
    shell(f"wk update {item} --field a=")
    assert shell(f"wk show {item}").one["fields"] == {"b": 2}


def test_items_of_holders_that_are_stuck_are_listed_with_the_evidence(shell: Shell) -> None:
    old = shell("wk new Old -o id", COORD_NOW="2026-06-01T09:00:00Z").out.strip()
    new = shell("wk new New -o id", COORD_NOW="2026-06-01T09:00:00Z").out.strip()
    shell(f"wk claim {old} --as ada", COORD_SESSION="s1", COORD_NOW="2026-06-01T09:00:00Z")
    shell(f"wk claim {new} --as bob", COORD_SESSION="s2", COORD_NOW="2026-06-01T09:10:00Z")
    assert shell("wk ls --stalled", COORD_NOW="2026-06-01T09:14:59Z").out == ""
    row = shell("wk ls --stalled", COORD_NOW="2026-06-01T09:15:00Z").one
    assert (row["work_id"], row["health"], row["age_ms"]) == (old, "stalled", 900_000)
    (shell.cwd / "coord.toml").write_text('[patrol]\nstalled = "1h"\nlost = "2h"\n')
    assert shell("wk ls --stalled", COORD_NOW="2026-06-01T09:59:00Z").out == ""


def test_a_project_may_allow_an_agent_one_claim_at_a_time(shell: Shell) -> None:
    first, second = (shell(f"wk new {name} -o id").out.strip() for name in "ab")
    (shell.cwd / "coord.toml").write_text("[wk]\none_claim = true\n")
    shell(f"wk claim {first}")
    shell(f"wk claim {first}")
    for line in (f"wk claim {second}", "wk ready --claim"):
        assert f"holds wk-{first[-8:].lower()} already" in shell(line, expect=1).err
    shell(f"wk claim {second} --as other")
    shell(f"wk release {second} --as other; wk release {first}")
    shell(f"wk claim {second}")
    shell(f"wk claim {first} --force")
    (shell.cwd / "coord.toml").write_text("[wk]\none_claim = 1\n")
    assert "wk.one_claim" in shell(f"wk claim {new(shell)} --as other", expect=65).err
