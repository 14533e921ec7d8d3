"""Long output through a pager, as git does: only for a person, and only what a reader prints."""

from __future__ import annotations

import os

from coord_envelope.platform import signal, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

DEFAULT = "less"


class Pager:
    """A pager that stands in place of standard output until `close`.

    It is `$COORD_PAGER`, else `$PAGER`, else less; `cat` or an empty one means none. less ends at
    once if all fits on one screen, and shows colours, unless `$LESS` says otherwise.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid

    @classmethod
    def start(cls) -> Self | None:
        """Put a pager in place of descriptor 1; None if none is wanted or it cannot be started."""
        own, usual = os.environ.get("COORD_PAGER"), os.environ.get("PAGER", DEFAULT)
        command = usual if own is None else own
        if not os.isatty(1) or command.strip() in ("", "cat") or not _there(command):
            return None
        environment = {"LESS": "FRX", "LV": "-c", **os.environ}
        read, write = os.pipe()
        try:
            pid = os.posix_spawnp(
                "sh",
                ["sh", "-c", command],
                environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, read, 0), (os.POSIX_SPAWN_CLOSE, write)],
                setsigdef=[signal.SIGPIPE, signal.SIGINT],
            )
        except OSError:
            os.close(read)
            os.close(write)
            return None
        os.close(read)
        os.dup2(write, 1)
        os.close(write)
        return cls(pid)

    def close(self) -> None:
        """End its input and wait until the person leaves it."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the pager's
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
        with suppress(OSError):
            os.waitpid(self._pid, 0)


def _there(command: str) -> bool:
    """Is the program of a command on PATH? Else what it should show would be lost."""
    program = command.split()[0]
    places = [""] if "/" in program else os.environ.get("PATH", os.defpath).split(":")
    return any(os.access(os.path.join(place, program), os.X_OK) for place in places)
