"""Questions: asked of a person, answered once, bound to what they are about, and never taken as work."""

from __future__ import annotations

import json
import os
import subprocess
from itertools import permutations
from pathlib import Path

import pytest
from support import Json, Shell, check_invariants, git, open_store

from coord_envelope import ids
from coord_envelope.event import Event
from coord_kernel.cli import words
from coord_wk import fold, question

BEGIN, LATE = "2026-06-01T09:00:00Z", "2026-06-01T11:00:01Z"
ADA, BOB = "--as human:ada", "--as human:bob"


def ask(shell: Shell, more: str = "", text: str = "Deploy 3f2c1a0?", **env: str) -> str:
    return shell(f"wk ask '{text}' --to human:ada {more} -o id", "", 0, **env).out.strip()


def status(shell: Shell, asked: str, **env: str) -> int:
    return shell(f"wk check {asked}", "", None, **env).status


def answers(shell: Shell) -> list[Json]:
    closed = shell("ev replay --type work.closed").lines
    return [event for event in closed if "answer" in event["body"]]


def test_a_question_is_mail_to_a_person_and_holds_what_waits_for_it(shell: Shell) -> None:
    work = shell("wk new 'Deploy it' -o id").out.strip()
    asked = ask(shell, f"--option yes --option no --blocks {work}")
    (mail,) = shell(f"msg recv {ADA}").lines
    assert (mail["event_id"], mail["body"]["subject"]) == (asked, "Deploy 3f2c1a0?")
    (listed,) = shell("wk ls --kind question").lines
    assert (listed["asked"], listed["options"]) == (["human:ada"], ["yes", "no"])
    assert [row["title"] for row in shell("wk ready").lines] == []
    assert shell(f"wk show {work}").one["blockers"] == [asked]
    assert status(shell, asked) == 75
    answered = shell(f"wk answer {asked} yes {ADA}").one
    assert answered["to"] == ["agent:tester"]
    assert status(shell, asked) == 0
    assert [row["title"] for row in shell("wk ready").lines] == ["Deploy it"]
    assert shell(f"msg recv {ADA}").lines == []
    check_invariants(open_store(shell.cwd))


def test_what_was_answered_by_another_is_told_and_by_the_same_again_is_the_same_event(
    shell: Shell,
) -> None:
    asked = ask(shell)
    first = shell(f"wk answer {asked} no {ADA}").one
    again = shell(f"wk answer {asked} no {ADA}").one
    assert (again["event_id"], again["$dup"]) == (first["event_id"], True)
    assert "you answered no" in shell(f"wk answer {asked} yes {ADA}", expect=1).err
    assert "human:ada answered no" in shell(f"wk answer {asked} yes {BOB}", expect=1).err
    assert len(answers(shell)) == 1
    assert status(shell, asked) == 1


def test_of_many_who_answer_at_once_one_does_and_the_others_learn_whose_counts(
    shell: Shell,
) -> None:
    asked = ask(shell)
    names = [f"human:p{n}" for n in range(6)]
    running = [
        shell.popen(
            f"wk answer {asked} {'yes' if n % 2 else 'no'} --as {name}",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for n, name in enumerate(names)
    ]
    ended = [(process.communicate(), process.returncode) for process in running]
    (winner,) = [name for name, (_, code) in zip(names, ended, strict=True) if code == 0]
    assert sorted(code for _, code in ended) == [0, 1, 1, 1, 1, 1]
    assert all(winner in err.decode() for (_, err), code in ended if code)
    (answer,) = answers(shell)
    assert answer["actor"]["agent_id"] == winner


def test_who_asks_does_not_answer_unless_it_is_a_person_or_was_asked(shell: Shell) -> None:
    asked = ask(shell)
    assert "who asks does not answer" in shell(f"wk answer {asked} yes", expect=77).err
    other = shell(f"wk answer {asked} yes --as bob")
    assert "asked of human:ada" in other.err
    own = shell("wk ask 'Red?' --to tester -o id").out.strip()
    shell(f"wk answer {own} yes")


@pytest.mark.parametrize(
    ("options", "answer", "code"),
    [
        ("", "yes", 0),
        ("", "no", 1),
        ("--option no --option yes", "yes", 0),
        ("--option approve --option deny", "approve", 0),
        ("--option approve --option deny", "deny", 1),
        ("--option no --option 'not yet'", "not yet", 0),
        ("--option no", "no", 1),
    ],
)
def test_yes_is_the_option_yes_or_else_the_first_and_no_never_is(
    shell: Shell, options: str, answer: str, code: int
) -> None:
    asked = ask(shell, options)
    shell(f"wk answer {asked} '{answer}' {ADA}")
    assert status(shell, asked) == code


def test_an_answer_is_bound_to_the_file_that_it_is_about(shell: Shell) -> None:
    plan = shell.cwd / "docs/plan.md"
    plan.parent.mkdir()
    plan.write_text("one\n")
    asked = ask(shell, "--about docs/plan.md")
    plan.write_text("two\n")
    refused = shell(f"wk answer {asked} yes {ADA}", expect=77).err
    assert "docs/plan.md has changed since it was asked" in refused
    assert status(shell, asked) == 77
    plan.write_text("one\n")
    shell(f"cd docs && wk answer {asked} yes {ADA}")
    assert status(shell, asked) == 0
    plan.unlink()
    checked = shell(f"wk check {asked}", expect=77).one
    assert (checked["status"], checked["changed"]) == ("changed", "docs/plan.md")


def test_an_answer_is_bound_to_the_item_that_it_is_about_but_not_to_its_history(
    shell: Shell,
) -> None:
    work = shell("wk new 'Drop the table' -o id").out.strip()
    asked = ask(shell, f"--about wk-{work[-8:].lower()} --blocks {work}")
    assert (
        shell(f"wk show {asked}").one["about"]
        == shell(f"wk show {ask(shell, f'--about {work}')}").one["about"]
    )
    shell(f"wk comment {work} hm")
    shell(f"wk update {work} --label urgent")
    shell(f"wk answer {asked} yes {ADA}")
    assert status(shell, asked) == 0
    shell(f"wk update {work} --title 'Drop all tables'")
    assert status(shell, asked) == 77


def test_a_question_that_is_reworded_is_another_one(shell: Shell) -> None:
    asked = ask(shell)
    shell(f"wk answer {asked} yes {ADA}")
    shell(f"wk update {asked} --title 'Deploy everything?' --force")
    assert status(shell, asked) == 77


def test_a_digest_stands_for_itself(shell: Shell) -> None:
    asked = ask(shell, "--about 3f2c1a0")
    assert shell(f"wk show {asked}").one["about"] == {"digest": "3f2c1a0"}
    shell(f"wk answer {asked} yes {ADA}")
    assert status(shell, asked) == 0
    wrong = shell("wk ask 'Deploy?' --to human:ada --about missing.md", expect=65).err
    assert "no such file, work item or digest" in wrong


def test_an_answered_question_stays_answered(shell: Shell) -> None:
    asked = ask(shell)
    shell(f"wk answer {asked} no {ADA}")
    assert "was answered no" in shell(f"wk reopen {asked}", expect=1).err
    operation = json.dumps({"op": "reopen", "id": asked})
    assert "ask again: `wk ask`" in shell("wk apply", operation, expect=1).err
    # Another store may write what this one refuses.
    shell(f"ev emit work.reopened --ref work_id={asked} --body '{{}}'")
    assert "human:ada answered no" in shell(f"wk answer {asked} yes --as bob", expect=1).err
    body = '{"resolution":"done","answer":"yes"}'
    shell(f"ev emit work.closed --ref work_id={asked} --body '{body}'")
    shown = shell(f"wk show {asked}").one
    assert (shown["status"], shown["answer"], shown["answered_by"]) == ("done", "no", "human:ada")
    (closed,) = [each for each in answers(shell) if each["body"]["answer"] == "no"]
    shell(f"ev redact {closed['event_id']} --reason x")
    assert "was answered no" in shell(f"wk reopen {asked}", expect=1).err
    assert status(shell, asked) == 1


def test_a_question_that_was_withdrawn_can_be_asked_again(shell: Shell) -> None:
    asked = ask(shell)
    shell(f"wk close {asked} --resolution cancelled")
    shell(f"wk reopen {asked}")
    shell(f"wk answer {asked} yes {ADA}")
    assert status(shell, asked) == 0


def test_who_is_asked_does_not_change(shell: Shell) -> None:
    asked = ask(shell)
    says = "is a question, asked of human:ada"
    assert says in shell(f"wk update {asked} --assignee bob", expect=1).err
    assert says in shell(f"wk update {asked} --assignee ''", expect=1).err
    assert says in shell(f"wk handoff {asked} --to bob", expect=1).err
    operation = json.dumps({"op": "update", "id": asked, "set": {"assignee": "agent:bob"}})
    assert says in shell("wk apply", operation, expect=1).err
    body = '{"set":{"assignee":"agent:bob"}}'
    shell(f"ev emit work.updated --ref work_id={asked} --body '{body}'")
    assert shell(f"wk show {asked}").one["assignee"] == "human:ada"
    assert "asked of human:ada" in shell(f"wk answer {asked} yes --as bob").err


def test_the_mail_with_a_question_says_how_to_answer_it(shell: Shell) -> None:
    text = "Deploy 3f2c1a0?\nIt changes the schema."
    asked = ask(shell, "--option yes --option 'not yet' --for 2h --on-timeout 'not yet'", text)
    name = f"wk-{asked[-8:].lower()}"
    fence = shell(f"msg recv {ADA} --text").out
    brief = shell(f"msg recv {ADA} -o brief").out
    page = shell(f"msg show {asked} -o table --color never").out
    assert (
        "Options: yes | not yet\nUntil: " in fence
        and f"\nAnswer: wk answer {name} OPTION\n\nIt " in fence
    )
    assert (
        "> options: yes | not yet\n" in brief
        and f"> answer: wk answer {name} OPTION\n> It" in brief
    )
    assert "yes | not yet" in page and f"wk answer {name} OPTION" in page
    assert all("It changes the schema." in shown for shown in (fence, brief, page))
    shell(f"wk answer {name} 'not yet' {ADA}")


def test_the_mail_with_a_question_of_a_long_text_has_all_of_it(shell: Shell) -> None:
    asked = shell("wk ask - --to human:ada -o id", "Deploy?\n" + "word " * 10_000).out.strip()
    fence = shell(f"msg recv {ADA} --text").out
    assert fence.count("word") == 10_000 and f"wk answer wk-{asked[-8:].lower()} OPTION" in fence


def test_a_line_for_close_with_more_than_an_item_is_refused(shell: Shell) -> None:
    asked = ask(shell)
    for field, todo in (("answer", "`wk answer ID OPTION`"), ("note", "`wk apply`")):
        refused = shell("wk close", json.dumps({"work_id": asked, field: "yes"}), expect=65).err
        assert f"line 1: unknown field '{field}'" in refused and todo in refused
    assert status(shell, asked) == 75
    shell("wk ls --kind question | wk close --resolution cancelled")
    assert status(shell, asked) == 1


def test_when_the_time_is_over_the_default_is_the_answer_once_by_a_bridge(shell: Shell) -> None:
    asked = ask(shell, "--for 2h --on-timeout no", COORD_NOW=BEGIN)
    assert status(shell, asked, COORD_NOW=BEGIN) == 75
    late = shell(f"wk answer {asked} yes {ADA}", expect=1, COORD_NOW=LATE).err
    assert "bridge:wk answered no" in late
    assert status(shell, asked, COORD_NOW=LATE) == 1
    (answer,) = answers(shell)
    assert answer["actor"]["agent_id"] == "bridge:wk"
    assert shell(f"wk check {asked} --at {BEGIN}", expect=75).one["status"] == "open"


def test_an_answer_in_time_keeps_the_default_away(shell: Shell) -> None:
    asked = ask(shell, "--for 2h --on-timeout no", COORD_NOW=BEGIN)
    shell(f"wk answer {asked} yes {ADA}", COORD_NOW=BEGIN)
    assert status(shell, asked, COORD_NOW=LATE) == 0
    assert len(answers(shell)) == 1


def test_many_who_look_at_an_expired_question_write_one_default(shell: Shell) -> None:
    asked = ask(shell, "--for 2h --on-timeout yes", COORD_NOW=BEGIN)
    shell.env["COORD_NOW"] = LATE
    running = [shell.popen(f"wk check {asked}", stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    assert len(answers(shell)) == 1


def test_wait_prints_the_answer_and_exits_with_it(shell: Shell) -> None:
    line = "wk ask 'Deploy?' --to human:ada --wait && echo deployed"
    waiting = subprocess.Popen(
        ["bash", "-c", line], cwd=shell.cwd, env=shell.env, stdout=subprocess.PIPE
    )
    assert waiting.stdout
    asked = json.loads(waiting.stdout.readline())["event_id"]
    shell(f"wk answer {asked} yes {ADA}")
    rest = waiting.communicate(timeout=60)[0].decode().splitlines()
    assert (json.loads(rest[0])["answer"], rest[1]) == ("yes", "deployed")


def test_wait_ends_when_the_time_is_over_or_the_question_is_withdrawn(shell: Shell) -> None:
    denied = "wk ask 'Deploy?' --to human:ada --for 50ms --on-timeout no --wait"
    shell(denied, expect=1)
    waiting = shell.popen("wk ask 'Deploy?' --to human:ada --wait", stdout=subprocess.PIPE)
    assert waiting.stdout
    asked = json.loads(waiting.stdout.readline())["event_id"]
    shell(f"wk close {asked} --resolution cancelled")
    assert waiting.wait(timeout=60) == 1
    waiting.stdout.close()


def test_nobody_takes_a_question_as_work(shell: Shell) -> None:
    asked = ask(shell)
    plain = shell("wk new 'A gate by hand' --kind question -o id").out.strip()
    shell("wk ready --claim --as human:ada", expect=1)
    shell("wk ready --claim --kind question --anyone --as human:ada", expect=1)
    assert "`wk answer` it" in shell(f"wk claim {asked} {ADA}", expect=1).err
    shell("wk apply", json.dumps({"op": "claim", "id": asked}), expect=1)
    assert {row["work_id"] for row in shell("wk ready --kind question").lines} == {asked, plain}


def test_asking_with_a_key_twice_asks_once(shell: Shell) -> None:
    first = ask(shell, "--key k --for 2h --on-timeout no", COORD_NOW=BEGIN)
    assert ask(shell, "--key k --for 2h --on-timeout no", COORD_NOW=LATE) == first
    wrong = shell("wk ask 'Another?' --to human:ada --key k", expect=65).err
    assert "k" in wrong


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("wk ask 'Deploy?'", 2, "--to is missing"),
        ("wk ask 'Deploy?' --to human:ada --for 2h", 2, "need each other"),
        ("wk ask 'Deploy?' --to human:ada --for 2h --on-timeout maybe", 65, "not an option"),
        ("wk ask 'Deploy?' --to human:ada --option a --option a", 2, "twice"),
        ("wk ask '' --to human:ada", 65, "TEXT: is empty"),
        ("wk ask 'Deploy?' --to human:ada --blocks wk-zzzzzzzz", 1, "no such work item"),
        ("wk check ITEM", 65, "is not a question"),
        ("wk answer ITEM yes --as human:ada", 65, "is not a question"),
        ("wk check wk-zzzzzzzz", 1, "no such work item"),
    ],
)
def test_what_is_wrong_is_said(shell: Shell, line: str, code: int, says: str) -> None:
    item = shell("wk new x -o id").out.strip()
    assert says in shell(line.replace("ITEM", item), expect=code).err
    assert shell("wk ls --kind question").lines == []


def test_people_and_agents_are_shown_who_is_asked_what(shell: Shell) -> None:
    asked = ask(shell)
    name = f"wk-{asked[-8:].lower()}"
    assert shell("wk ls -o brief").out == (
        f"{name} ready · Deploy 3f2c1a0?\n".replace("ready", "ready asks human:ada: yes | no")
    )
    shell(f"wk answer {asked} yes {ADA}")
    assert "human:ada answered" in shell("ev tail -n 3 -o table").out
    assert "answer       yes by human:ada" in shell(f"wk show {asked} -o table --color never").out
    assert shell("wk ls --all -o brief").out == f"{name} done yes by human:ada · Deploy 3f2c1a0?\n"
    titles = shell("wk ls --all -o table --color never").out.splitlines()
    assert titles[0].split() == ["ID", "STATUS", "P", "OWNER", "AGE", "ANSWER", "TITLE"]


def test_who_was_killed_between_claim_and_answer_answers_again(shell: Shell) -> None:
    """The claim that was left behind says an answer that nobody has confirmed."""
    for option, left in (("yes", 1), ("no", 2)):
        asked = ask(shell)
        claim = f"ev emit work.claimed --ref work_id={asked} {ADA}"
        shell(f'{claim} --body \'{{"gen":1,"answer":"yes"}}\'')
        assert status(shell, asked) == 75
        assert "human:ada answers yes" in shell(f"wk answer {asked} no {BOB}", expect=1).err
        closed = shell(f"wk answer {asked} {option} {ADA}").one
        claims = shell(f"ev replay --type work.claimed --work {asked}").lines
        assert [event["event_id"] for event in claims][-1] == closed["body"]["claim"]
        assert (len(claims), claims[-1]["body"]["answer"]) == (left, option)
        assert status(shell, asked) == (0 if option == "yes" else 1)


# ---- two clones, a git remote


def clone(shell: Shell, path: Path, origin: Path) -> Shell:
    git("clone", "-q", str(origin), str(path), cwd=path.parent)
    other = Shell(path)
    other.env |= shell.env
    other("ev init")
    other("ev sync --remote origin")
    return other


@pytest.fixture
def clones(shell: Shell, tmp_path: Path) -> tuple[Shell, Shell]:
    git("init", "-q", "--bare", str(origin := tmp_path / "origin.git"), cwd=tmp_path)
    return clone(shell, tmp_path / "one", origin), clone(shell, tmp_path / "two", origin)


def test_of_two_clones_one_answers_and_the_other_is_told_whose_counts(
    clones: tuple[Shell, Shell],
) -> None:
    one, two = clones
    asked = ask(one)
    one("ev sync")
    two("ev sync")
    running = [
        one.popen(f"wk answer {asked} yes {ADA}", stdout=-1, stderr=-1),
        two.popen(f"wk answer {asked} no {BOB}", stdout=-1, stderr=-1),
    ]
    ended = [(process.communicate(), process.returncode) for process in running]
    assert sorted(code for _, code in ended) == [0, 1]
    (lost,) = [err.decode() for (_, err), code in ended if code]
    winner = ("human:ada", "yes") if ended[0][1] == 0 else ("human:bob", "no")
    assert f"{winner[0]} answer" in lost and winner[1] in lost
    for shell in (one, two, one):
        shell("ev sync")
    checks = [shell(f"wk check {asked}", expect=None).one["answer"] for shell in clones]
    assert checks == [winner[1]] * 2


def test_without_its_remote_a_question_stays_open(clones: tuple[Shell, Shell]) -> None:
    one, _ = clones
    asked = ask(one)
    os.rename(one.cwd.parent / "origin.git", one.cwd.parent / "gone.git")
    away = one(f"wk answer {asked} yes {ADA}", expect=69).err
    assert "the question stays open; answer again when it can be reached" in away
    assert "--require" not in away
    assert status(one, asked) == 75
    os.rename(one.cwd.parent / "gone.git", one.cwd.parent / "origin.git")
    one(f"wk answer {asked} yes {ADA}")
    assert status(one, asked) == 0


def test_the_default_is_one_answer_in_two_clones(clones: tuple[Shell, Shell]) -> None:
    one, two = clones
    asked = ask(one, "--for 2h --on-timeout no", COORD_NOW=BEGIN)
    one("ev sync", COORD_NOW=BEGIN)
    two("ev sync", COORD_NOW=BEGIN)
    for each in clones:
        each.env |= {"COORD_NOW": LATE}
        del each.env["COORD_AGENT"]  # who only looks needs no name
    running = [each.popen(f"wk check {asked}", stdout=subprocess.DEVNULL) for each in clones]
    for process in running:
        process.wait()
    for each in (one, two, one):
        each("ev sync --as tester")
    assert [status(each, asked) for each in clones] == [1, 1]
    assert len(answers(one)) == 1
    confirmed = one("ev replay --type work.confirmed").lines
    assert len(confirmed) == 1


def test_a_default_that_cannot_be_confirmed_holds_nothing(clones: tuple[Shell, Shell]) -> None:
    one, _ = clones
    asked = ask(one, "--for 2h --on-timeout no", COORD_NOW=BEGIN)
    os.rename(one.cwd.parent / "origin.git", one.cwd.parent / "gone.git")
    one(f"wk check {asked}", expect=69, COORD_NOW=LATE, COORD_AGENT="")
    os.rename(one.cwd.parent / "gone.git", one.cwd.parent / "origin.git")
    assert one(f"wk show {asked}").one["status"] == "ready"
    assert status(one, asked, COORD_NOW=LATE, COORD_AGENT="") == 1


def test_the_same_person_in_two_clones_answers_once(clones: tuple[Shell, Shell]) -> None:
    one, two = clones
    asked = ask(one)
    one("ev sync")
    two("ev sync")
    one(f"wk answer {asked} yes {ADA}")
    one("ev sync")
    two("ev sync")
    assert two(f"wk answer {asked} yes {ADA}").one["$dup"] is True


# ---- the fold


def event(n: int, kind: str, agent: str, **more: object) -> Event:
    return Event(
        b"",
        {
            "event_id": ids.mint((n + 1) << 16, bytes(8)),
            "type": kind,
            "ts": f"2026-06-01T09:00:{n:02d}.000Z",
            "writer": f"{agent.replace(':', '.')}~aaaaaaaa",
            "actor": {"agent_id": agent},
            "body": {},
            **more,
        },
    )


@pytest.mark.parametrize(
    "said",
    [None, "x", {}, {"options": []}, {"options": "yes"}, {"options": [1]}, {"options": {"a": 1}}],
)
def test_what_makes_no_sense_is_no_question(said: object) -> None:
    created = event(0, "work.created", "agent:a", body={"title": "x", "question": said})
    assert question.asked(created) is None


def test_a_confirmed_claim_answers_until_its_writer_has_closed_the_question() -> None:
    created = event(
        0,
        "work.created",
        "agent:a",
        to=["human:ada"],
        body={"title": "x", "kind": "question", "question": {"options": ["yes", "no"]}},
    )
    about = {"work_id": created["event_id"]}
    claims = [
        event(n, "work.claimed", who, refs=about, base=[created["event_id"]], body=body)
        for n, who, body in (
            (1, "human:ada", {"gen": 1, "answer": "yes"}),
            (2, "human:bob", {"gen": 1, "answer": "no"}),
        )
    ]
    confirmed = event(
        3,
        "work.confirmed",
        "agent:b",
        writer="arbiter.main~bbbbbbbb",
        refs=about,
        body={"claim": claims[1]["event_id"], "n": 1, "agent_id": "human:bob"},
    )
    created = Event(b"", {**created, "refs": about})
    state = None
    for each in (created, *claims):
        state = fold.step(state, each)
    assert state and question.status(state) == "open", "a claim that is not confirmed may be lost"
    state = fold.step(state, confirmed)
    assert question.answer(state) == {
        "option": "no",
        "by": "human:bob",
        "ts": claims[1]["ts"],
        "claim": claims[1]["event_id"],
    }
    assert question.verdict(state, changed=False) == ("answered", 1)
    assert question.verdict(state, changed=True) == ("changed", 77)
    row = {"id": "wk-aaaaaaaa", "status": "answered", "owner": "human:bob", **question.row(state)}
    (line,) = words.brief({**row, "title": "x"}, None)  # type: ignore[arg-type]
    assert line == "wk-aaaaaaaa answered no by human:bob · x"


@pytest.mark.parametrize(
    ("after", "confirmed", "counts"),
    [
        ({2: 1}, {}, "no"),  # the second knew of the first
        ({2: 1}, {2: 1}, "no"),  # and no confirmation helps it
        ({}, {}, "no"),  # concurrent: the first
        ({}, {2: 1}, "yes"),  # the arbiter decided
        ({}, {1: 1, 2: 2}, "no"),
        ({}, {1: 2, 2: 1}, "yes"),
    ],
)
def test_of_several_answers_the_first_counts_in_any_order(
    after: dict[int, int], confirmed: dict[int, int], counts: str
) -> None:
    body = {"title": "x", "question": {"options": ["yes", "no"]}}
    created = event(0, "work.created", "agent:a", body=body)
    about = {"work_id": created["event_id"]}
    state = fold.step(None, Event(b"", {**created, "refs": about}))
    named = {n: event(n, "work.closed", "human:ada")["event_id"] for n in (1, 2)}
    for n, option in ((1, "no"), (2, "yes")):
        base = [named[after[n]]] if n in after else [created["event_id"]]
        said = {"resolution": "done", "answer": option, "claim": f"claim {n}"}
        answered = event(n, "work.closed", "human:ada", refs=about, base=base, body=said)
        state = fold.step(state, answered)
    for n, token in confirmed.items():
        decided = {"claim": f"claim {n}", "n": token, "agent_id": "human:ada"}
        arbiter = "arbiter.main~bbbbbbbb"
        at = event(2 + n, "work.confirmed", "agent:b", writer=arbiter, refs=about, body=decided)
        state = fold.step(state, at)
    everything = {"base": [*named.values()], "refs": about}
    state = fold.step(state, event(8, "work.reopened", "agent:a", **everything))
    later = {"resolution": "cancelled"}
    state = fold.step(state, event(9, "work.closed", "agent:a", **everything, body=later))
    given = question.answer(state)
    assert given and given["option"] == counts
    (closed,) = state["registers"]["closed"].values()
    assert isinstance(closed, dict) and closed["answer"] == counts
    united = question.answer(fold.united([state]))
    assert united == given


def test_the_answers_of_items_that_are_one_are_those_of_all() -> None:
    body = {"title": "x", "question": {"options": ["yes", "no"]}}
    for order in permutations(range(2)):
        states = []
        for n in order:
            at = event(n, "work.created", "agent:a", body=body, idempotency_key="k")
            refs = {"work_id": at["event_id"]}
            state = fold.step(None, Event(b"", {**at, "refs": refs}))
            claim = event(
                n + 2, "work.claimed", "human:ada", refs=refs, body={"gen": 1, "answer": "no"}
            )
            states.append(fold.step(state, claim))
        assert len(fold.united(states)["answers"]) == 2
