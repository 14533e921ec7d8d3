"""The commands of wk as processes: what each does, refuses and prints, and how it ends."""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
from support import Json, Shell, check_invariants, open_store

from coord_kernel.cli.call import Call
from coord_kernel.views.view import View
from coord_wk.work import Work

FULL = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}\n")


def new(shell: Shell, title: str = "an item", *options: str) -> str:
    out = shell(" ".join(["wk new", f"'{title}'", *options, "-o id"])).out
    assert FULL.fullmatch(out)
    return out.strip()


def short(item: str) -> str:
    return f"wk-{item[-8:].lower()}"


def show(shell: Shell, item: str, now: str = "") -> Json:
    return shell(f"wk show {item}", COORD_NOW=now).one


def refused(shell: Shell, line: str, status: int, *words: str, stdin: str = "", **env: str) -> None:
    """It ends so, with one line on stderr that has these words, and the store is what it was."""
    before = journal(shell)
    done = shell(line, stdin, expect=status, **env)
    assert re.fullmatch(r"wk: [^\n]+\n", done.err), done.err
    assert all(word in done.err for word in words), done.err
    assert done.out == ""
    assert journal(shell) == before


def journal(shell: Shell) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in (shell.cwd / ".coord/journal").glob("*/*")}


def later(ts: str, **more: float) -> str:
    return (datetime.fromisoformat(ts) + timedelta(**more)).isoformat()


def test_an_item_is_made_found_claimed_and_closed(shell: Shell) -> None:
    item = shell("wk new 'Write the parser' -p 1 -l parser --desc 'as in the grammar'").one
    assert item["type"] == "work.created"
    assert item["refs"] == {"work_id": item["event_id"]}
    row = shell("wk ready").one
    assert (row["work_id"], row["status"], row["priority"]) == (item["event_id"], "ready", 1)
    claim = shell(f"wk claim {row['id']}").one
    assert (claim["type"], claim["body"], claim["base"]) == (
        "work.claimed",
        {"gen": 1},
        [item["event_id"]],
    )
    assert shell("wk ready").out == ""
    assert shell("wk mine").one["owner"] == "agent:tester"
    closed = shell(f"wk close {row['id']} --note 'as asked'").one
    assert closed["body"] == {"resolution": "done", "note": "as asked", "claim": claim["event_id"]}
    assert shell("wk ls").out == shell("wk mine").out == ""
    assert shell("wk ls --all").one["status"] == "done"
    check_invariants(open_store(shell.cwd))


def test_one_pipe_takes_the_first_and_closes_it(shell: Shell) -> None:
    first, second = new(shell, "one", "-p 0"), new(shell, "two")
    closed = shell("wk ready | head -1 | wk claim | wk close").one
    assert (closed["type"], closed["refs"]["work_id"]) == ("work.closed", first)
    assert shell("wk ready -o id").out.split() == [second]
    assert shell("wk new three | wk claim | wk close | wk show").one["title"] == "three"


@pytest.mark.parametrize(
    "form", ["{full}", "{short}", '{{"work_id":"{full}"}}', '{{"refs":{{"work_id":"{short}"}}}}']
)
def test_an_id_on_stdin_has_any_form(shell: Shell, form: str) -> None:
    item = new(shell)
    line = form.format(full=item, short=short(item))
    assert shell("wk claim", f"\n{line}\n").one["refs"]["work_id"] == item
    assert shell("wk show -", line).one["status"] == "active"
    assert shell("wk release", line).one["type"] == "work.released"


def test_a_line_that_comes_later_is_answered_as_it_is_then(shell: Shell) -> None:
    """`wk watch | wk show`: what is shown was not there when it began."""
    first = new(shell)
    reader = shell.popen("wk show", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert reader.stdin and reader.stdout
    reader.stdin.write(f"{first}\n".encode())
    reader.stdin.flush()
    assert json.loads(reader.stdout.readline())["status"] == "ready"
    shell(f"wk claim {first}")
    out, _ = reader.communicate(f"{new(shell, 'second')}\n{first}\n".encode(), timeout=60)
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["ready", "active"]
    assert reader.returncode == 0


def test_many_ids_go_on_after_a_failure_and_end_with_the_first_ones_status(shell: Shell) -> None:
    one, two = new(shell), new(shell)
    done = shell(f"wk claim {one} wk-00000000 {two}", expect=1)
    assert [line["refs"]["work_id"] for line in done.lines] == [one, two]
    assert done.err == "wk: wk-00000000: no such work item\n"
    done = shell("wk close", f'{one}\n{{"no":"id"}}\n{two}\n', expect=65)
    assert len(done.lines) == 2
    assert done.err.startswith("wk: line 2: no field work_id")


@pytest.mark.parametrize("item", ["wk-00000000", "0" * 26, "$'\\xff'", "'%'"])
def test_an_item_that_is_not_there_is_exit_1(shell: Shell, item: str) -> None:
    new(shell)
    verbs = ("show", "claim", "release", "close", "reopen", "tree", "update -p 1", "comment X")
    lines = [
        verb.replace(" ", f" {item} ", 1) if " " in verb else f"{verb} {item}" for verb in verbs
    ]
    done = shell("".join(f"wk {line} <&-; echo $?\n" for line in lines))
    assert done.out.split() == ["1"] * len(verbs)
    assert done.err.count("no such work item\n") == done.err.count("\n") == len(verbs)


def test_an_event_that_is_about_no_item_is_none(shell: Shell) -> None:
    event = shell("ev emit ci.failed -o id").out.strip()
    refused(shell, f"wk show {event}", 1, "no such work item")
    refused(shell, f"wk claim {short(event)}", 1, "no such work item")


def test_short_ids_are_endings_and_an_ambiguous_one_lists_its_candidates(shell: Shell) -> None:
    items = [new(shell, str(number)) for number in range(3)]
    for item in items:
        for text in (item, item.lower(), short(item), item[-8:], item[-5:].lower()):
            assert show(shell, text)["work_id"] == item
    refused(shell, f"wk show {items[0][-3:]}", 1, "no such work item")
    code = "from coord_envelope import world; world.entropy = lambda n: bytes(n); import coord_wk.cli as c; c.main()"
    same = [shell(f'python -c "{code}" new {name} -o id').out.strip() for name in "ab"]
    refused(shell, f"wk show {same[0][-8:]}", 2, "ambiguous", *same)


def test_an_id_is_that_items_even_if_another_has_it_as_its_alias(shell: Shell) -> None:
    item = new(shell, "mine")
    other = new(shell, "other", f"--field alias={item}", "--field x=1")
    assert show(shell, item)["title"] == "mine"
    assert show(shell, other)["title"] == "other"
    foreign = new(shell, "foreign", "--field alias=bd-17")
    assert show(shell, "bd-17")["work_id"] == foreign
    new(shell, "foreign, too", "--field alias=bd-17")
    new(shell, "posing", f"--field alias={short(item)}")
    assert show(shell, short(item))["title"] == "mine"
    refused(shell, "wk show bd-17", 2, "ambiguous", foreign)


def test_who_claims_what_is_held_learns_by_whom(shell: Shell) -> None:
    item = new(shell)
    claim = shell(f"wk claim {item}").one
    again = shell(f"wk claim {item}").one
    assert (again["$dup"], again["event_id"]) == (True, claim["event_id"])
    refused(shell, f"wk claim {short(item)} --as other", 1, "agent:tester", short(item))
    refused(shell, f"wk release {item} --as other", 1, "agent:tester")
    refused(shell, f"wk close {item} --as other", 1, "agent:tester")
    assert shell(f"wk release {item} --reason 'no time'").one["body"] == {
        "claim": claim["event_id"],
        "reason": "released",
        "note": "no time",
    }
    refused(shell, f"wk release {item}", 1, "nobody")
    assert shell(f"wk claim {item} --as other").one["body"]["gen"] == 2
    assert shell(f"wk release {item} --force").one["body"]["reason"] == "forced"


def test_an_owner_silent_for_30_minutes_can_be_robbed(shell: Shell) -> None:
    item = new(shell)
    claim = shell(f"wk claim {item}").one
    steal = f"wk claim {item} --steal --as other"
    refused(shell, steal, 2, "--reason")
    refused(shell, f"{steal} --reason hurry", 1, "agent:tester", "30 minutes")
    refused(
        shell, f"{steal} --reason hurry", 1, COORD_NOW=later(claim["ts"], minutes=29, seconds=59)
    )
    stolen = shell(f"{steal} --reason silent", COORD_NOW=later(claim["ts"], minutes=30)).one
    assert stolen["body"] == {"gen": 2, "steal": True, "reason": "silent"}
    assert stolen["base"] == [claim["event_id"]]
    assert show(shell, item)["claim"]["agent"] == "agent:other"
    forced = shell(f"wk claim {item} --steal --reason mine --force").one
    assert forced["body"]["gen"] == 3
    assert shell("wk mine").one["work_id"] == item


def test_what_was_done_on_a_stolen_claim_is_kept_as_a_comment(shell: Shell) -> None:
    item = new(shell)
    shell(f"wk claim {item}")
    shell(f"wk claim {item} --as other --steal --reason late --force")
    done = shell(f"wk close {item} --note 'it was the comma'", expect=1)
    assert "agent:other" in done.err
    assert (done.one["type"], done.one["body"]) == ("work.commented", {"text": "it was the comma"})
    found = show(shell, item)
    assert (found["status"], found["owner"]) == ("active", "agent:other")
    assert [one["text"] for one in found["comments"]] == ["it was the comma"]
    # Who tried again wrote the same comment again, each time.
    assert shell(f"wk close {item} --note 'it was the comma'", expect=1).out == ""
    assert shell(f"wk close {item} --note 'and the dot'", expect=1).one["body"] == {
        "text": "and the dot"
    }


def test_what_was_done_on_a_stolen_claim_is_kept_even_if_the_thief_has_closed(shell: Shell) -> None:
    item = new(shell)
    shell(f"wk claim {item}")
    shell(f"wk claim {item} --as other --steal --reason late --force | wk close --as other")
    done = shell(f"wk close {item} --note 'it was the comma'", expect=1)
    assert (done.one["type"], done.one["body"]) == ("work.commented", {"text": "it was the comma"})
    assert "done" in done.err


def test_who_gave_it_back_was_not_robbed(shell: Shell) -> None:
    """A claim that was given back, before another was stolen, once turned a refused close into a comment."""
    item = new(shell)
    shell(f"wk claim {item} && wk release {item} && wk claim {item} --as other")
    shell(f"wk claim {item} --as third --steal --reason late --force")
    refused(shell, f"wk close {item} --note x", 1, "agent:third")


def test_what_is_closed_or_given_back_again_with_the_same_words_is_there_already(
    shell: Shell,
) -> None:
    item = new(shell)
    shell(f"wk claim {item}")
    back = shell(f"wk release {item} --reason tired").one
    assert shell(f"wk release {item} --reason tired").one == back | {"$dup": True}
    refused(shell, f"wk release {item} --reason bored", 1, "nobody")
    shell(f"wk claim {item} --as other")
    assert shell(f"wk release {item} --reason tired").one == back | {"$dup": True}
    shell(f"wk release {item} --as other && wk claim {item}")
    closed = shell(f"wk close {item} --note fixed").one
    assert shell(f"wk close {item} --note fixed").one == closed | {"$dup": True}
    refused(shell, f"wk close {item} --note 'fixed twice'", 1, "done already", "wk comment")
    refused(shell, f"wk close {item} --note fixed --as other", 1, "done already")
    assert [one["type"] for one in shell(f"ev replay --work {item} --type work.closed").lines] == [
        "work.closed"
    ]


def test_a_rebuild_is_over_before_the_lock_is_taken(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view that was deleted was once made anew while every other writer waited."""
    new(shell)
    held: list[bool] = []

    def add(_view: View, _db: object, found: Iterable[object]) -> None:
        list(found)
        held.append(is_locked(shell))

    monkeypatch.setattr(View, "add", add)
    with Work(Call("tester")).transaction() as (t, _):
        held.append(is_locked(shell))
    assert t.events == []
    assert held == [False, True]


def is_locked(shell: Shell) -> bool:
    with (shell.cwd / ".coord/local/lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("claim {item} --reason x", ["--steal", "--resume"]),
        ("claim {item} --steal", ["--reason"]),
        ("ready --claim -n 1", ["--claim"]),
        ("ready --claim --at 1h", ["--claim"]),
        ("ready --claim --explain", ["--claim"]),
        ("ls --status redy", ["redy", "ready active"]),
        ("ls --kind Bug", ["Bug", "a-z 0-9"]),
        ("ready --not-kind 'two words'", ["two words", "a-z 0-9"]),
        ("close {item} --resolution done --dup-of {item}", ["--dup-of"]),
        ("comment - -", ["standard input"]),
        ("new -l x </dev/null", ["options for one item"]),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    shell: Shell, line: str, words: list[str]
) -> None:
    refused(shell, f"wk {line.format(item=new(shell))}", 2, *words)


def test_what_looks_like_a_credential_is_refused_wherever_text_is_taken(shell: Shell) -> None:
    item, token = new(shell), "AKIA" + "A" * 16
    lines = (
        f"new {token}",
        f"update {item} --desc {token}",
        f"comment {item} {token}",
        f"close {item} --note {token}",
    )
    for line in (*lines, f"artifact {item} --uri {token}"):
        refused(shell, f"wk {line}", 77, "--allow-secret")
        shell(f"wk {line} --allow-secret")
    shell("wk new --allow-secret", json.dumps({"title": token}))
    shell("wk apply --allow-secret", json.dumps({"op": "new", "title": token}))


def test_what_another_session_holds_is_held_until_it_is_resumed(shell: Shell) -> None:
    item = new(shell)
    shell(f"wk claim {item}", COORD_SESSION="s1")
    for verb in ("claim", "release", "close"):
        line = f"wk {verb} {item}"
        refused(shell, line, 1, "your session s1", "--resume", COORD_SESSION="s2")
    refused(shell, f"wk claim {item} --resume --as other", 1, "agent:tester")
    resumed = shell(f"wk claim {item} --resume", COORD_SESSION="s2").one
    assert (resumed["body"]["gen"], "to" in resumed) == (2, False)
    refused(shell, f"wk release {item}", 1, "your session s2", COORD_SESSION="s1")
    assert shell(f"wk close {item}", expect=1, COORD_SESSION="s1").one["type"] == "work.commented"
    assert shell(f"wk close {item}", COORD_SESSION="s2").one["type"] == "work.closed"


def test_an_agent_without_a_session_is_the_holder_in_any_of_its_sessions(shell: Shell) -> None:
    for first, then in (("", "s1"), ("s1", "")):
        for verb in ("claim", "release", "close"):
            item = new(shell)
            claim = shell(f"wk claim {item}", COORD_SESSION=first).one
            event = shell(f"wk {verb} {item}", COORD_SESSION=then).one
            assert claim["event_id"] in (event["event_id"], event["body"].get("claim"))
    item = new(shell)
    shell(f"wk claim {item}", COORD_SESSION="s1")
    operation = json.dumps({"op": "close", "id": item})
    done = shell("wk apply", operation, expect=1, COORD_SESSION="s2")
    assert "held by your session s1" in done.err
    shell("wk apply", operation)


def test_what_is_assigned_to_another_is_not_claimed_by_the_way(shell: Shell) -> None:
    item = new(shell, "hers", "--assignee ada")
    assert shell("wk ready").one["assignee"] == "agent:ada"
    refused(shell, "wk ready --claim", 1, "not assigned to another agent", "--anyone")
    other = new(shell, "free", "-p 4")
    assert shell("wk ready --claim -o id").out.strip() == other
    assert shell("wk ready --claim -o id --as ada").out.strip() == item
    shell(f"wk release {item} --as ada")
    assert "is assigned to agent:ada" in shell(f"wk claim {item}").err
    shell(f"wk release {item}")
    assert shell("wk ready --claim --anyone -o id").out.strip() == item


def test_ready_claim_takes_the_first_until_nothing_is_ready(shell: Shell) -> None:
    items = [new(shell, "low", "-p 4"), new(shell, "high", "-p 0 -l x"), new(shell, "mid")]
    assert shell("wk ready --claim -l x").one["refs"]["work_id"] == items[1]
    assert shell("wk ready --claim").one["refs"]["work_id"] == items[2]
    refused(shell, "wk ready --claim -l x", 1, "nothing is ready")
    assert shell("wk ready --claim -o id").out
    refused(shell, "wk ready --claim", 1, "nothing is ready")
    assert shell("wk ready").out == ""


def test_what_is_blocked_or_held_says_why(shell: Shell) -> None:
    first = new(shell, "first")
    second = new(shell, "second", f"--blocked-by {short(first)}")
    whole = new(shell, "whole")
    part = new(shell, "part", f"--parent {whole}")
    shell(f"wk update {whole} --hold 'ask Ada'")
    why = {one["work_id"]: one for one in shell("wk ready --explain").lines}
    assert why.keys() == {second, whole, part}
    assert why[second]["blockers"] == [first]
    assert why[whole]["held_by"] == why[part]["held_by"] == [whole]
    refused(shell, f"wk claim {second}", 1, "blocked", first)
    refused(shell, f"wk claim {part}", 1, "held")
    assert shell(f"wk claim {second} --force").one["type"] == "work.claimed"
    shell(f"wk update {whole} --hold ''")
    assert show(shell, whole)["blockers"] == [part]
    assert [one["depth"] for one in shell(f"wk tree {whole}").lines] == [0, 1]


def test_what_is_deferred_is_held_until_then(shell: Shell) -> None:
    item = new(shell)
    shell(f"wk update {item} --defer-until 2099-01-01")
    assert show(shell, item)["status"] == "held"
    assert show(shell, item, now="2099-01-01T00:00:01Z")["status"] == "ready"
    shell(f"wk update {item} --defer-until ''")
    assert show(shell, item)["status"] == "ready"
    refused(shell, f"wk update {item} --defer-until soon", 2, "not a valid time: 'soon'")


def test_how_long_it_is_deferred_is_from_now(shell: Shell) -> None:
    # `--defer-until 2h` was two hours ago, and deferred nothing.
    item, now = new(shell), "2036-01-17T12:00:00Z"
    shell(f"wk update {item} --defer-until 2h", COORD_NOW=now)
    assert show(shell, item, now=now)["status"] == "held"
    assert show(shell, item, now="2036-01-17T14:00:00Z")["status"] == "ready"
    shell(f"wk update {item} --defer-until 99999999d", COORD_NOW=now)
    assert show(shell, item)["defer_until"] == "9999-12-31T23:59:59.999Z"


def test_a_closed_item_is_reopened_or_left_alone(shell: Shell) -> None:
    item, other = new(shell), new(shell)
    refused(shell, f"wk reopen {item}", 1, "not closed")
    refused(shell, f"wk close {item} --dup-of {item}", 65, "itself")
    assert (
        shell(f"wk close {item} --dup-of {short(other)}").one["body"]["resolution"] == "duplicate"
    )
    assert show(shell, item)["closed"]["dup_of"] == other
    for line in ("close", "claim", "claim --force", "update -p 1"):
        verb, _, rest = line.partition(" ")
        refused(
            shell,
            f"wk {verb} {item} {rest}",
            1,
            "duplicate",
            "wk comment" if verb == "close" else "wk reopen",
        )
    assert shell(f"wk update {item} -p 1 --force").one["body"] == {"set": {"priority": 1}}
    assert shell(f"wk reopen {item} --reason 'no, it is not'").one["type"] == "work.reopened"
    found = show(shell, item)
    assert (found["status"], "owner" in found) == ("ready", False)
    refused(shell, f"wk close {item} --resolution nonsense", 65, "nonsense")


def test_an_update_sets_adds_and_takes_away(shell: Shell) -> None:
    item, whole = new(shell, "old", "-l a -l b"), new(shell)
    options = f"--title new --kind bug -p 0 -l c --rm-label a --parent {short(whole)} --assignee ada --field n=0"
    shell(f"wk update {item} {options} --field yes=false --field s=text --desc @note", expect=74)
    (shell.cwd / "note").write_text("a description\n")
    shell(f"wk update {item} {options} --field yes=false --field s=text --desc @note")
    found = show(shell, item)
    assert (found["title"], found["kind"], found["priority"], found["labels"]) == (
        "new",
        "bug",
        0,
        ["b", "c"],
    )
    assert (found["parent"], found["assignee"], found["desc"]) == (
        whole,
        "agent:ada",
        "a description\n",
    )
    assert found["fields"] == {"n": 0, "yes": False, "s": "text"}
    shell(f"wk update {item} --desc '' --parent '' --assignee '' --field n=")
    found = show(shell, item)
    assert not {"desc", "parent", "assignee"} & found.keys()
    assert found["fields"].get("n") is None
    refused(shell, f"wk update {item}", 2, "nothing to change")
    check_invariants(open_store(shell.cwd))


def test_what_an_item_may_not_have_is_refused_in_new_and_update(shell: Shell) -> None:
    item = new(shell)
    options = {
        "--kind Bug": 65,
        f"--title {'x' * 201}": 65,
        "--title ''": 65,
        "--label ''": 65,
        f"--label {'x' * 201}": 65,
        "--assignee 'No Name'": 65,
        "--field novalue": 65,
        f"--field n={'9' * 5000}": 65,
        "-p 5": 2,
        "-p high": 2,
        "--nonsense": 2,
        "--parent wk-00000000": 1,
    }
    asked = [(f"wk update {item} {option}", status) for option, status in options.items()]
    asked += [
        (f"wk new x {option}", status)
        for option, status in options.items()
        if "--title" not in option
    ]
    done = shell("".join(f"{line}; echo $?\n" for line, _ in asked))
    assert [int(status) for status in done.out.split()] == [status for _, status in asked]
    assert done.err.count("\n") == len(asked)
    assert (
        "body." not in done.err
    )  # update told of what was typed as the schema does: body.set.title: None is not …
    assert len(shell("ev replay").lines) == 1
    assert new(shell, "x", f"--label {'x' * 64}")


BAD_LINES = [
    "{}",
    "[]",
    "nonsense",
    '{"title":""}',
    '{"title":5}',
    '{"title":"x","nonsense":1}',
    '{"title":"x","labels":5}',
    '{"title":"x","labels":"abc"}',
    '{"title":"x","labels":[5]}',
    '{"title":"x","deps":"abc"}',
    '{"title":"x","deps":[{"rel":"nonsense","to":"y"}]}',
    '{"title":"x","deps":["y"]}',
    '{"title":"x","parent":5}',
    '{"title":"x","priority":true}',
    '{"title":"x","priority":"high"}',
    '{"title":"x","kind":["bug"]}',
    '{"title":"x","fields":3}',
    '{"title":"x","assignee":5}',
    '{"title":"x","defer_until":5}',
    '{"title":"x","idempotency_key":5}',
]


def test_a_bad_line_is_refused_and_the_others_are_made(shell: Shell) -> None:
    lines = [text for line in BAD_LINES for text in (line, '{"title":"good"}')]
    done = shell("wk new", "\n".join(lines), expect=65)
    assert [one["body"]["title"] for one in done.lines] == ["good"] * len(BAD_LINES)
    assert re.findall("^wk: line ([0-9]+): .", done.err, re.M) == [
        str(n) for n in range(1, len(lines), 2)
    ]
    assert done.err.count("\n") == len(BAD_LINES)
    check_invariants(open_store(shell.cwd))


def test_a_key_makes_one_item(shell: Shell) -> None:
    first = shell("wk new once --key k -p 1").one
    assert shell("wk new once --key k -p 1").one == first | {"$dup": True}
    refused(shell, "wk new twice --key k", 65, first["event_id"])
    line = '{"title":"again","idempotency_key":"l"}\n'
    assert [one.get("$dup", False) for one in shell("wk new", line * 2).lines] == [False, True]
    assert len(shell("wk ls").lines) == 2
    refused(shell, "wk new x --key ''", 65, "idempotency_key")


def test_a_dependency_is_added_taken_away_and_never_a_circle(shell: Shell) -> None:
    one, two, three = (new(shell, name) for name in ("one", "two", "three"))
    assert shell(f"wk dep {one} {short(two)}").one["body"]["add"]["deps"] == [
        {"rel": "blocked_by", "to": two}
    ]
    shell(f"wk dep {two} {three}")
    refused(shell, f"wk dep {three} {one}", 65, "dependency cycle")
    refused(shell, f"wk dep {one} {one}", 65)
    refused(shell, f"wk dep {one} {two} --rel nonsense", 65, "nonsense")
    refused(shell, f"wk dep {one} wk-00000000", 1, "no such work item")
    assert show(shell, two)["blockers"] == [three]
    shell(f"wk dep {three} {one} --rel relates_to")
    shell(f"wk dep {two} {three} --rm")
    assert show(shell, two)["status"] == "ready"
    assert shell(f"wk dep {three} {one}").one["type"] == "work.updated"


def test_a_circle_through_parts_is_refused_too(shell: Shell) -> None:
    whole = new(shell, "whole")
    part = new(shell, "part", f"--parent {whole}")
    refused(shell, f"wk update {whole} --parent {part}", 65)
    refused(shell, f"wk update {whole} --parent {whole}", 65)
    refused(shell, f"wk dep {part} {whole}", 65)
    refused(shell, f"wk new x --parent {whole} --blocked-by {whole}", 65)
    waits = new(shell, "waits", f"--blocked-by {whole}")
    refused(shell, f"wk update {waits} --parent {whole}", 65)
    other = new(shell, "other", f"--blocked-by {part}")
    refused(shell, f"wk dep {whole} {other}", 65)
    refused(shell, f"wk new x --parent {whole} --blocked-by {waits}", 65)
    lone = new(shell, "lone")
    shell(f"wk dep {waits} {lone}")
    refused(
        shell,
        f"wk update {lone} --parent {waits} && wk dep {whole} {lone} && wk update {lone} --parent {part}",
        65,
    )
    assert all("cycle" not in one for one in shell("wk ls -o id | wk show").lines)


def test_comments_and_artifacts_accumulate(shell: Shell) -> None:
    item = new(shell)
    shell(f"wk comment {item} 'one'")
    shell(f"wk comment {short(item)} - --as other", "two\n")
    found = show(shell, item)
    assert [(one["by"], one["text"]) for one in found["comments"]] == [
        ("agent:tester", "one"),
        ("agent:other", "two\n"),
    ]
    added = shell(f"wk artifact {item} --kind commit --uri 9f3c --name fix").one
    (artifact,) = show(shell, item)["artifacts"]
    assert artifact == {
        "artifact_id": added["event_id"],
        "kind": "commit",
        "on": item,
        "uri": "9f3c",
        "name": "fix",
    }
    refused(shell, f"wk artifact {item} --kind nonsense --uri x", 65, "nonsense")
    refused(shell, f"wk artifact {item}", 2, "--uri")
    assert shell(f"wk close {item}").one["base"] == [added["event_id"]]
    check_invariants(open_store(shell.cwd))


def test_time_travel_shows_what_was(shell: Shell) -> None:
    days = [f"2026-01-0{day}T12:00:00Z" for day in (1, 2, 3)]
    item = shell("wk new first -o id", COORD_NOW=days[0]).out.strip()
    shell(f"wk claim {item} && wk new second", COORD_NOW=days[1])
    shell(f"wk close {item}", COORD_NOW=days[2])
    assert shell("wk ls --all --at 2026-01-01").out == ""
    assert shell("wk ls --at 2026-01-02").one["status"] == "ready"
    assert shell("wk ready --at 2026-01-02 -o id").out.strip() == item
    assert [one["status"] for one in shell("wk ls --at 2026-01-03").lines] == ["active", "ready"]
    assert shell(f"wk show {item} --at 2026-01-03").one["owner"] == "agent:tester"
    assert (
        shell("wk mine --at 2026-01-03 -o id").out.strip() == item
        and shell("wk mine --at 2026-01-02").out == ""
    )
    assert shell("wk status --at 2026-01-03").one == {
        "ready": 1,
        "active": 1,
        "blocked": 0,
        "held": 0,
    }
    assert len(shell("wk tree --at 2026-01-03").lines) == 2
    refused(shell, f"wk show {item} --at 2026-01-01", 1, "no such work item")
    refused(shell, "wk ls --at yesterday", 2, "not a valid time: 'yesterday'")


def test_ls_filters(shell: Shell) -> None:
    one = new(shell, "one", "-l a -l b --kind bug --assignee ada -p 3")
    two = new(shell, "two", "-l a")
    three = new(shell, "three")
    shell(f"wk close {three} --resolution cancelled")
    for line, found in {
        "wk ls": [two, one],
        "wk ls --all": [one, two, three],
        "wk ls --status cancelled": [three],
        "wk ls --status ready --status cancelled": [one, two, three],
        "wk ls -l a": [two, one],
        "wk ls -l a -l b": [one],
        "wk ls --kind bug": [one],
        "wk ls --assignee ada": [one],
        "wk ls -n 1": [two],
        "wk ls -n 0": [],
        "wk ls --conflicts": [],
        "wk ls --status active": [],
    }.items():
        assert shell(f"{line} -o id").out.split() == found, line


def test_a_tree_has_every_open_item_once_even_without_a_title_or_a_parent(shell: Shell) -> None:
    whole = new(shell, "whole")
    new(shell, "part", f"--parent {whole}")
    about = {
        "type": "work.created",
        "refs": {"work_id": "x"},
        "body": {"title": "x", "parent": "0" * 26},
    }
    shell("ev emit", json.dumps(about))
    shell(f"wk close {whole} --force")
    rows = shell("wk tree").lines
    listed = [one["work_id"] for one in shell("wk ls").lines]
    assert sorted(one["work_id"] for one in rows if one["status"] != "done") == sorted(listed)


def test_watch_prints_what_comes(shell: Shell) -> None:
    new(shell, "before")
    watcher = shell.popen("wk watch", stdout=subprocess.PIPE)
    assert watcher.stdout
    until_seen = json.loads(first_line(shell, watcher))
    assert until_seen["body"]["title"] == "after"
    watcher.terminate()
    watcher.communicate(timeout=20)


def first_line(shell: Shell, watcher: subprocess.Popen[bytes]) -> bytes:
    import select

    assert watcher.stdout
    for _ in range(100):
        new(shell, "after")
        if select.select([watcher.stdout], [], [], 0.1)[0]:
            return watcher.stdout.readline()
    raise AssertionError("it never said anything")


def test_who_acts_must_be_said_by_writers_only(shell: Shell) -> None:
    item = new(shell)
    for line in ("ls", "ready", f"show {item}", "tree", "status"):
        shell(f"wk {line}", COORD_AGENT="")
    for line in (
        "new x",
        f"claim {item}",
        f"close {item}",
        f"comment {item} x",
        "mine",
        "ready --claim",
    ):
        refused(shell, f"wk {line}", 2, "no agent name", COORD_AGENT="")


def test_without_a_store_every_command_says_how_to_make_one(shell: Shell) -> None:
    for line in ("ls", "ready", "show x", "new x", "claim x", "status", "watch"):
        done = shell(f"wk {line}", expect=69, COORD_DIR=str(shell.cwd / "nowhere"))
        assert "ev init" in done.err
        assert done.err.count("\n") == 1


def test_an_item_closed_in_a_way_of_a_later_release_is_closed_and_can_be_reopened(
    shell: Shell,
) -> None:
    item = new(shell)
    raw = shell(f"wk close {item}").one
    (segment,) = (shell.cwd / ".coord/journal").glob("agent.tester~*/*.jsonl")
    segment.write_bytes(
        segment.read_bytes().replace(b'"resolution":"done"', b'"resolution":"moot"')
    )
    (shell.cwd / ".coord/local/work.sqlite").unlink()
    assert raw["body"]["resolution"] == "done"
    refused(shell, f"wk claim {item} --force", 1)
    refused(shell, f"wk close {item}", 1)
    shell(f"wk reopen {item}")
    assert show(shell, item)["status"] == "ready"


def test_a_claim_stays_yours_when_the_store_takes_a_new_replica_id(shell: Shell) -> None:
    """History: after a failed fdatasync, or a clock that was mended, it was your other session's."""
    item = shell("wk new one -o id").out.strip()
    claim = shell(f"wk claim {item}").one
    open_store(shell.cwd).renew_replica()
    again = shell(f"wk claim {item}").one
    assert (again["event_id"], again["$dup"]) == (claim["event_id"], True)
    shell(f"wk close {item}")
