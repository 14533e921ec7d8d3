"""coord-github against a GitHub on this machine: both sides equal, nothing twice, conflicts reported."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from forge import github
from support import BIN, Json, Shell, check_invariants, open_store

pytest.importorskip("github", reason="not installed: coord-kernel[github]")
if why := github.missing():
    pytest.skip(why, allow_module_level=True)

from coord_github.fields import desc_of, issue_side, marker_of

GitHub = github.GitHub
SLUG = GitHub.slug


@pytest.fixture
def forge(shell: Shell, tmp_path: Path) -> Iterator[GitHub]:
    one = GitHub(tmp_path)
    shell.env |= one.env
    yield one
    one.close()


def links(shell: Shell) -> dict[str, str]:
    """The item of each issue."""
    synced = shell("ev replay --type github.synced").lines
    return {each["body"]["issue"].partition("#")[2]: each["refs"]["work_id"] for each in synced}


def rows(shell: Shell) -> dict[str, Json]:
    """Every linked item whole, by the number of its issue."""
    known = {row["work_id"]: row for row in shell("wk ls --all -o id | wk show -").lines}
    return {number: known[work] for number, work in links(shell).items()}


def assert_equal(shell: Shell, forge: GitHub) -> None:
    """Both sides have the same issues, with the same fields and comments, each once."""
    ours = rows(shell)
    theirs = {str(row["number"]): row for row in forge.all("/issues?state=all")}
    assert ours.keys() == theirs.keys()
    said: dict[str, list[Json]] = {}
    for comment in forge.comments():
        said.setdefault(comment["issue_url"].rpartition("/")[2], []).append(comment)
    for number, row in theirs.items():
        item, side = ours[number], issue_side(row, SLUG)
        assert item["title"] == side["title"]
        assert item.get("desc", "") == side["desc"]
        assert sorted(item.get("labels", [])) == side["labels"]
        closed = item.get("closed", {}).get("resolution", "open").replace("wontfix", "cancelled")
        assert closed == side["state"], number
        assert item.get("assignee", "").removeprefix("human:") == side["assignee"]
        there = [each["body"] for each in said.get(number, ())]
        mirrored = [desc_of(body) if marker_of(body) else f"@octocat: {body}" for body in there]
        plain = [
            f"**{each['by']}**: {each['text']}" if each["by"] != "bridge:github" else each["text"]
            for each in item.get("comments", ())
        ]
        assert sorted(plain) == sorted(mirrored), number
        assert len({*plain}) == len(plain), "a comment is there twice"
    assert len({row["title"] for row in theirs.values()}) == len(theirs), "an issue is there twice"


def test_changes_go_both_ways_and_a_second_run_does_nothing(shell: Shell, forge: GitHub) -> None:
    forge(
        "POST",
        "/issues",
        {"title": "One", "body": "a\r\nb", "labels": ["bug"], "assignees": ["ada"]},
    )
    forge("POST", "/issues", {"title": "Two\x07 <script>\x1b[1m", "body": "x" * 50_000})
    forge("PATCH", "/issues/2", {"state": "closed", "state_reason": "not_planned"})
    forge("POST", "/issues/1/comments", {"body": "first"})
    assert [row["act"] for row in shell(f"coord-github import {SLUG} --dry-run").lines] == [
        "import"
    ] * 2
    assert shell("ev replay").out == ""
    shell(f"coord-github import {SLUG}")
    assert forge.writes == []
    assert_equal(shell, forge)
    one, two = links(shell)["1"], links(shell)["2"]
    assert rows(shell)["2"]["title"] == "Two <script> [1m"
    shell(f"wk update {one} --title 'One, from here' --label wanted --rm-label bug --desc 'c'")
    shell(f"wk comment {one} 'seen by an agent'")
    shell(f"wk reopen {two}")
    shell(f"wk close {one} --as ada")
    forge("POST", "/issues/2/comments", {"body": "second"})
    forge("POST", "/issues", {"title": "Three"})
    planned = shell(f"coord-github follow {SLUG} --dry-run").lines
    assert {row["act"] for row in planned} == {"import", "export", "comment"}
    assert forge.writes == []
    shell(f"coord-github follow {SLUG} --once")
    assert_equal(shell, forge)
    assert forge("GET", "/issues/1")["state"] == "closed"
    assert forge("GET", "/issues/2")["state"] == "open"
    (posted,) = (each for each in forge.comments() if marker_of(each["body"]))
    assert posted["body"].startswith("**agent:tester**: seen by an agent")
    done, events = len(forge.writes), shell("ev replay").out
    for command in (f"follow {SLUG} --once", f"export {SLUG} {one}"):
        assert shell(f"coord-github {command}").out == ""
    assert len(forge.writes) == done
    assert shell("ev replay").out == events
    assert shell(f"coord-github follow {SLUG} --status").one["linked"] == 3
    assert forge.unchanged > 0, "what has not changed is not sent again"
    forge("PATCH", "/issues/3", {"title": "Four"})
    shell(f"coord-github export {SLUG} {one}")  # it sees that, and leaves it
    assert rows(shell)["3"]["title"] == "Three"
    shell(f"coord-github import {SLUG}")
    assert_equal(shell, forge)


def test_a_field_changed_on_both_sides_is_githubs_and_the_other_is_kept(
    shell: Shell, forge: GitHub
) -> None:
    forge("POST", "/issues", {"title": "Title", "body": "text", "labels": ["a", "b"]})
    shell(f"coord-github import {SLUG}")
    item = links(shell)["1"]
    shell(f"wk update {item} --title Ours --label ours --rm-label a", COORD_AGENT="bob")
    shell(f"wk close {item} --note done", COORD_AGENT="bob")
    forge("PATCH", "/issues/1", {"title": "Theirs", "labels": ["a", "b", "theirs"], "body": "new"})
    shell(f"coord-github follow {SLUG} --once")
    assert_equal(shell, forge)
    row = rows(shell)["1"]
    assert (row["title"], row["desc"], row["status"]) == ("Theirs", "new", "done")
    assert row["labels"] == ["b", "ours", "theirs"]
    assert row["conflicts"] == {"title": ["Ours"]}
    (mail,) = shell("msg ls --all --as bob").lines or shell("msg recv --as bob").lines
    assert "title was changed on GitHub, too" in json.dumps(mail)
    (conflict,) = shell("ev replay --type github.conflict").lines
    assert (conflict["body"]["lost"], conflict["body"]["kept"]) == ("Ours", "Theirs")
    assert conflict["to"] == ["agent:bob"]
    shell(f"wk update {item} --title 'Ours again' --force")
    shell(f"coord-github follow {SLUG} --once")
    assert forge("GET", "/issues/1")["title"] == "Ours again"
    assert "conflicts" not in rows(shell)["1"]
    assert_equal(shell, forge)


def test_a_first_export_is_bounded_and_each_item_is_one_issue(shell: Shell, forge: GitHub) -> None:
    for number in range(4):
        shell(
            f"wk new 'Item {number}' --label l{number} --desc 'text {number}' --assignee human:ada"
        )
    first = shell("wk ls -o id").out.split()[0]
    shell(f"wk comment {first} 'before it was an issue'")
    shell("wk ask 'Which?' --to human:ada")
    done = shell(f"coord-github export {SLUG} --max 3", expect=1)
    assert [row["act"] for row in done.lines] == ["create"] * 4
    assert "4 issues would be created, more than 3; look at the list, then: --max 4" in done.err
    assert forge.writes == []
    shell(f"coord-github export {SLUG} {first}")
    assert [row["title"] for row in forge.all("/issues")] == ["Item 0"]
    shell(f"wk ls -o id | coord-github export {SLUG} -")
    assert_equal(shell, forge)
    assert len(forge.all("/issues?state=all")) == 4
    writes = len(forge.writes)
    shell(f"coord-github export {SLUG}")
    shell(f"coord-github follow {SLUG} --once --export")
    assert len(forge.writes) == writes
    shell("wk new Later")
    shell(f"coord-github follow {SLUG} --once")
    assert len(forge.writes) == writes, "only what is asked for becomes an issue"
    shell(f"coord-github follow {SLUG} --once --export")
    assert_equal(shell, forge)


def test_what_was_created_and_not_noted_is_found_again(shell: Shell, forge: GitHub) -> None:
    """A process that is killed between the request and the event leaves a marker."""
    shell("wk new Lost --desc text")
    (item,) = shell("wk ls").lines
    shell(f"wk comment {item['id']} spoken")
    (comment,) = shell(f"wk show {item['id']}").one["comments"]
    body = f"text\n\n<!-- coord:{item['work_id']} -->"
    forge("POST", "/issues", {"title": "Lost", "body": body})
    said = f"**agent:tester**: spoken\n\n<!-- coord:{comment['event_id']} -->"
    forge("POST", "/issues/1/comments", {"body": said})
    copied = forge("POST", "/issues", {"title": "A copy", "body": body})["number"]
    shell(f"coord-github follow {SLUG} --once")
    assert links(shell)["1"] == item["work_id"]
    assert links(shell)[str(copied)] != item["work_id"], "a marker counts once"
    assert forge.writes == []
    assert_equal(shell, forge)


def test_limits_and_failures_are_waited_for_or_reported(shell: Shell, forge: GitHub) -> None:
    forge("POST", "/issues", {"title": "One"})
    command = f"coord-github import {SLUG}"
    forge.limits = [(429, {"Retry-After": "1"}), (403, {"Retry-After": "1"})]
    shell(command)
    assert links(shell).keys() == {"1"}
    reset = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 3000)}
    for answer, status, what in (
        ((403, reset), 75, "wait until"),
        ((401, {}), 77, "check the token"),
    ):
        forge.limits = [answer]
        assert what in shell(command, expect=status).err
        assert github.TOKEN not in shell("ev replay").out
    item = links(shell)["1"]
    shell(f"wk update {item} --title Two")
    forge("POST", "/issues", {"title": "Three"})
    # The issues are answered, their comments are not: they are read again.
    forge.limits = [(502, {}), (0, {})]
    shell(f"coord-github follow {SLUG} --once", expect=69)
    shell(f"coord-github follow {SLUG} --once")
    assert_equal(shell, forge)
    gone = shell(command, expect=69, COORD_GITHUB_URL="http://localhost:1")
    assert "no answer" in gone.err


def test_what_is_wrong_on_the_command_line_is_one_line(shell: Shell, tmp_path: Path) -> None:
    env = {"COORD_GITHUB_TOKEN": "x", "COORD_GITHUB_URL": "http://localhost:1"}
    for line, status, what in (
        ("coord-github import", 2, "no repository; name OWNER/REPO"),
        ("coord-github import a/b/c", 2, "not a valid repository: 'a/b/c'"),
        ("coord-github import ../..", 2, "not a valid repository"),
        (f"COORD_GITHUB_URL=http://example.org coord-github import {SLUG}", 77, "unencrypted"),
        (
            f"COORD_GITHUB_TOKEN= XDG_CONFIG_HOME={tmp_path} coord-github import {SLUG}",
            2,
            "no token",
        ),
        (
            f"COORD_GITHUB_URL=http://127.0.0.1:99999 coord-github import {SLUG}",
            2,
            "not a valid URL",
        ),
        (f"coord-github export {SLUG} wk-nope1234", 1, "no such work item"),
    ):
        assert what in shell(line, expect=status, **env).err
    secrets = tmp_path / "coord/secrets"
    secrets.mkdir(parents=True)
    (secrets / "COORD_GITHUB_TOKEN").write_text("t\n")
    (secrets / "COORD_GITHUB_TOKEN").chmod(0o644)
    line = f"COORD_GITHUB_TOKEN= XDG_CONFIG_HOME={tmp_path} coord-github import {SLUG}"
    assert "others can read" in shell(line, expect=77, **env).err
    (shell.cwd / "coord.toml").write_text('[github]\nurl = "http://evil.example"\n')
    assert (
        "not a valid setting: github.url"
        in shell(f"coord-github import {SLUG}", expect=65, **env).err
    )


def test_what_follows_hears_both_sides_at_once(shell: Shell, forge: GitHub) -> None:
    """A change here by its event, one at GitHub by the event of a webhook; SIGTERM ends it."""
    forge("POST", "/issues", {"title": "One"})
    with shell.popen(f"coord-github follow {SLUG}", stdout=subprocess.PIPE) as child:
        assert child.stdout
        until(child, "github.synced")
        item = links(shell)["1"]
        shell(f"wk update {item} --title Two")
        until(child, "github.synced")
        assert forge("GET", "/issues/1")["title"] == "Two"
        forge("PATCH", "/issues/1", {"title": "Three"})
        shell("ev emit github.issues.edited action=edited --as bridge:github")
        assert until(child, "work.updated")["body"]["set"] == {"title": "Three"}
        until(child, "github.synced")
        busy = shell(f"coord-github follow {SLUG} --status", expect=75)
        assert "another coord-github serves this repository" in busy.err
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    assert_equal(shell, forge)


def until(child: subprocess.Popen[bytes], kind: str) -> Json:
    """The next event of this type that it prints."""
    assert child.stdout
    while line := child.stdout.readline():
        event: Json = json.loads(line)
        if event["type"] == kind:
            return event
    raise AssertionError(f"it has ended without {kind}")


@pytest.mark.parametrize("seed", [2, 5])
def test_whatever_is_changed_where_and_in_which_order_they_become_equal(
    shell: Shell, forge: GitHub, request: pytest.FixtureRequest, seed: int
) -> None:
    """With --long: ten rounds of changes and commands."""
    long = request.config.getoption("--long")
    if not long and seed != 2:
        pytest.skip("of the long form: make forge")
    chance = random.Random(seed)
    for number in range(4):
        forge("POST", "/issues", {"title": f"Issue {number}", "labels": ["a", "b"]})
    shell(f"coord-github import {SLUG}")
    known = links(shell)
    for round_ in range(10 if long else 2):
        for _ in range(4):
            change(shell, forge, chance, (chance.choice("1234"), known, round_))
        commands = ("import {}", f"export {{}} {known['1']}", "follow {} --once")
        shell(f"coord-github {chance.choice(commands).format(SLUG)}")
    shell(f"coord-github follow {SLUG} --once")
    assert_equal(shell, forge)
    writes = len(forge.writes)
    assert shell(f"coord-github follow {SLUG} --once").out == ""
    assert len(forge.writes) == writes


def change(
    shell: Shell, forge: GitHub, chance: random.Random, what: tuple[str, dict[str, str], int]
) -> None:
    """One change of an issue or of its item."""
    number, known, round_ = what
    item, path, text = known[number], f"/issues/{number}", f"{round_}.{chance.random()}"
    closed = {"state": "closed", "state_reason": chance.choice(["completed", "not_planned"])}
    label = chance.choice("abcdef")
    match chance.randrange(8):
        case 0:
            forge("PATCH", path, {"title": f"Theirs {text}"})
        case 1:
            shell(f"wk update {item} --force --title 'Ours {text}'")
        case 2:
            forge("PATCH", path, {"labels": sorted(chance.sample("abcdef", 3))})
        case 3:
            shell(f"wk update {item} --force --label {label}")
        case 4:
            shell(f"wk update {item} --force --rm-label {label}", expect=None)
        case 5:
            is_open = forge("GET", path)["state"] == "open"
            forge("PATCH", path, closed if is_open else {"state": "open"})
        case 6:
            shell(f"wk close {item} || wk reopen {item}", expect=None)
        case _:
            shell(f"wk comment {item} 'ours {text}'")
            forge("POST", f"{path}/comments", {"body": f"theirs {text}"})


def test_killed_at_any_point_both_sides_become_equal_and_nothing_is_twice(
    shell: Shell, forge: GitHub, request: pytest.FixtureRequest
) -> None:
    """With --long: 200 issues, 50 changed on both sides, 30 kills."""
    long = request.config.getoption("--long")
    count, changed, kills = (200, 50, 30) if long else (12, 4, 4)
    chance = random.Random(28)
    for number in range(count):
        words = {"title": f"Issue {number}", "body": f"text {number}", "labels": [f"l{number % 7}"]}
        forge("POST", "/issues", words)
        if number % 3 == 0:
            forge("POST", f"/issues/{number + 1}/comments", {"body": f"comment {number}"})
    begun = time.monotonic()
    kill(shell, chance, kills // 3, "import", 3.0)
    shell(f"coord-github import {SLUG}")
    assert len(links(shell)) == count
    known = links(shell)
    for number in range(1, changed + 1):
        item = known[str(number)]
        theirs = {"title": f"Theirs {number}"} if number % 2 else {"state": "closed"}
        forge("PATCH", f"/issues/{number}", theirs)
        forge("POST", f"/issues/{number}/comments", {"body": f"their comment {number}"})
        ours = f"--title 'Ours {number}'" if number % 2 else f"--desc 'ours {number}'"
        shell(f"wk update {item} {ours} --label ours; wk comment {item} 'our comment {number}'")
    for number in range(1 + count // 20):
        shell(f"wk new 'New here {number}'")
    kill(shell, chance, kills - kills // 3, "follow --once --export", 4.0)
    shell(f"coord-github follow {SLUG} --once --export")
    took = time.monotonic() - begun
    assert_equal(shell, forge)
    check_invariants(open_store(shell.cwd), bad_at_most=kills)
    conflicts = shell("ev replay --type github.conflict").lines
    fought = [f"{SLUG}#{number}" for number in range(1, changed + 1) if number % 2]
    assert sorted(each["body"]["issue"] for each in conflicts) == sorted(fought)
    assert {each["body"]["field"] for each in conflicts} == {"title"}
    for number in range(1, changed + 1):
        conflict = shell(f"wk show {known[str(number)]}").one.get("conflicts", {})
        assert conflict.get("title") == ([f"Ours {number}"] if number % 2 else None)
    writes, events = len(forge.writes), shell("ev replay").out
    assert shell(f"coord-github follow {SLUG} --once --export").out == ""
    assert len(forge.writes) == writes, "the second run writes nothing there"
    assert shell("ev replay").out == events, "and nothing here"
    print(f"{count} issues, {changed} changed on both sides, {kills} kills: {took:.0f} s")


def kill(shell: Shell, chance: random.Random, times: int, command: str, most_s: float) -> None:
    """Start it and kill it, at a random moment of its work each time."""
    verb, _, options = command.partition(" ")
    argv = [f"{BIN}/coord-github", verb, SLUG, *options.split()]
    for _ in range(times):
        # Its start alone takes most of a second.
        with subprocess.Popen(
            argv, cwd=shell.cwd, env=shell.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as child:
            try:
                child.wait(0.5 + chance.random() * most_s)
            except subprocess.TimeoutExpired:
                os.kill(child.pid, signal.SIGKILL)
            _, err = child.communicate()
            assert b"Traceback" not in err, err.decode()
