"""git in the store's own repository. Nothing of the caller's git environment reaches it, and no hook runs.

Plumbing only, as processes for refs and the network, by GitPython's object database for objects: no work tree,
no index, no checkout.
"""

from __future__ import annotations

import os
import select
import time

from coord_envelope import world
from coord_envelope.errors import Unreachable
from coord_envelope.platform import signal, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_kernel.store.directory import Store
    from coord_kernel.sync.remote import Remote

_KEPT = ("GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_ASKPASS")
"""How the user reaches a remote. All other GIT_* may be a hook's, and name another repository."""
_DEFAULT = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python or we ignore, and git must not."""
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

    It and what it starts are ended when the time is up or we are interrupted. (subprocess would do it, and takes 6 ms
    to import: as long as a look at the remote.)
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
    given, out, error = os.pipe(), os.pipe(), os.pipe()
    theirs, ours, said = (
        (given[0], out[1], error[1]),
        {given[1], out[0], error[0]},
        {out[0]: b"", error[0]: b""},
    )
    before = signal.signal(
        signal.SIGPIPE, signal.SIG_IGN
    )  # one that ends without reading must not end us
    try:
        pid = _started(argv, clean, theirs)
        try:
            _converse(ours, given[1], stdin, said, time.monotonic() + seconds)
        except BaseException:
            os.killpg(pid, signal.SIGKILL)
            raise
        finally:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        signal.signal(signal.SIGPIPE, before)
        for fd in ours:
            os.close(fd)
    return status, said[out[0]], said[error[0]]


def _started(argv: Sequence[str], env: dict[str, str], ends: Sequence[int]) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(ends)]
    try:
        return os.posix_spawnp(
            argv[0], list(argv), env, file_actions=actions, setsid=True, setsigdef=_DEFAULT
        )
    except FileNotFoundError:
        raise Unreachable("git is not installed", todo="sync needs it") from None
    finally:
        for fd in ends:
            os.close(fd)


def _converse(ours: set[int], given: int, rest: bytes, said: dict[int, bytes], end: float) -> None:
    """Write all of `rest` to `given`, gather what the others say, and close each at its end. Raises TimeoutError."""
    poll = select.poll()
    os.set_blocking(given, False)
    for fd in ours:
        poll.register(fd, select.POLLOUT if fd == given else select.POLLIN)
    while ours:
        ready = poll.poll(max(0.0, end - time.monotonic()) * 1000)
        if not ready:
            raise TimeoutError
        for fd, _ in ready:
            if fd == given:
                more = rest = rest[_written(fd, rest) :]
            else:
                more = os.read(fd, 1 << 16)
                said[fd] += more
            if not more:
                poll.unregister(fd)
                ours.remove(fd)
                os.close(fd)


def _written(fd: int, data: bytes) -> int:
    try:
        return os.write(fd, data[: 1 << 16])
    except BrokenPipeError:
        return len(data)


def reason(error: bytes) -> str:
    """What git complains of, in one line."""
    lines = [line.strip() for line in error.decode("utf-8", "replace").splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
    return (told or lines or [""])[0].removeprefix("fatal: ").removeprefix("error: ")


def jitter(attempt: int) -> float:
    """Seconds to wait after being beaten so many times: random, so that two do not meet again."""
    return int.from_bytes(world.entropy(2), "big") / 65_536 * min(0.05 * (1 << attempt), 2.0)
