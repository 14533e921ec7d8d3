"""What the tests of run share: a running worker, a gate that a job waits at, its processes."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator
from pathlib import Path

from proof.witness import PATIENCE_S, Watched
from support import Json, Shell


def requested(shell: Shell, command: str, options: str = "") -> str:
    """Request a job; its id."""
    return str(shell(f"run request {options} -o id -- {command}").out.strip())


def state(shell: Shell, run: str) -> Json:
    return shell(f"run show {run}").one


def types(shell: Shell, run: str) -> list[str]:
    """The types of the events about a job, without their namespace."""
    return [
        event["type"][4:]
        for event in shell("ev replay --type 'run.*'").lines
        if event["refs"]["run_id"] == run
    ]


@contextlib.contextmanager
def worker(shell: Shell, options: str = "", **env: str) -> Iterator[Watched]:
    """A worker that runs until the block or a signal ends it."""
    words = " ".join(f"{name}='{value}'" for name, value in env.items())
    with Watched(shell, f"env {words} run worker {options}") as watched:
        yield watched


class Gate:
    """A pipe that a job waits at: `read x <gate`."""

    def __init__(self, cwd: Path, name: str = "gate") -> None:
        self.path = cwd / name
        os.mkfifo(self.path)

    def open(self) -> None:
        """Let one job through, as soon as it waits."""
        with self.path.open("w") as opened:
            opened.write("go\n")


def ended(pid: int) -> bool:
    """Wait until a process is gone."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], PATIENCE_S)[0])
    finally:
        os.close(process)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
