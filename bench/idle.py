"""What a patrol and a worker cost while nothing happens: 10 real minutes, or `make idle`.

    python bench/idle.py [MINUTES]

A person and an agent hold work, so there is something to watch. Exit status 1 if the patrol takes
10 ms of CPU or more, if a process is started, or if an event is written.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from measure import Place

MINUTES, MOST_MS = 10, 10.0
SETTLED_S = 5
"""After the start: the first look reads the history."""


def cpu_ms(pid: int) -> float:
    """CPU time of a process, in all its threads."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def children(pid: int) -> str:
    """The processes that it has."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return " ".join((task / "children").read_text() for task in tasks).strip()


def place(path: str) -> Place:
    """A store with something to watch."""
    made = Place(path)
    subprocess.run(["git", "init", "-q"], cwd=path, check=True)
    made.run("ev", "init")
    for agent in ("human:ada", "agent:bob"):
        item = made.run("wk", "new", f"Of {agent}", "--as", "boss", "-o", "id").decode().strip()
        made.run("wk", "claim", item, "--as", agent)
    return made


def main() -> int:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        here = place(f"{scratch}/idle")
        sink = stack.enter_context(open(f"{scratch}/out", "wb"))
        argvs = (["coord-patrol"], ["run", "worker", "--slots", "4"])
        ran = [
            subprocess.Popen(
                argv, cwd=here.path, env=here.env, stdin=subprocess.DEVNULL, stdout=sink
            )
            for argv in argvs
        ]
        for process in ran:
            stack.callback(process.wait)
            stack.callback(process.terminate)
        time.sleep(SETTLED_S)
        before = [cpu_ms(process.pid) for process in ran]
        events = here.run("ev", "replay", "-o", "id")
        time.sleep(minutes * 60)
        used = [cpu_ms(process.pid) - at for process, at in zip(ran, before, strict=True)]
        started = [children(process.pid) for process in ran]
        written = here.run("ev", "replay", "-o", "id") != events or os.path.getsize(sink.name) > 0
    for argv, ms in zip(argvs, used, strict=True):
        print(f"{' '.join(argv)}: {ms:.1f} ms of CPU in {minutes:g} minutes")
    failed = [f"the patrol took {MOST_MS:g} ms of CPU or more"] * (used[0] >= MOST_MS)
    failed += ["a process was started"] * any(started) + ["an event was written"] * written
    for what in failed:
        print(f"missed: {what}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
