"""A child process that becomes a command, and does not outlive who started it, as far as the kernel can see to that."""

from __future__ import annotations

import contextlib
import os
import signal

from coord_envelope.errors import Fault

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
"""Signals that are for the command, when they come to who started it."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def dies_with_parent() -> Callable[[], bool]:
    """What, called in a child, has the kernel kill it when its parent dies: False if that was before.

    Made in the parent: it imports.
    """
    prctl, parent = _prctl(), os.getpid()

    def ask() -> bool:
        if prctl:
            prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        return os.getppid() == parent

    return ask


def adopt_orphans() -> bool:
    """From here on this process is the parent of whom its descendants leave behind, daemons too. Linux only."""
    prctl = _prctl()
    return bool(prctl and prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def children() -> list[int]:
    """The processes whose parent this one is. Linux only."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _prctl() -> Callable[..., int] | None:
    try:
        from ctypes import CDLL  # 20 ms

        return CDLL(None).prctl
    except (ImportError, AttributeError, OSError):
        return None  # no Linux


def become(
    argv: Sequence[str], environment: Mapping[str, str], complain: Callable[[Fault], None]
) -> NoReturn:
    """In a child: be the command. It ends with 127 if that is not there, 126 if it cannot be run, and says so."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # ours, and Python's own, to ignore
            signal.signal(number, signal.SIG_DFL)
        for number in (signal.SIGCHLD, *PASSED_ON):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        os.execvpe(argv[0], list(argv), environment)
    except (OSError, ValueError) as error:
        what = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        complain(Fault(what.lower(), where=argv[0]))
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
    finally:
        os._exit(Fault.status)


class Signals:
    """Signals that came, noted instead of acted on. `fd` is readable once one did."""

    def __init__(self, *numbers: int) -> None:
        self.fd, ring = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._noted: list[int] = []
        for number in numbers:
            # Who was started with one ignored (a background job, nohup) goes on ignoring it.
            if number == signal.SIGCHLD or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)
        signal.set_wakeup_fd(ring)

    def take(self) -> list[int]:
        """Those that came since the last time."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 4096)
        noted, self._noted = self._noted, []
        return noted

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._noted.append(number)
