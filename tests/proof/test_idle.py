"""A follower that has nothing to do does nothing."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

from proof.witness import Watched, bytes_of
from support import Shell

SWEEP_S, SHARE = 5, 0.002


def wake_ups(pid: int) -> int:
    """How often the process waited, and so woke. A count: whatever else the machine does, it does not change it."""
    found = re.search(
        r"^voluntary_ctxt_switches:\s*(\d+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE
    )
    assert found
    return int(found[1])


def cpu_s(pid: int) -> float:
    """CPU time of a process with one thread."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def test_a_follower_sleeps_while_nothing_happens(
    shell: Shell, long: bool, say: Callable[[str], None]
) -> None:
    window = 60 if long else 3
    emit = "ev emit proof.made --to agent:reader"
    bytes_of(shell, emit)
    with Watched(shell, "ev tail -f") as tail, Watched(shell, "msg recv -f --as reader") as recv:
        pids = [one.child.pid for one in (tail, recv) if one.line()]
        bytes_of(shell, emit)
        # tail prints what was there before it follows; this came to a follower
        assert json.loads(tail.line())["event_id"] == json.loads(recv.line())["event_id"]
        woke, used = [wake_ups(pid) for pid in pids], [cpu_s(pid) for pid in pids]
        time.sleep(window)  # that nothing happens can only be waited for
        woke = [wake_ups(pid) - before for pid, before in zip(pids, woke, strict=True)]
        used = [cpu_s(pid) - before for pid, before in zip(pids, used, strict=True)]
    spent = f"{1000 * max(used):.1f} ms of CPU"
    say(f"idle: in {window} s `ev tail -f` woke {woke[0]} times, `msg recv -f` {woke[1]}; {spent}")
    # A few for each slow sweep, which may have to wait for a page; a poll of 50 ms would wake 20 times a second.
    assert max(woke) <= 4 * (window // SWEEP_S + 1)
    if long:
        assert max(used) < SHARE * window
