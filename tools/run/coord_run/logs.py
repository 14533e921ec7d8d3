"""A job's output on the disk: `local/runs/<run_id>/<attempt>/{stdout,stderr,output}.log`.

The bytes of a log are those that the command wrote, in order, up to LOG_BYTES, except for secrets,
which are masked before they reach the disk. `output` has those of both streams, in the order of the
writes.
"""

from __future__ import annotations

import os

from coord_envelope.errors import Refused
from coord_envelope.platform import sha256, suppress
from coord_envelope.secrets import refuse_secret
from coord_kernel.store.disk import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel import Store
    from coord_run.mask import Mask
    from coord_run.types import Output

STREAMS = ("stdout", "stderr")
BOTH = "output"
LOG_BYTES = 64 << 20
"""Most bytes of a log; any further output is dropped."""
TAIL_BYTES = 4096
CHUNK = 1 << 16
PIPE_MOST = 1 << 20
"""Most bytes that a pipe holds without privileges."""


def place(run: str, *rest: str) -> tuple[str, ...]:
    """The path of a job's files in the store: `local/runs/<run_id>/<attempt>/<file>`."""
    return ("local", "runs", run, *rest)


def attempts(store: Store, run: str) -> list[int]:
    """The attempts that have logs here, ascending."""
    return sorted(
        int(name)
        for name in store.listdir("local", "runs", run)
        if name.isdecimal() and len(name) < 10
    )


def opened(store: Store, run: str, n: int, stream: str) -> int:
    """The log of a stream of an attempt, new and empty."""
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
    return store.open(*place(run, str(n), f"{stream}.log"), flags=flags)


class Both:
    """The log of both streams."""

    def __init__(self, file: int) -> None:
        self._file, self._left = file, LOG_BYTES

    def write(self, data: bytes) -> None:
        kept = data[: self._left]
        self._left -= len(kept)
        with suppress(OSError):  # a full disk: the logs of the streams say so
            write_all(self._file, kept)


class Log:
    """One stream of a running command, from its pipe to its log and the one of both."""

    def __init__(self, file: int, pipe: int, mask: Mask | None, both: Both) -> None:
        self.pipe, self.open = pipe, True
        self._file, self._both = file, both
        self._mask, self._hash = mask, sha256()
        self._bytes, self._truncated = 0, False
        os.set_blocking(pipe, False)

    def copy(self, most: int = PIPE_MOST // CHUNK) -> None:
        """Copy what is in the pipe: by default at most as much as it can hold, else so many reads.

        A read is of one write.
        """
        for _ in range(most):
            try:
                chunk = os.read(self.pipe, CHUNK)
            except BlockingIOError:
                return
            if not chunk:
                self.close()
                return
            self._write(self._mask.feed(chunk) if self._mask else chunk)

    def drain(self) -> None:
        """Copy what is in the pipe now, and close it: a process that left the job may write on."""
        if self.open:
            self.copy()
            self.close()

    def close(self) -> None:
        """Close the pipe."""
        if self.open:
            self.open = False
            os.close(self.pipe)
            if self._mask:
                self._write(self._mask.end())

    def _write(self, data: bytes) -> None:
        kept = b"" if self._truncated else data[: LOG_BYTES - self._bytes]
        self._truncated = len(kept) < len(data)
        try:
            write_all(self._file, kept)
        except OSError:  # a full disk: not the job's fault
            os.ftruncate(self._file, self._bytes)
            self._truncated = True
            return
        self._hash.update(kept)
        self._bytes += len(kept)
        self._both.write(kept)

    def summary(self, publish: Store | None) -> Output:
        """What `run.completed` says of it.

        With a store to publish in, a log that is small enough for a sync is kept as a blob, too.
        """
        from coord_kernel.store.blobs import Blobs

        if publish and self._bytes <= Blobs.SYNCED:
            with suppress(OSError):
                Blobs(publish).put(os.pread(self._file, self._bytes, 0))
        data = b""
        with suppress(OSError):  # its end is recorded all the same, or it would run again
            data = os.pread(self._file, TAIL_BYTES, max(0, self._bytes - TAIL_BYTES))
        tail = data.decode("utf-8", "replace").encode()[-TAIL_BYTES:].decode("utf-8", "ignore")
        try:
            refuse_secret(tail.encode())
        except Refused as refusal:
            tail = f"[{refusal.what}; see the log]"
        output: Output = {"sha256": self._hash.hexdigest(), "bytes": self._bytes, "tail": tail}
        if self._truncated:
            output["truncated"] = True
        return output
