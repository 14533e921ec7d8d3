"""run request --after and --name, retry, signal, prune, exec --detach, watch, and one log."""

from __future__ import annotations

import json
import os
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from proof.witness import Watched
from run.jobs import requested, state, types
from support import Json, Shell

from coord_envelope import Event, ids
from coord_run import draft, fold
from coord_run.jobs import Jobs

NOW = 1_764_500_000_000


def statuses(shell: Shell) -> dict[str, str]:
    return {row["run_id"]: row["status"] for row in shell("run ls --all").lines}


# ---- --after


def test_a_chain_of_fifty_stops_where_a_job_fails(shell: Shell) -> None:
    """Four chains in one: after each failure the jobs behind it never run."""
    runs: list[str] = []
    for n in range(50):
        command = "false" if n in (10, 30) else "true"
        # The jobs 20 and 40 begin a chain of their own.
        before = f"--after {runs[-1]}" if runs and n not in (20, 40) else ""
        runs.append(requested(shell, command, before))
    assert set(statuses(shell).values()) == {"requested", "waiting"}
    shell("run worker --once")
    ended = statuses(shell)
    codes = {row["run_id"]: row.get("code") for row in shell("run ls --all").lines}
    ran = [n for n in range(50) if ended[runs[n]] == "completed"]
    assert ran == [*range(11), *range(20, 31), *range(40, 50)]
    assert [n for n in ran if codes[runs[n]]] == [10, 30]
    assert {ended[runs[n]] for n in range(50) if n not in ran} == {"cancelled"}
    assert state(shell, runs[12])["cancelled"] == f"run-{runs[11][-8:].lower()} did not succeed"
    shell(f"run poll {runs[12]}", expect=125)


def test_a_job_that_waits_says_for_whom_and_runs_when_all_succeeded(shell: Shell) -> None:
    first, second = requested(shell, "true"), requested(shell, "true")
    both = requested(shell, "true", f"--after {first} --after {second} --after {first}")
    assert state(shell, both)["waits_for"] == [first, second]
    shell("run worker --once --max 1")
    assert state(shell, both)["waits_for"] == [second]
    shell("run worker --once")
    assert types(shell, both) == ["requested", "queued", "claimed", "started", "completed"]


def test_a_request_after_a_job_that_is_over_is_decided_at_once(shell: Shell) -> None:
    good, bad = requested(shell, "true"), requested(shell, "false")
    shell("run worker --once")
    runs = requested(shell, "true", f"--after {good}"), requested(shell, "true", f"--after {bad}")
    shell("run worker --once")
    assert [statuses(shell)[run] for run in runs] == ["completed", "cancelled"]


def test_a_worker_that_is_there_takes_what_becomes_free(shell: Shell) -> None:
    with Watched(shell, "run worker"):
        first = requested(shell, "true")
        second = requested(shell, "echo done", f"--after {first}")
        assert shell(f"run attach {second}").out == "done\n"


def test_a_missing_job_to_come_after_is_named(shell: Shell) -> None:
    other = shell("ev emit a.b -o id").out.strip()
    for name in ("01KAJ3Q8ZK0001V7M2C4D9T6RX", "zzzz", other):
        refusal = shell(f"run request --after {name} -- true", expect=1).err
        assert refusal == f"run: {name}: no such job\n"
    lines = json.dumps({"argv": ["true"], "after": ["zzzz"]})
    assert "no such job" in shell("run request", stdin=lines, expect=1).err
    assert shell("run ls --all").out == ""


def test_waiting_expires_and_is_cancelled(shell: Shell) -> None:
    first = requested(shell, "true", "--needs gpu")
    late = requested(shell, "true", f"--after {first} --start-by 1ms")
    dropped = requested(shell, "true", f"--after {first}")
    shell(f"run cancel {dropped}")
    shell("run worker --once")
    assert [statuses(shell)[run] for run in (first, late, dropped)] == [
        "requested",
        "expired",
        "cancelled",
    ]


def events(*about: tuple[str, int, Json]) -> Iterator[Event]:
    """(type, number of the job, body) → the events, a ms apart."""
    for n, (kind, job, body) in enumerate(about):
        event_id = run_id(job) if kind == "requested" else ids.mint(NOW + 1_000 + n << 16, bytes(8))
        yield Event(
            b"",
            {
                "event_id": event_id,
                "type": f"run.{kind}",
                "ts": "2025-11-30T10:53:20.000Z",
                "writer": "agent.a~aaaaaaaa",
                "actor": {"agent_id": "agent:a"},
                "refs": {"run_id": run_id(job)},
                "body": body,
            },
        )


def run_id(job: int) -> str:
    return ids.mint(NOW + job << 16, bytes(8))


def jobs_of(*about: tuple[str, int, Json]) -> Jobs:
    return Jobs.at(sorted(events(*about), key=lambda event: event.id), "2026-01-01T00:00:00.000Z")


def job(n: int, *after: int) -> tuple[str, int, Json]:
    return "requested", n, {"argv": ["true"], "after": [run_id(one) for one in after]}


@pytest.mark.parametrize("after", [(1,), (2,), (2, 0)], ids=["itself", "younger", "both"])
def test_a_circle_cannot_be_waited_for(after: tuple[int, ...]) -> None:
    """Whoever can push can write one."""
    jobs = jobs_of(job(0), job(1, *after), job(2, 1))
    decided = draft.decided(jobs.state(run_id(1)), jobs)
    assert decided
    assert decided["type"] == "run.cancelled"
    assert "is not older" in decided["body"]["reason"]


def test_a_job_of_another_store_that_has_not_come_is_waited_for() -> None:
    jobs = jobs_of(job(5, 3))
    waiting = jobs.state(run_id(5))
    assert jobs.row(waiting)["waits_for"] == [run_id(3)]
    assert draft.decided(waiting, jobs) is None
    assert [one["request"]["id"] for one in jobs.waiting()] == [run_id(5)]
    assert [one["request"]["id"] for one in jobs.waiting({run_id(3)})] == [run_id(5)]
    assert list(jobs.waiting({run_id(4)})) == []
    assert list(jobs.free()) == []


@pytest.mark.parametrize("after", ["x", [1], {}], ids=str)
def test_a_request_that_does_not_say_what_it_comes_after_does_not_count(after: Any) -> None:
    (event,) = events(("requested", 1, {"argv": ["a"], "after": after}))
    assert not fold.made(fold.step(None, event))


# ---- --name


def test_of_twenty_at_once_by_one_name_one_runs_and_the_others_are_told(shell: Shell) -> None:
    line = "run exec --name deploy -- sh -c 'echo ran >>ran; read x <gate'"
    subprocess.run(["mkfifo", str(shell.cwd / "gate")], check=True)
    many = [shell.popen(line, stderr=subprocess.PIPE) for _ in range(20)]
    poll = select.poll()
    for process in many:
        poll.register(os.pidfd_open(process.pid), select.POLLIN)
    for _ in many[1:]:  # all but one end by themselves
        ((fd, _), *_) = poll.poll()
        poll.unregister(fd)
        os.close(fd)
    (shell.cwd / "gate").write_text("go\n")
    told = [process.communicate()[1].decode() for process in many if process.wait() == 1]
    assert (shell.cwd / "ran").read_text() == "ran\n"
    assert len(told) == 19
    assert all("run: a job named deploy is " in line and "run attach run-" in line for line in told)


def test_a_name_is_free_again_when_its_job_is_over(shell: Shell) -> None:
    first = requested(shell, "true", "--name nightly")
    refusal = shell("run request --name nightly -- true --errors json", expect=1)
    assert f"is requested: run-{first[-8:].lower()}" in refusal.err
    requested(shell, "true", "--name other")
    shell("run worker --once")
    requested(shell, "true", "--name nightly")
    assert "not a valid name" in shell("run request --name 'a b' -- true", expect=65).err


def test_a_repeated_key_is_answered_and_not_refused_for_its_own_name(shell: Shell) -> None:
    line = "run request --name nightly --key k -- true"
    first = shell(line).one
    assert shell(line).one == {**first, "$dup": True}
    lines = "\n".join(json.dumps({"argv": ["true"], "name": name}) for name in "aab")
    done = shell("run request", stdin=lines, expect=1)
    assert [event["body"]["name"] for event in done.lines] == ["a", "b"]
    assert done.err.startswith("run: line 2: a job named a is requested: run-")


# ---- retry, signal, prune


def test_a_retry_is_a_new_job_with_the_same_request_once(shell: Shell) -> None:
    work = shell("wk new Fix -o id").out.strip()
    failed = requested(shell, "sh -c 'test -e ok'", f"--work {work} --env A=1 --start-by 1h")
    assert "is requested" in shell(f"run retry {failed}", expect=1).err
    shell("run worker --once")
    again = shell(f"run retry {failed}").one
    assert again["refs"] == {"run_id": again["event_id"], "work_id": work, "retry_of": failed}
    assert again["body"] == {"argv": ["sh", "-c", "test -e ok"], "env": {"A": "1"}}
    assert shell(f"run retry {failed}").one == {**again, "$dup": True}
    shell("run worker --once")
    third = shell(f"run retry {failed}").one
    assert third["refs"]["retry_of"] == again["event_id"], "the last one is retried"


def test_a_retry_comes_after_the_retries_of_what_it_came_after(shell: Shell) -> None:
    first = requested(shell, "test -e ok")
    second = requested(shell, "true", f"--after {first}")
    shell("run worker --once")
    (shell.cwd / "ok").touch()
    failed = shell("run ls --all --status failed --status cancelled -o id").out
    retried = shell("run retry", stdin=failed).lines
    assert retried[1]["body"]["after"] == [retried[0]["event_id"]]
    shell("run worker --once")
    assert statuses(shell)[retried[1]["event_id"]] == "completed"
    assert second != retried[1]["event_id"]


def test_a_job_of_another_store_is_not_retried_here(shell: Shell) -> None:
    run = requested(shell, "false")
    shell("run worker --once")
    (shell.cwd / f".coord/local/runs/{run}/request").unlink()
    assert "was not requested in this store" in shell(f"run retry {run}", expect=77).err


def test_retries_of_each_other_are_not_followed_for_ever(shell: Shell) -> None:
    first, second = requested(shell, "false"), requested(shell, "true")
    shell("run worker --once")
    for key in (f"retry:{first}", f"retry:{second}"):
        body = json.dumps({"argv": ["true"]})
        other = shell(f"ev emit run.requested --key {key} --body '{body}' -o id").out.strip()
    shell(
        f"ev emit run.requested --key retry:{other} --body '{body}'",
        COORD_NOW="2020-01-01T00:00:00Z",
    )
    for run in (first, second, other):
        shell(f"run retry {run}", expect=None)


def test_a_signal_reaches_the_command_once(shell: Shell) -> None:
    trap = "trap 'echo got; kill $!; exit 4' USR1; sleep 100 & echo up; wait"
    with Watched(shell, "run worker"):
        run = requested(shell, f'sh -c "{trap}"')
        with Watched(shell, f"run attach {run}") as attached:
            assert attached.line() == b"up"
            sent = shell(f"run signal {run} sigusr1").one
            assert (sent["type"], sent["body"]["signal"]) == ("run.signalled", "USR1")
            assert attached.line() == b"got"
        assert shell(f"run attach {run}", expect=4).out == "up\ngot\n"
    assert "is completed, not running" in shell(f"run signal {run} TERM", expect=1).err
    assert "not a valid signal" in shell(f"run signal {run} NOPE", expect=2).err


def test_prune_removes_the_output_of_old_jobs_that_are_over(shell: Shell) -> None:
    old, now = "2026-11-01T00:00:00Z", "2026-11-30T00:00:00Z"
    over = shell("run exec -- echo hi; run ls --all -o id", COORD_NOW=old).out.split()[-1]
    waiting = shell("run request --needs gpu -o id -- true", COORD_NOW=old).out.strip()
    recent = shell("run exec -- true; run ls --all -o id", COORD_NOW=now).out.split()[-1]
    assert shell("run prune --older 60d", COORD_NOW=now).out == ""
    row = shell("run prune --older 7d", COORD_NOW=now).one
    assert row["run_id"] == over
    assert row["bytes"] > 3
    kept = {path.name for path in (shell.cwd / ".coord/local/runs").iterdir()}
    assert kept == {waiting, recent}
    assert shell(f"run show {over}").one["stdout"]["tail"] == "hi\n"
    assert "no log in this store" in shell(f"run logs {over}", expect=1).err


# ---- exec --detach


def test_a_detached_job_goes_on_without_who_started_it(shell: Shell) -> None:
    subprocess.run(["mkfifo", str(shell.cwd / "gate")], check=True)
    request = shell("run exec --detach -- sh -c 'echo begun; read x <gate; exit 7'").one
    assert request["type"] == "run.requested"
    (shell.cwd / "gate").write_text("go\n")
    assert shell(f"run attach {request['event_id']}", expect=7).out == "begun\n"


def test_what_cannot_be_detached_says_so_and_has_its_status(shell: Shell) -> None:
    shell("run exec --detach --key k -- true")
    refused = shell("run exec --detach --key k -- false", expect=65)
    assert refused.out == ""
    assert "k" in refused.err
    assert shell("run exec --detach --key k -- true").one["$dup"] is True


# ---- watch


def test_watch_prints_what_makes_a_job_failed(shell: Shell) -> None:
    with Watched(shell, "run watch --status failed") as watch:
        shell("run exec -- true")
        shell("run exec -- false", expect=1)
        cancelled = requested(shell, "true")
        shell(f"run cancel {cancelled}")
        shell("run exec -- sh -c 'exit 3'", expect=3)
        lines = [json.loads(watch.line()) for _ in range(2)]
    assert [(line["type"], line["body"]["code"]) for line in lines] == [
        ("run.completed", 1),
        ("run.completed", 3),
    ]


def test_watch_takes_the_filters_of_all_readers(shell: Shell) -> None:
    with Watched(shell, "run watch --agent bob --type run.requested") as watch:
        shell("ev emit a.b --as bob")
        requested(shell, "true", "--as ada")
        run = requested(shell, "true", "--as bob")
        assert run.encode() in watch.line()
    assert "not a valid status" in shell("run watch --status broken", expect=2).err


@pytest.mark.parametrize(
    ("command", "failed"), [("true", False), ("false", True), ("sh -c 'kill $$'", True)]
)
def test_failed_is_completed_without_success(shell: Shell, command: str, failed: bool) -> None:
    shell(f"run exec -- {command}", expect=None)
    assert bool(shell("run ls --status failed").out) is failed


# ---- one log


def test_both_streams_are_one_log_in_the_order_of_the_writes(shell: Shell) -> None:
    script = "i=0; while [ $i -lt 300 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done"
    run = requested(shell, f'sh -c "{script.replace("$", chr(92) + "$")}"')
    shell("run worker --once")
    expected = [f"{stream}{n}" for n in range(300) for stream in "oe"]
    assert shell(f"run logs {run}").out.split() == expected
    assert shell(f"run logs {run} -f").out.split() == expected
    assert shell(f"run logs {run} --stdout").out.split() == expected[::2]
    assert shell(f"run logs {run} --stderr").out.split() == expected[1::2]
    assert "leave out both" in shell(f"run logs {run} --stdout --stderr", expect=2).err


def test_an_attempt_of_an_earlier_version_has_its_streams_one_after_the_other(
    shell: Shell,
) -> None:
    run = requested(shell, "sh -c 'echo b >&2; echo a'")
    shell("run worker --once")
    logs = shell.cwd / f".coord/local/runs/{run}/1"
    (logs / "output.log").unlink()
    assert shell(f"run logs {run}").out == shell(f"run logs {run} -f").out == "a\nb\n"


def test_large_writes_are_whole_in_every_log(shell: Shell, tmp_path: Path) -> None:
    run = requested(shell, "sh -c 'head -c 3000000 /dev/zero; head -c 1000000 /dev/zero >&2'")
    shell("run worker --once")
    sizes = {
        path.name: path.stat().st_size
        for path in (shell.cwd / f".coord/local/runs/{run}/1").iterdir()
    }
    assert (sizes["stdout.log"], sizes["stderr.log"]) == (3_000_000, 1_000_000)
    assert sizes["output.log"] == 4_000_000


def test_a_line_for_a_shell_is_noticed_before_a_worker_fails_on_it(shell: Shell) -> None:
    done = shell("run request -- 'echo hi'")
    assert (done.one["body"]["argv"], "sh -c 'echo hi'" in done.err) == (["echo hi"], True)
    assert shell("run request -- echo hi").err == ""
