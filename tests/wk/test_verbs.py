"""The verbs people reach for: search, log, stale, edit, handoff, and mail to the new assignee."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support import Json, Shell

from coord_wk import edit


def new(shell: Shell, title: str, *options: str) -> str:
    return shell(f"wk new '{title}' {' '.join(options)} -o id").out.strip()


def show(shell: Shell, item: str) -> Json:
    return shell(f"wk show {item}").one


def inbox(shell: Shell, agent: str) -> list[str]:
    return [line["type"] for line in shell(f"msg recv --as {agent}").lines]


def test_search_takes_the_filters_of_ls_and_says_what_it_cannot_do(shell: Shell) -> None:
    a = new(shell, "Login fails", "-l ui")
    b = new(shell, "Login slow", "--kind bug --parent", a)
    assert shell("wk search login -o id").out.split() == [b, a]
    assert shell("wk search login -l ui -o id").out.split() == [a]
    assert shell(f"wk search login --parent {a} --not-kind task -o id").out.split() == [b]
    assert shell("wk search 'log*' -n 1 --full").one["created"]["by"] == "agent:tester"
    shell(f"wk close {b}")
    assert shell("wk search login slow --status done -o id").out.split() == [b]
    assert shell("wk search login fast").out == ""
    assert "no word" in shell("wk search ...", expect=2).err
    assert "--at" in shell("wk search x --at 1d", expect=2).err


def test_search_finds_items_of_several_stores_that_are_one(shell: Shell) -> None:
    record = {"_type": "issue", "id": "bd-1", "title": "Twin words", "status": "open"}
    (shell.cwd / "x.jsonl").write_text(json.dumps(record))
    shell("wk import --from beads x.jsonl")
    assert len(shell("wk search twin words -o id").out.split()) == 1


def test_log_is_what_happened_by_whom_and_when(shell: Shell) -> None:
    item = new(shell, "x")
    shell(f"wk claim {item} --as ada; wk comment {item} hm --as bob; wk close {item} --as ada")
    shell("wk new other; ev emit note.made")
    events = shell(f"wk log {item[-8:].lower()}").lines
    assert [event["type"] for event in events] == [
        "work.created",
        "work.claimed",
        "work.commented",
        "work.closed",
    ]
    assert [event["actor"]["agent_id"] for event in events][1:] == [
        "agent:ada",
        "agent:bob",
        "agent:ada",
    ]
    assert shell(f"wk log {item} -n 1").lines == events[-1:]
    shell(f"ev redact {events[2]['event_id']} --reason x")
    assert shell(f"wk log {item}").lines[2]["body"]["redacted"] is True
    assert shell("wk ls -o id | wk log").lines[0]["type"] == "work.created"


def test_stale_lists_what_was_long_untouched(shell: Shell) -> None:
    days = [f"2026-01-{day:02}T00:00:00Z" for day in (1, 5, 20)]
    old, touched, young = (
        shell(f"wk new {n} -p 0 -o id", COORD_NOW=day).out.strip() for n, day in enumerate(days)
    )
    shell(f"wk comment {touched} hm", COORD_NOW=days[2])
    closed = shell("wk new closed -o id", COORD_NOW=days[0]).out.strip()
    shell(f"wk close {closed}", COORD_NOW=days[0])
    at = "2026-01-22T00:00:00Z"
    assert shell("wk stale -o id", COORD_NOW=at).out.split() == [old]
    assert shell("wk stale --older 1d -o id", COORD_NOW=at).out.split() == [old, touched, young]
    assert shell("wk stale --older 1d --kind bug", COORD_NOW=at).out == ""
    assert shell("wk stale --older 3d -n 1 -o id", COORD_NOW=at).out.split() == [old]


def test_the_new_assignee_has_mail_and_nobody_else(shell: Shell) -> None:
    item = new(shell, "x")
    shell(f"wk update {item} --assignee bob; wk update {item} --assignee bob -p 1")
    assert inbox(shell, "bob") == ["work.updated"]
    shell(f"wk update {item} --assignee tester")
    assert inbox(shell, "tester") == []
    shell(f"wk update {item} --assignee ''")
    change = {"op": "update", "id": item, "set": {"assignee": "agent:bob"}}
    shell("wk apply", json.dumps(change))
    assert inbox(shell, "bob") == 2 * ["work.updated"]


def test_handoff_releases_assigns_and_mails_in_one_write(shell: Shell) -> None:
    item = new(shell, "x")
    shell(f"wk claim {item}")
    events = shell(f"wk handoff {item} --to bob --note 'half done, see lib/a.py'").lines
    assert [(event["type"], event.get("to")) for event in events] == [
        ("work.released", None),
        ("work.updated", None),
        ("work.commented", ["agent:bob"]),
    ]
    assert events[0]["body"]["reason"] == "handoff"
    assert [event["base"] for event in events[1:]] == [[event["event_id"]] for event in events[:2]]
    detail = show(shell, item)
    assert (detail["status"], detail["assignee"]) == ("ready", "agent:bob")
    mail = shell("msg recv --as bob").one
    assert mail["body"]["text"] == "half done, see lib/a.py"
    again = shell(f"wk handoff {item} --to bob")
    assert again.one["$dup"] is True and "nothing to do" in again.err
    shell("wk ready --claim --as bob")
    assert "held by agent:bob" in shell(f"wk handoff {item} --to eve", expect=1).err
    shell(f"wk handoff {item} --to eve --force")
    assert inbox(shell, "bob") == ["work.commented", "work.released"]
    assert inbox(shell, "eve") == ["work.updated"]
    shell(f"wk close {item} --resolution wontfix")
    assert shell("wk ls --status wontfix -o id").out.split() == [item]
    assert "is wontfix" in shell(f"wk handoff {item} --to bob", expect=1).err
    assert "--to is missing" in shell(f"wk handoff {item}", expect=2).err


def test_a_new_item_may_be_on_hold_or_deferred(shell: Shell) -> None:
    held = new(shell, "x", "--hold 'no budget'")
    later = new(shell, "y", "--defer-until 2h")
    assert shell("wk ready").out == ""
    assert show(shell, held)["hold"] == "no budget"
    assert show(shell, later)["status"] == "held"
    assert "no TITLE" in shell("wk new --hold x", expect=2).err


def test_an_item_of_another_store_blocks_and_is_said_so(shell: Shell) -> None:
    item, elsewhere = new(shell, "x"), "01KF4QBCFS000HY2KBDT52RH6P"
    shell(f"wk dep {item} {elsewhere}", expect=1)
    shell(f"wk dep {item} {elsewhere} --allow-missing")
    row = shell("wk ready --explain").one
    assert (row["status"], row["unknown_here"]) == ("blocked", [elsewhere])


def test_watch_prints_what_gets_a_status(shell: Shell) -> None:
    with subprocess.Popen(
        ["wk", "watch", "--status", "done", "--agent", "tester"],
        cwd=shell.cwd,
        env=shell.env,
        stdout=subprocess.PIPE,
    ) as watch:
        item, seen = new(shell, "x"), b""
        os.set_blocking(watch.stdout.fileno(), False)  # type: ignore[union-attr]
        end = time.monotonic() + 30
        while not seen and time.monotonic() < end:  # it is there once it prints a closing
            shell(f"wk close {item} --force; wk reopen {item}; wk close {item} --as bob")
            shell(f"wk reopen {item}")
            seen = watch.stdout.read() or b""  # type: ignore[union-attr]
        watch.send_signal(signal.SIGTERM)
    lines = [json.loads(line) for line in seen.splitlines()]
    assert lines
    assert {line["type"] for line in lines} == {"work.closed"}
    assert {line["actor"]["agent_id"] for line in lines} == {"agent:tester"}
    assert "not a valid status" in shell("wk watch --status open", expect=2).err


def edited(shell: Shell, item: str, script: str, expect: int = 0) -> tuple[Json | None, str]:
    """Edit with a program of sed."""
    (shell.cwd / "script").write_text(script)
    done = shell(f"wk edit {item}", expect=expect, EDITOR="sed -i -f script", VISUAL="")
    return (done.one if done.out else None), done.err


def left(shell: Shell) -> list[Path]:
    return list((shell.cwd / ".coord/local").glob("edit-*"))


def test_edit_saves_what_was_changed_as_one_change(shell: Shell) -> None:
    item = new(shell, "x", "--desc 'one line' -l a -l b --field route=east --assignee bob")
    change, _ = edited(
        shell,
        item,
        "s/^title:.*/title: A better title/\ns/^priority:.*/priority: 0/\n"
        "s/^label: a/label: c/\ns/^fields.route.*/fields.n: 7/\ns/one line/two\\nlines/\n"
        "s/^assignee:.*/assignee:/",
    )
    assert change is not None
    assert change["body"] == {
        "set": {
            "title": "A better title",
            "priority": 0,
            "assignee": None,
            "fields.route": None,
            "fields.n": 7,
            "desc": "two\nlines",
        },
        "add": {"labels": ["c"]},
        "rm": {"labels": ["a"]},
    }
    assert left(shell) == []
    nothing, said = edited(shell, item, "")
    assert nothing is None and "nothing to do" in said
    assert left(shell) == []


def test_edit_tells_a_conflict_and_keeps_the_text(shell: Shell) -> None:
    item = new(shell, "x")
    meanwhile = f"w=$(wk update {item} {{}} --as bob) && sed -i s/^title:.*/title:mine/"
    shell(f"wk edit {item}", EDITOR=meanwhile.format("-p 0"))
    assert (show(shell, item)["title"], show(shell, item)["priority"]) == ("mine", 0)
    told = shell(f"wk edit {item}", expect=0, EDITOR="sed -i s/^title:.*/title:second/")
    assert told.one["body"]["set"] == {"title": "second"}
    done = shell(f"wk edit {item}", expect=1, EDITOR=meanwhile.format("--title theirs"))
    assert "title changed meanwhile, by agent:bob" in done.err
    (kept,) = left(shell)
    assert str(kept) in done.err and "title:mine" in kept.read_text()
    assert show(shell, item)["title"] == "theirs"


@pytest.mark.parametrize(
    ("script", "status", "words"),
    [
        ("s/^title:.*/title:/", 65, "title is missing"),
        ("s/^priority:.*/priority: 9/", 65, "not a valid priority"),
        ("s/^title:.*/titel: x/", 65, "line 1: not `NAME: VALUE`"),
        ("s/^parent:.*/parent: wk-nothere1/", 1, "no such work item"),
    ],
)
def test_what_edit_refuses_is_kept(shell: Shell, script: str, status: int, words: str) -> None:
    item = new(shell, "x")
    _, said = edited(shell, item, script, status)
    assert words in said and str(left(shell)[0]) in said and said.count("\n") == 1
    assert len(shell(f"wk log {item}").lines) == 1


def test_an_editor_that_fails_or_is_missing_changes_nothing(shell: Shell) -> None:
    item = new(shell, "x")
    assert "status 3" in shell(f"wk edit {item}", expect=1, EDITOR="exit 3;").err
    assert "no editor" in shell(f"wk edit {item}", expect=2, EDITOR="", VISUAL="").err
    assert left(shell) == []


def test_a_form_says_what_it_was_made_of() -> None:
    item: Json = {
        "title": ' "quoted"\tand tabbed ',
        "kind": "bug",
        "priority": 1,
        "labels": ["area:x y", "ü"],
        "fields": {"n": 7, "on": True, "name": "a: b"},
        "desc": "first\n\n# no comment here\n",
    }
    said = edit.fields(edit.form(item))  # type: ignore[arg-type]
    assert said["title"] == item["title"]
    assert said["labels"] == item["labels"]
    assert said["desc"] == item["desc"]
    assert (said["fields.n"], said["fields.on"], said["fields.name"]) == ("7", "true", "a: b")
    assert edit.update(said, said) == {"set": {}, "add": [], "rm": []}


def test_the_title_of_what_was_redacted_says_so(shell: Shell) -> None:
    item = shell("wk new 'a secret' -o id").out.strip()
    shell(f"ev redact {item} --reason x")
    assert shell("wk ls").one["title"] == "(redacted)"


def test_what_failed_in_an_apply_is_named_by_its_line_and_its_id(shell: Shell) -> None:
    lines = '{"op":"new","title":"a"}\n{"op":"close","id":"wk-zzzzzzzz"}\n'
    done = shell("wk apply --atomic", lines, expect=1)
    assert "line 2: wk-zzzzzzzz: no such work item" in done.err
    assert shell("wk ls").lines == []


def test_an_editor_that_fails_leaves_the_text_that_was_written(shell: Shell) -> None:
    item = shell("wk new hello -o id").out.strip()
    shell.env["EDITOR"] = "sh -c 'sed -i s/hello/hullo/ $1; exit 3' x"
    done = shell(f"wk edit {item}", expect=1)
    path = done.err.rpartition("your text is in ")[2].strip()
    with open(path, encoding="utf-8") as file:
        assert "hullo" in file.read()
    assert shell(f"wk show {item}").one["title"] == "hello"
    shell.env["EDITOR"] = "false"
    assert "your text" not in shell(f"wk edit {item}", expect=1).err


def test_many_are_closed_in_few_transactions_and_each_is_answered(shell: Shell) -> None:
    items = shell("wk new -o id", '{"title":"x"}\n' * 1_200).out.split()
    lines = "\n".join([*items, items[0], "wk-zzzzzzzz"]) + "\n"
    done = shell("wk close", lines, expect=1)
    assert [event["refs"]["work_id"] for event in done.lines] == [*items, items[0]]
    assert [event.get("$dup") for event in done.lines[-2:]] == [None, True]
    assert "wk-zzzzzzzz: no such work item" in done.err
    assert len(shell("ev replay --type work.closed").lines) == 1_200
    twice = shell(f"wk reopen {items[0]} {items[0]}", expect=1)
    assert (len(twice.lines), "is ready, not closed" in twice.err) == (1, True)
