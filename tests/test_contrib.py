"""What contrib/ has for users to copy: the units are clean, and the pipe that stays stays and ends as it says."""

from __future__ import annotations

import json
import os
import runpy
import shlex
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from live.engines import CREDENTIALS, serving
from live.relay_server import RelayServer
from proof.witness import PATIENCE_S, Watched
from support import Json, Shell, git

CONTRIB = Path(__file__).parent.parent / "contrib"
SYSTEMD = CONTRIB / "systemd"
ANYWHERE = CONTRIB / "anywhere"
UNITS = sorted(path.name for path in SYSTEMD.glob("*.*") if path.suffix in (".service", ".timer"))


@pytest.mark.parametrize("name", UNITS)
def test_systemd_has_nothing_to_say_about_a_unit(tmp_path: Path, name: str) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    for each in UNITS:
        shutil.copy(SYSTEMD / each, tmp_path)
    unit = tmp_path / name.replace("@", "@srv-my\\x20acme")
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_each_unit_starts_what_is_there(shell: Shell) -> None:
    """`systemd-analyze` sees only /usr/bin/env, so the commands behind it are tried here."""
    lines = [line for name in UNITS for line in (SYSTEMD / name).read_text().splitlines()]
    started = {
        line.removeprefix("ExecStart=").split("/usr/bin/env ")[-1]
        for line in lines
        if "ExecStart=" in line
    }
    assert {one for one in started if not one.startswith("/bin/sh")} == {
        "ev sync",
        "ev sync --watch",
        "coord-relay serve /var/lib/coord-relay",
        "coord-webhook serve hooks",
        "coord-github follow",
        "run worker --slots 2",
        "coord-patrol",
        "coord-land run",
        "coord-flow run",
        "coord-cron run cron.toml",
        "coord-notify %h/.config/coord/notify.toml",
        "coord-otel --now",
        "coord-slack %h/.config/coord/slack.toml",
        "coord-dispatch",
        "coord-web",
        "coord-postman ci.failed agent:fixer",
    }
    shells = [one for one in started if one.startswith("/bin/sh")]
    assert {word for word in ("ev consume", "run exec") for one in shells if word in one} == {
        *("ev consume", "run exec")
    }


def execution(name: str, **specifiers: str) -> list[str]:
    """The command of a unit, as systemd would start it."""
    lines = (SYSTEMD / name).read_text().splitlines()
    (line,) = (each for each in lines if each.startswith("ExecStart="))
    for letter, text in specifiers.items():
        line = line.replace(f"%{letter}", text)
    return [word.replace("$$", "$") for word in shlex.split(line.removeprefix("ExecStart="))]


@pytest.mark.parametrize("name", ["patrol", "flow", "cron", "worker", "dispatch", "land", "agent"])
def test_what_stays_up_tells_systemd_when_it_is_ready_and_alive(shell: Shell, name: str) -> None:
    (shell.cwd / "agent").write_text("#!/bin/sh\nev emit agent.began --as ada\nexec sleep 600\n")
    (shell.cwd / "agent").chmod(0o755)
    shell.env |= {"DIRECTORY": str(shell.cwd), "COMMAND": "./agent", "WATCHDOG_USEC": "200000"}
    (shell.cwd / "coord.toml").write_text('[dispatch]\npresets = ["claude"]\n')
    (shell.cwd / "cron.toml").write_text('[daily]\nevery = "1d"\n')
    shell.env["NOTIFY_SOCKET"] = f"{shell.cwd}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(shell.env["NOTIFY_SOCKET"])
        manager.settimeout(PATIENCE_S)
        command = shlex.join(execution(f"coord-{name}@.service", i="ada"))
        with Watched(shell, command) as service:
            heard = set[bytes]()
            while not {b"READY=1", b"WATCHDOG=1"} <= heard:
                heard.add(manager.recv(99))
            if name == "agent":
                (began,) = shell("ev replay --type session.started").lines
                assert began["body"]["agent"] == "agent:ada"
            else:
                service.child.send_signal(signal.SIGTERM)
                while manager.recv(99) != b"STOPPING=1":
                    pass


def test_the_consumers_unit_finds_the_store_of_its_file(shell: Shell, tmp_path: Path) -> None:
    text = (SYSTEMD / "coord-consume@.service").read_text()
    (line,) = (
        line.removeprefix("ExecStart=")
        for line in text.splitlines()
        if line.startswith("ExecStart=")
    )
    path = shell.cwd / "my consumer.toml"
    path.write_text(
        'name = "c"\n[match]\ntypes = ["a.b"]\n[run]\nargv = ["pwd"]\n[emit]\ntype = "a.done"\n'
    )
    shell("ev emit a.b")
    argv = [
        word.replace("$$", "$").replace("%%", "%").replace("%f", str(path))
        for word in shlex.split(line)
    ]
    shell.cwd = tmp_path
    with Watched(shell, shlex.join(argv)) as consume:
        assert json.loads(consume.line())["body"]["text"] == f"{path.parent}\n"


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
def test_when_a_part_of_it_dies_it_ends_so_that_it_is_started_again(
    postman: Shell, part: str
) -> None:
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
    return [Path(word).name for word in Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:3]]


@pytest.fixture
def examples(shell: Shell) -> Shell:
    """A repository with the examples in it, a page to keep, and the stand-in for a language model."""
    if not shutil.which("jq"):
        pytest.skip("jq is not installed")
    shutil.copytree(CONTRIB, shell.cwd / "contrib")
    (shell.cwd / "docs").mkdir()
    (shell.cwd / "docs/api.md").write_text("old\n")
    (shell.cwd / "Makefile").write_text("lint:\n\t@echo clean\n")
    git("add", ".", cwd=shell.cwd)
    git("commit", "-qm", "first", cwd=shell.cwd)
    shell.env["PATH"] = f"{CONTRIB}/consumers:{shell.env['PATH']}"
    return shell


def change(shell: Shell, lines: int) -> None:
    (shell.cwd / "code").write_text("x\n" * lines)
    git("add", "code", cwd=shell.cwd)


@pytest.mark.parametrize(("lines", "verdict"), [(2, "good"), (201, "bad"), (20_000, "bad")])
def test_the_reviewer_reviews_a_change(examples: Shell, lines: int, verdict: str) -> None:
    change(examples, lines)
    examples("ev watch --once --type ci.diff -- git diff HEAD")
    body = examples("ev consume contrib/consumers/reviewer.toml --once").one["body"]
    assert body["text"] == f"{verdict}: It changes {lines} lines."
    assert (body["answer"]["verdict"], body["verdict"]) == (verdict, "pass")


def test_the_documenter_writes_the_page_and_tells_the_channel(examples: Shell) -> None:
    change(examples, 3)
    git("commit", "-qm", "second", cwd=examples.cwd)
    examples("ev watch --once --type api.changed -- git log -1 -p --format=%h")
    examples("ev consume contrib/consumers/docs.toml --once")
    assert (examples.cwd / "docs/api.md").read_text() == "The last change has 3 lines.\n"
    assert "docs/api.md | 2 +-" in examples("msg recv chan:docs").one["body"]["text"]


def test_the_jobs_of_the_ci_file_meet_in_events(examples: Shell, tmp_path: Path) -> None:
    pipeline: Json = yaml.safe_load((CONTRIB / "ci/gitlab-ci.yml").read_text())
    change(examples, 1)
    env = {**pipeline["variables"], "CI_MERGE_REQUEST_DIFF_BASE_SHA": "HEAD"}
    examples("\n".join(["set -e", *pipeline["collect"]["script"]]), **env)
    other = Shell(tmp_path / "other")
    git("clone", "-q", str(examples.cwd), str(other.cwd), cwd=tmp_path)
    other.env["PATH"] = examples.env["PATH"]
    (kept,) = pipeline["collect"]["artifacts"]["paths"]
    shutil.copy(examples.cwd / kept, other.cwd)
    done = other("\n".join(["set -e", *pipeline["review"]["script"]]), **env)
    assert done.lines[-1]["body"]["text"] == "good: It changes 1 lines."
    assert other("ev replay --type lint.result").one["body"]["stdout"] == "clean\n"


def test_a_line_of_a_log_is_one_event_also_after_a_restart(shell: Shell) -> None:
    if not shutil.which("jq"):
        pytest.skip("jq is not installed; log-lines pipes through it")
    log = shell.cwd / "app.log"
    log.write_text("one\ntwo\n")
    shell("ev init")
    for text in ("three\n", 'four "quoted"\n'):
        started = shell.popen(f"{ANYWHERE}/log-lines app.log app.logged", start_new_session=True)
        with log.open("a") as file:
            file.write(text)
        last = text.strip()
        watched = shell.popen(
            "timeout 60 ev tail -f -n 100 --type app.logged", stdout=subprocess.PIPE
        )
        assert watched.stdout
        assert any(json.loads(line)["body"]["line"] == last for line in watched.stdout)
        watched.kill()
        watched.wait()
        watched.stdout.close()
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    lines = [event["body"]["line"] for event in shell("ev replay --type app.logged").lines]
    assert lines == ["one", "two", "three", 'four "quoted"']


def test_a_function_publishes_through_a_relay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing := RelayServer.missing():
        pytest.skip(f"{missing} is not installed; the relay needs it")
    handler = runpy.run_path(str(ANYWHERE / "handler.py"))["handler"]
    context = SimpleNamespace(aws_request_id="1f", function_name="resize")
    with serving("ws", tmp_path / "relay") as server:
        monkeypatch.setenv("COORD_RELAY", server.url.replace("ws:", "http:"))
        monkeypatch.setenv("COORD_TOKEN", str(CREDENTIALS[server.url].password))
        first, again = handler({"bucket": "b"}, context), handler({"bucket": "b"}, context)
        assert first == again
        assert handler({"id": "2e"}, context) != first


def test_the_line_of_the_crontab_exchanges_and_does_the_jobs(shell: Shell) -> None:
    if not shutil.which("flock"):
        pytest.skip("flock is not installed; the crontab uses it")
    git("init", "-q", "--bare", "../remote.git", cwd=shell.cwd)
    git("remote", "add", "origin", "../remote.git", cwd=shell.cwd)
    shell("ev init && run request -- sh -c 'echo done >made'")
    (line,) = (
        line.removeprefix("* * * * * ").replace("/srv/acme", str(shell.cwd))
        for line in (ANYWHERE / "crontab").read_text().splitlines()
        if line.startswith("*")
    )
    assert shell(line, COORD_AGENT="bridge:cron").out == ""
    assert (shell.cwd / "made").read_text() == "done\n"
    assert "refs/coord/" in git("ls-remote", "../remote.git", cwd=shell.cwd)
