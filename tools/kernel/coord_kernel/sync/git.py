"""git in the store's own repository. Nothing of the caller's git environment reaches it, and no hook runs.

Plumbing only, as processes for refs and the network, by GitPython's object database for objects: no work tree,
no index, no checkout.
"""

from __future__ import annotations

import os
import time

from coord_envelope import world
from coord_envelope.errors import Unreachable
from coord_envelope.platform import suppress
from coord_kernel.proc import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_kernel.store.directory import Store
    from coord_kernel.sync.remote import Remote

_KEPT = ("GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_ASKPASS")
"""How the user reaches a remote. All other GIT_* may be a hook's, and name another repository."""
_ALWAYS = (
    ("core.hooksPath", "/dev/null"),
    ("core.autocrlf", "false"),
    ("core.bigFileThreshold", "8m"),  # what is larger is streamed to the disk, never held
    (
        "pack.window",
        "1",
    ),  # a segment is a delta of what it was before; to look for others takes 3 times as long
    ("commit.gpgSign", "false"),
    ("push.gpgSign", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.ext.allow", "never"),
)


class DamagedError(Unreachable):
    """An object of the store's repository is missing, or is not what its id says."""


class Git:
    """The store's repository, for one sync and so many seconds."""

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
        """Remove the locks that a killed git left there; were there any? Only while nobody else syncs this store."""
        walk = os.walk(os.path.join(self.path, below))
        locks = [
            os.path.join(above, one)
            for above, _, files in walk
            for one in files
            if one.endswith(".lock")
        ]
        for path in locks:
            with suppress(FileNotFoundError):
                os.unlink(path)
        return bool(locks)

    def run(self, *args: str, stdin: bytes = b"", expect: Sequence[int] = (0,)) -> bytes:
        """What the command prints. Raises Unreachable if it ends with another status, or not in time."""
        status, out, error = self.attempt(*args, stdin=stdin)
        if status not in expect:
            raise Unreachable(
                reason(error) or f"git {args[0]} failed", where=self._where, todo="try again later"
            )
        return out

    def attempt(self, *args: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """Its status, what it prints, and what it says."""
        left = self.left()
        if left <= 0:
            raise Unreachable("the time is up", where=self._where, todo="--budget TIME gives more")
        try:
            return run([*self.PROGRAM, *args], left, self._env, stdin)
        except TimeoutError:
            raise Unreachable(
                "no answer in time", where=self._where, todo="try again later"
            ) from None


def run(
    argv: Sequence[str], seconds: float, env: dict[str, str] | None = None, stdin: bytes = b""
) -> tuple[int, bytes, bytes]:
    """Run a program of git's: its status, what it prints, what it says. Raises TimeoutError.

    It and what it starts are ended when the time is up or we are interrupted.
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
        raise Unreachable("git is not installed", todo="sync needs it") from None


def reason(error: bytes) -> str:
    """What git complains of, in one line."""
    lines = [line.strip() for line in error.decode("utf-8", "replace").splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
    return (told or lines or [""])[0].removeprefix("fatal: ").removeprefix("error: ")


def jitter(attempt: int) -> float:
    """Seconds to wait after being beaten so many times: random, so that two do not meet again."""
    return int.from_bytes(world.entropy(2), "big") / 65_536 * min(0.05 * (1 << attempt), 2.0)
