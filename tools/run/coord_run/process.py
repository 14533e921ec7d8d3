"""The command as a process: in a session and group of its own, ended with all that it leaves behind."""

from __future__ import annotations

import contextlib
import os
import select
import signal

from coord_envelope import Fault
from coord_kernel.cli import complaints
from coord_kernel.proc import child
from coord_kernel.store import machine
from coord_kernel.store.disk import write_all
from coord_run.logs import STREAMS
from coord_run.substrate import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from coord_run.substrate import Command

LINGER_NS = 1_000_000_000
"""How long what the command left behind may go on writing its output."""
NEVER = 1 << 63
TRIES = 100


class Process:
    """The command, started. `pipes` are what it writes: standard output, standard error."""

    def __init__(self, command: Command) -> None:
        """Raises OSError: nothing was started."""
        ends = [os.pipe2(os.O_CLOEXEC) for _ in STREAMS]
        stdin = _as_lifeline(command.stdin) if command.lifeline else _as_file(command.stdin)
        self.pipes = [reader for reader, _ in ends]
        self.linger_until, self.ended = NEVER, False
        dies_with_us = child.dies_with_parent()
        self._pid = os.fork()
        if not self._pid:
            _become(command, [stdin, *(writer for _, writer in ends)], dies_with_us)
        for fd in (stdin, *(writer for _, writer in ends)):
            os.close(fd)

    def over(self, awaited: bool) -> bool:
        """Has it ended, and is nothing awaited from those it left behind, or had they their time?"""
        if not self.ended:
            self.ended = (
                os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
            )
            self.linger_until = machine.boot_ns() + LINGER_NS if self.ended else NEVER
        return self.ended and (not awaited or machine.boot_ns() >= self.linger_until)

    def signal(self, number: int) -> None:
        """Send it to the whole group."""
        try:
            os.killpg(self._pid, number)
        except ProcessLookupError:  # it has no group yet
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)
        except PermissionError:  # of another user by now
            pass

    def reap(self) -> int:
        """Its exit status, or the number of the signal that ended it, negative. Its group ends with it."""
        self.signal(
            signal.SIGKILL
        )  # before it is waited for: after that its number may be another's
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def sweep() -> None:
    """End everybody the command left behind, wherever they went: this process is their parent now."""
    for _ in range(TRIES):
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for pid in child.children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        select.select([], [], [], 0.01)


def hunt(run: str, n: int) -> None:
    """Kill what is left of an attempt that died with its worker: whoever has its variables. Linux only."""
    marks = (f"RUN_ID={run}".encode(), f"RUN_ATTEMPT={n}".encode())
    for name in filter(str.isdecimal, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/environ", "rb") as file:
                found = file.read().split(b"\0")
            if all(mark in found for mark in marks):
                os.kill(int(name), signal.SIGKILL)


def _become(command: Command, fds: list[int], dies_with_parent: Callable[[], bool]) -> NoReturn:
    """In the child: be the command."""
    try:
        os.setsid()
        if not dies_with_parent():
            os._exit(128 + signal.SIGKILL)
        for place, fd in enumerate(fds):
            os.dup2(fd, place)
        os.chdir(os.path.join(command.root, command.below))
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        child.become(command.argv, {**environment(), **command.env}, complaints.complain)
    finally:
        os._exit(Fault.status)


def _as_lifeline(data: bytes) -> int:
    """As `_as_file`, but it comes to its end only with this process."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    dies_with_parent = child.dies_with_parent()
    if not os.fork():
        try:
            signal.set_wakeup_fd(-1)
            os.closerange(3, writer)
            os.closerange(writer + 1, os.sysconf("SC_OPEN_MAX"))
            if dies_with_parent():
                write_all(writer, data)
                signal.pause()
        finally:
            os._exit(0)
    os.close(writer)
    return reader


def _as_file(data: bytes) -> int:
    """A descriptor that reads these bytes: no pipe, which somebody would have to fill."""
    if not data:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    fd = os.memfd_create("input", os.MFD_CLOEXEC)
    write_all(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
