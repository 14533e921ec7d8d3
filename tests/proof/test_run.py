"""Jobs and workers that are killed: every job ends once, its log is whole, and nobody of it is left."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import select
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from proof.test_idle import SHARE, SWEEP_S, cpu_s, wake_ups
from proof.witness import PATIENCE_S, Watched, bytes_of, replayed
from run.jobs import Gate, children, requested, worker
from support import Json, Shell, check_invariants, open_store

WORKERS, SLOTS, LINES = 4, 2, 3_000
JOB = f"""
sleep 1000 &
(setsid sleep 1000 >/dev/null 2>&1 &)
seq {LINES}
seq {LINES} >&2
echo $RUN_ID
"""
"""Leaves a child and a daemon behind, and says a known number of bytes on both streams."""


class Crew:
    """Workers, each with an agent of its own; one that was killed has a successor."""

    def __init__(self, shell: Shell, stack: ExitStack) -> None:
        self._shell, self._stack, self._hired = shell, stack, 0
        self.alive: list[Watched] = []
        self.killed: Counter[str] = Counter()
        for _ in range(WORKERS):
            self.hire()

    def hire(self) -> None:
        line = f"run worker --slots {SLOTS} --as w{self._hired}"
        self._hired += 1
        self.alive.append(self._stack.enter_context(Watched(self._shell, line)))

    def kill(self, chance: random.Random) -> None:
        """A worker, one of its attempts, or the worker and all of them at once."""
        how, victim = chance.choice(["worker", "attempt", "both"]), chance.choice(self.alive)
        attempts = children(victim.child.pid)
        dying = {"worker": [], "attempt": attempts[:1], "both": attempts}[how]
        with suppress(ProcessLookupError):
            for pid in dying:
                os.kill(pid, signal.SIGKILL)
        if how != "attempt":
            victim.child.kill()
            self.alive.remove(victim)
            self.hire()
        self.killed[how] += bool(dying) or how == "worker"

    def work(self) -> int:
        """Wait until something is done; how many jobs were."""
        ready, _, _ = select.select([one.out for one in self.alive], [], [], PATIENCE_S)
        assert ready, "the workers stand still"
        return sum(os.read(fd, 1 << 16).count(b'"run.completed"') for fd in ready)


def left_of(runs: set[str]) -> Iterator[str]:
    """The processes that have a job's variables."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            found = re.search(rb"(?:^|\0)RUN_ID=(\w+)\0", path.read_bytes())
            if found and found[1].decode() in runs:
                yield f"{path.parent.name}: {(path.parent / 'cmdline').read_bytes()!r}"


def by_job(shell: Shell, kind: str) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {}
    for one in map(json.loads, replayed(shell)):
        if one["type"] == kind:
            found.setdefault(one["refs"]["run_id"], []).append(one)
    return found


def test_killed_workers_lose_no_job_and_leave_nobody_behind(
    shell: Shell, long: bool, say: Callable[..., None]
) -> None:
    chance, count, kills = random.Random(11), 500 if long else 60, 60 if long else 9
    (shell.cwd / "job").write_text(JOB)
    body = {"argv": ["sh", "job"], "max_attempts": 1_000}
    (shell.cwd / "in").write_text("\n".join(json.dumps(body) for _ in range(count)))
    runs = {
        json.loads(line)["event_id"] for line in bytes_of(shell, "run request <in").splitlines()
    }
    done, due = 0, sorted(chance.sample(range(1, count * 3 // 4), kills))
    deadline = time.monotonic() + PATIENCE_S * (20 if long else 4)
    with ExitStack() as stack:
        crew = Crew(shell, stack)
        while bytes_of(shell, "run ls -n 1"):
            assert time.monotonic() < deadline, "the jobs do not end"
            done += crew.work()
            while due and done >= due[0]:
                due.pop(0)
                crew.kill(chance)
        for one in crew.alive:
            one.child.send_signal(signal.SIGTERM)
        assert [one.child.wait(PATIENCE_S) for one in crew.alive] == [0] * WORKERS
    shown = {
        one["run_id"]: one for one in map(json.loads, bytes_of(shell, "run ls --all").splitlines())
    }
    assert shown.keys() == runs
    assert {(one["status"], one["code"]) for one in shown.values()} == {("completed", 0)}
    results, claims = by_job(shell, "run.completed"), by_job(shell, "run.claimed")
    assert {run: len(found) for run, found in results.items()} == dict.fromkeys(runs, 1)
    for run, (result,) in results.items():
        assert result["body"]["claim"] == claims[run][-1]["event_id"], (
            "the result of one who had lost the job"
        )
        log_is_whole(shell, run, shown[run]["attempt"], result["body"])
    assert list(left_of(runs)) == []
    again = sum(len(found) - 1 for found in claims.values())
    how = ", ".join(f"{number} {what}" for what, number in sorted(crew.killed.items()))
    say(
        f"run: {count} jobs, {WORKERS} workers, killed: {how}; each job ended once, {again} attempts were made again",
        acked=count,
        lost=len(runs - shown.keys()),
    )
    assert again
    check_invariants(open_store(shell.cwd))


def log_is_whole(shell: Shell, run: str, n: int, body: Json) -> None:
    counted = b"".join(b"%d\n" % number for number in range(1, LINES + 1))
    for stream, expected in (("stdout", counted + f"{run}\n".encode()), ("stderr", counted)):
        log = (shell.cwd / f".coord/local/runs/{run}/{n}/{stream}.log").read_bytes()
        assert log == expected
        said = body[stream]
        assert (said["bytes"], said["sha256"]) == (len(log), hashlib.sha256(log).hexdigest())


def test_a_flood_of_output_needs_no_more_than_its_bound(
    shell: Shell, long: bool, say: Callable[..., None]
) -> None:
    """Twice 64 MiB of disk, in its stream's log and that of both, and a fixed memory."""
    size, gate = 1_000_000_000 if long else 150_000_000, Gate(shell.cwd)
    run = requested(shell, f"sh -c 'head -c {size} /dev/zero; echo up >&2; read x <gate'")
    with worker(shell) as found, Watched(shell, f"run logs -f --stderr {run}") as logs:
        assert logs.line() == b"up"
        (attempt,) = children(found.child.pid)
        peak = int(re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{attempt}/status").read_text())[0])
        gate.open()
        assert logs.child.wait(PATIENCE_S) == 0
    kept = sum(path.stat().st_size for path in (shell.cwd / ".coord").rglob("*") if path.is_file())
    say(f"run: {size:,} bytes of output: {kept >> 20} MiB of disk, {peak >> 10} MiB of memory")
    assert kept < 130 << 20
    assert peak < 64 << 10


def test_a_worker_sleeps_while_nothing_happens(
    shell: Shell, long: bool, say: Callable[..., None]
) -> None:
    window = 60 if long else 3
    with worker(shell) as found:
        requested(shell, "true")
        while b"completed" not in found.line():
            pass
        pid = found.child.pid
        woke, used = wake_ups(pid), cpu_s(pid)
        time.sleep(window)  # that nothing happens can only be waited for
        woke, used = wake_ups(pid) - woke, cpu_s(pid) - used
    say(f"idle: in {window} s `run worker` woke {woke} times, {1000 * used:.1f} ms of CPU")
    assert woke <= 4 * (window // SWEEP_S + 1) + 4  # and once when its last attempt is waited for
    if long:
        assert used < SHARE * window
