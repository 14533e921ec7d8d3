"""What the checks ask this machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess

from coord_envelope.errors import Unreachable
from coord_envelope.platform import sqlite3, suppress
from coord_kernel.streams.inotify import Inotify

LEAST_GIT = (2, 29)
"""The first with what `ev sync` uses: fetch --stdin and --no-write-fetch-head."""
LEAST_ROOM = 50_000_000
"""Bytes; less is a problem."""


def python() -> str:
    """The version of this Python."""
    return platform.python_version()


def git() -> tuple[int, ...] | None:
    """The version of git; None if it cannot be run."""
    with suppress(OSError, subprocess.TimeoutExpired):
        argv = ["git", "--version"]
        said = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=10)
        found = re.search(rb"(\d+)\.(\d+)(?:\.(\d+))?", said.stdout)
        if said.returncode == 0 and found:
            return tuple(int(part) for part in found.groups() if part)
    return None


def inotify() -> Unreachable | None:
    """Why a process cannot be notified of a file's change; None if it can."""
    try:
        Inotify().watch(os.curdir)
    except OSError as error:
        what = f"no inotify watch: {(error.strerror or '').lower()}"
        return Unreachable(what, todo="raise fs.inotify.max_user_watches with sysctl")
    return None


def room(path: str) -> tuple[int, int]:
    """Bytes and inodes that are free there; -1 inodes where they are not counted."""
    free = os.statvfs(path)
    return free.f_bavail * free.f_frsize, free.f_favail if free.f_files else -1


def damage(path: str) -> str:
    """What SQLite finds wrong with a file; empty if nothing."""
    try:
        database = sqlite3.connect(f"file:{path.replace('?', '%3f')}?mode=ro", uri=True)
        try:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            database.close()
    except sqlite3.Error as error:
        return "" if "locked" in str(error) else str(error)
    return "" if found == "ok" else str(found)
