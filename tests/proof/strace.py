"""Processes under strace: which of their calls change something, and a death or a failure put at one of them.

strace counts each kind of call for itself, in each process: a `Point` is reached by the first process that comes to it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from support import Done, Shell, hear

WRITES = ("write", "pwrite64", "writev")
SYNCS = ("fdatasync", "fsync")
NAMES = (
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
)
READS = ("pread64", "getdents64")
KINDS = (*WRITES, *SYNCS, *NAMES, "openat", "ftruncate", "flock")
"""The calls that change what others see of the disk or of a lock; of `openat` those that may make a file."""
STORE = "/.coord/"
_LINE = re.compile(r"(\d+) +(\w+)\((.*)")
_PATH = re.compile(r"<(/[^>]*)>")


class Point(NamedTuple):
    """The nth call of a kind."""

    kind: str
    nth: int


class Call(NamedTuple):
    """A call that a process made."""

    pid: int
    point: Point
    said: str
    """Its arguments and its result, with the paths of descriptors behind them, as strace writes them."""

    @property
    def paths(self) -> list[str]:
        return _PATH.findall(self.said)

    @property
    def of_store(self) -> bool:
        return STORE in self.said

    @property
    def changes(self) -> bool:
        kind = self.point.kind
        return kind not in READS and (
            kind != "openat" or "O_CREAT" in self.said or "O_TRUNC" in self.said
        )


class Strace:
    """Runs command lines of a shell under strace."""

    def __init__(self, shell: Shell, log: Path) -> None:
        """Skips the test where strace is missing, or may not trace."""
        self.shell, self._log = shell, log
        if not shutil.which("strace"):
            pytest.skip("strace is not installed: no call can be made to fail")
        if shell(f"strace -o {log} true", expect=None).status:
            pytest.skip("strace may not trace here: no call can be made to fail")

    def calls(self, line: str, **env: str) -> tuple[Done, list[Call]]:
        """Run it untouched: how it ended, and its calls of these kinds in the order in which they began."""
        done = self._run("", line, env)
        hear(done.err)
        seen: dict[tuple[str, str], int] = {}
        found = []
        for pid, kind, said in _LINE.findall(self._log.read_text(errors="replace")):
            seen[pid, kind] = nth = seen.get((pid, kind), 0) + 1
            found.append(Call(int(pid), Point(kind, nth), said))
        return done, found

    def dies(self, point: Point, line: str) -> tuple[Done, bool]:
        """Run it, with SIGKILL in place of this call. Was one killed?"""
        done = self._run(f"-e inject={point.kind}:signal=SIGKILL:when={point.nth}", line, {})
        hear(done.err)
        return done, "killed by SIGKILL" in self._log.read_text(errors="replace")

    def fails(self, point: Point, error: str, line: str) -> tuple[Done, bool]:
        """Run it, with an error in place of this call. Did one fail, and none that was not about the store?

        Another process than the one that was meant may come to its nth call, too, even before it is ours.
        """
        done = self._run(f"-e inject={point.kind}:error={error}:when={point.nth}", line, {})
        failed = [
            said
            for said in self._log.read_text(errors="replace").split("\n")
            if "(INJECTED)" in said
        ]
        return done, bool(failed) and all(STORE in said for said in failed)

    def _run(self, inject: str, line: str, env: dict[str, str]) -> Done:
        trace = f"strace -f -qq -y -s 0 -o {self._log} -e trace={','.join((*KINDS, *READS))} {inject} {line}"
        env = self.shell.env | {"PYTHONDONTWRITEBYTECODE": "1"} | env
        ended = subprocess.run(
            ["bash", "-c", trace], cwd=self.shell.cwd, env=env, capture_output=True, timeout=120
        )
        return Done(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
