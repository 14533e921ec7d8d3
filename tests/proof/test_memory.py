"""Reading a long history takes the memory of its streams, not of its events."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

from proof.witness import bytes_of
from support import Shell

AGENTS, LIMIT_MIB = 8, 150

# A child's ru_maxrss counts what its parent had in memory at the fork, so the parent is a small process.
MEASURE = """
import os, sys
argv = sys.argv[2:]
pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=[
    (os.POSIX_SPAWN_OPEN, 1, sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)])
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""
# In a process of its own for the same reason. Two agents' events alternate in batches.
BUILD = f"""
import sys
from coord_kernel import Journal, find
first, last = int(sys.argv[1]), int(sys.argv[2])
journal = Journal(find())
for start in range(first, last, 1_000):
    actor = {{"agent_id": f"agent:a{{start // 1_000 % {AGENTS}}}"}}
    journal.append(actor, [{{"type": "proof.old", "body": {{"n": n}}}} for n in range(start, start + 1_000)])
"""


def python(shell: Shell, code: str, *argv: str) -> str:
    command = [sys.executable, "-c", code, *argv]
    return subprocess.run(
        command, cwd=shell.cwd, env=shell.env, check=True, capture_output=True, text=True
    ).stdout


def peak_mib(shell: Shell, *argv: str) -> float:
    """The most memory a command has, which must succeed; its output is in `printed`."""
    status, kib = python(shell, MEASURE, str(shell.cwd / "printed"), *argv).split()
    assert status == "0", f"{argv}: exit {status}"
    return int(kib) / 1024


def grow(shell: Shell, first: int, last: int) -> float:
    """Append the events with these numbers; the MiB they have."""
    python(shell, BUILD, str(first), str(last))
    sizes = (file.stat().st_size for file in (shell.cwd / ".coord/journal").glob("*/*.jsonl"))
    return sum(sizes) / (1 << 20)


def printed_in_order(shell: Shell) -> int:
    """How many events the last command printed; each id greater than the one before."""
    count, before = 0, b""
    with open(shell.cwd / "printed", "rb") as file:
        for line in file:
            event_id = line[len('{"event_id":"') :][:26]
            assert before < event_id and line.endswith(b"}\n")
            count, before = count + 1, event_id
    return count


def test_replay_and_look_ups_do_not_hold_the_history(
    shell: Shell, long: bool, say: Callable[[str], None]
) -> None:
    few, many = (100_000, 1_000_000) if long else (12_000, 60_000)
    before = grow(shell, 0, few)
    small = peak_mib(shell, "ev", "replay")
    grown = grow(shell, few, many) - before
    peak = peak_mib(shell, "ev", "replay")
    assert printed_in_order(shell) == many
    assert peak < LIMIT_MIB
    # Held as bytes, the events in between would take `grown` more; held as objects, several times that.
    assert peak - small < grown / 2, (
        f"{small:.1f} MiB for {few:,} events, {peak:.1f} MiB for {many:,}"
    )
    look_up = check_look_ups(shell, many)
    say(
        f"memory: replay of {few:,} events {small:.0f} MiB, of {many:,} ({before + grown:.0f} MiB) {peak:.0f} MiB; "
        f"making their index {look_up:.0f} MiB (limit {LIMIT_MIB})"
    )


def check_look_ups(shell: Shell, count: int) -> float:
    """The tail is the newest ten; a key is found again. The memory of the look-up that makes the index."""
    newest = [
        json.loads(line)["body"]["n"] for line in bytes_of(shell, "ev tail -n 10").splitlines()
    ]
    assert newest == list(range(count - 10, count))
    assert not (shell.cwd / ".coord/local/index.sqlite").exists()
    peak = peak_mib(shell, "ev", "emit", "proof.new", "--key", "once")
    first = (shell.cwd / "printed").read_bytes().strip()
    assert bytes_of(shell, "ev emit proof.new --key once").strip() == first[:-1] + b',"$dup":true}'
    assert peak < LIMIT_MIB
    os.remove(shell.cwd / "printed")
    return peak
