"""Run a program to its end: bytes to its standard input, bytes from its two outputs.

    1. It gets three pipes, a session of its own, and the default action of the signals that Python
       or we ignore.
    2. One poll loop writes its input and reads both outputs, so no full pipe can block either side.
    3. When the time is up, or at an exception of ours, its whole process group is killed.

It is started by `os.posix_spawnp`, because `subprocess` takes 6 ms to import: as long as `git
ls-remote` takes on a local repository. Where that or its `setsid` is missing, `subprocess` does it.
"""

from __future__ import annotations

import os
import select
import time

from coord_envelope.platform import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that we or Python ignore, and a program must not."""
_CHUNK = 1 << 16


def run(
    argv: Sequence[str], env: dict[str, str], stdin: bytes, seconds: float
) -> tuple[int, bytes, bytes]:
    """Its status (negative: the signal that killed it), standard output and standard error.

    Raises FileNotFoundError if there is no such program, TimeoutError, OSError.
    """
    theirs_in, ours_in = os.pipe()
    ours_out, theirs_out = os.pipe()
    ours_err, theirs_err = os.pipe()
    open_fds, received = {ours_in, ours_out, ours_err}, {ours_out: b"", ours_err: b""}
    # A program that ends without reading its input must not end us.
    handler = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        pid = _start(argv, env, (theirs_in, theirs_out, theirs_err))
        try:
            _converse(open_fds, ours_in, stdin, received, time.monotonic() + seconds)
        except BaseException:
            os.killpg(pid, signal.SIGKILL)
            raise
        finally:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        signal.signal(signal.SIGPIPE, handler)
        for fd in open_fds:
            os.close(fd)
    return status, received[ours_out], received[ours_err]


def _start(argv: Sequence[str], env: dict[str, str], ends: Sequence[int]) -> int:
    """Start it in a session of its own with these as its fds 0 to 2, which are closed here."""
    try:
        return os.posix_spawnp(
            argv[0],
            list(argv),
            env,
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(ends)],
            setsid=True,
            setsigdef=_IGNORED,
        )
    except (AttributeError, NotImplementedError):
        import subprocess

        stdin, stdout, stderr = ends
        child = subprocess.Popen(
            argv, env=env, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
        )
        child.returncode = 0  # it is `run` that waits for it
        return child.pid
    finally:
        for fd in ends:
            os.close(fd)


def _converse(
    open_fds: set[int], stdin_fd: int, stdin: bytes, received: dict[int, bytes], deadline: float
) -> None:
    """Write all of `stdin`, collect what is received, and close each fd at its end.

    Raises TimeoutError.
    """
    poll = select.poll()
    os.set_blocking(stdin_fd, False)
    for fd in open_fds:
        poll.register(fd, select.POLLOUT if fd == stdin_fd else select.POLLIN)
    while open_fds:
        ready = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if not ready:
            raise TimeoutError
        for fd, _ in ready:
            if fd == stdin_fd:
                data = stdin = stdin[_written(fd, stdin) :]
            else:
                data = os.read(fd, _CHUNK)
                received[fd] += data
            if not data:
                poll.unregister(fd)
                open_fds.remove(fd)
                os.close(fd)


def _written(fd: int, data: bytes) -> int:
    try:
        return os.write(fd, data[:_CHUNK])
    except BrokenPipeError:  # it does not want the rest
        return len(data)
