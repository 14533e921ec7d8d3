"""run: a requested job runs once, its output is kept, its status passed on."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import select

import pytest
from proof.witness import Watched
from run.jobs import requested, state, worker
from support import Shell, check_invariants, open_store

from coord_run.logs import Both, Log, opened


def test_a_job_is_requested_run_and_shown(shell: Shell) -> None:
    event = shell("run request -- sh -c 'echo out; echo err >&2; exit 3'").one
    run = event["event_id"]
    assert event["type"] == "run.requested"
    assert event["refs"] == {"run_id": run}
    assert event["body"] == {"argv": ["sh", "-c", "echo out; echo err >&2; exit 3"]}
    assert shell("run ls").one["status"] == "requested"
    shell(f"run poll {run}", expect=75)
    printed = shell("run worker --once").lines
    assert [event["type"] for event in printed] == ["run.claimed", "run.started", "run.completed"]
    shown = state(shell, run[-8:].lower())
    assert (shown["status"], shown["outcome"], shown["code"], shown["attempt"]) == (
        "completed",
        "exit",
        3,
        1,
    )
    out = {"sha256": hashlib.sha256(b"out\n").hexdigest(), "bytes": 4, "tail": "out\n"}
    assert shown["stdout"] == out
    assert shown["stderr"]["tail"] == "err\n"
    assert shell("run ls").out == ""
    assert shell("run ls --all").one["code"] == 3
    assert shell(f"run logs {run}").out == "out\nerr\n"
    assert shell(f"run logs {run} --stdout").out == "out\n"
    assert shell(f"run logs {run} --stderr").out == "err\n"
    assert shell(f"run poll {run}", expect=3).one["status"] == "completed"
    late = shell(f"run attach {run}", expect=3)
    assert (late.out, late.err) == ("out\n", "err\n")
    check_invariants(open_store(shell.cwd))


@pytest.mark.parametrize(
    ("command", "status", "outcome"),
    [
        ("true", 0, "exit"),
        ("sh -c 'exit 65'", 65, "exit"),
        ("sh -c 'kill -9 $$'", 137, "signal"),
        ("sh -c 'kill $$'", 143, "signal"),
        ("./no-such-command", 127, "exit"),
        ("/", 126, "exit"),
    ],
)
def test_exec_passes_the_status_on(shell: Shell, command: str, status: int, outcome: str) -> None:
    shell(f"run exec -- {command}", expect=status)
    assert shell("run ls --all").one["outcome"] == outcome


def test_exec_passes_the_output_on(shell: Shell) -> None:
    done = shell("run exec --input - -- sh -c 'cat; echo err >&2'", stdin="in\n")
    assert (done.out, done.err) == ("in\n", "err\n")


def test_arguments_are_passed_verbatim_and_through_no_shell(shell: Shell) -> None:
    assert (
        shell("run exec -- printf '%s\\n' '$HOME' '*' -- --as 'a b'").out
        == "$HOME\n*\n--\n--as\na b\n"
    )


def test_a_command_has_the_environment_that_the_manual_describes(shell: Shell) -> None:
    shell.env |= {"LC_TIME": "C", "SECRET_OF_MINE": "x", "TZ": "UTC"}
    run = requested(shell, "env", "--env A=b --env C=")
    shell("run worker --once")
    env = dict(line.split("=", 1) for line in shell(f"run logs {run}").out.splitlines())
    (claim,) = shell("ev tail --type run.claimed").lines
    assert env["RUN_ID"] == run
    assert env["RUN_ATTEMPT"] == "1"
    assert env["RUN_TOKEN"] == str(claim["body"]["gen"])
    assert (env["A"], env["C"]) == ("b", "")
    known = {"PATH", "HOME", "LANG", "TMPDIR", "TZ", "A", "C", "RUN_ID", "RUN_ATTEMPT", "RUN_TOKEN"}
    known |= {"TRACEPARENT"}
    assert {name for name in env if not name.startswith("LC_")} <= known


def test_it_runs_where_it_was_requested_below_the_root(shell: Shell) -> None:
    (shell.cwd / "web/src").mkdir(parents=True)
    assert shell("cd web && run exec -- pwd").out == f"{shell.cwd}/web\n"
    assert shell("cd web && run exec --cwd src -- pwd").out == f"{shell.cwd}/web/src\n"
    shell("run request --cwd .. -- pwd", expect=65)
    shell("run request --cwd nowhere -- true")
    done = shell("run worker --once").lines[-1]["body"]
    assert done["outcome"] == "error"
    assert "no such directory here: " in done["reason"]


def test_the_same_key_is_the_same_job(shell: Shell) -> None:
    first = shell("run request --key k -- echo x").one
    again = shell("run request --key k -- echo x").one
    assert again["$dup"] is True
    assert again["event_id"] == first["event_id"]
    shell("run request --key k -- echo y", expect=65)
    shell("run exec --key k2 -- echo x")
    followed = shell("run exec --key k2 -- echo x")
    assert followed.out == "x\n"
    assert len(shell("run ls --all").lines) == 2


def test_jobs_are_requested_by_lines_on_stdin(shell: Shell) -> None:
    item = shell("wk new x -o id").out.strip()
    lines = [
        {"argv": ["echo", "1"], "key": "a"},
        {"argv": ["echo", "2"], "timeout_ms": 5, "work": item},
        {"argv": []},
        {"argv": ["x"], "env": {"RUN_ID": "y"}},
        {"argv": ["x"], "timeout": "1h"},  # history: it was written, and had no effect
    ]
    done = shell("run request", "\n".join(map(json.dumps, lines)), expect=65)
    first, second = done.lines
    assert first["idempotency_key"] == "a"
    assert second["refs"] == {"run_id": second["event_id"], "work_id": item}
    assert second["body"] == {"argv": ["echo", "2"], "timeout_ms": 5}
    assert done.err.count("\n") == 3
    assert "run: line 3: body.argv" in done.err
    assert "run: line 5: unknown field 'timeout'; valid fields: argv, cwd" in done.err
    assert [row["argv"] for row in shell(f"run ls --work {item}").lines] == [["echo", "2"]]


def test_a_worker_takes_only_jobs_whose_needs_it_has(shell: Shell) -> None:
    gpu = requested(shell, "true", "--needs gpu --needs linux")
    plain = requested(shell, "true")
    shell("run worker --once --cap gpu")
    assert state(shell, gpu)["status"] == "requested"
    assert state(shell, plain)["status"] == "completed"
    shell("run worker --once --cap gpu --cap linux --cap more")
    assert state(shell, gpu)["status"] == "completed"


def test_a_worker_ends_after_its_last_attempt(shell: Shell) -> None:
    for _ in range(3):
        requested(shell, "true")
    shell("run worker --max 2")
    assert [row["status"] for row in shell("run ls --all").lines] == [
        "completed",
        "completed",
        "requested",
    ]


def test_a_waiting_job_that_is_cancelled_never_runs(shell: Shell) -> None:
    run = requested(shell, "touch ran")
    first = shell(f"run cancel {run} --reason 'not wanted'").one
    assert first["body"] == {"reason": "not wanted"}
    assert shell(f"run cancel {run}").one["$dup"] is True
    shell("run worker --once")
    assert not (shell.cwd / "ran").exists()
    done = shell(f"run attach {run}", expect=125)
    assert "cancelled: not wanted" in done.err
    over = requested(shell, "true")
    shell("run worker --once")
    assert "is completed" in shell(f"run cancel {over}", expect=1).err


def test_a_failure_is_retried_if_requested(shell: Shell) -> None:
    """There is a pause whatever the backoff, so a worker that ends when none is free leaves it."""
    shell.env |= {"COORD_NOW": "2036-01-17T12:00:00Z"}
    run = requested(shell, "sh -c 'test $RUN_ATTEMPT = 3'", "--retry any --backoff 0ms")
    for now in ("12:00:00Z", "12:00:00.4Z", "12:00:01Z", "12:00:10Z"):
        shell("run worker --once", COORD_NOW=f"2036-01-17T{now}")
    shown = state(shell, run)
    assert (shown["status"], shown["code"], shown["attempt"]) == ("completed", 0, 3)
    assert [attempt["code"] for attempt in shown["attempts"]] == [1, 1, 0]
    once = requested(shell, "false")
    shell("run worker --once", COORD_NOW="2036-01-17T12:00:20Z")
    assert state(shell, once)["attempt"] == 1


def test_there_is_a_pause_between_attempts(shell: Shell) -> None:
    """The pause is the same in every process that computes it."""
    shell.env |= {"COORD_NOW": "2036-01-17T12:00:00Z"}
    run = requested(shell, "false", "--retry any --backoff 1m")
    shell("run worker --once")
    shown = shell("run ls").one
    assert "2036-01-17T12:00:30.000Z" <= shown["not_before"] <= "2036-01-17T12:01:00.000Z"
    shell("run worker --once", COORD_NOW="2036-01-17T12:00:29Z")
    assert state(shell, run)["attempt"] == 1
    shell("run worker --once", COORD_NOW="2036-01-17T12:01:00Z")
    assert state(shell, run)["attempt"] == 2


def test_a_job_that_was_not_started_in_time_expires(shell: Shell) -> None:
    run = requested(shell, "touch ran", "--start-by 10m")
    shell.env |= {"COORD_NOW": "2036-01-17T12:00:00Z"}
    noted = shell("run worker --once").one
    assert noted["type"] == "run.expired"
    assert noted["refs"]["run_id"] == run
    assert shell("run worker --once --as other").out == ""
    assert state(shell, run)["status"] == "expired"
    assert "expired" in shell(f"run attach {run}", expect=125).err


def test_an_expiry_is_noted_when_its_time_has_come(shell: Shell) -> None:
    """The worker wakes for it; what it noted stands where a clock is behind."""
    run = requested(shell, "touch ran", "--start-by 100ms --needs gpu")
    with worker(shell) as crew:
        assert json.loads(crew.line())["type"] == "run.expired"
    shell.env |= {"COORD_NOW": "2026-01-17T12:00:00Z"}
    assert state(shell, run)["status"] == "expired"
    assert shell("run ls").out == ""
    assert shell("run worker --once --cap gpu").out == ""


def test_a_command_with_a_time_from_now_is_the_same_when_it_is_repeated(shell: Shell) -> None:
    first = shell("run request --key k --start-by 2m -- true", COORD_NOW="2036-01-17T12:00:00Z").one
    words = "run request --key k --start-by 2m -- true"
    again = shell(words, COORD_NOW="2036-01-17T12:01:00Z").one
    assert again == first | {"$dup": True}
    shell("run request --key k -- true", expect=65)
    shell("run request --key k --start-by 2m -- false", expect=65)
    lines = [
        json.dumps({"argv": ["true"], "key": "l", "start_by": f"203{year}-01-17T12:00:00.000Z"})
        for year in (6, 7)
    ]
    shell("run request", "\n".join(lines), expect=65)


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("run request --timeout soon -- x", 2, "--timeout soon"),
        ("run request --retry never -- x", 2, "--retry never"),
        ("run request --env A -- x", 2, "--env A"),
        ("run request --env 1=x -- x", 65, "env: cannot set variable '1'"),
        ("run request --secret 'a b' -- x", 65, "secrets: cannot set variable 'a b'"),
        ("run request --repo nowhere -- x", 65, "--repo nowhere: not a commit"),
        ("run request --key k </dev/null", 2, "no command"),
        ("run show ZZZZZZZZ", 1, "ZZZZZZZZ: no such job"),
        ("run logs ZZZZZZZZ", 1, "ZZZZZZZZ: no such job"),
        ("run worker --substrate moon", 2, "--substrate moon"),
        ("run ls --status odd", 2, "--status odd"),
    ],
)
def test_a_refusal_is_one_line(shell: Shell, line: str, status: int, words: str) -> None:
    done = shell(line, expect=status)
    assert done.err.startswith("run: ")
    assert done.err.count("\n") == 1
    assert words in done.err


def test_jobs_are_listed_by_status_number_and_time(shell: Shell) -> None:
    shell.env["COORD_NOW"] = "2036-01-17T12:00:00Z"
    first, second = requested(shell, "true"), requested(shell, "false")
    shell.env["COORD_NOW"] = "2036-01-17T13:00:00Z"
    shell("run worker --max 1")
    assert [row["run_id"] for row in shell("run ls").lines] == [second]
    assert [row["run_id"] for row in shell("run ls --all -n 1").lines] == [first]
    assert [row["run_id"] for row in shell("run ls --status completed").lines] == [first]
    assert len(shell("run ls --at 2036-01-17T12:30:00Z").lines) == 2
    assert shell("run ls --at 2036-01-17T11:30:00Z").out == ""
    then = shell(f"run show {first} --at 2036-01-17T12:30:00Z").one
    assert (then["status"], shell(f"run show {first}").one["status"]) == ("requested", "completed")


def test_watch_prints_what_comes(shell: Shell) -> None:
    requested(shell, "true")
    with Watched(shell, "run watch") as watched:
        # what was there before is not printed; until it follows, a request may be missed
        while not select.select([watched.out], [], [], 0.1)[0]:
            last = requested(shell, "true")
        assert json.loads(watched.line())["type"] == "run.requested"
        shell("ev emit a.b")
        shell(f"run cancel {last}")
        while (event := json.loads(watched.line()))["type"] == "run.requested":
            pass
        assert (event["type"], event["refs"]["run_id"]) == ("run.cancelled", last)


def test_the_end_of_a_job_whose_log_cannot_be_read_is_recorded(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """History: a read that failed ended the attempt with a traceback, and the job was run again."""
    reader, writer = os.pipe()
    os.close(writer)
    names = (open_store(shell.cwd), "01KAJ3Q8ZK0001V7M2C4D9T6RX", 1)
    log = Log(opened(*names, "stdout"), reader, None, Both(opened(*names, "output")))

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pread", fail)
    assert log.summary(None)["tail"] == ""
