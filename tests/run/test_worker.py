"""run worker: whatever dies, a job ends once, and none of its processes is left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from proof.witness import PATIENCE_S, Watched
from run.jobs import Gate, children, ended, requested, state, types, worker
from support import Json, Shell, check_invariants, git, open_journal, open_store

FAMILY = "sh -c 'sleep 1000 & echo $!; echo $$; wait'"
"""A command that prints its child's process id and its own, and waits."""


def family(attached: Watched) -> list[int]:
    return [int(attached.line()), int(attached.line())]


def patched(module: str, setting: str) -> str:
    """A `run` with another number in a module, so that no test has to wait or hurry."""
    return f"{sys.executable} -c 'import {module} as m; m.{setting}; from coord_run.cli import main; main()'"


def completed(watched: Watched) -> str:
    """The next job that a worker prints as completed."""
    while (event := json.loads(watched.line()))["type"] != "run.completed":
        pass
    return str(event["refs"].get("run_id"))


def test_attach_prints_output_as_it_comes_and_exits_with_the_status(shell: Shell) -> None:
    gate = Gate(shell.cwd)
    run = requested(shell, "sh -c 'echo one; read x <gate; echo two; exit 7'")
    with Watched(shell, f"run attach {run}") as early, worker(shell):
        assert early.line() == b"one"
        with Watched(shell, f"run attach {run}") as late:
            assert late.line() == b"one"
            gate.open()
            assert early.rest() == late.rest() == [b"two"]
            assert early.child.wait(PATIENCE_S) == late.child.wait(PATIENCE_S) == 7
    assert shell(f"run logs {run}").out == "one\ntwo\n"


def test_logs_follow_one_stream(shell: Shell) -> None:
    gate = Gate(shell.cwd)
    run = requested(shell, "sh -c 'echo one >&2; read x <gate; echo out; echo two >&2'")
    with worker(shell), Watched(shell, f"run logs -f --stderr {run}") as logs:
        assert logs.line() == b"one"
        gate.open()
        assert logs.rest() == [b"two"]


def test_attach_ends_when_its_reader_is_gone(shell: Shell) -> None:
    """History: it reported the status of the job, as if that were over."""
    run = requested(shell, "true")
    done = shell(f"run attach {run} | true")
    assert (done.out, done.err) == ("", "")


def test_exec_is_ended_by_a_signal_and_the_command_with_it(shell: Shell) -> None:
    with Watched(shell, f"run exec -- {FAMILY}") as crew:
        pids = family(crew)
        crew.child.send_signal(signal.SIGINT)
        assert all(map(ended, pids))
        assert crew.child.wait(PATIENCE_S) == -signal.SIGINT


def test_exec_ends_when_its_attempt_is_killed(shell: Shell) -> None:
    """History: the claim was not released, and it waited for ever."""
    with Watched(shell, f"run exec -- {FAMILY}") as crew:
        pids = family(crew)
        (attempt,) = children(crew.child.pid)
        os.kill(attempt, signal.SIGKILL)
        assert all(map(ended, pids))
        assert crew.child.wait(PATIENCE_S) == 125
    assert shell("run ls --all").one["status"] == "lost"


def test_what_exec_runs_can_be_cancelled(shell: Shell) -> None:
    with Watched(shell, f"run exec -- {FAMILY}") as crew:
        pids = family(crew)
        shell("run ls | run cancel --reason enough")
        assert all(map(ended, pids))
        assert crew.child.wait(PATIENCE_S) == 125


def test_attach_continues_when_the_worker_dies_and_the_job_is_retried(shell: Shell) -> None:
    run = requested(shell, "sh -c 'echo $RUN_ATTEMPT; test $RUN_ATTEMPT = 2 || sleep 1000; exit 4'")
    with Watched(shell, f"run attach {run}") as attached:
        with worker(shell) as first:
            assert attached.line() == b"1"
            first.child.kill()
        with worker(shell):
            assert attached.line() == b"2"
            assert attached.rest() == []
            assert attached.child.wait(PATIENCE_S) == 4
    assert state(shell, run)["attempts"][0]["why"] == "its worker died"
    check_invariants(open_store(shell.cwd))


@pytest.mark.parametrize("victims", ["worker", "attempt", "both"])
def test_whatever_is_killed_the_whole_group_dies_and_the_job_is_released(
    shell: Shell, victims: str
) -> None:
    run = requested(shell, FAMILY)
    with worker(shell) as crew, Watched(shell, f"run attach {run}") as attached:
        pids = family(attached)
        (attempt,) = children(crew.child.pid)
        dying = {
            "worker": [crew.child.pid],
            "attempt": [attempt],
            "both": [crew.child.pid, attempt],
        }[victims]
        for pid in dying:
            os.kill(pid, signal.SIGSTOP)  # so that none of them sees the other die
        for pid in dying:
            os.kill(pid, signal.SIGKILL)
        with worker(shell, "--max 1") if victims != "attempt" else crew:
            assert all(
                map(ended, pids)
            )  # if both died, what the command started is found by the next worker
            second = family(attached)
            shell(f"run cancel {run}")
            assert all(map(ended, second))
    assert types(shell, run).count("released") == 1
    assert state(shell, run)["attempt"] == 2


def test_a_job_whose_workers_all_die_is_lost(shell: Shell) -> None:
    run = requested(shell, FAMILY, "--max-attempts 1")
    with worker(shell) as crew, Watched(shell, f"run attach {run}") as attached:
        pids = family(attached)
        crew.child.kill()
        assert all(map(ended, pids))
        assert attached.child.wait(PATIENCE_S) == 125
    shell("run worker --once")
    assert state(shell, run)["status"] == "lost"


def test_a_signal_drains_and_a_second_releases(shell: Shell) -> None:
    gate = Gate(shell.cwd)
    first = requested(shell, "sh -c 'echo; read x <gate'")
    with Watched(shell, f"run attach {first}") as attached, worker(shell, "--slots 2") as crew:
        attached.line()
        crew.child.send_signal(signal.SIGTERM)
        second = requested(shell, FAMILY)
        gate.open()
        assert crew.child.wait(PATIENCE_S) == 0
    assert (state(shell, first)["status"], state(shell, second)["status"]) == (
        "completed",
        "requested",
    )
    with worker(shell) as crew, Watched(shell, f"run attach {second}") as attached:
        pids = family(attached)
        for number in (signal.SIGINT, signal.SIGTERM):  # two of one kind may come as one
            crew.child.send_signal(number)
        assert all(map(ended, pids))
        assert crew.child.wait(PATIENCE_S) == 0
    assert state(shell, second)["status"] == "requested"
    assert state(shell, second)["attempts"][0]["why"] == "its worker was stopped"


def test_an_idle_worker_ends_at_once(shell: Shell) -> None:
    with worker(shell, NOTIFY_SOCKET="") as crew:
        requested(shell, "true")
        while b"completed" not in crew.line():
            pass
        crew.child.send_signal(signal.SIGINT)
        assert crew.child.wait(PATIENCE_S) == 0


def test_a_worker_survives_a_store_that_cannot_be_written_for_a_while(shell: Shell) -> None:
    """History: the slot of an attempt whose claim could not be written stayed taken."""
    first = requested(shell, "true")
    lock, aside = shell.cwd / ".coord/local/lock", shell.cwd / ".coord/local/aside"
    lock.rename(aside)
    lock.mkdir()
    assert "lock: not a regular file" in shell("run worker --once", expect=74).err
    with Watched(shell, "run worker", stderr=subprocess.PIPE) as crew:
        assert crew.child.stderr
        assert b"lock: not a regular file" in crew.child.stderr.readline()
        lock.rmdir()
        aside.rename(lock)
        second = requested(shell, "true")  # which wakes it
        done = {completed(crew) for _ in range(2)}
        crew.child.stderr.close()
    assert done == {first, second}


def test_a_worker_survives_forged_events(shell: Shell) -> None:
    """History: an event whose claim was a list, or without a reason, ended every worker."""
    journal = open_journal(shell.cwd)
    with worker(shell, "--slots 2") as crew:
        run = requested(shell, "sleep 1000")
        claim = json.loads(crew.line())
        assert claim["type"] == "run.claimed"
        for refs in ({}, {"run_id": run}):
            body: Json
            for body in (
                {"claim": []},
                {"claim": claim["event_id"]},
                {"claim": claim["event_id"], "reason": {}},
            ):
                for kind in ("run.completed", "run.released"):
                    journal.append(
                        {"agent_id": "agent:mallory"}, [{"type": kind, "refs": refs, "body": body}]
                    )
        second = requested(shell, "true")
        while completed(crew) != second:
            pass


def test_slots_are_shared_by_all_workers_of_an_agent(shell: Shell) -> None:
    gate = Gate(shell.cwd)
    first = requested(shell, "sh -c 'echo; read x <gate'")
    with Watched(shell, f"run attach {first}") as attached, worker(shell, "--slots 1"):
        attached.line()
        second = requested(shell, "true")
        shell("run worker --once --slots 1")
        assert state(shell, second)["status"] == "requested"
        shell("run worker --once --slots 1 --as other")
        assert state(shell, second)["status"] == "completed"
        gate.open()
        assert attached.child.wait(PATIENCE_S) == 0


def test_the_time_limit_ends_a_command_that_ignores_signals(shell: Shell) -> None:
    words = "sh -c 'trap \"\" TERM; echo up; while :; do sleep 1000; done'"
    done = shell(f"run exec --timeout 2s --grace 50ms -- {words}", expect=124)
    assert done.out == "up\n"
    assert done.err.endswith(": timeout\n")
    shown = shell("run ls --all").one
    assert (shown["outcome"], shown["code"]) == ("timeout", 137)


def test_a_command_that_ends_on_a_signal_is_not_killed(shell: Shell) -> None:
    words = "sh -c 'trap \"echo bye; exit 3\" TERM; sleep 1000 & wait'"
    assert shell(f"run exec --timeout 2s -- {words}", expect=124).out == "bye\n"
    assert shell("run ls --all").one["code"] == 3


def test_a_running_job_is_cancelled(shell: Shell) -> None:
    run = requested(shell, FAMILY, "--retry any")
    with worker(shell), Watched(shell, f"run attach {run}") as attached:
        pids = family(attached)
        shell(f"run cancel {run} --reason enough")
        assert attached.child.wait(PATIENCE_S) == 125
        assert all(map(ended, pids))
    shown = state(shell, run)
    assert (shown["status"], shown["outcome"], shown["cancelled"]) == (
        "completed",
        "cancelled",
        "enough",
    )


def test_a_daemon_does_not_outlive_its_job(shell: Shell) -> None:
    """Even if it left the session, the group and its parents: Linux makes the attempt its parent."""
    daemon = '(setsid sh -c "sleep 1000 & echo \\$! >pid; wait" >/dev/null 2>&1 &)'
    shell(f"run exec -- sh -c 'mkfifo ready; {daemon}; until test -s pid; do :; done'")
    assert ended(int((shell.cwd / "pid").read_text()))


def test_a_process_left_behind_may_finish_its_output(shell: Shell) -> None:
    gate, patient = Gate(shell.cwd), patched("coord_run.process", "LINGER_NS = 60_000_000_000")
    run = requested(shell, "sh -c '(read x <gate; echo late) & echo early'")
    with Watched(shell, f"run attach {run}") as attached, Watched(shell, f"{patient} worker"):
        assert attached.line() == b"early"
        gate.open()
        assert attached.rest() == [b"late"]


LATE = """
import os
from coord_run.attempt import Attempt
from coord_run.cli import main
act = Attempt._act
def late(self, now):
    os.waitid(os.P_PID, self._process._pid, os.WEXITED | os.WNOWAIT)
    act(self, now)
Attempt._act = late
main()
"""
"""A `run` whose attempts take signals only when the command has ended."""


def test_an_end_is_noticed_although_the_output_is_held_open(shell: Shell) -> None:
    """History: a signal between the question whether the command ended and the wait woke nobody."""
    (shell.cwd / "late.py").write_text(LATE)
    run = requested(shell, "sh -c 'sleep 1000 &'")
    shell(f"{sys.executable} late.py worker --once")
    assert state(shell, run)["outcome"] == "exit"


def test_a_log_is_bounded(shell: Shell) -> None:
    most = 64 << 20
    run = requested(shell, f"head -c {most + 5_000_000} /dev/zero")
    shell("run worker --once")
    out = state(shell, run)["stdout"]
    assert (out["bytes"], out["truncated"]) == (most, True)
    assert (shell.cwd / f".coord/local/runs/{run}/1/stdout.log").stat().st_size == most


def test_output_that_looks_like_a_credential_does_not_lose_the_result(shell: Shell) -> None:
    """History: the event of the end would be refused, and the job would run again."""
    key = "AKIA" + "ABCDEFGHIJKLMNOP"
    run = requested(shell, "printf 'AKI%s' AABCDEFGHIJKLMNOP")
    shell("run worker --once")
    assert state(shell, run)["status"] == "completed"
    assert "credential" in state(shell, run)["stdout"]["tail"]
    assert shell(f"run logs {run}").out == key


def test_an_attempt_that_lost_its_job_writes_no_result(shell: Shell) -> None:
    """The first worker is suspended, its attempt lapses, another ends the job; then it continues."""
    gate = Gate(shell.cwd)
    shell.env |= {"COORD_NOW": "2036-01-17T12:00:00Z"}
    run = requested(
        shell, "sh -c 'echo $RUN_ATTEMPT; test $RUN_ATTEMPT = 2 || read x <gate; exit $RUN_ATTEMPT'"
    )
    with Watched(shell, f"run attach {run}") as attached, worker(shell) as first:
        assert attached.line() == b"1"
        (attempt,) = children(first.child.pid)
        os.kill(attempt, signal.SIGSTOP)
        os.kill(first.child.pid, signal.SIGSTOP)
        shell.env["COORD_NOW"] = "2036-01-17T12:02:59Z"
        shell("run worker --once --as other")
        assert state(shell, run)["attempt"] == 1
        shell.env["COORD_NOW"] = "2036-01-17T12:03:01Z"
        shell("run worker --once --as other")
        assert attached.child.wait(PATIENCE_S) == 2
        gate.open()
        for pid in (attempt, first.child.pid):
            os.kill(pid, signal.SIGCONT)
        assert ended(attempt)
    assert types(shell, run).count("completed") == 1
    assert state(shell, run)["code"] == 2


def test_a_heartbeat_keeps_the_job(shell: Shell) -> None:
    """With a short lease, to save time; the job ends when it sees a heartbeat."""
    run = requested(
        shell, "sh -c 'until grep -q run.heart[b]eat .coord/journal/*/*.jsonl; do :; done'"
    )
    shell(f"{patched('coord_run.fold', 'LEASE_MS = 200')} worker --once")
    assert "heartbeat" in types(shell, run)
    assert state(shell, run)["status"] == "completed"
    check_invariants(open_store(shell.cwd))


def test_systemd_is_notified(shell: Shell) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind("notify")
        line.settimeout(PATIENCE_S)
        with worker(shell, NOTIFY_SOCKET=f"{shell.cwd}/notify", WATCHDOG_USEC="20000") as crew:
            assert line.recv(99) == b"READY=1"
            assert [line.recv(99) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            crew.child.send_signal(signal.SIGTERM)
            while (message := line.recv(99)) == b"WATCHDOG=1":
                pass
            assert message == b"STOPPING=1"


def test_a_job_of_a_commit_has_a_separate_work_tree(shell: Shell) -> None:
    (shell.cwd / "file").write_text("old\n")
    git("add", "file", cwd=shell.cwd)
    git("commit", "-qm", "one", cwd=shell.cwd)
    (shell.cwd / "file").write_text("new\n")
    run = requested(
        shell,
        "sh -c 'pwd; cat file; echo mine >file; git rev-parse --abbrev-ref HEAD'",
        "--repo HEAD",
    )
    repo = shell("ev tail --type run.requested").one["body"]["repo"]
    assert repo["commit"] == git("rev-parse", "HEAD", cwd=shell.cwd).strip()
    shell("run worker --once")
    tree, *output = shell(f"run logs {run}").out.splitlines()
    assert output == ["old", "HEAD"]
    assert not Path(tree).exists()
    assert (shell.cwd / "file").read_text() == "new\n"
    assert git("worktree", "list", cwd=shell.cwd).count("\n") == 1


def test_a_job_of_a_commit_changes_no_ref_and_no_setting_of_the_repository(shell: Shell) -> None:
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=shell.cwd)
    git("tag", "v1", cwd=shell.cwd)
    config = (shell.cwd / ".git/config").read_text()
    before = git("for-each-ref", cwd=shell.cwd)
    harm = (
        "git describe --tags; git commit -q --allow-empty -m RED && git tag v9;"
        "git update-ref refs/heads/main HEAD; git config core.bare true; mkdir -p .git/hooks;"
        "cp $0 .git/hooks/post-commit; test $1 = 1 || rm -rf .git; echo done"
    )
    for keep in ("1", "0"):
        done = shell(f"run exec --repo HEAD -- sh -c '{harm}' /bin/sh {keep}")
        assert done.out == "v1\ndone\n", done.err
    assert git("for-each-ref", cwd=shell.cwd) == before
    assert (shell.cwd / ".git/config").read_text() == config
    assert not (shell.cwd / ".git/hooks/post-commit").exists()
    assert not list(shell.cwd.glob(".coord/local/runs/*/*/tree"))


def test_a_job_of_an_agent_works_in_the_repository(shell: Shell) -> None:
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=shell.cwd)
    line = "sh -c 'git checkout -q -b fix && wk new found -o id'"
    assert shell(f"run exec --env COORD_AGENT=bob --repo HEAD -- {line}").out
    assert shell("wk ls").one["title"] == "found"
    git("rev-parse", "--verify", "fix", cwd=shell.cwd)


def test_the_work_tree_of_a_dead_attempt_is_removed(shell: Shell) -> None:
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=shell.cwd)
    run = requested(shell, "sh -c 'pwd; test $RUN_ATTEMPT = 2 || sleep 1000'", "--repo HEAD")
    with worker(shell) as crew, Watched(shell, f"run attach {run}") as attached:
        first = Path(os.fsdecode(attached.line()))
        for pid in (crew.child.pid, *children(crew.child.pid)):
            os.kill(pid, signal.SIGSTOP)
            os.kill(pid, signal.SIGKILL)
        shell("run worker --once")
        assert attached.child.wait(PATIENCE_S) == 0
    assert not first.exists()
    assert git("worktree", "list", cwd=shell.cwd).count("\n") == 1


def test_a_job_outside_of_a_work_tree_may_run_anywhere_below_its_store(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell("ev init")
    assert shell("run exec -- pwd").out == f"{tmp_path}\n"


def test_a_worker_survives_its_directory(shell: Shell) -> None:
    """History: each attempt died, until every waiting job was lost."""
    below = shell.cwd / "below"
    below.mkdir()
    gone = Shell(below)
    gone.env = shell.env
    with worker(gone) as crew:
        first = requested(shell, "true")
        assert completed(crew) == first
        below.rmdir()
        second = requested(shell, "pwd")
        assert completed(crew) == second
    assert state(shell, second)["attempt"] == 1
    assert shell(f"run logs {second}").out == f"{shell.cwd}\n"


def test_exec_and_attach_survive_their_directory(shell: Shell) -> None:
    gate, below = Gate(shell.cwd), shell.cwd / "below"
    below.mkdir()
    gone = Shell(below)
    gone.env = shell.env
    command = f"sh -c 'echo one; read x <{gate.path}; echo two; exit 7'"
    with Watched(gone, f"run exec -- {command}") as crew:
        assert crew.line() == b"one"
        run = shell("run ls").one["run_id"]
        with Watched(gone, f"run attach {run}") as attached:
            assert attached.line() == b"one"
            below.rmdir()
            gate.open()
            assert crew.rest() == attached.rest() == [b"two"]
            assert crew.child.wait(PATIENCE_S) == attached.child.wait(PATIENCE_S) == 7


DIES = (
    "import os, signal, coord_run.attempt as m; "
    "m.Attempt._begin = lambda self: os.kill(os.getpid(), signal.SIGKILL); "
    "from coord_run.cli import main; main()"
)
"""A `run` whose attempts die before they start the command."""


def test_an_attempt_that_died_before_its_command_is_none_and_two_end_the_worker(
    shell: Shell,
) -> None:
    runs = [requested(shell, "true") for _ in range(3)]
    done = shell(f'{sys.executable} -c "{DIES}" worker', expect=74)
    assert done.err.count("died before its command was started") == 2
    assert [state(shell, run)["status"] for run in runs] == ["requested"] * 3
    assert all("attempt" not in state(shell, run) for run in runs)
    shell("run worker --once")
    assert [state(shell, run)["attempt"] for run in runs] == [1, 1, 1]
    check_invariants(open_store(shell.cwd))


def test_exec_ends_if_its_attempt_dies_before_the_command(shell: Shell) -> None:
    """Nobody else may take the job, although nothing was run."""
    done = shell(f'{sys.executable} -c "{DIES}" exec -- touch ran', expect=125)
    assert "its attempt died before its command was started" in done.err
    assert shell("run worker --once").out == ""
    assert not (shell.cwd / "ran").exists()


@pytest.mark.parametrize(
    "env",
    [{"PYTHONWARNINGS": "error"}, {"PYTHONDEVMODE": "1"}, {"PYTHONWARNDEFAULTENCODING": "1"}],
)
def test_warnings_of_python_are_not_shown(shell: Shell, env: dict[str, str]) -> None:
    """They are asked for by the environment, for programs of the user's."""
    shell.env |= env
    assert shell("run exec -- echo x").err == ""
    run = requested(shell, "echo x")
    assert shell("run worker --once").err == ""
    assert shell(f"run attach {run}").err == ""
    for line in ("run --help", "ev replay", "wk new x", "wk ls -o table", "msg ls", "lease ls"):
        assert shell(line).err == ""
    assert shell("run request --timeout 10m", expect=2).err.count("\n") == 1


def test_a_worker_that_a_session_runs_shows_that_this_lives(shell: Shell) -> None:
    requested(shell, "true")
    shell("run worker --once", COORD_SESSION="s1")
    (seen,) = shell("ev replay --live --type agent.seen").lines
    assert (seen["actor"]["session_id"], seen["body"]["tool"]) == ("s1", "run worker")
    requested(shell, "true")
    shell("run worker --once", COORD_SESSION="")
    assert len(shell("ev replay --live --type agent.seen").lines) == 1
