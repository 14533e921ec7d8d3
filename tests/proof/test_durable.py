"""What is printed was on the disk before: the order of the calls of every command that acks, by strace.

Tried: each command that appends, on a store that has its stream and on one that has nothing yet; and a key whose
event another process wrote and was killed before it synced. A write to the journal makes its file dirty, a new file
its directory, and fdatasync or fsync makes them clean.

A failure would mean that a power loss right after the ack can take the acked line with it, which no kill shows: what
a killed process wrote is still in the kernel's memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from proof.scenes import Ack, Claim, Emit, Exec, First, Scene
from proof.strace import SYNCS, WRITES, Call, Point, Strace
from support import Shell, segment

JOURNAL = "/.coord/journal"


def printed_too_early(
    calls: list[Call], dirty: Iterable[str] = (), known: Iterable[str] = ()
) -> list[str]:
    """What the command itself printed while something of the journal was not on the disk."""
    dirty, known = set(dirty), set(known)
    early = []
    for pid, (kind, _), said in calls:
        paths = [path for path in Call(pid, Point(kind, 0), said).paths if JOURNAL in path]
        if kind == "write" and said.startswith("1<") and pid == calls[0].pid and dirty:
            early.append(f"with {sorted(dirty)} dirty: {said}")
        elif kind in SYNCS:
            dirty -= set(paths)
        elif paths and kind in (*WRITES, "mkdirat"):
            dirty.add(paths[0])
        elif paths and kind == "openat" and "O_CREAT" in said and paths[-1] not in known:
            known.add(paths[-1])
            dirty.add(os.path.dirname(paths[-1]))
    return early


def check_durable(strace: Strace, kind: type[Scene], rounds: int = 2) -> int:
    """Of each round nothing was printed too early. How many calls wrote or synced."""
    scene, count = kind(strace.shell, rounds), 0
    for n in range(rounds):
        scene.ready(n)
        known = [str(path) for path in (strace.shell.cwd / ".coord/journal").glob("*/*.jsonl")]
        done, calls = strace.calls(scene.line(n))
        assert done.status == 0, done.err
        assert printed_too_early(calls, known=known) == [], "printed before it was on the disk"
        count += sum(one.point.kind in (*WRITES, *SYNCS) and JOURNAL in one.said for one in calls)
    assert count >= 2 * rounds, "nothing was written, or nothing synced"
    return count


@pytest.fixture
def strace(shell: Shell, tmp_path: Path) -> Strace:
    return Strace(shell, tmp_path / "strace")


def test_no_event_is_printed_before_it_is_on_the_disk(
    strace: Strace, say: Callable[[str], None]
) -> None:
    kinds = (Emit, First, Claim, Ack, Exec)
    count = sum(check_durable(strace, kind) for kind in kinds)
    say(
        f"durable: {2 * len(kinds)} commands, {count} writes and syncs of a journal: each ack came after its sync"
    )


def test_a_dup_of_what_a_killed_process_wrote_is_on_the_disk_before_it_is_printed(
    strace: Strace,
) -> None:
    strace.shell("ev emit proof.first")
    killed, was_killed = strace.dies(Point("fdatasync", 1), "ev emit proof.struck --key k")
    assert was_killed and killed.out == ""
    done, calls = strace.calls("ev emit proof.struck --key k")
    file = str(segment(strace.shell.cwd))
    assert done.one["$dup"]
    assert printed_too_early(calls, dirty=[file], known=[file]) == []
