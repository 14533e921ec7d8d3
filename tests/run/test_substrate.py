"""run: the same job in this process tree, in tmux, on another host, in a container."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ports import free_port
from proof.witness import PATIENCE_S, Watched
from run.jobs import ended, requested, worker
from support import Shell


def needs(*programs: str) -> str:
    path = next(filter(None, map(shutil.which, programs)), None)
    if not path:
        pytest.skip(f"{' or '.join(programs)} is not installed")
    return path


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An sshd for this test; the directory of an ssh that knows it as `box`."""
    sshd, ssh = needs("sshd", "/usr/sbin/sshd"), needs("ssh")
    home = tmp_path / "ssh"
    home.mkdir(mode=0o700)
    for key in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / key)], check=True
        )
    port = free_port()
    options = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": home / "host",
        "AuthorizedKeysFile": home / "user.pub",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
    }
    (home / "sshd_config").write_text(
        "".join(f"{name} {value}\n" for name, value in options.items())
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen(
        [sshd, "-D", "-e", "-f", home / "sshd_config"], stderr=subprocess.PIPE
    )
    assert server.stderr
    while b"listening on" not in (line := server.stderr.readline()):
        assert line, "sshd did not start"
    config = home / "config"
    config.write_text(
        f"Host box\n HostName 127.0.0.1\n Port {port}\n User {getpass.getuser()}\n IdentityFile {home}/user\n"
        f" UserKnownHostsFile {home}/known\n StrictHostKeyChecking no\n LogLevel ERROR\n"
    )
    wrapper = tmp_path / "bin/ssh"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {ssh} -F {config} "$@"\n')
    wrapper.chmod(0o755)
    yield str(wrapper.parent)
    server.kill()
    server.wait()
    server.stderr.close()


@pytest.fixture
def over_ssh(shell: Shell, host: str) -> Shell:
    shell.env["PATH"] = f"{host}:{shell.env['PATH']}"
    return shell


def test_a_command_runs_over_ssh_as_it_does_here(over_ssh: Shell) -> None:
    words = "sh -c 'pwd; cat; echo $A $RUN_ATTEMPT; echo \"$1\" >&2; exit 3' sh 'a  \"b'"
    options = f"--substrate ssh:box:{over_ssh.cwd} --env 'A=x  y' --input -"
    done = over_ssh(f"run exec {options} -- {words}", stdin="in\n", expect=3)
    assert done.out == f"{over_ssh.cwd}\nin\nx y 1\n"
    assert done.err == 'a  "b\n'


PROBE = r"""
case "$(cat /proc/*/cmdline | tr -d '\0')" in *"$TOKEN"*) echo seen;; *) echo nowhere;; esac
echo "$TOKEN"
"""


def test_over_ssh_no_process_list_shows_a_secret(over_ssh: Shell) -> None:
    (over_ssh.cwd / "probe").write_text(PROBE)
    line = f"run exec --substrate ssh:box:{over_ssh.cwd} --secret TOKEN -- sh probe"
    assert over_ssh(line, TOKEN="value-of-it").out == "nowhere\n***\n"


def test_over_ssh_the_command_ends_with_the_attempt(over_ssh: Shell) -> None:
    run = requested(over_ssh, "sh -c 'sleep 1000 & echo $!; wait'")
    with (
        worker(over_ssh, "--substrate ssh:box"),
        Watched(over_ssh, f"run attach {run}") as attached,
    ):
        pid = int(attached.line())
        over_ssh(f"run cancel {run}")
        assert ended(pid)
        assert attached.child.wait(PATIENCE_S) == 125


def test_an_unreachable_host_is_an_error_not_a_result(over_ssh: Shell) -> None:
    done = over_ssh("run exec --substrate ssh:nowhere.invalid -- true", expect=125)
    assert "ssh ended with 255" in done.err
    assert over_ssh("run ls --all").one["outcome"] == "error"


def test_in_tmux_the_command_has_a_terminal_and_nothing_of_its_output_is_lost(shell: Shell) -> None:
    needs("tmux")
    words = "sh -c 'test -t 0 && test -t 1 && seq 2000; exit 5'"
    done = shell(f"run exec --substrate tmux -- {words}", expect=5)
    assert done.out.split("\r\n") == [*map(str, range(1, 2001)), ""]


def test_in_tmux_it_can_be_attached_to_and_cancelled(shell: Shell) -> None:
    needs("tmux")
    run = requested(shell, "sh -c 'echo $$; read x; echo got $x; sleep 1000'")
    with worker(shell, "--substrate tmux"), Watched(shell, f"run attach {run}") as attached:
        pid = int(attached.line())
        shell(f"tmux -L run-{run.lower()}-1 send-keys -t job hello Enter")
        while b"got hello" not in attached.line():
            pass
        shell(f"run cancel {run}")
        assert ended(pid)
        assert attached.child.wait(PATIENCE_S) == 125
    assert shell(f"tmux -L run-{run.lower()}-1 ls", expect=1).out == ""


def test_in_a_container_the_work_tree_is_there(shell: Shell) -> None:
    program = needs("podman", "docker")
    image = "docker.io/library/busybox"
    if subprocess.run([program, "image", "inspect", image], capture_output=True).returncode:
        pytest.skip(f"{program} does not run here, or has no {image}")
    (shell.cwd / "file").write_text("x\n")
    done = shell(
        f"run exec --substrate container:{image} --env A=b -- sh -c 'pwd; cat file; echo $A; exit 3'",
        expect=3,
    )
    assert done.out == "/work\nx\nb\n"


@pytest.mark.parametrize("kind", ["tmux", "ssh:box", "container:box"])
def test_a_missing_program_is_reported(shell: Shell, kind: str) -> None:
    bin_ = shell.cwd / "bin"
    bin_.mkdir()
    os.symlink(shutil.which("run", path=shell.env["PATH"]) or "", bin_ / "run")
    done = shell(f"PATH={bin_} run worker --once --substrate {kind}", expect=69)
    assert "is not installed" in done.err


def test_a_terminal_that_closes_within_the_mark_ends_the_copy(tmp_path: Path) -> None:
    """History: the copy read end of file for ever."""
    (tmp_path / "out").write_bytes(b"hello\033]mark;1")
    line = "import os, sys; from coord_run.tmux import _copied; sys.exit(_copied(os.open('out', 0), b'\\033]mark;'))"
    done = subprocess.run(
        [sys.executable, "-c", line], cwd=tmp_path, capture_output=True, timeout=PATIENCE_S
    )
    assert (done.returncode, done.stdout) == (129, b"hello")
