"""git in the store's own repository, without the caller's git environment and without hooks.

Only plumbing commands: processes for refs and the network. Objects are read and written by
GitPython's object database (`tree`). There is no work tree, no index and no checkout.
"""

from __future__ import annotations

import os
import time

from coord_envelope.errors import Unreachable
from coord_envelope.platform import suppress
from coord_kernel.proc import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_kernel.store.directory import Store
    from coord_kernel.sync.remote import Remote

_KEPT = ("GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_ASKPASS")
"""How the user reaches a remote. Other GIT_* variables may be a hook's, of another repository."""
_ALWAYS = (
    ("core.hooksPath", "/dev/null"),
    ("core.autocrlf", "false"),
    ("core.bigFileThreshold", "8m"),  # larger files are streamed to the disk, never held in memory
    ("pack.window", "1"),  # a segment is a delta of its last state; a longer search takes 3 times
    ("commit.gpgSign", "false"),
    ("push.gpgSign", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.ext.allow", "never"),
)


class DamagedError(Unreachable):
    """An object of the store's repository is missing or corrupt."""


class Git:
    """The store's repository, for one sync of so many seconds."""

    PROGRAM = ("git",)

    def __init__(self, store: Store, remote: Remote, seconds: float) -> None:
        self.path = os.path.join(store.path, ".git")
        self._end = time.monotonic() + seconds
        self._where = remote.name
        config = [*remote.config, *_ALWAYS]
        self._env = {"GIT_DIR": self.path, "GIT_CONFIG_COUNT": str(len(config))}
        for number, (key, value) in enumerate(config):
            self._env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}

    def left(self) -> float:
        """Seconds left of the budget."""
        return self._end - time.monotonic()

    def sweep(self, below: str = "refs") -> bool:
        """Remove the locks that a killed git left there. Were there any?

        Only under the sync's lock: nobody else is at work in the repository then.
        """
        locks = [
            os.path.join(above, file)
            for above, _, files in os.walk(os.path.join(self.path, below))
            for file in files
            if file.endswith(".lock")
        ]
        for path in locks:
            with suppress(FileNotFoundError):
                os.unlink(path)
        return bool(locks)

    def run(self, *args: str, stdin: bytes = b"", expect: Sequence[int] = (0,)) -> bytes:
        """The command's stdout. Raises Unreachable if it exits with another status or times out."""
        status, out, error = self.attempt(*args, stdin=stdin)
        if status not in expect:
            raise Unreachable(
                reason(error) or f"git {args[0]} failed", where=self._where, todo="try again later"
            )
        return out

    def attempt(self, *args: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """The command's exit status, stdout and stderr. Raises Unreachable if it times out."""
        left = self.left()
        if left <= 0:
            raise Unreachable("timed out", where=self._where, todo="allow more with --budget TIME")
        try:
            return run([*self.PROGRAM, *args], left, self._env, stdin)
        except TimeoutError:
            raise Unreachable(
                "timed out, no answer", where=self._where, todo="try again later"
            ) from None


def run(
    argv: Sequence[str], seconds: float, env: dict[str, str] | None = None, stdin: bytes = b""
) -> tuple[int, bytes, bytes]:
    """Run git: its exit status, stdout and stderr. Raises TimeoutError.

    Its process group is killed when the time is up or this process is interrupted.
    """
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name in _KEPT
    }
    clean |= {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        **(env or {}),
    }
    try:
        return spawn.run(argv, clean, stdin, seconds)
    except FileNotFoundError:
        raise Unreachable("git is not installed", todo="install it; sync needs it") from None


def reason(error: bytes) -> str:
    """git's error message, in one line."""
    lines = [line.strip() for line in error.decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
    return (errors or lines or [""])[0].removeprefix("fatal: ").removeprefix("error: ")
