"""What contrib/ has for users to copy: the units are clean, and the pipe that stays stays and ends as it says."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from proof.witness import PATIENCE_S, Watched
from support import Shell

SYSTEMD = Path(__file__).parent.parent / "contrib/systemd"
UNITS = sorted(path.name for path in SYSTEMD.glob("*@.*"))


@pytest.mark.parametrize("name", UNITS)
def test_systemd_has_nothing_to_say_about_a_unit(tmp_path: Path, name: str) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    for path in SYSTEMD.glob("*@.*"):
        shutil.copy(path, tmp_path)
    unit = tmp_path / name.replace("@", "@srv-my\\x20acme")
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_each_unit_starts_what_is_there(shell: Shell) -> None:
    """`systemd-analyze` sees only /usr/bin/env, so the commands behind it are tried here."""
    lines = [line for name in UNITS for line in (SYSTEMD / name).read_text().splitlines()]
    started = {line.removeprefix("ExecStart=").split("/usr/bin/env ")[-1] for line in lines if "ExecStart=" in line}
    assert {one for one in started if not one.startswith("/bin/sh")} == {
        "ev sync",
        "run worker --slots 2",
        "coord-postman ci.failed agent:fixer",
    }
    assert "ev consume" in next(one for one in started if one.startswith("/bin/sh"))


@pytest.fixture
def postman(shell: Shell) -> Shell:
    if not shutil.which("jq"):
        pytest.skip("jq is not installed")
    shell.env |= {"PATH": f"{SYSTEMD}:{shell.env['PATH']}", "COORD_AGENT": "postman"}
    shell("msg join --as fixer")
    return shell


def subjects(shell: Shell) -> int:
    return len(shell("ev replay --type msg.sent").lines)


def test_the_pipe_that_stays_sends_each_mail_once_over_restarts(postman: Shell) -> None:
    for n in range(2):
        postman(f"ev emit ci.failed --body '{{\"n\":{n}}}'")
    for n in range(2, 4):
        with (
            Watched(postman, "msg recv -f --as fixer") as fixer,
            Watched(postman, "coord-postman ci.failed agent:fixer", start_new_session=True) as pipe,
        ):
            postman(f"ev emit ci.failed --body '{{\"n\":{n}}}'")
            for _ in range(n + 1):
                fixer.line()
            os.killpg(pipe.child.pid, signal.SIGKILL)
            pipe.child.wait(PATIENCE_S)
    assert subjects(postman) == 4


@pytest.mark.parametrize("part", ["jq", "msg", "ev"])
def test_when_a_part_of_it_dies_it_ends_so_that_it_is_started_again(postman: Shell, part: str) -> None:
    with (
        Watched(postman, "msg recv -f --as fixer") as fixer,
        Watched(postman, "coord-postman ci.failed agent:fixer", start_new_session=True) as pipe,
    ):
        postman("ev emit ci.failed")
        fixer.line()
        os.kill(next(pid for pid in group(pipe.child.pid) if part in names(pid)), signal.SIGKILL)
        assert pipe.child.wait(PATIENCE_S) != 0


def group(leader: int) -> list[int]:
    """The processes of a process group."""
    found = (path for path in Path("/proc").iterdir() if path.name.isdigit())
    return [int(path.name) for path in found if os.getpgid(int(path.name)) == leader]


def names(pid: int) -> list[str]:
    """The names among the first words of a command line: a program, or an interpreter and its script."""
    return [Path(word).name for word in Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:2]]
