"""The command as a process: in its own session and group, ended with all that it leaves behind.

Starting it, so that it cannot outlive the attempt:

    1. open pipes for its output, each of which holds one write; input comes from a file in memory,
       which nobody has to feed
    2. fork; the child makes its own session, so that one signal reaches the whole group
    3. the child asks the kernel to be killed when its parent dies, then looks whether that is gone
    4. the child changes directory and becomes the command

Ending it, so that nothing of it goes on and no signal hits a stranger:

    1. see that it ended without reaping it: until then the kernel keeps its number for it
    2. wait a second for those that still hold its output open, so that their last words are kept
    3. kill the group, then reap
    4. kill the children that this process has now: whoever left the group became its child, because
       it adopts orphans. Killing one may orphan more: repeat until there are none

A substrate that ends its command when standard input ends (ssh) gets a lifeline instead of a file:
a pipe whose writer is a process that dies with this one.
"""

from __future__ import annotations

import fcntl
import os
import select

from coord_envelope import Fault
from coord_envelope.platform import signal, suppress
from coord_kernel.cli.call import Call
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
    """The command, started.

    `pipes` are what it writes: standard output, standard error. `ready` says which can be read, in
    the order in which they were written: a pipe holds one write, of at most PIPE_BUF bytes, until
    it is read, and `ready` is edge-triggered, so that it lists the pipe last that was filled last.
    """

    def __init__(self, command: Command) -> None:
        """Raises OSError: nothing was started."""
        ends = [_pipe() for _ in STREAMS]
        stdin = _as_lifeline(command.stdin) if command.lifeline else _as_file(command.stdin)
        self.pipes = [reader for reader, _ in ends]
        self.ready = select.epoll()  # before the command can write
        for reader in self.pipes:
            self.ready.register(reader, select.EPOLLIN | select.EPOLLET)
        self.linger_until, self.ended = NEVER, False
        dies_with_us = child.dies_with_parent()
        self._pid = os.fork()
        if not self._pid:
            _become(command, [stdin, *(writer for _, writer in ends)], dies_with_us)
        for fd in (stdin, *(writer for _, writer in ends)):
            os.close(fd)

    def over(self, awaited: bool) -> bool:
        """Has it ended, and either is no more output awaited, or has its second passed?"""
        if not self.ended:
            options = os.WEXITED | os.WNOWAIT | os.WNOHANG
            self.ended = os.waitid(os.P_PID, self._pid, options) is not None
            self.linger_until = machine.boot_ns() + LINGER_NS if self.ended else NEVER
        return self.ended and (not awaited or machine.boot_ns() >= self.linger_until)

    def signal(self, number: int) -> None:
        """Send a signal to the whole group."""
        try:
            os.killpg(self._pid, number)
        except ProcessLookupError:  # the child has not made its group yet
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)
        except PermissionError:  # it changed its user
            pass

    def reap(self) -> int:
        """Its exit status, or minus the number of the signal that ended it. Kills its group."""
        self.signal(signal.SIGKILL)  # before it is reaped: then its number may be another's
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def _pipe() -> tuple[int, int]:
    """A pipe that holds one write: both its ends."""
    try:
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_DIRECT)
    except OSError:  # a kernel without: the order of what is written at once is not kept
        return os.pipe2(os.O_CLOEXEC)
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, select.PIPE_BUF)
    return reader, writer


def kill_orphans() -> None:
    """Kill all that the command left behind: this process is their parent now."""
    for _ in range(TRIES):
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for pid in child.children():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        select.select([], [], [], 0.01)


def kill_remains(run: str, n: int) -> None:
    """Kill what is left of an attempt that died with its worker: all that has its variables.

    Linux only.
    """
    marks = {f"RUN_ID={run}".encode(), f"RUN_ATTEMPT={n}".encode()}
    for name in filter(str.isdecimal, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        with suppress(OSError):
            with open(f"/proc/{name}/environ", "rb") as file:
                variables = file.read().split(b"\0")
            if marks.issubset(variables):
                os.kill(int(name), signal.SIGKILL)


def _become(command: Command, fds: list[int], dies_with_parent: Callable[[], bool]) -> NoReturn:
    """In the child: become the command."""
    try:
        os.setsid()
        if not dies_with_parent():
            os._exit(128 + signal.SIGKILL)
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
        os.chdir(os.path.join(command.root, command.below))
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        child.become(command.argv, {**environment(), **command.env}, Call.complain)
    finally:
        os._exit(Fault.status)


def _as_lifeline(data: bytes) -> int:
    """A descriptor that reads these bytes, and comes to its end only when this process does."""
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
    """A descriptor that reads these bytes, without a pipe that somebody would have to fill."""
    if not data:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    fd = os.memfd_create("input", os.MFD_CLOEXEC)
    write_all(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
