"""A job's output on the disk: `local/runs/<run_id>/<attempt>/{stdout,stderr}.log`, what is masked in it and how much.

The bytes of a log are those that the command wrote, in order, up to LOG_BYTES; but for secrets, which never reach
the disk.
"""

from __future__ import annotations

import os

from coord_envelope.errors import Refused
from coord_envelope.platform import suppress
from coord_envelope.secrets import refuse_secret
from coord_kernel.store import blobs
from coord_kernel.store.disk import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel import Store
    from coord_run.secret import Mask

STREAMS = ("stdout", "stderr")
LOG_BYTES = 64 << 20
"""Most bytes of a log; what comes behind them is dropped."""
TAIL_BYTES = 4096
CHUNK = 1 << 16
PIPE_MOST = 1 << 20
"""Bytes that a pipe may hold, whoever widens it."""


def place(run: str, *rest: str) -> tuple[str, ...]:
    """Where a job's files are, below the store: `local/runs/<run_id>/<attempt>/<file>`."""
    return ("local", "runs", run, *rest)


def attempts(store: Store, run: str) -> list[int]:
    """The attempts of which there are logs here, ascending."""
    return sorted(
        int(name)
        for name in store.listdir("local", "runs", run)
        if name.isdecimal() and len(name) < 10
    )


class Log:
    """One stream of a running command, from its pipe to its log."""

    def __init__(
        self, store: Store, run: str, n: int, stream: str, pipe: int, mask: Mask | None
    ) -> None:
        import hashlib

        self.pipe, self.stream, self.open = pipe, stream, True
        self._file = store.open(
            *place(run, str(n), f"{stream}.log"), flags=os.O_RDWR | os.O_CREAT | os.O_TRUNC
        )
        self._mask, self._hash, self._bytes, self._cut = mask, hashlib.sha256(), 0, False
        os.set_blocking(pipe, False)

    def copy(self) -> None:
        """Take what is in the pipe, at most as much as one can hold."""
        for _ in range(PIPE_MOST // CHUNK):
            try:
                chunk = os.read(self.pipe, CHUNK)
            except BlockingIOError:
                return
            if not chunk:
                self.close()
                return
            self._write(self._mask.feed(chunk) if self._mask else chunk)

    def drain(self) -> None:
        """Take all that is in the pipe, and no more: who has left the job may write on."""
        if self.open:
            self.copy()
            self.close()

    def close(self) -> None:
        """Nothing more comes."""
        if self.open:
            self.open = False
            os.close(self.pipe)
            if self._mask:
                self._write(self._mask.end())

    def _write(self, data: bytes) -> None:
        kept = b"" if self._cut else data[: LOG_BYTES - self._bytes]
        self._cut = len(kept) < len(data)
        try:
            write_all(self._file, kept)
        except OSError:  # a full disk: the job is not to blame
            os.ftruncate(self._file, self._bytes)
            self._cut = True
            return
        self._hash.update(kept)
        self._bytes += len(kept)

    def told(self, publish: Store | None) -> Json:
        """What the event of its end says of it. With a store to publish in, a log that a sync carries is a blob."""
        if publish and self._bytes <= blobs.SYNCED:
            with suppress(OSError):
                blobs.put(publish, os.pread(self._file, self._bytes, 0))
        data = b""
        with suppress(OSError):  # its end is told all the same, else it would be run again
            data = os.pread(self._file, TAIL_BYTES, max(0, self._bytes - TAIL_BYTES))
        tail = data.decode("utf-8", "replace").encode()[-TAIL_BYTES:].decode("utf-8", "ignore")
        try:
            refuse_secret(tail.encode())
        except Refused as refusal:
            tail = f"[{refusal.what}; see the log]"
        said: Json = {"sha256": self._hash.hexdigest(), "bytes": self._bytes, "tail": tail}
        return said | ({"truncated": True} if self._cut else {})
