"""Run a program to its end: bytes to its standard input, bytes from its two outputs.

    1. It gets three pipes, a session of its own, and the default action of the signals that Python
       or we ignore. A program that may ask the user something stays in this session, and what
       it says on standard error is shown, if that is a terminal.
    2. One poll loop writes its input and reads both outputs, so no full pipe can block either side.
    3. It is done when it has ended, even if a process that it left behind (ssh's ControlPersist)
       keeps a pipe open: what is in the pipes then is read, and nothing more is waited for.
    4. When the time is up, or at an exception of ours, its whole process group is killed; in this
       session only the process is.

It is started by `os.posix_spawnp`, because `subprocess` takes 6 ms to import: as long as `git
ls-remote` takes on a local repository. Where that or its `setsid` is missing, `subprocess` does it.
"""

from __future__ import annotations

import os
import select
import time

from coord_envelope.platform import signal, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that we or Python ignore, and a program must not."""
DAY_S = 86_400.0
_CHUNK = 1 << 16
_PIPE = 16
"""Chunks in a full pipe, at most."""
_LOOK_MS = 50
"""Between two looks whether it has ended, where there are no pidfds (macOS)."""


def run(
    argv: Sequence[str],
    env: dict[str, str],
    stdin: bytes = b"",
    seconds: float = DAY_S,
    asks: bool = False,
) -> tuple[int, bytes, bytes]:
    """Its status (negative: the signal that killed it), standard output and standard error.

    `asks`: it may ask the user something at the terminal; what it shows there is not returned.
    Raises FileNotFoundError if there is no such program, TimeoutError, OSError.
    """
    theirs_in, ours_in = os.pipe()
    ours_out, theirs_out = os.pipe()
    ours_err, theirs_err = os.pipe()
    open_fds, received = {ours_in, ours_out, ours_err}, {ours_out: b"", ours_err: b""}
    # A program that ends without reading its input must not end us.
    handler = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        pid = _start(argv, env, (theirs_in, theirs_out, theirs_err), asks)
        ended = _pidfd(pid)
        try:
            _converse(open_fds, ours_in, stdin, received, (pid, ended, time.monotonic() + seconds))
        except BaseException:
            (os.kill if asks else os.killpg)(pid, signal.SIGKILL)
            raise
        finally:
            if ended is not None:
                os.close(ended)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        signal.signal(signal.SIGPIPE, handler)
        for fd in open_fds:
            os.close(fd)
    return status, received[ours_out], received[ours_err]


def _start(argv: Sequence[str], env: dict[str, str], ends: Sequence[int], asks: bool) -> int:
    """Start it with these as its fds 0 to 2, which are closed here."""
    theirs = [2 if asks and fd == ends[2] and os.isatty(2) else fd for fd in ends]
    try:
        return os.posix_spawnp(
            argv[0],
            list(argv),
            env,
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(theirs)],
            setsid=not asks,
            setsigdef=_IGNORED,
        )
    except (AttributeError, NotImplementedError):
        import subprocess

        stdin, stdout, stderr = theirs
        child = subprocess.Popen(
            argv, env=env, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=not asks
        )
        child.returncode = 0  # it is `run` that waits for it
        return child.pid
    finally:
        for fd in ends:
            os.close(fd)


def _pidfd(pid: int) -> int | None:
    """A descriptor that is readable when the process has ended; None if the system has none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def chunks(pid: int, fd: int) -> Iterator[bytes]:
    """What a child writes to a pipe, until it has ended; what it leaves behind is not waited for.

    The caller closes the pipe, which does not block any more, and waits for the child.
    """
    ended = _pidfd(pid)
    poll = select.poll()
    os.set_blocking(fd, False)
    poll.register(fd, select.POLLIN)
    if ended is not None:
        poll.register(ended, select.POLLIN)
    try:
        received, over = {fd: b""}, False
        while not over:
            ready = dict(poll.poll(_LOOK_MS if ended is None else None))
            over = ended in ready or (ended is None and _has_ended(pid))
            if over or fd in ready:
                received[fd] = b""
                over = not _read(fd, received, _PIPE if over else 1) or over
                yield received[fd]
    finally:
        if ended is not None:
            os.close(ended)


def _converse(
    open_fds: set[int],
    stdin_fd: int,
    stdin: bytes,
    received: dict[int, bytes],
    until: tuple[int, int | None, float],
) -> None:
    """Write all of `stdin`, collect what is received, and close each fd at its end.

    `until` is the process, its pidfd and the deadline. Raises TimeoutError.
    """
    pid, pidfd, deadline = until
    poll = select.poll()
    for fd in open_fds:
        os.set_blocking(fd, False)
        poll.register(fd, select.POLLOUT if fd == stdin_fd else select.POLLIN)
    if pidfd is not None:
        poll.register(pidfd, select.POLLIN)
    while open_fds:
        left_ms = max(0.0, deadline - time.monotonic()) * 1000
        wait_ms = left_ms if pidfd is not None else min(left_ms, _LOOK_MS)
        ready = [fd for fd, _ in poll.poll(wait_ms)]
        ended = pidfd in ready or (pidfd is None and _has_ended(pid))
        if not ready and not ended and deadline <= time.monotonic():
            raise TimeoutError
        for fd in list(open_fds) if ended else ready:
            if fd == stdin_fd:
                data = stdin = stdin[_written(fd, stdin) :]
            else:
                data = _read(fd, received, _PIPE if ended else 1)
            if not data or ended:
                poll.unregister(fd)
                open_fds.remove(fd)
                os.close(fd)


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _read(fd: int, received: dict[int, bytes], chunks: int) -> bytes:
    """Read what is in the pipe, at most so many chunks. Returns nothing at its end."""
    data = b""
    with suppress(BlockingIOError):
        for _ in range(chunks):
            data = os.read(fd, _CHUNK)
            if not data:
                break
            received[fd] += data
    return data


def _written(fd: int, data: bytes) -> int:
    try:
        return os.write(fd, data[:_CHUNK])
    except BlockingIOError:  # it has ended without reading
        return 0
    except BrokenPipeError:  # it does not want the rest
        return len(data)
