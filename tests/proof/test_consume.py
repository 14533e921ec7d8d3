"""A consumer killed between any two steps does each command and tells each result once. An idle one sleeps."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from proof.test_idle import SHARE, SWEEP_S, cpu_s, wake_ups
from proof.witness import PATIENCE_S, Watched
from support import Json, Shell, check_invariants, open_journal, open_store

CONSUMER = """
name = "c"
[match]
types = ["job.todo"]
[run]
argv = ["./job", "{{body.n}}", "{{body.poison}}"]
max_attempts = 5
backoff = "1ms"
schema = "answer.json"
concurrency = 2
[gate]
argv = ["./gate", "{{body.n}}"]
[emit]
type = "job.done"
"""
JOB = """#!/bin/sh
[ "$2" = true ] && exit 1
if [ -e "asked.$1" ]; then echo ok >>"ran.$1"; echo '"good"'; else touch "asked.$1"; echo wrong; fi
"""
"""It answers what does not fit at first, so that a second job is needed; to poison it never answers."""
GATE = """#!/bin/sh
echo ok >>"judged.$1"
"""
OF_ONE = 13
"""Events of one event's way: four of each job, and the result."""


def furnish(shell: Shell) -> None:
    for name, text in (
        ("c.toml", CONSUMER),
        ("job", JOB),
        ("gate", GATE),
        ("answer.json", '{"const":"good"}'),
    ):
        (shell.cwd / name).write_text(text)
        (shell.cwd / name).chmod(0o755)


def todo(shell: Shell, n: int, poison: bool) -> str:
    body = json.dumps({"n": str(n), "poison": poison})
    return shell(f"ev emit job.todo -o id --body '{body}'").out.strip()


def killed_at(shell: Shell, nth: int, alone: bool) -> bool:
    """Run it, and kill it when it and its worker have written so many events. False if it came to its end before."""
    journal = open_journal(shell.cwd)
    follower, seen, end = journal.follow(journal.end()), 0, time.monotonic() + PATIENCE_S
    with Watched(shell, "ev consume c.toml --once", start_new_session=True) as victim:
        while seen < nth:
            assert time.monotonic() < end, "it did not go on"
            seen += sum(1 for _ in follower.batch())
            if select.select([victim.out], [], [], 0.001)[0] and not victim.take(0):
                return False
        (os.kill if alone else os.killpg)(victim.child.pid, signal.SIGKILL)
        victim.child.wait(PATIENCE_S)
    return True


def outcomes(shell: Shell) -> dict[str, list[str]]:
    """Of each event the types of what was told of it."""
    found: dict[str, list[str]] = {}
    for one in shell("ev replay --type job.done --type consume.failed").lines:
        found.setdefault(one["cause"], []).append(one["type"])
    return found


def lines(path: Path) -> int:
    return path.read_text().count("ok\n")


def test_killed_between_any_two_steps_it_does_all_and_tells_once(
    shell: Shell, long: bool, say: Callable[[str], None]
) -> None:
    furnish(shell)
    chance, expected, hit = random.Random(11), dict[str, list[str]](), Counter[str]()
    rounds = [(nth, alone) for nth in range(1, OF_ONE + 4) for alone in (False, True)]
    for number, (nth, alone) in enumerate(rounds if long else rounds[::7]):
        good = todo(shell, number, poison=False)
        bad = todo(shell, number, poison=True) if number % 2 else None
        if killed_at(shell, nth, alone):
            hit[last(shell)["type"]] += 1
            if chance.random() < 0.5 and killed_at(shell, chance.randint(1, OF_ONE), alone):
                hit[last(shell)["type"]] += 1
        shell("ev consume c.toml --once", expect=None)
        expected[good] = ["job.done"]
        if bad:
            expected[bad] = ["consume.failed"]
        assert outcomes(shell) == expected, f"killed after {nth} events"
        assert lines(shell.cwd / f"ran.{number}") >= 1
        assert lines(shell.cwd / f"judged.{number}") >= 1
    assert shell("ev consume c.toml --once").out == ""
    check_invariants(open_store(shell.cwd))
    say(
        f"consume, kill -9: {hit.total()} kills, behind {dict(hit)}: each of {len(expected)} events has one result"
    )
    assert len(hit) >= (4 if long else 2), "the kills did not hit between steps"


def last(shell: Shell) -> Json:
    return shell("ev tail -n 1").one


def test_an_idle_consumer_sleeps(shell: Shell, long: bool, say: Callable[[str], None]) -> None:
    window = 60 if long else 3
    furnish(shell)
    with Watched(shell, "ev consume c.toml") as consume:
        todo(shell, 0, poison=False)
        assert json.loads(consume.line())["type"] == "job.done"
        pids = [consume.child.pid, *children(consume.child.pid)]
        assert len(pids) == 2, "the consumer and its worker"
        woke = None
        while woke != (woke := [wake_ups(pid) for pid in pids]):  # it still saves its cursor
            time.sleep(0.2)
        used = [cpu_s(pid) for pid in pids]
        time.sleep(window)  # that nothing happens can only be waited for
        woke = [wake_ups(pid) - before for pid, before in zip(pids, woke, strict=True)]
        used = [cpu_s(pid) - before for pid, before in zip(pids, used, strict=True)]
    say(
        f"idle: in {window} s `ev consume` woke {woke[0]} times, its worker {woke[1]}; {1000 * sum(used):.1f} ms of CPU"
    )
    assert max(woke) <= 4 * (window // SWEEP_S + 1)
    if long:
        assert sum(used) < SHARE * window


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
