"""coord-agent with programs that are driven by messages: each protocol, and what each does when busy."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bridges.stubs import install, until_seen
from proof.witness import Watched
from support import Json, Shell

VIAS = ("stream-json", "rpc", "app-server", "acp")
SCRIPT = Path(__file__).parent / "driven.py"


def preset(via: str, busy: str = "steers") -> str:
    start = f'start = ["{via}"]\n'
    resume = 'resume = ["stream-json"]\n' if via == "stream-json" else ""
    return f'[{via}-{busy}]\nprogram = "driven"\npass = ["SEEN", "GO"]\n[{via}-{busy}.{via}]\n{start}{resume}busy = "{busy}"\n'


@pytest.fixture
def town(shell: Shell, tmp_path: Path) -> Iterator[Shell]:
    presets = [preset(via, busy) for via in VIAS for busy in ("steers", "refuses")]
    text = f'#!/bin/sh\nexec {sys.executable} {SCRIPT} "$@"\n'
    install(shell, tmp_path, "\n".join(presets), {"driven": text})
    shell.env["COORD_AGENT"] = "boss"
    yield shell
    if shell("coord-agent ls").out:
        shell("coord-agent stop ada")


def start(town: Shell, via: str, prompt: str, busy: str = "steers") -> Json:
    return town(f"coord-agent start ada --preset {via}-{busy} --prompt -", prompt).one


def status(town: Shell) -> str:
    return str(town("coord-agent show ada").one["status"])


def beat(follower: Watched, status: str) -> None:
    """Wait until the session says that it is so."""
    while f'"status":"{status}"'.encode() not in follower.line():
        pass


@pytest.mark.parametrize("via", VIAS)
def test_a_driven_program_is_steered_at_work_and_woken_when_idle_by_a_patrol(
    town: Shell, via: str
) -> None:
    with Watched(town, "ev tail -f -n 0 --type agent.seen") as beats, Watched(town, "coord-patrol"):
        row = start(town, via, "@hold")
        assert (row["via"], row["agent"]) == (via, "agent:ada")
        until_seen(town, "@hold\n")
        (_, nudged) = town("coord-agent say ada hello").lines
        assert (nudged["body"]["result"], nudged["body"]["via"]) == ("delivered", via)
        assert "1 message waits" in until_seen(town, "steered")
        beat(beats, "idle")
        town("msg send --to ada --subject 'secret text' --as bob")
        noted = until_seen(town, "coord: 2 messages wait for you, the newest from agent:bob")
    assert "secret text" not in noted, "a pointer, never the text"
    *_, nudged = town("ev replay --type session.nudged").lines
    assert nudged["body"]["result"] == "delivered"
    assert (nudged["body"]["via"], nudged["actor"]["agent_id"]) == (via, "bridge:patrol")
    assert town("coord-patrol --once").lines == town("coord-agent deliver").lines == []
    assert town("coord-agent show ada").one["provider_session"] == "its-own"
    town("coord-agent stop ada")
    assert status(town) == "ended"
    assert not list((town.cwd / ".coord/local/agents").glob("*.sock"))


@pytest.mark.parametrize("via", ("rpc", "acp"))
def test_one_that_a_line_would_stop_is_woken_when_its_turn_is_over(
    town: Shell, via: str, tmp_path: Path
) -> None:
    town.env["GO"] = str(tmp_path / "go")
    os.mkfifo(town.env["GO"])
    with Watched(town, "ev tail -f -n 0 --type session.nudged") as outcomes:
        start(town, via, "hold", "refuses")
        until_seen(town, "hold\n")
        (_, nudged) = town("coord-agent say ada hello").lines
        assert nudged["body"]["result"] == "busy"
        with Watched(town, "coord-patrol"):
            with open(town.env["GO"], "w") as go:
                go.write("on")
            assert "1 message waits" in until_seen(town, "coord: ")
            while b'"delivered"' not in outcomes.line():
                pass


@pytest.mark.parametrize(
    ("via", "choice", "expected"),
    [
        ("rpc", "yes", "answered true"),
        ("app-server", "decline", "answered decline"),
        ("acp", "Reject", "answered n"),
    ],
)
def test_a_permission_is_a_question_to_a_person(
    town: Shell, via: str, choice: str, expected: str
) -> None:
    (town.cwd / "coord.toml").write_text('[escalation]\nperson = "human:eve"\n')
    with Watched(town, "ev tail -f -n 0 --type work.created") as created:
        start(town, via, "ask")
        assert b"agent:ada asks: " in created.line()
    (asked,) = town("wk ls --kind question").lines
    assert status(town) == "waiting"
    (_, nudged) = town("coord-agent say ada hello").lines
    assert nudged["body"]["result"] == "busy", "it would be taken for the answer"
    town(f"wk answer {asked['work_id']} {choice} --as human:eve")
    until_seen(town, expected)
    assert town("msg recv --as ada -o id").out.count("\n") == 1, "the answer is no mail to it"


def test_a_question_is_withdrawn_with_its_program(town: Shell) -> None:
    with Watched(town, "ev tail -f -n 0 --type work.created") as created:
        start(town, "acp", "ask")
        created.line()
    town("coord-agent stop ada")
    (asked,) = town("wk ls --all --kind question").lines
    assert asked["status"] == "cancelled"


def hooked(town: Shell, row: Json, event: str) -> None:
    said = json.dumps({"session_id": row["session_id"], "hook_event_name": event})
    town("coord-hooks seen --as ada", said, COORD_SESSION=row["session_id"])


def begun_with_work(town: Shell, via: str, prompt: str) -> Json:
    """A session that was started for an item, after it closed that."""
    work = town("wk new 'Do it' -o id").out.strip()
    start = f"coord-agent start ada --preset {via}-refuses --work {work} --prompt '{prompt}'"
    row = town(start).one
    until_seen(town, f"{prompt}\n")
    town(f"wk close {work} --as ada", COORD_SESSION=row["session_id"])
    return row


@pytest.mark.parametrize("via", VIAS)
def test_one_whose_work_is_done_is_ended_by_a_patrol(town: Shell, via: str) -> None:
    (town.cwd / "coord.toml").write_text('[patrol]\ndone = "1ms"\n')
    with (
        Watched(town, "ev tail -f -n 0 --type session.ended") as ends,
        Watched(town, "coord-patrol") as patrol,
    ):
        begun_with_work(town, via, "one")
        assert b'"how":"exit"' in ends.line()
        assert b'"status":"ended"' in patrol.line(), "it prints the session"
    shown = town("coord-agent show ada").one
    assert (shown["how"], shown["code"]) == ("exit", 0)
    assert town("coord-agent finish").lines == []
    assert not list((town.cwd / ".coord/local/agents").glob("*.sock"))


def test_one_at_work_attached_or_without_work_is_not_ended(town: Shell, tmp_path: Path) -> None:
    town.env["GO"] = str(tmp_path / "go")
    os.mkfifo(town.env["GO"])
    with Watched(town, "ev tail -f -n 0 --type agent.seen") as beats:
        row = begun_with_work(town, "acp", "hold")
        assert town("coord-agent finish").lines == [], "within a turn"
        hooked(town, row, "Stop")
        beat(beats, "idle")
        assert town("coord-agent finish").lines == [], "its driver knows better"
        hooked(town, row, "PreToolUse")
        with open(town.env["GO"], "w") as go:
            go.write("on")
        beat(beats, "idle")
        with Watched(town, "coord-acp ada", stdin=-1) as editor:
            editor.tell(b'{"id":0,"method":"initialize","params":{}}\n')
            editor.line()
            assert town("coord-agent finish").lines == [], "an editor shows it"
            assert "busy, or attached" in town("coord-agent finish ada").err
    mail = town("msg send --to ada --subject next --as bob -o id").out.strip()
    assert town("coord-agent finish").err == "", "nobody asked about it"
    kept = town("coord-agent finish ada")
    assert (kept.out, "goes on: has mail that it was not told of" in kept.err) == ("", True)
    town(f"msg ack {mail} --as ada")
    (ended,) = town("coord-agent finish ada").lines
    assert (ended["status"], ended["how"]) == ("ended", "exit")
    with Watched(town, "ev tail -f -n 0 --type agent.seen") as beats:
        start(town, "rpc", "two")
        beat(beats, "idle")
    kept = town("coord-agent finish ada")
    assert (kept.lines, "was started without work" in kept.err) == ([], True)


@pytest.mark.parametrize(
    ("via", "noted"), [("acp", "loaded its-own"), ("app-server", "resumed its-own")]
)
def test_a_conversation_is_resumed_by_a_message(town: Shell, via: str, noted: str) -> None:
    start(town, via, "one")
    until_seen(town, "one\n")
    town("coord-agent stop ada")
    town("coord-agent resume ada --prompt two")
    assert noted in until_seen(town, "two\n")
    assert town("coord-agent show ada").one["provider_session"] == "its-own"


def test_a_program_that_needs_a_pause_is_resumed_after_it(town: Shell) -> None:
    presets = Path(town.env["XDG_CONFIG_HOME"]) / "coord/presets.toml"
    presets.write_text(f"{presets.read_text()}rest_ms = 60000\n")  # of the last: acp-refuses
    start(town, "acp", "one", "refuses")
    until_seen(town, "one\n")
    town("coord-agent stop ada")
    done = town("coord-agent resume ada --prompt two", expect=75)
    assert "needs a pause between two starts; try again in " in done.err
    (first,) = town("ev replay --type session.started -n 1").lines
    now = first["ts"].replace(first["ts"][:4], str(int(first["ts"][:4]) + 1))
    town("coord-agent resume ada --prompt two", COORD_NOW=now)
    until_seen(town, "two\n")


def test_a_line_without_an_end_ends_the_program_that_prints_it(town: Shell, tmp_path: Path) -> None:
    program = "#!/bin/sh\nread x; echo '{\"type\":\"system\"}'; exec tr '\\0' x </dev/zero\n"
    (tmp_path / "bin/driven").write_text(program)
    start(town, "stream-json", "x")
    run = town("coord-agent show ada").one["run"]
    town(f"timeout 60 run attach {run} >/dev/null", expect=None)
    assert status(town) == "ended"


@pytest.mark.parametrize(
    ("does", "says"),
    [
        (
            'read x; echo \'{"id":1,"error":{"message":"Authentication required"}}\'; exec cat >/dev/null',
            "driven: initialize: Authentication required",
        ),
        ("exit 0", "driven: ended before it took input"),
    ],
)
def test_a_program_that_does_not_begin_does_not_come_up_and_says_why(
    town: Shell, tmp_path: Path, does: str, says: str
) -> None:
    (tmp_path / "bin/driven").write_text(f"#!/bin/sh\n{does}\n")
    done = town("coord-agent start ada --preset acp-steers --prompt x", expect=75)
    assert "did not come up" in done.err
    logs = town("run logs $(coord-agent show ada | jq -r .run)")
    assert says in logs.err + logs.out
