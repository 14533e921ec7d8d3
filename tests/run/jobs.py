"""What the tests of run share: a worker that runs, a gate that a job waits at, and who is left of its processes."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator
from pathlib import Path

from proof.witness import PATIENCE_S, Watched
from support import Json, Shell


def requested(shell: Shell, command: str, options: str = "") -> str:
    """The id of a job that was requested."""
    return str(shell(f"run request {options} -o id -- {command}").out.strip())


def state(shell: Shell, run: str) -> Json:
    return shell(f"run show {run}").one


def types(shell: Shell, run: str) -> list[str]:
    """What was said of a job."""
    return [
        one["type"][4:]
        for one in shell("ev replay --type 'run.*'").lines
        if one["refs"]["run_id"] == run
    ]


@contextlib.contextmanager
def worker(shell: Shell, options: str = "", **env: str) -> Iterator[Watched]:
    """A worker that runs until it is told to end."""
    words = " ".join(f"{name}='{value}'" for name, value in env.items())
    with Watched(shell, f"env {words} run worker {options}") as found:
        yield found


class Gate:
    """A pipe that a job waits at: `read x <gate`."""

    def __init__(self, cwd: Path, name: str = "gate") -> None:
        self.path = cwd / name
        os.mkfifo(self.path)

    def open(self) -> None:
        """Let one through, as soon as it is there."""
        with self.path.open("w") as opened:
            opened.write("go\n")


def ended(pid: int) -> bool:
    """Wait until a process is gone."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], PATIENCE_S)[0])
    finally:
        os.close(watched)


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
