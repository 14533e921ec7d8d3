"""Many contend for one resource while holders are killed and stopped: it is never held twice, and never for long."""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from itertools import cycle, pairwise

from proof.witness import PATIENCE_S, Watched
from support import Json, Shell, check_invariants, open_journal, open_store

CONTENDERS, TTL_MS = 16, 1_000
OVERLAPPING = ("file:src/**", "file:*/a.py", "file:src/a.py")
"""Each two of them name a common path."""
TWICE = 99
"""What flock exits with if another has the witness: then two commands ran at once."""
REGRANT_S = 0.1


def lease_events(shell: Shell) -> list[Json]:
    """In the order of the boot clock; what has the same time ends before it begins."""
    found = [
        one for one in open_journal(shell.cwd).replay(live=True) if one["type"].startswith("lease.")
    ]
    return sorted(found, key=lambda one: (one["body"]["boot_ns"], one["type"] == "lease.acquired"))


def windows(events: list[Json]) -> list[tuple[int, int, int]]:
    """Of each lease its begin, its end and its token, worked out from the events alone."""
    begin: dict[str, int] = {}
    until: dict[str, int] = {}
    token: dict[str, int] = {}
    for one in events:
        lease, at, body = one["refs"]["lease_id"], one["body"]["boot_ns"], one["body"]
        if one["type"] == "lease.acquired":
            begin[lease], token[lease], until[lease] = (
                at,
                body["token"],
                at + body["ttl_ms"] * 10**6,
            )
        elif one["type"] == "lease.renewed":
            assert at < until[lease], "renewed after its time"
            until[lease] = at + body["ttl_ms"] * 10**6
        else:
            until[lease] = min(until[lease], at)
    return sorted((begin[lease], until[lease], token[lease]) for lease in begin)


class Contenders:
    """So many `lease with` at once, each started again when it has ended."""

    def __init__(self, shell: Shell, chance: random.Random) -> None:
        self._shell, self._chance = shell, chance
        self.statuses: Counter[int] = Counter()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        for number in range(CONTENDERS):
            self._start(f"agent:c{number}")

    def _start(self, name: str) -> None:
        resource, work = self._chance.choice(OVERLAPPING), self._chance.choice((0.01, 0.1, 0.8))
        witness = f"flock -n -E {TWICE} witness sleep {work}"
        line = f"lease with '{resource}' --ttl {TTL_MS}ms --wait 10m --as {name} -- {witness}"
        self.running[name] = self._shell.popen(line)

    def restart(self) -> None:
        for name, child in list(self.running.items()):
            if child.poll() is not None:
                self.statuses[child.returncode] += 1
                self._start(name)

    def end(self) -> None:
        for child in self.running.values():
            child.kill()
            child.send_signal(signal.SIGCONT)
            child.wait(PATIENCE_S)
            self.statuses[child.returncode] += 1


def holder(shell: Shell) -> str | None:
    """Who acquired last."""
    events = open_journal(shell.cwd).tail(20)
    return next(
        (one["actor"]["agent_id"] for one in reversed(events) if one["type"] == "lease.acquired"),
        None,
    )


def test_what_16_contend_for_is_never_held_twice(
    shell: Shell, long: bool, say: Callable[..., None]
) -> None:
    chance, harms, harmful = (
        random.Random(5),
        Counter[str](),
        cycle(("killed", "stopped", "left alone")),
    )
    contenders = Contenders(shell, chance)
    stopped: list[tuple[float, subprocess.Popen[bytes]]] = []
    until = time.monotonic() + (30 if long else 4)
    try:
        while (now := time.monotonic()) < until or (harms.total() < 6 and now < until + PATIENCE_S):
            time.sleep(chance.choice((0.05, 0.2, 0.4)))  # the schedule of the harm is random
            victim = contenders.running.get(holder(shell) or "")
            if victim and victim.poll() is None and victim not in [child for _, child in stopped]:
                harm = next(harmful)
                harms[harm] += 1
                if harm == "killed":
                    victim.kill()
                elif harm == "stopped":
                    victim.send_signal(signal.SIGSTOP)
                    stopped.append((time.monotonic() + 1.5 * TTL_MS / 1000, victim))
            for due, child in [one for one in stopped if one[0] <= time.monotonic()]:
                child.send_signal(signal.SIGCONT)
                stopped.remove((due, child))
            contenders.restart()
    finally:
        contenders.end()
    held = windows(lease_events(shell))
    assert contenders.statuses[TWICE] == 0, "two commands ran at once"
    overlapping = sum(before[1] > after[0] for before, after in pairwise(held))
    assert overlapping == 0
    assert all(before[2] < after[2] for before, after in pairwise(held))
    assert harms["killed"] and harms["stopped"] and len(held) > 1
    who = {
        one["actor"]["agent_id"] for one in lease_events(shell) if one["type"] == "lease.acquired"
    }
    check_invariants(open_store(shell.cwd), bad_at_most=harms["killed"] + CONTENDERS)
    told = ", ".join(f"{count} {harm}" for harm, count in sorted(harms.items()))
    say(
        f"leases: {CONTENDERS} contended, {len(held)} leases by {len(who)} of them, holders {told}: "
        "no window overlaps, tokens rise, no two commands ran at once",
        leases=len(held),
        overlapping_leases=overlapping,
    )


def test_a_dead_holders_lease_is_granted_again_at_once(
    shell: Shell, long: bool, say: Callable[..., None]
) -> None:
    """From the kill to the next one's `lease.acquired`, by the boot clock that the event carries."""
    took = []
    for _ in range(20 if long else 3):
        with Watched(shell, "lease with env:a --ttl 1h -- sh -c 'echo; sleep 1000'") as dying:
            dying.line()
            with Watched(shell, "lease acquire env:a --wait 10m --ttl 1ms --as next") as waiter:
                while (
                    not os.path.exists(f"/proc/{waiter.child.pid}/task")
                    or tasks(waiter.child.pid) < 2
                ):
                    assert waiter.child.poll() is None
                    os.sched_yield()  # its second thread is the one that waits for the death
                killed = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
                dying.child.kill()
                waiter.line()
        granted = [one for one in lease_events(shell) if one["type"] == "lease.acquired"][-1]
        assert granted["actor"]["agent_id"] == "agent:next"
        took.append((granted["body"]["boot_ns"] - killed) / 1e9)
    say(
        f"leases: a killed holder's is granted again after {1000 * statistics.median(took):.1f} ms, "
        f"at most {1000 * max(took):.1f} ms ({len(took)} kills)"
    )
    assert statistics.median(took) < REGRANT_S


def tasks(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))
