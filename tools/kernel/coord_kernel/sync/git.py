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
from coord_kernel.sync import transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_kernel.store.directory import Store
    from coord_kernel.sync.remote import Remote

_KEPT = ("GIT_SSH", "GIT_SSL_", "GIT_PROXY_", "GIT_HTTP_", "GIT_ASKPASS")
"""How the user reaches a remote, by the beginnings of the names. Other GIT_* variables may be a
hook's, of another repository."""
_ALWAYS = (
    ("core.hooksPath", "/dev/null"),
    ("core.autocrlf", "false"),
    ("commit.gpgSign", "false"),
    ("push.gpgSign", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
)
_PACKING = b"""\
[core]
\tbigFileThreshold = 1m
[pack]
\twindow = 1
"""
"""A growing segment is a delta of its last state; a full one is larger than 1 MiB and of none, and
git need not search. With 300,000 events to fetch the search was nine tenths of the time. Larger
files are streamed to the disk, never held in memory."""

_NO_CONNECTION = "fatal: Could not read from remote repository."
_ALGORITHMS = (b"mismatched algorithms", b"hash algorithm", b"object format")
_ACCESS = (
    "Permission denied",
    "Host key verification",
    "Authentication failed",
    "could not read Username",
    "not found",
    "does not exist",
    "not appear to be a git repository",
    "dubious ownership",
)
"""In what git says if another try would not help."""
_ASIDE = (
    "warning:",
    "hint:",
    "error: failed to push some refs",
    "Please make sure",
    "and the repository exists",
    "@@@",
)


class UnsupportedError(Unreachable):
    """A remote that sync cannot use, at any time."""


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
        self._env = {
            "GIT_DIR": self.path,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": self._global(store, remote),
            "GIT_ALLOW_PROTOCOL": transport.allowed(remote.url),
            "GIT_CONFIG_COUNT": str(len(config)),
        }
        for number, (key, value) in enumerate(config):
            self._env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}

    def _global(self, store: Store, remote: Remote) -> str:
        """The file that is git's global configuration.

        The git that serves a repository on this disk reads no other configuration of ours: how to
        pack, and which repositories it may use.
        """
        safe = [value for key, value in remote.config if key == "safe.directory"]
        quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in safe)
        text = "[safe]\n" + "".join(f'\tdirectory = "{value}"\n' for value in quoted)
        data = _PACKING + text.encode("utf-8", "surrogateescape")
        if store.load(".git", "global") != data:
            store.save(data, ".git", "global")
        return os.path.join(store.path, ".git", "global")

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
            raise fault(error, f"git {args[0]} failed", self._where)
        return out

    def attempt(self, *args: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """The command's exit status, stdout and stderr. Raises Unreachable if it times out."""
        left = self.left()
        if left <= 0:
            todo = "allow more with --budget TIME"
            raise Unreachable("timed out", where=self._where, todo=todo, code="timeout")
        try:
            # -C: the current directory may have been removed.
            return run([*self.PROGRAM, "-C", self.path, *args], left, self._env, stdin)
        except TimeoutError:
            raise Unreachable(
                "timed out, no answer", where=self._where, todo="try again later", code="timeout"
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
        if not name.startswith("GIT_") or name.startswith(_KEPT)
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


def fault(error: bytes, otherwise: str, where: str) -> Unreachable:
    """The Fault for what git says."""
    if any(mark in error for mark in _ALGORITHMS):
        return sha256(where)
    what, todo = reason(error) or otherwise, "try again later"
    if any(mark in what for mark in _ACCESS):
        todo = f"check that `git ls-remote {where}` works"
    return Unreachable(what, where=where, todo=todo)


def sha256(where: str) -> UnsupportedError:
    """The Fault for a remote with SHA-256 object names."""
    todo = "sync with a repository that has SHA-1 names"
    return UnsupportedError(
        "the remote has SHA-256 object names, which are not supported", where=where, todo=todo
    )


def reason(error: bytes) -> str:
    """What git says is wrong, in one line; with what ssh or the remote says, if it is that."""
    lines = [line.strip() for line in error.decode("utf-8", "replace").splitlines()]
    lines = [line for line in lines if line and not line.startswith(_ASIDE)]
    errors = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
    others = [line for line in lines if line not in errors]
    if errors and others and errors[0] == _NO_CONNECTION:
        return others[-1]  # ssh's own
    text = (errors or lines or [""])[0].removeprefix("remote: ")
    return text.removeprefix("fatal: ").removeprefix("error: ")
