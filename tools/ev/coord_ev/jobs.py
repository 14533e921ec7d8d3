"""The jobs of a consumer, through the tool `run` as a process: request, run, ask for the end."""

from __future__ import annotations

import os
import subprocess
import sys

from coord_envelope import BadData, Unreachable, codec
from coord_kernel.proc import spawn
from coord_kernel.store import locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any, NotRequired, Self, TypedDict

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Store

    class Output(TypedDict):
        """How many bytes a job printed, and the last of them."""

        bytes: int
        tail: str

    class Row(TypedDict):
        """The fields of `run show` that a consumer needs."""

        run_id: str
        status: str
        status_code: int
        outcome: NotRequired[str]
        attempt: NotRequired[int]
        stdout: NotRequired[Output | None]
        stderr: NotRequired[Output | None]


OVER = ("completed", "cancelled", "lost", "expired")
REFUSED = (2, 65, 77)
"""Exit statuses of `run request` that a retry does not change: the job cannot exist."""
SHOWN = 100
"""Most jobs that one process is asked about."""


class Command:
    """A command to run: its words, input, environment, and further fields of its request."""

    def __init__(
        self, argv: Sequence[str], stdin: bytes, env: Mapping[str, str], fields: Json
    ) -> None:
        self.argv, self.stdin, self.env, self.fields = argv, stdin, env, fields


class Jobs:
    """Calls of `run` in a consumer's name, and the jobs that are over."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name
        self._over: dict[str, Row] = {}
        self._asked: set[str] = set()
        # The consumer acts without a session: whoever starts it next can claim its jobs.
        unset = ("COORD_SESSION", "COORD_AGENT")
        kept = {key: value for key, value in os.environ.items() if key not in unset}
        self._env = {**kept, "COORD_AGENT": name, "COORD_DIR": store.path}

    @property
    def capability(self) -> str:
        """The capability that these jobs need, so that only this consumer's worker takes them."""
        return f"consumer-{self._name}"

    def request(self, key: str, cause: Event, command: Command) -> str:
        """Request one run of the command for this key. Returns the job's id.

        Raises BadData (the job cannot exist) or Unreachable.
        """
        status, runs, error = self._request([(key, cause, command)])
        if status:
            message = error.strip().removeprefix("run: line 1: ")
            message = message or f"run request ended with status {status}"
            raise BadData(message) if status in REFUSED else Unreachable(message)
        return runs[0]

    def request_all(self, wanted: Sequence[tuple[str, Event, Command]]) -> None:
        """As `request`, of many in one process. Those that fail are left: request them alone."""
        self._request(wanted)

    def _request(self, wanted: Sequence[tuple[str, Event, Command]]) -> tuple[int, list[str], str]:
        lines = [codec.dumps(self._described(*each)) + b"\n" for each in wanted]
        argv = [*_run(), "request", "-o", "id", "-"]
        status, out, error = spawn.run(argv, self._env, b"".join(lines))
        runs = out.decode().split()
        self._asked.update(runs)  # they cannot be over yet
        return status, runs, error.decode("utf-8", "replace")

    def _described(self, key: str, cause: Event, command: Command) -> Json:
        """The line of `run request`."""
        from coord_kernel.store.blobs import Blobs

        optional = {
            "cwd": locate.here(locate.tree(self._store)),
            "stdin": Blobs(self._store).put(command.stdin) if command.stdin else None,
        }
        return {
            "argv": list(command.argv),
            "env": {**command.env, "COORD_AGENT": self._name},
            "needs": [self.capability],
            "key": key,
            "cause": cause.id,
            **command.fields,
            **{name: value for name, value in optional.items() if value is not None},
        }

    def over(self, run: str) -> Row | None:
        """The row of the job if it is over, as of the last look; else None."""
        if run not in self._asked:
            self.look({run})
        return self._over.get(run)

    def look(self, runs: Collection[str]) -> None:
        """Ask about these jobs. Raises Unreachable."""
        waiting = sorted(run for run in runs if run not in self._over)
        self._asked.update(waiting)
        for first in range(0, len(waiting), SHOWN):
            words = ["show", "-o", "jsonl", *waiting[first : first + SHOWN]]
            status, out, error = spawn.run([*_run(), *words], self._env)
            rows = map(codec.loads, out.splitlines())
            self._over.update((row["run_id"], row) for row in rows if row["status"] in OVER)
            if status:
                why = error.decode("utf-8", "replace").strip()
                raise Unreachable(why or f"run show ended with status {status}")

    def forget(self, run: str) -> None:
        """Drop what is known of the job: it is not needed again."""
        self._over.pop(run, None)
        self._asked.discard(run)

    def output(self, row: Row, most: int) -> bytes | None:
        """The job's stdout; None if it is not here. Raises BadData if it exceeds `most` bytes."""
        stdout = row.get("stdout") or {"bytes": 0, "tail": ""}
        tail = stdout["tail"].encode()
        if len(tail) == stdout["bytes"]:
            return tail
        if stdout["bytes"] > most:
            raise BadData(f"its output has {stdout['bytes']:,} bytes, more than {most:,}")
        path = ("local", "runs", row["run_id"], str(row.get("attempt")), "stdout.log")
        log = self._store.load(*path, most=most)
        return log if log and len(log) == stdout["bytes"] else None

    def worker(self, slots: int) -> Worker:
        """Start a worker for these jobs, `slots` at a time."""
        words = ["worker", "--slots", str(slots), "--cap", self.capability, "--only"]
        return Worker([*_run(), *words, "-o", "jsonl"], self._env)


class Worker:
    """A `run worker` process. It ends with this process: it notices that its reader is gone."""

    def __init__(self, argv: Sequence[str], env: dict[str, str]) -> None:
        self.fd, written = os.pipe2(os.O_CLOEXEC)
        self._child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=written, env=env)
        os.close(written)
        os.set_blocking(self.fd, False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        os.close(self.fd)  # the worker stops running jobs and releases them
        self._child.wait()

    def drain(self) -> None:
        """Discard what it printed. Raises Unreachable if it has ended."""
        try:
            while os.read(self.fd, 1 << 16):
                pass
        except BlockingIOError:
            if self._child.poll() is None:  # else what it left behind keeps the pipe open
                return
        raise Unreachable(
            f"run worker ended with status {self._child.wait()}", todo="start it again"
        )


def _run() -> list[str]:
    """How `run` is started: from beside this program."""
    beside = os.path.join(os.path.dirname(os.path.realpath(sys.argv[0])), "run")
    fallback = [sys.executable, "-c", "from coord_run.cli import main; main()"]
    return [beside] if os.access(beside, os.X_OK) else fallback
