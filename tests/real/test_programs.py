"""Real coding agents with our hooks, and a scripted model: what the model is told, what is refused.

A program that is not installed is skipped by name; `make test-real` installs all of them.
"""

from __future__ import annotations

import fcntl
import json
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from real.model import Model, say
from real.programs import PROGRAMS, Claude, Codex, Program, patch, use
from support import Shell, git

Json = dict[str, Any]


@pytest.fixture
def model() -> Iterator[Model]:
    found = Model()
    yield found
    found.close()


@pytest.fixture
def work(shell: Shell) -> Shell:
    """A repository with a commit: src/a.py and src/b.py."""
    (shell.cwd / "src").mkdir()
    for name in ("a", "b"):
        (shell.cwd / f"src/{name}.py").write_text("one = 1\n")
    git("add", "src", cwd=shell.cwd)
    git("commit", "-q", "-m", "x", cwd=shell.cwd)
    return shell


def sends(shell: Shell, *subjects: tuple[int, str]) -> Any:
    """At the requests with these numbers somebody sends the agent mail."""

    def before(number: int) -> None:
        for at, subject in subjects:
            if at == number:
                shell(f"msg send --to qa --subject '{subject}' --as fixer")

    return before


def text_of(repo: Path, name: str) -> str:
    return (repo / name).read_text()


def delivered(shell: Shell) -> int:
    events = shell("ev replay --type msg.acked").lines
    return len([event for event in events if event["body"]["kind"] == "delivered"])


@pytest.mark.parametrize("name", PROGRAMS)
def test_mail_is_told_at_the_start_and_between_two_tools_and_an_edit_is_refused(
    work: Shell, model: Model, name: str
) -> None:
    program = PROGRAMS[name](work, model)
    work("msg send --to qa --subject 'sent before' --as fixer --force")
    work("lease acquire file:src/a.py --ttl 20m --as fixer")
    model.before = sends(work, (0, "sent meanwhile"))
    model.script(
        program.run("wk new 'made by the agent' -o id"),
        *program.edit("src/a.py", "one = 1", "one = 2"),
        *program.edit("src/b.py", "one = 1", "one = 2"),
        say("All done."),
    )
    program.turn()
    requests = len(model.requests)
    assert model.told("You are agent:qa.") == list(range(requests))
    assert model.told("sent before") == list(range(requests))
    assert model.told("sent meanwhile") == list(range(1, requests))
    assert delivered(work) == 2
    assert text_of(work.cwd, "src/a.py") == "one = 1\n"
    assert text_of(work.cwd, "src/b.py") == "one = 2\n"
    assert model.told("is held by agent:fixer as file:src/a.py")
    (item,) = work("ev replay --type work.created").lines
    (begun,) = work("ev replay --type session.started").lines
    (ended,) = work("ev replay --type session.ended").lines
    session = begun["actor"]["session_id"]
    assert ended["actor"]["session_id"] == session
    # Gemini's shell knows no session.
    own = {} if name == "gemini" else {"session_id": session}
    assert item["actor"] == {"agent_id": "agent:qa"} | own


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_a_session_holds_is_handed_over_and_told_to_the_next_first_of_all(
    work: Shell, model: Model, name: str
) -> None:
    program = PROGRAMS[name](work, model)
    item = work("wk new 'Write the parser' -o id").out.strip()
    model.script(
        program.run(f"wk claim {item}"),
        say("I wrote half.\nNext: the other half\nVerify: make test"),
    )
    program.turn(COORD_KEEP="1")
    (event, *_) = work("ev replay --type handoff.written").lines
    assert event["refs"]["work_id"] == item
    assert event["body"]["next"] == "the other half"
    assert event["body"]["verify"] == "make test"
    assert event["body"]["head"] == git("rev-parse", "HEAD", cwd=work.cwd).strip()
    assert work(f"wk show {item}").one["status"] == "active"
    model.script(say("Going on."))
    program.turn()
    assert model.told("You hold wk-") == [0]
    assert model.told("next: the other half") == [0]
    # Gemini's shell has claimed it for all sessions.
    assert ("wk claim --resume" in json.dumps(model.requests[0])) == (name != "gemini")


def test_a_patch_in_a_shell_is_checked_where_its_cd_leads(work: Shell, model: Model) -> None:
    program = Codex(work, model)
    work("lease acquire file:src/a.py --ttl 20m --as fixer")
    inside = patch("a.py", "one = 1", "one = 2")
    model.script(
        program.run(f"cd src && {inside}"),
        program.run(f"cd src\n{inside}"),
        program.run(patch("src/b.py", "one = 1", "one = 2")),
        say("All done."),
    )
    program.turn()
    assert text_of(work.cwd, "src/a.py") == "one = 1\n"
    assert text_of(work.cwd, "src/b.py") == "one = 2\n"


def test_the_end_of_a_child_leaves_the_work_of_its_parent(work: Shell, model: Model) -> None:
    program, child = Claude(work, model), Model()
    item = work("wk new x -o id").out.strip()
    inner = f"ANTHROPIC_BASE_URL={child.url} {program.binary} -p child --allowedTools Bash"
    held: list[str] = []
    model.before = lambda number: held.extend(
        [work(f"wk show {item}").one["status"]] if number == 2 else []
    )
    model.script(program.run(f"wk claim {item}"), program.run(inner), say("All done."))
    child.script(program.run("wk new 'made by the child'"), say("The child is done."))
    program.turn()
    child.close()
    assert held == ["active"]
    assert work(f"wk show {item}").one["status"] == "ready"
    made = work("ev replay --type work.created").lines[-1]["actor"]["agent_id"]
    assert made.startswith("agent:qa/child-")


class Terminal:
    """A program in a terminal of tmux, for a person who types."""

    def __init__(self, program: Program, *argv: str) -> None:
        if not shutil.which("tmux"):
            pytest.skip("tmux is not installed")
        self._tmux = ["tmux", "-S", str(program.home / "tmux"), "-f", "/dev/null"]
        line = shlex.join(["env", "-i", *(f"{k}={v}" for k, v in program.env.items()), *argv])
        self._run(
            "new-session", "-d", "-s", "x", "-x", "120", "-y", "40", "-c", str(program.repo), line
        )

    def _run(self, *argv: str) -> str:
        done = subprocess.run([*self._tmux, *argv], capture_output=True, text=True)
        return done.stdout

    def screen(self) -> str:
        return self._run("capture-pane", "-p", "-t", "x")

    def type(self, text: str) -> None:
        """Type it; Enter comes when it is there, or it is taken for pasted."""
        self._run("send-keys", "-t", "x", "-l", text)
        until(lambda: text in self.screen())
        self._run("send-keys", "-t", "x", "Enter")

    def close(self) -> None:
        self._run("kill-server")


def until(ready: Callable[[], object], seconds: float = 60) -> None:
    """Wait for what another program does."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_an_idle_session_is_woken_by_mail_and_its_waiter_ends_with_it(
    work: Shell, model: Model
) -> None:
    program = Claude(work, model)
    terminal = Terminal(program, program.binary)
    waiting = work.cwd / ".coord/local/waiting"

    def is_idle() -> bool:
        beats = work("ev tail --type agent.seen -n 1").lines
        held = waiting.exists() and any(locked(path) for path in waiting.iterdir())
        return held and beats[0]["body"]["status"] == "idle"

    try:
        until(lambda: work("ev replay --type session.started").lines)
        model.script(say("Waiting."), say("Woken."), say("Woken again."))
        terminal.type("wait for mail")
        assert model.wait(1)
        for number, subject in enumerate(("first call", "second call"), 1):
            until(is_idle)
            work(f"msg send --to qa --subject '{subject}' --as fixer")
            assert model.wait(number + 1), terminal.screen()
            assert model.told(subject) == [number]
        until(is_idle)
    finally:
        terminal.close()
    until(lambda: not any(locked(path) for path in waiting.iterdir()))
    assert delivered(work) == 2


def locked(path: Path) -> bool:
    """Does a process hold it?"""
    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


SPAWNS: dict[str, Json] = {
    "claude": use(
        "Agent",
        subagent_type="general-purpose",
        prompt="look around",
        description="look",
        run_in_background=False,
    ),
    "codex": use("spawn_agent", message="look around", agent_type="default")
    | {"namespace": "multi_agent_v1"},
}


@pytest.mark.parametrize("name", SPAWNS)
def test_a_subagent_takes_no_mail_from_the_main_agent(work: Shell, model: Model, name: str) -> None:
    program = PROGRAMS[name](work, model)
    model.before = sends(work, (0, "for the main agent"))
    model.script(SPAWNS[name], program.run("true"), say("Looked."), say("Well."))
    program.turn("Be the main agent.")
    main = model.told("Be the main agent.")
    others = sorted(set(range(len(model.requests))) - set(main))
    assert others, "no subagent ran"
    told = model.told("for the main agent")
    assert not set(told) & set(others)
    assert main[-1] in told


def test_a_fork_gives_back_its_own_and_a_resumed_session_goes_on(work: Shell, model: Model) -> None:
    program = Claude(work, model)
    kept, forked = (work(f"wk new {name} -o id").out.strip() for name in ("kept", "forked"))
    model.script(program.run(f"wk claim {kept}"), say("One."))
    session = json.loads(program.turn(COORD_KEEP="1"))["session_id"]
    model.script(program.run(f"wk claim {forked}"), say("Two."))
    program.turn("Fork.", "--resume", session, "--fork-session")
    assert work(f"wk show {forked}").one["status"] == "ready"
    assert work(f"wk show {kept}").one["status"] == "active"
    model.script(program.run(f"wk comment {kept} 'goes on'"), say("Three."))
    program.turn("Go on.", "--resume", session)
    assert work(f"wk show {kept}").one["status"] == "ready"
