"""A follower that has nothing to do does nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from proof.witness import Watched, bytes_of
from support import Shell

SHARE = 0.002


def cpu_s(pid: int) -> float:
    """CPU time of a process with one thread, to the nanosecond where the kernel keeps it so."""
    fine = Path(f"/proc/{pid}/schedstat")
    if fine.exists():
        return int(fine.read_text().split()[0]) / 1e9
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def grain_s(pid: int) -> float:
    return 0.0 if Path(f"/proc/{pid}/schedstat").exists() else 1 / os.sysconf("SC_CLK_TCK")


def test_a_follower_takes_no_cpu_while_nothing_happens(shell: Shell, long: bool, say: Callable[[str], None]) -> None:
    window = 60 if long else 3
    bytes_of(shell, "ev emit proof.made --to agent:reader")
    with Watched(shell, "ev tail -f") as tail, Watched(shell, "msg recv -f --as reader") as recv:
        pids = [one.child.pid for one in (tail, recv) if one.line()]  # both follow, and have said all there is
        before = [cpu_s(pid) for pid in pids]
        time.sleep(window)
        used = [cpu_s(pid) - start for pid, start in zip(pids, before, strict=True)]
        grain = grain_s(pids[0])
    shares = [f"{100 * one / window:.3f} %" for one in used]
    say(f"idle: over {window} s `ev tail -f` took {shares[0]} of a CPU, `msg recv -f` {shares[1]}")
    assert max(used) < SHARE * window + grain
