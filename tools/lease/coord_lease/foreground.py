"""The terminal, lent to the process group of a command: it may read, and gets Ctrl-C and Ctrl-Z."""

from __future__ import annotations

import contextlib
import os
import signal


class Foreground:
    """Standard input's terminal. If there is none, or another group has it, nothing happens."""

    def __init__(self) -> None:
        self._ours = _in_front()

    def lend(self, group: int) -> None:
        if self._ours:
            _give(group)

    def take_back(self) -> None:
        if self._ours:
            _give(os.getpgrp())

    def stop_with(self, group: int) -> None:
        """The group was stopped: stop as well, so that the shell sees it, and go on together."""
        if self._ours:
            self.take_back()
            os.kill(0, signal.SIGTSTP)
        self._ours = _in_front()  # the shell may have put this job elsewhere meanwhile
        if self._ours:
            self.lend(group)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGCONT)


def _in_front() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _give(group: int) -> None:
    # A process in the background gets SIGTTOU for this.
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        with contextlib.suppress(OSError):  # it has hung up
            os.tcsetpgrp(0, group)
    finally:
        signal.signal(signal.SIGTTOU, before)
