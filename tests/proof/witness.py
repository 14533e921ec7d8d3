"""What the proofs share: a child whose lines are awaited and never slept for, and the journal as others see it."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from support import Json, Shell, hear

PATIENCE_S = 30.0
"""How long anything may take before it counts as never. Generous: a busy machine is no bug."""


class Watched:
    """A child process and the lines it prints, each awaited with a deadline; ended for certain on leaving."""

    def __init__(self, shell: Shell, line: str, **kwargs: Any) -> None:
        self.child = shell.popen(line, stdout=subprocess.PIPE, bufsize=0, **kwargs)
        assert self.child.stdout
        self.out, self.held, self.printed = self.child.stdout.fileno(), b"", 0

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.kill()
        for pipe in (self.child.stdin, self.child.stdout):
            if pipe:
                pipe.close()
        self.child.wait(PATIENCE_S)

    def tell(self, data: bytes) -> None:
        """Write to its stdin."""
        assert self.child.stdin
        view = memoryview(data)
        while view:
            view = view[os.write(self.child.stdin.fileno(), view) :]

    def line(self, within: float = PATIENCE_S) -> bytes:
        """Its next line. Fails if it ends, or says nothing for so long."""
        end = time.monotonic() + within
        while b"\n" not in self.held:
            assert self.take(end - time.monotonic()), (
                f"{self.child.args!r} ended after {self.held!r}"
            )
        line, _, self.held = self.held.partition(b"\n")
        return line

    def take(self, within: float) -> bool:
        """Hold what it prints next; False at its end."""
        ready, _, _ = select.select([self.out], [], [], max(0.0, within))
        assert ready, f"{self.child.args!r} printed nothing more for too long"
        chunk = os.read(self.out, 1 << 16)
        self.held += chunk
        self.printed += len(chunk)
        return bool(chunk)

    def rest(self) -> list[bytes]:
        """The whole lines it prints up to its end."""
        end = time.monotonic() + PATIENCE_S
        while self.take(end - time.monotonic()):
            pass
        *whole, self.held = self.held.split(b"\n")
        return whole


def bytes_of(shell: Shell, command: str) -> bytes:
    """What a command that must succeed prints."""
    argv = ["bash", "-c", command]
    ended = subprocess.run(argv, cwd=shell.cwd, env=shell.env, capture_output=True, timeout=300)
    hear(ended.stderr.decode())
    assert ended.returncode == 0 and not ended.stderr, (
        f"{command}: {ended.returncode} {ended.stderr.decode()}"
    )
    return ended.stdout


def replayed(shell: Shell) -> list[bytes]:
    """Every event's line, in order; nothing torn at the end."""
    *whole, torn = bytes_of(shell, "ev replay").split(b"\n")
    assert not torn
    return whole


def bad_lines(shell: Shell) -> list[Json]:
    """What `ev verify` finds, a torn tail included."""
    done = shell("ev verify", expect=None)
    assert done.status in (0, 1), done.err
    return done.lines


def segments(shell: Shell) -> Iterator[os.DirEntry[str]]:
    """The files of all streams."""
    with os.scandir(shell.cwd / ".coord/journal") as streams:
        for stream in streams:
            with os.scandir(stream.path) as files:
                yield from files


def journal_size(shell: Shell) -> int:
    return sum(file.stat().st_size for file in segments(shell))


def is_torn(shell: Shell) -> bool:
    """Does the newest segment of the one stream end in the middle of a line?"""
    with open(max(file.path for file in segments(shell)), "rb") as file:
        return file.read()[-1:] not in (b"", b"\n")
