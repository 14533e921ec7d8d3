"""coord: finds the other commands, and shows what is and what is wrong, without steering a terminal."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest
from support import BIN, Json, Shell, git
from terminal import WIDTHS, Terminal, compare, masked

from coord_coord import doctor, manual
from coord_coord.argv import TABLE
from coord_coord.status import COMMANDS, brief, report
from coord_coord.tools import Answer, is_name
from coord_envelope import world
from coord_envelope.errors import No
from coord_kernel.store import config

ROOT = Path(__file__).parent.parent.parent
NOW = "2026-11-30T12:00:00.000Z"
NOW_MS = world.parse_ts(NOW)


def reported(
    seen: dict[str, str] | None = None,
    sessions: dict[str, list[Json]] | None = None,
    **rows: list[Json],
) -> Json:
    """The report on these rows of the tools, at NOW."""
    answers = {name: Answer(rows.get(name, [])) for name in COMMANDS}
    known: Any = {"seen": seen or {}, "sync": {"remote": None, "ts": None}, "me": None}
    known["sessions"] = sessions or {}
    return report(answers, known, NOW_MS)


def before(**span: int) -> str:
    sizes = {"min": 60_000, "h": 3_600_000, "d": 86_400_000}
    return world.format_ts(NOW_MS - sum(sizes[unit] * count for unit, count in span.items()))


def item(owner: str, **more: Any) -> Json:
    return {"id": "wk-aaaaaaaa", "title": "x", "priority": 1, "owner": owner, **more}


def mail(to: list[str], status: str = "waiting") -> Json:
    return {"id": "msg-aaaaaaaa", "status": status, "waits_for": to}


def job(status: str, ts: str, **more: Any) -> Json:
    return {"id": "run-aaaaaaaa", "status": status, "ts": ts, "argv": ["make"], **more}


def test_the_questions_that_wait_for_the_caller_are_counted() -> None:
    rows = [
        {"id": "wk-aaaaaaaa", "title": "Deploy?", "options": ["yes", "no"], "asked": ["human:ada"]},
        {"id": "wk-bbbbbbbb", "title": "Red?", "options": ["yes"], "assignee": "human:ada"},
        {"id": "wk-cccccccc", "title": "Blue?", "options": ["yes"], "asked": ["human:bob"]},
    ]
    answers = {name: Answer([]) for name in COMMANDS} | {"questions": Answer(rows)}
    known: Any = {"seen": {}, "sync": {"remote": None, "ts": None}, "me": "human:ada"}
    done = report(answers, known, NOW_MS)
    assert [row["title"] for row in done["questions"]] == ["Deploy?", "Red?"]
    assert "question wk-aaaaaaaa · Deploy?" in brief(done)


def test_questions_are_not_counted_as_work(shell: Shell) -> None:
    shell("wk new 'Deploy it'")
    asked = shell("wk ask 'Deploy?' --to human:ada -o id").out.strip()
    shell("wk new 'Drop it' --blocked-by " + asked)
    work = shell("coord status -o jsonl").one["work"]
    assert (work["ready"], work["blocked"]) == (1, 1)


def test_alone_it_says_on_half_a_screen_what_there_is(repo: Path) -> None:
    shell = Shell(repo)
    text = shell("coord").out
    assert text.count("\n") <= 12
    assert max(map(len, text.split("\n"))) <= 80
    for word in ("wk", "lease", "msg", "ev", "run", "status", "doctor", "setup", "man", "init"):
        assert re.search(rf"\b{word}\b", text), word
    assert {"hooks", "webhook."} < set(re.split("[ ,\n]+", text.partition("coord-NAME:")[2]))
    assert not (repo / ".coord").exists()


def test_another_word_becomes_the_command_of_that_name(shell: Shell, tmp_path: Path) -> None:
    program = tmp_path / "bin/coord-shout"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s|" "$@"; cat; exit 7\n')
    program.chmod(0o755)
    path = f"{BIN}:{program.parent}:{os.environ['PATH']}"
    done = shell("coord shout -x 'a b' --as", "in", expect=7, PATH=path)
    assert done.out == "-x|a b|--as|in"
    assert "shout" in shell("coord", PATH=path).out
    assert shell("coord hooks prime").out == shell("coord-hooks prime").out
    assert shell("coord help hooks").out == shell("coord-hooks --help").out
    program.write_text("#!/nowhere/at/all\n")
    assert "coord-shout" in shell("coord shout", expect=69, PATH=path).err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("hoks", "No such command: hoks; use `coord hooks`"),
        ("statsu", "No such command: statsu; use `coord status`"),
        ("wk ready", "No such command: wk; it is a command by itself: `wk`"),
        ("lesae", "No such command: lesae; use `lease`"),
        ("../../bin/sh", "No such command: ../../bin/sh; see `coord`"),
        ("status --jsn", "No such option: --jsn"),
        ("man nothing", "nothing: no manual page; `coord man` lists the pages"),
    ],
)
def test_a_wrong_word_gets_the_right_one(shell: Shell, words: str, says: str) -> None:
    done = shell(f"coord {words}", expect=1 if words.startswith("man") else 2)
    assert done.err.startswith(f"coord: {says}")
    assert done.err.count("\n") == 1


WRONG_NAMES = ("", "-x", "a/b", "2x", "é", "a b", ".", "..")


@pytest.mark.parametrize(
    ("word", "valid"),
    [("hooks", True), ("my-bridge_2", True), *((word, False) for word in WRONG_NAMES)],
)
def test_the_name_of_a_command_is_no_path(word: str, valid: bool) -> None:
    assert is_name(word) is valid


def test_every_page_of_this_installation_is_found_by_name() -> None:
    known = manual.pages()
    assert {"wk.1", "ev.1", "lease.1", "msg.1", "run.1", "coord.1", "coord.7"} <= set(known)
    for name, page in (
        ("wk", "wk.1"),
        ("coord", "coord.1"),
        ("coord.7", "coord.7"),
        ("mcp", "coord-mcp.1"),
        ("coord-hooks", "coord-hooks.1"),
    ):
        assert manual.page(name, known) == known[page]
    hooks = {"coord-x.1": "/x"}
    assert manual.page("x", hooks) == manual.page("coord-x", hooks) == "/x"
    with pytest.raises(No):
        manual.page("x.7", hooks)


def test_a_page_is_shown_where_man_does_not_find_it(shell: Shell) -> None:
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    assert "WK(1)" in shell("coord man wk", MANPATH="/nowhere").out
    done = shell(f"PATH=/nowhere {BIN}/coord man wk", expect=69)
    assert "wk.1: neither man, mandoc nor groff is installed" in done.err


def test_what_each_agent_holds_and_what_waits_is_counted() -> None:
    seen = {"agent:ada": before(min=2), "agent:bob": before(min=45)}
    done = reported(
        seen,
        work=[{"ready": 1, "active": 1}],
        items=[item("agent:ada")],
        leases=[{"id": "ls-a", "holder": "agent:eve", "resources": ["env:a"], "left_ms": 5}],
        mail=[
            mail(["agent:bob", "queue:q"]),
            mail(["agent:bob"]),
            mail(["queue:q"], "dead"),
            {"id": "m", "status": "sent"},
        ],
        jobs=[job("running", before(h=1), runner="agent:ada")],
    )
    ada, bob, eve = done["agents"]
    assert (ada["agent_id"], ada["active"], ada["mail"]) == ("agent:ada", True, 0)
    assert ([row["id"] for row in ada["items"]], len(ada["jobs"])) == (["wk-aaaaaaaa"], 1)
    assert (bob["agent_id"], bob["active"], bob["mail"]) == ("agent:bob", False, 2)
    assert (eve["last_seen"], eve["leases"][0]["resources"]) == (None, ["env:a"])
    assert done["queues"] == {"queue:q": 1}
    (problem,) = done["problems"]
    assert problem["what"] == "messages that no consumer processed: 1"


def session(state: str, *items: str, minutes: int = 20) -> dict[str, list[Json]]:
    row = {"agent_id": "agent:ada", "session": "s1", "state": state, "why": "no sign of life yet"}
    return {"agent:ada": [row | {"age_ms": minutes * 60_000, "items": list(items)}]}


@pytest.mark.parametrize(
    ("sessions", "state"),
    [
        (session("stalled", "wk-aaaaaaaa"), "stalled"),
        (session("idle", minutes=29), "idle"),
        (session("idle", minutes=31), "active"),  # it only never ended
        (session("never", minutes=31), "active"),
        ({"agent:ada": [*session("working")["agent:ada"], *session("lost")["agent:ada"]]}, "lost"),
        ({}, "active"),
    ],
)
def test_an_agent_is_as_the_worst_of_its_sessions(sessions: Json, state: str) -> None:
    (ada,) = reported({"agent:ada": before(min=2)}, sessions)["agents"]
    assert ada["state"] == state


PROBLEMS: list[tuple[Json, str]] = [
    (
        {"sessions": session("dead", "wk-aaaaaaaa"), "items": [item("agent:ada")]},
        "agent:ada holds wk-aaaaaaaa and is dead: no sign of life yet, 20 m ago",
    ),
    ({"sessions": session("waiting")}, "agent:ada is waiting: "),
    ({"sessions": session("quiet", "wk-aaaaaaaa"), "items": [item("agent:ada")]}, ""),
    ({"sessions": session("never", minutes=31)}, ""),
    ({"items": [item("agent:ada")]}, "agent:ada holds wk-aaaaaaaa and wrote nothing here"),
    ({"seen": {"agent:ada": before(h=3)}, "items": [item("agent:ada")]}, "is silent for 3 h"),
    ({"seen": {"agent:ada": before(min=29)}, "items": [item("agent:ada")]}, ""),
    ({"seen": {"agent:ada": before(d=9)}}, ""),
    ({"jobs": [job("requested", before(min=11))]}, "waiting for a worker: run-aaaaaaaa"),
    ({"jobs": [job("requested", before(min=9)), job("running", before(d=1))]}, ""),
    ({"work": [{"ready": 0, "active": 0, "blocked": 2}]}, "no open work item is ready or active"),
    ({"work": [{"ready": 0, "active": 1, "blocked": 2}]}, ""),
    ({"work": [{"ready": 0, "active": 0, "blocked": 0}]}, ""),
]


@pytest.mark.parametrize(("rows", "says"), PROBLEMS)
def test_a_problem_is_named_with_its_remedy(rows: Json, says: str) -> None:
    found = reported(**rows)["problems"]
    assert [says in problem["what"] for problem in found] == [True] * bool(says)
    assert all(problem["todo"] for problem in found)


@pytest.mark.parametrize(
    ("sync", "says"),
    [
        ({"remote": "origin", "ts": None}, "not synced with origin yet"),
        ({"remote": "origin", "ts": before(d=2)}, "not synced with origin for 2 d"),
        ({"remote": "origin", "ts": before(h=2)}, None),
        ({"remote": None, "ts": None}, None),
    ],
)
def test_a_sync_that_is_due_is_a_problem(sync: Json, says: str | None) -> None:
    answers = {name: Answer([]) for name in COMMANDS}
    known: Any = {"seen": {}, "sync": sync, "me": None}
    problems = report(answers, known, NOW_MS)["problems"]
    assert [problem["what"] for problem in problems] == ([says] if says else [])


def test_in_a_pipe_the_status_is_one_object(shell: Shell) -> None:
    shell("msg join --as bob; msg send --to bob --subject hi --as eve; wk new x --as human:kim")
    shell("ev emit agent.retired --as eve")
    done = shell("coord status").one
    assert done["project"] == "acme" and done["store"].endswith("/.coord")
    assert {agent["agent_id"]: agent["mail"] for agent in done["agents"]} == {
        "agent:tester": 0,  # who asks, though it wrote nothing
        "agent:bob": 1,
        "human:kim": 0,
    }
    assert done["work"]["ready"] == 1
    assert shell("coord status", COORD_AGENT="").one["problems"] == []


def test_for_an_agent_it_is_a_line_each(shell: Shell) -> None:
    shell("wk new x -o id; wk ready --claim --as ada; msg send --to ada --subject 'a' --as ada")
    work, ada, *problems = shell("coord status -o brief").out.splitlines()
    assert work == "work 0 ready 1 active 0 blocked 0 held"
    assert re.fullmatch(r"agent:ada working mail 1 wk-\w{8}", ada)
    assert problems == []
    late = shell("coord status -o brief", COORD_NOW="2099-01-01T00:00:00Z").out.splitlines()
    assert late[-1].startswith("problem · agent:ada holds wk-")
    assert "lock ok · free" in shell("coord doctor -o brief").out.splitlines()


def test_a_tool_that_fails_is_a_problem_and_hides_no_other(shell: Shell) -> None:
    shell("wk new x")
    (shell.cwd / "coord.toml").write_text("[sync]\nremote = 3\n")
    done = shell("coord status").one
    assert done["work"]["ready"] == 1
    assert "remote is not a string" in json.dumps(done["problems"])
    assert "make one with `ev init`" in shell("rm -r .coord; coord status", expect=69).err


def checked(shell: Shell, expect: int, **env: str) -> dict[str, Json]:
    """The worst row of each check."""
    order = ("ok", "note", "problem")
    worst: dict[str, Json] = {}
    for row in shell("coord doctor", expect=expect, **env).lines:
        if order.index(row["status"]) >= order.index(worst.get(row["check"], row)["status"]):
            worst[row["check"]] = row
    return worst


def test_a_sound_store_has_no_problem(shell: Shell) -> None:
    shell("wk new x")
    rows = checked(shell, 0)
    assert set(rows) >= {
        *("versions", "commands", "git", "inotify", "name", "store", "journal", "lock", "clock"),
        *("disk", "index", "remote"),
    }
    assert {row["status"] for row in rows.values()} <= {"ok", "note"}


def test_a_setting_that_nothing_reads_is_a_problem(shell: Shell) -> None:
    (shell.cwd / "coord.toml").write_text("[budgts]\na = 1\n[zzz]\n[wk]\none_claim = true\n")
    rows = [row for row in shell("coord doctor", expect=1).lines if row["check"] == "settings"]
    assert [row["what"].rpartition(": ")[2] for row in rows] == ["budgts", "zzz"]
    assert rows[0]["todo"] == "did you mean budgets?"


def test_the_tables_of_the_settings_are_those_that_something_reads() -> None:
    read = set[str]()
    for home in ("tools", "bridges"):
        for path in (ROOT / home).rglob("*.py"):
            if "locate.section(" in (text := path.read_text()):
                read.update(re.findall(r'locate\.section\([^)]*?"(\w+)"\)', text))
                read.update(
                    re.findall(
                        r'^(?:\w+, )?SECTION(?:, \w+)? = (?:"coord.toml", )?"(\w+)"', text, re.M
                    )
                )
    read |= {"escalation", "tbd"}  # named by a variable
    assert read == set(config.TABLES)


DAMAGE = [
    ("journal", "echo garbage >> .coord/journal/*/*.jsonl", {}, "0000001.jsonl at "),
    ("index", "echo garbage > .coord/local/work.sqlite", {}, "file is not a database"),
    ("store", "chmod o+w .coord", {}, "writable by others"),
    ("store", "rm -r .coord", {}, "no store here"),
    ("name", "true", {"COORD_AGENT": ""}, "no agent name"),
    ("name", "true", {"COORD_AGENT": "a b"}, "not a valid address"),
    ("clock", "true", {"COORD_NOW": "2020-01-01T00:00:00Z"}, "behind the newest event here by"),
    ("commands", "true", {"PATH": f"/usr/bin:/bin:{BIN}/../bin"}, ""),
    ("remote", "ev sync --remote nowhere.git; echo nowhere > .coord/local/remote", {}, "nowhere"),
    ("remote", "echo '[sync]' > coord.toml; echo remote = 3 >> coord.toml", {}, "not a string"),
]


@pytest.mark.parametrize(("check", "damage", "env", "says"), DAMAGE)
def test_each_problem_has_a_remedy(
    shell: Shell, check: str, damage: str, env: dict[str, str], says: str
) -> None:
    shell("wk new x")
    shell(damage, expect=None)
    row = checked(shell, int(bool(says)), **env)[check]
    assert says in row["what"]
    assert bool(row["todo"]) == (row["status"] == "problem") == bool(says), row


def test_a_lock_that_is_held_long_is_a_problem(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coord_kernel.cli.call import Call

    monkeypatch.setattr(doctor, "LOCK_S", 0.0)
    call = Call("tester")
    with call.journal.store.lock():
        row = next(row for row in doctor.examine(call) if row["check"] == "lock")
    assert row["status"] == "problem"
    assert row["what"] == f"store locked by process {os.getpid()}"


def test_a_command_of_another_program_is_a_problem(shell: Shell, tmp_path: Path) -> None:
    other = tmp_path / "bin/wk"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    row = checked(shell, 1, PATH=f"{other.parent}:{shell.env['PATH']}")["commands"]
    assert row["what"].startswith(f"wk on PATH is {other}, not {BIN}/wk")
    row_alone = shell(f"{BIN}/coord doctor", expect=1, PATH="/usr/bin:/bin").lines
    missing = next(row for row in row_alone if row["check"] == "commands")
    assert "wk is not on PATH" in missing["what"] and BIN in missing["todo"]


def test_a_remote_is_asked(shell: Shell, tmp_path: Path) -> None:
    git("init", "-q", "--bare", "hub.git", cwd=tmp_path)
    shell("wk new x; ev sync --remote ../hub.git")
    assert "answers, synced " in checked(shell, 0)["remote"]["what"]
    shutil.rmtree(tmp_path / "hub.git")
    assert checked(shell, 1)["remote"]["todo"]


def busy(shell: Shell) -> Shell:
    """A store in which somebody works, somebody is silent, and something is wrong."""
    at = "2026-11-30T08:30:00Z"
    first = shell(
        "wk new 'Write the parser of the configuration language' -p 1 -o id", COORD_NOW=at
    )
    shell(f"wk claim {first.out.strip()} --as old-timer", COORD_NOW=at)
    at = "2026-11-30T11:58:00Z"
    second = shell(
        "wk new 'Fix the login page: it forgets the session in a second tab' -o id", COORD_NOW=at
    )
    shell(
        "wk new 'Release 1.0'; wk new 'Write the printer' --blocked-by " + first.out, COORD_NOW=at
    )
    shell(f"wk claim {second.out.strip()} --as builder", COORD_NOW=at)
    shell("msg join --as builder; msg join --as human:kim", COORD_NOW=at)
    shell("msg send --to builder --subject 'Review?' --as human:kim", COORD_NOW=at)
    shell("msg send --to queue:review --subject 'branch login' --as builder", COORD_NOW=at)
    shell("run request --as builder -- make -C parser test FLAGS='--quick --jobs 4'", COORD_NOW=at)
    at = "2026-11-30T11:20:00Z"
    shell("run request -- sh -c 'echo waits for long'", COORD_NOW=at)
    shell.env["COORD_NOW"] = NOW
    return shell


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_person_sees_the_status_as_a_page(shell: Shell, columns: int) -> None:
    terminal = Terminal(busy(shell), columns)
    compare(f"status-{columns}", masked(terminal.run(["coord", "status"], COORD_AGENT="builder")))
    assert terminal.steering == b""
    assert b"\x1b[" in terminal.printed
    terminal.run(["coord", "status"], NO_COLOR="1")
    assert b"\x1b[3" not in terminal.printed, "no colour"


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_person_sees_the_checks_as_a_page(shell: Shell, columns: int) -> None:
    shell("wk new x", COORD_NOW="2026-11-30T11:58:00Z")
    shell("echo garbage > .coord/local/work.sqlite; chmod 700 .coord")
    terminal = Terminal(shell, columns)
    lines = terminal.run(["coord", "doctor"], COORD_NOW=NOW, HOME="/nonexistent")
    assert terminal.status == 1
    known = ("clock", "git", "inotify", "name", "lock", "index", "remote")
    rows = [line for line in lines[:1] + lines if line.startswith((*known, "CHECK"))][1:]
    compare(
        f"doctor-{columns}", "\n".join(re.sub(r"\d+\.\d+[.\d]*$", "N", row) for row in rows) + "\n"
    )
    assert terminal.steering == b""


HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\x1b[31m red",
    "a\rb\x08\x08\x7f",
    "\u202eright to left\u2066",
    "two\nlines",
    "\x9b31mC1\x85",
    "日本語" * 30,
)


def test_hostile_text_cannot_steer_the_terminal(shell: Shell) -> None:
    for number, text in enumerate(HOSTILE):
        title = json.dumps({"title": text})
        made = shell("wk new -o id", title + "\n", expect=None).out.strip()
        if made:
            shell(f"wk claim {made} --as agent-{number}")
        shell("run request", json.dumps({"argv": ["echo", text]}) + "\n", expect=None)
    (shell.cwd / "coord.toml").write_text('[sync]\nremote = "\\u001b[2Jx\\u009b"\n')
    terminal = Terminal(shell, 80)
    for command in ("status", "doctor"):
        lines = terminal.run(["coord", command])
        assert terminal.steering == b"", command
        assert re.search(r"\\u\{1b\}|\\x1b", "".join(lines))
        assert not re.search("[\u202e\u2066]", "".join(lines))


def test_the_table_matches_the_application() -> None:
    assert runpy.run_path(str(ROOT / "tools/table.py"))["table"]("coord") == TABLE, "make table"


def test_a_stop_is_a_problem_until_it_is_resumed(shell: Shell) -> None:
    shell("coord-patrol stop --reason lunch")
    (problem,) = shell("coord status").one["problems"]
    assert problem["what"].startswith("agent:tester stopped all at ")
    assert problem["what"].endswith(": lunch")
    shell("coord-patrol resume")
    assert shell("coord status").one["problems"] == []
