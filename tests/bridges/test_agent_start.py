"""coord-agent with real processes: stub programs on PATH with the quirks of the real ones."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from bridges.stubs import install, seen, until_gone, until_seen
from support import Json, Shell, git

PRELUDE = "#!/bin/sh\nexport LC_ALL=C\n"
DOES = """
[ "$CLAUDECODE" ] && exit 9
wk mine -o id | while read -r id; do wk close "$id" --note "done by $COORD_AGENT" >/dev/null; done
"""
READY = 'printf "ready\\n> "\n'
SCREEN = f"""
{READY}
while IFS= read -r line; do echo "$line" >>"$SEEN"; printf "> "; done
"""
PASTES = """
import os, select, sys, termios, tty
tty.setcbreak(0)
print("ready\\n> ", end="", flush=True)
text = b""
while True:
    chunk = os.read(0, 4096)
    if not chunk:
        break
    if chunk == b"\\n" or chunk == b"\\r":
        with open(os.environ["SEEN"], "ab") as file:
            file.write(text + b"\\n")
        text = b""
    else:  # Enter within a chunk is one of a paste
        text += chunk.replace(b"\\r", b" ").replace(b"\\n", b" ")
"""
PRESETS = """
[plain]
output = "id"
pass = ["SEEN"]
secrets = ["STUB_KEY"]
args = ["--model", "m1"]
[plain.headless]
start = ["run", "{args}", "{prompt}"]
resume = ["run", "--resume", "{session}", "{prompt}"]
fork = ["ask", "{args}", "--fork", "{session}", "{prompt}"]
[plain.usage]
match = { type = "result" }
input = "usage.in"
dollars = "cost"

[chosen]
session = "uuid"
readonly = ["--read-only"]
[chosen.headless]
start = ["--session-id", "{session}", "-p", "{prompt}"]
resume = ["--resume", "{session}", "-p", "{prompt}"]
fork = ["--fork", "{session}", "{args}", "{prompt}"]

[mute.headless]
start = ["{prompt}"]

[fails]
output = "id"
[fails.headless]
start = ["{prompt}"]

[absent.headless]
start = ["{prompt}"]

[screen]
pass = ["SEEN"]
queue = ["tell", "{session}", "{message}"]
[screen.tmux]
start = ["{prompt}"]
ready = "^>"

[pastes]
pass = ["SEEN"]
[pastes.tmux]
start = []
ready = "^>"
enter_ms = 300
busy = "queues"
"""
PROGRAMS = {
    # Reads standard input to its end, as some programs do: it must be empty.
    "plain": 'cat >/dev/null; echo "{\\"id\\":\\"its-own\\"}"; echo "$0 $* $STUB_KEY" >"$SEEN"\n'
    + DOES
    + 'echo "{\\"type\\":\\"result\\",\\"usage\\":{\\"in\\":7},\\"cost\\":0.5}"; '
    + "(trap '' HUP; sleep 600 >/dev/null 2>&1 </dev/null) & echo $! >\"$SEEN.left\"",
    "chosen": 'echo "$@"; case $* in *--fork*) touch here; touch .git/there; echo because ;; esac 2>&1'
    + DOES,
    "mute": "exec sleep 600",
    "fails": "echo no login >&2; exit 3",
    "screen": 'case $1 in tell) echo "told $*" >>"$SEEN"; exit;; esac' + SCREEN,
}


@pytest.fixture
def town(shell: Shell, tmp_path: Path) -> Shell:
    programs = {name: PRELUDE + text for name, text in PROGRAMS.items()}
    python = shell("command -v python").out.strip()
    install(shell, tmp_path, PRESETS, {**programs, "pastes": f"#!{python}\n{PASTES}"})
    git("commit", "-q", "--allow-empty", "-m", "first", cwd=shell.cwd)
    # The first is of a program around this one: no agent inherits it.
    shell.env |= {"CLAUDECODE": "1", "STUB_KEY": "s3cret-of-stub"}
    return shell


def item(town: Shell, *options: str) -> str:
    return town(" ".join(["wk new 'Do it' --as boss -o id", *options])).out.strip()


def over(town: Shell, name: str) -> Json:
    """The agent's last session, when it is over."""
    town(f"timeout 60 run attach $(coord-agent show {name} | jq -r .run) >&2", expect=None)
    return town(f"coord-agent show {name}").one


def test_an_agent_does_its_item_in_a_work_tree_and_says_what_it_used(town: Shell) -> None:
    work = item(town)
    row = town(f"coord-agent start ada --preset plain --work {work} --worktree").one
    assert (row["agent"], row["preset"], row["via"]) == ("agent:ada", "plain", "headless")
    shown = over(town, "ada")
    assert (shown["status"], shown["how"], shown["code"]) == ("ended", "exit", 0)
    assert (shown["provider_session"], shown["work_id"]) == ("its-own", work)
    assert town(f"wk show {work}").one["closed"]["note"] == "done by agent:ada"
    ran = seen(town)
    assert " run --model m1 You are agent:ada. You hold the work item wk-" in ran
    assert ran.endswith("s3cret-of-stub\n")
    assert town.env["STUB_KEY"] not in town("ev replay").out
    # A daemon that it left behind is gone.
    left = Path(f"{town.env['SEEN']}.left").read_text().strip()
    until_gone(int(left))
    branch = git("branch", "--list", "agents/ada/*", cwd=town.cwd).strip()
    assert branch.startswith("+ agents/ada/")
    assert shown["cwd"] == str(town.cwd / ".coord/local/worktrees/1")
    assert shown["usage"] == {"input": 7, "micros": 500_000}
    (used,) = town("coord-agent usage").lines
    assert (used["body"]["agent"], used["refs"]["work_id"]) == ("agent:ada", work)
    assert town("coord-agent usage").lines == []


def test_a_work_tree_is_used_again_only_if_nothing_in_it_would_be_lost(town: Shell) -> None:
    (town.cwd / "coord.toml").write_text("[agents]\nworktrees = 2\n")
    start = "coord-agent start ada --preset plain --prompt x --worktree"
    trees = []
    for _ in range(2):
        trees.append(town(start).one["cwd"])
        over(town, "ada")
    assert trees[0] == trees[1]
    Path(trees[0], "left.txt").write_text("what a session left")
    other = town(start).one["cwd"]
    assert other != trees[0]
    over(town, "ada")
    Path(other, "left.txt").write_text("here, too")
    full = town(start, expect=75)
    assert "all 2 work trees are in use or hold work that is not committed" in full.err
    assert Path(trees[0], "left.txt").read_text() == "what a session left"


@pytest.mark.parametrize(
    ("preset", "status", "what"),
    [
        ("mute", 75, "did not come up; its job and its claim were undone"),
        ("fails", 75, "did not come up; its job and its claim were undone"),
        ("absent", 69, "absent is not on PATH; install it"),
        ("chosen --via acp", 2, "has no way to start via acp; it has headless"),
        ("nobody", 1, "unknown preset: nobody; known presets: claude, codex"),
    ],
)
def test_what_does_not_come_up_leaves_no_claim(
    town: Shell, preset: str, status: int, what: str
) -> None:
    (town.cwd / "coord.toml").write_text('[agents]\nwithin = "1s"\n')
    work = item(town)
    done = town(f"coord-agent start ada --preset {preset} --work {work}", expect=status)
    assert what in done.err
    assert done.err.count("\n") == 1
    assert town(f"wk show {work}").one["status"] == "ready"
    assert town("run ls").out == town("coord-agent ls").out == ""
    assert town("coord-patrol --once").out == ""
    if status == 75:  # the next start finds nothing in its way
        town(f"coord-agent start ada --preset chosen --work {work}")
        over(town, "ada")


def test_nothing_is_started_over_a_budget_or_a_limit(town: Shell) -> None:
    (town.cwd / "coord.toml").write_text('[budgets]\n"agent:*" = "10 tokens per 1d"\n')
    work = item(town)
    spent = {"agent": "agent:ada", "session": "s0", "pool": "plain", "input": 12}
    town("ev emit usage.reported --as ada --body -", json.dumps(spent))
    start = f"coord-agent start ada --preset plain --work {work}"
    done = town(start, expect=75)
    assert done.err.startswith("coord-agent: agent:ada: agent:ada: spent 12 tokens of 10")
    assert "; it may be started from 20" in done.err and done.err.count("\n") == 1
    assert town("wk ls").one["status"] == "ready"
    assert town("coord-agent ls --all").out == ""
    town(start.replace("ada", "bob"))
    assert over(town, "bob")["status"] == "ended"


def test_an_item_that_another_has_is_refused_and_nothing_is_left(town: Shell) -> None:
    work = item(town)
    town(f"wk claim {work} --as bob")
    done = town(f"coord-agent start ada --preset plain --work {work}", expect=1)
    assert "is held by agent:bob" in done.err
    assert town(f"wk show {work}").one["owner"] == "agent:bob"
    assert "no ready item" in town("coord-agent start ada --preset plain --claim", expect=1).err
    other = item(town)
    town("coord-agent start ada --preset plain --claim")
    assert over(town, "ada")["work_id"] == other


def test_of_an_agent_one_session_runs_at_a_time_and_none_that_is_stopped(town: Shell) -> None:
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    town("coord-agent start ada --preset screen")
    done = town("coord-agent start ada --preset plain --prompt x", expect=1)
    assert "agent:ada: runs already: " in done.err
    assert town("coord-agent stop ada").one["status"] == "ended"
    assert "is over" in town("coord-agent stop ada", expect=1).err
    town("coord-patrol stop --scope ada --reason why --as human:eve")
    done = town("coord-agent start ada --preset plain --prompt x", expect=1)
    assert "agent:ada: is stopped by human:eve: why" in done.err


def test_a_conversation_goes_on_and_a_copy_of_it_answers(town: Shell) -> None:
    work = item(town)
    first = town(f"coord-agent start ada --preset chosen --work {work}").one
    session = first["session_id"]
    assert over(town, "ada")["provider_session"] == session
    town(f"wk reopen {work}")
    again = town("coord-agent resume ada --prompt 'once more'").one
    assert (again["session_id"], again["work"]) == (session, first["work"])
    over(town, "ada")
    output = town(f"run logs {again['run']}").out
    assert output == f"--resume {session} -p once more\n"
    answer = town(f"coord-agent seance {session[:8]} 'why?'").out
    assert answer.startswith(f"--fork {session} --read-only why?\n")
    assert answer.endswith("because\n")
    if shutil.which("bwrap"):
        assert answer.count("Read-only file system") == 2
        assert not (town.cwd / "here").exists()
    assert town("wk mine --as ada.seance").out == ""
    town("coord-agent start bob --preset plain --prompt x")
    over(town, "bob")
    # Where no namespace can be had, only the words of a preset keep its program from that.
    refuses = town.cwd.parent / "refuses"
    refuses.mkdir()
    (refuses / "bwrap").write_text("#!/bin/sh\nexit 1\n")
    (refuses / "bwrap").chmod(0o755)
    done = town(f"PATH={refuses}:$PATH coord-agent seance bob 'why?'", expect=2)
    assert "preset plain: cannot be kept from changing files" in done.err
    resumed = town("coord-agent resume bob").one
    over(town, "bob")
    assert "run --resume its-own Go on." in seen(town)
    assert resumed["session_id"] != "its-own"


def test_a_restart_takes_over_the_item_and_the_work_tree(town: Shell) -> None:
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    work = item(town)
    first = town(f"coord-agent start ada --preset screen --work {work} --worktree").one
    Path(first["cwd"], "half.txt").write_text("half done")
    again = town("coord-agent restart ada --preset chosen --via headless").one
    assert (again["cwd"], again["work"]) == (first["cwd"], first["work"])
    assert again["session_id"] != first["session_id"]
    over(town, "ada")
    assert town(f"wk show {work}").one["status"] == "done"
    (old,) = [
        row
        for row in town("coord-agent ls --all").lines
        if row["session_id"] == first["session_id"]
    ]
    assert (old["how"], old["by"]) == ("stopped", "agent:tester")


# ---- deliveries


@pytest.fixture
def screen(town: Shell) -> Callable[[str], Json]:
    """Starts an agent in a terminal; it is idle then."""
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")

    def started(preset: str) -> Json:
        row = town(f"coord-agent start ada --preset {preset}").one
        beat(town, row["session_id"], "Stop")
        return row

    return started


def beat(town: Shell, session: str, event: str) -> None:
    said = json.dumps({"session_id": session, "hook_event_name": event})
    town("coord-hooks seen --as ada", said, COORD_AGENT="", COORD_SESSION=session)


def test_text_and_enter_are_apart_so_that_no_program_takes_them_for_a_paste(
    town: Shell, screen: Callable[[str], Json]
) -> None:
    screen("pastes")
    sent, nudged = town("coord-agent say ada 'the tests are red\nsee main'").lines
    assert (sent["to"], sent["body"]["subject"]) == (["agent:ada"], "the tests are red")
    assert (nudged["body"]["result"], nudged["body"]["via"]) == ("delivered", "tmux")
    until_seen(town, "coord: 1 message waits for you, the newest from agent:tester")
    assert "red" not in seen(town), "a pointer, never the text"
    assert town("coord-agent deliver").lines == []
    town("msg ack $(msg recv --as ada -o id) --as ada")
    town("coord-agent stop ada")


def test_one_at_work_or_before_a_question_is_given_nothing(
    town: Shell, screen: Callable[[str], Json]
) -> None:
    session = screen("screen")["session_id"]
    town("msg send --to ada --subject x --as bob")
    for event, result in (("Notification", "busy"), ("PreToolUse", "")):
        beat(town, session, event)
        assert [e["body"]["result"] for e in town("coord-agent deliver").lines] == [result] * bool(
            result
        )
    assert seen(town) == ""
    beat(town, session, "Stop")
    town("msg ack $(msg recv --as ada -o id) --as ada")
    assert town("coord-agent deliver").lines == [], "it was read meanwhile"
    town("coord-agent stop ada")
    town("msg send --to ada --subject y --as bob")
    (gone,) = town("coord-agent deliver ada").lines
    assert gone["body"]["result"] == "gone"
    assert town("coord-agent deliver").lines == []


def test_one_in_a_terminal_is_ended_when_its_work_is_done_unless_it_is_looked_at(
    town: Shell,
) -> None:
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    work = item(town)
    row = town(f"coord-agent start ada --preset screen --work {work}").one
    assert town("coord-agent finish").lines == [], "it holds its item"
    town(f"wk close {work} --as ada", COORD_SESSION=row["session_id"])
    beat(town, row["session_id"], "UserPromptSubmit")
    assert town("coord-agent finish").lines == [], "it is at work"
    beat(town, row["session_id"], "Stop")
    ours, theirs = os.openpty()
    attached = town.popen(
        "env TERM=xterm coord-agent attach ada", stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    screen = b""
    while b"ready" not in screen:
        screen += os.read(ours, 4096)
    assert town("coord-agent finish").lines == [], "a person looks at it"
    os.close(ours)
    attached.wait(60)
    (ended,) = town("coord-agent finish").lines
    assert (ended["status"], ended["how"]) == ("ended", "stopped")
    assert town("coord-patrol --once").lines == []


def test_the_queue_of_a_program_is_used_where_it_has_one(
    town: Shell, screen: Callable[[str], Json]
) -> None:
    session = screen("screen")["session_id"]
    own = json.dumps({"session_id": "its-own", "hook_event_name": "SessionStart"})
    town("coord-hooks start --as ada", own, COORD_AGENT="", COORD_SESSION=session)
    beat(town, "its-own", "Stop")
    assert town("coord-agent show ada").one["provider_session"] == "its-own"
    (_, nudged) = town("coord-agent say ada hello").lines
    assert (nudged["body"]["result"], nudged["body"]["via"]) == ("delivered", "queue")
    assert "told tell its-own coord: 1 message waits" in seen(town)
    town("coord-agent stop ada")
