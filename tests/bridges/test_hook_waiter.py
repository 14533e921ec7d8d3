"""`msg hook claude --wait`: an idle session is woken by mail, by one waiter, which dies with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from bridges.stubs import until_gone
from support import BIN, Shell

STOP = {"session_id": "s1", "hook_event_name": "Stop", "stop_hook_active": True}
"""The end of a turn that a hook made go on: the other hook of that moment tells nothing."""


class Waiter:
    """A waiter of a session, as Claude Code starts it: pipes, and a shell in between."""

    def __init__(self, shell: Shell, session: str = "s1", line: str = "", **env: str) -> None:
        self.shell = shell
        line = line or "msg hook claude --wait 5m --as qa"
        entry = {"CLAUDE_CODE_ENTRYPOINT": "cli", "COORD_AGENT": ""}
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", f"{line}; exit $?"],
            cwd=shell.cwd,
            env=shell.env | entry | env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdin
        self.process.stdin.write(json.dumps(STOP | {"session_id": session}).encode())
        self.process.stdin.close()
        self.process.stdin = None

    def begun(self) -> Waiter:
        """When it waits."""
        until(lambda: held(self.shell) or self.process.poll() is not None)
        return self

    def end(self) -> tuple[int, str]:
        out, err = self.process.communicate(timeout=60)
        assert out in (b"", b"{}\n")
        return self.process.returncode, err.decode()


def until(ready: Any) -> None:
    end = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.02)


def held(shell: Shell) -> list[str]:
    """The processes that follow the store, and so wait."""
    names = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            follows = b"--wait" in words and any(
                "inotify" in os.readlink(fd) for fd in (path / "fd").iterdir()
            )
            same = os.readlink(path / "cwd") == str(shell.cwd)
        except OSError:
            continue
        names += [path.name] if follows and same else []
    return names


def test_mail_wakes_it_once_and_is_delivered(shell: Shell) -> None:
    shell("msg join --as qa")
    waiter = Waiter(shell).begun()
    assert Waiter(shell).end() == (0, ""), "one waits already"
    shell("msg send --to other --subject 'not for it' --force; wk new x")
    shell("msg send --to qa --subject 'for it'")
    status, notice = waiter.end()
    assert status == 2
    assert "for it" in notice and "not for it" not in notice
    (ack,) = shell("ev replay --type msg.acked").lines
    assert (ack["body"]["kind"], ack["actor"]["session_id"]) == ("delivered", "s1")
    other = Waiter(shell, "s2")
    assert other.end()[0] == 2, "another session was not told"
    assert Waiter(shell, line="msg hook claude --wait 1ms --as qa").end() == (0, "")


def test_what_came_while_it_was_busy_wakes_it_at_once(shell: Shell) -> None:
    shell("msg send --to qa --subject 'waits already' --force")
    status, notice = Waiter(shell).end()
    assert (status, "waits already" in notice) == (2, True)


@pytest.mark.parametrize(
    "line",
    [
        """echo '{"session_id":"s1","hook_event_name":"PreToolUse"}' | coord-hooks seen --as qa""",
        'ev emit session.ended --body \'{"how":"exit"}\' --as qa',
    ],
)
def test_it_ends_when_the_session_is_busy_or_over(shell: Shell, line: str) -> None:
    waiter = Waiter(shell).begun()
    shell(line, COORD_SESSION="s2" if "emit" in line else "")
    if "emit" in line:
        assert waiter.process.poll() is None, "another session"
        shell(line, COORD_SESSION="s1")
    assert waiter.end() == (0, "")


def test_it_dies_with_the_program(shell: Shell) -> None:
    """However that dies: then nobody reads what the waiter writes."""
    waiter = Waiter(shell).begun()
    (number,) = held(shell)
    assert waiter.process.stdout and waiter.process.stderr
    waiter.process.stdout.close()
    waiter.process.stderr.close()
    until_gone(int(number))
    waiter.process.wait(60)
    waiter = Waiter(shell).begun()
    (number,) = held(shell)
    os.kill(waiter.process.pid, signal.SIGKILL)
    until_gone(int(number))
    waiter.process.communicate()


def test_it_does_not_hold_up_a_program_without_a_terminal(shell: Shell) -> None:
    """`claude -p` does not end before its hooks."""
    headless = {"CLAUDE_CODE_ENTRYPOINT": "sdk-cli"}
    assert Waiter(shell, **headless).end() == (0, "")
    shell("msg join --as qa")
    waiter = Waiter(shell, **headless, COORD_WAIT="1").begun()
    shell("msg send --to qa --subject x")
    assert waiter.end()[0] == 2


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("msg hook claude --wait soon --as qa", "not a valid time: --wait soon"),
        ("msg hook codex --wait 1m --as qa", "does not wake codex; --wait is for claude"),
        ("msg hook emacs --wait 1m --as qa", "unknown program: emacs"),
        ("msg hook claude --wait 1m", "no agent name"),
    ],
)
def test_what_is_wrong_wakes_nobody(shell: Shell, line: str, says: str) -> None:
    status, err = Waiter(shell, line=f"PATH={BIN}:$PATH {line}").end()
    assert (status, says in err) == (0, True)
