"""A child process that becomes a command and, as far as the kernel allows, dies with its parent."""

from __future__ import annotations

import os
import select

from coord_envelope.errors import Fault
from coord_envelope.platform import signal, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType
    from typing import NoReturn

PASSED_ON = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
"""Signals that a wrapper forwards to its command."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def dies_with_parent() -> Callable[[], bool]:
    """A function for the child: the kernel will kill it when its parent dies.

    It returns False if the parent has died already. Made in the parent, because it imports. The
    kernel part is Linux only.
    """
    prctl, parent = _prctl(), os.getpid()

    def request() -> bool:
        if prctl:
            prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        return os.getppid() == parent

    return request


def adopt_orphans() -> bool:
    """Become the parent of every process that a descendant orphans. Linux only; False elsewhere."""
    prctl = _prctl()
    return bool(prctl and prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def children() -> list[int]:
    """The ids of this process's children. Linux only; empty elsewhere."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _prctl() -> Callable[..., int] | None:
    try:
        from ctypes import CDLL  # 2 ms

        return CDLL(None).prctl
    except (ImportError, AttributeError, OSError):
        return None  # not Linux


def become(
    argv: Sequence[str], environment: Mapping[str, str], complain: Callable[[Fault], None]
) -> NoReturn:
    """In a child: replace this process by the command.

    If that fails it complains and exits 127 if the command was not found, 126 if it cannot be run.
    """
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # ignored by us and by Python
            signal.signal(number, signal.SIG_DFL)
        for number in (signal.SIGCHLD, *PASSED_ON):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        os.execvpe(argv[0], list(argv), environment)
    except (OSError, ValueError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        complain(Fault(reason.lower(), where=argv[0]))
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
    finally:
        os._exit(Fault.status)


class Signals:
    """Signals that are collected instead of acted on. `fd` becomes readable when one arrives."""

    def __init__(self, *numbers: int) -> None:
        self.fd, wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._received: list[int] = []
        for number in numbers:
            # A process that was started with one ignored (a background job, nohup) ignores it.
            if number == signal.SIGCHLD or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._receive)
        signal.set_wakeup_fd(wakeup)

    def take(self) -> list[int]:
        """Those that arrived since the last call."""
        with suppress(BlockingIOError):
            os.read(self.fd, 4096)
        received, self._received = self._received, []
        return received

    def arrived(self) -> bool:
        """Did one arrive? It is still to be taken."""
        return bool(self._received)

    def wait(self, most_ms: int) -> bool:
        """Wait for one, at most so long. Did one arrive? It is still to be taken."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return bool(poll.poll(most_ms))

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self._received.append(number)
