"""The jobs of a consumer: requested, run and asked after by the tool `run`, as its own process."""

from __future__ import annotations

import os
import subprocess
import sys

from coord_envelope import BadData, Unreachable, codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Store

    Words = Sequence[str]
    Env = Mapping[str, str]
    Asked = tuple[Words, bytes, Env, list[str]]
    """A command, its input, its environment, and options of the request."""

OVER = ("completed", "cancelled", "lost", "expired")
REFUSED = (2, 65, 77)
"""Statuses of `run request` that no repetition changes: the job cannot be."""
SHOWN = 100
"""Jobs asked after by one process."""


class Jobs:
    """What `run` is told in a consumer's name, and what it answers."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name
        self._over: dict[str, Json] = {}
        self._asked: set[str] = set()
        # The consumer acts, in no session: its jobs are claimed by whoever starts it next.
        unset = ("COORD_SESSION", "COORD_AGENT")
        kept = {key: value for key, value in os.environ.items() if key not in unset}
        self._env = {**kept, "COORD_AGENT": name, "COORD_DIR": store.path}

    @property
    def cap(self) -> str:
        """What a worker must be able to do for these jobs, so that no other takes them."""
        return f"consumer-{self._name}"

    def request(
        self, key: str, event: Event, argv: Words, stdin: bytes, env: Env, options: Words
    ) -> str:
        """Have it run once for this key, caused by the event; the job's id. Raises BadData (no job), Unreachable."""
        words = [
            "request",
            "--key",
            key,
            "--cause",
            event.id,
            "--needs",
            self.cap,
            *options,
            "-o",
            "id",
        ]
        for name, value in {**env, "COORD_AGENT": self._name}.items():
            words += ["--env", f"{name}={value}"]
        words += ["--input", "-"] if stdin else []
        done = subprocess.run(
            [*_run(), *words, "--", *argv], input=stdin, env=self._env, capture_output=True
        )
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().removeprefix("run: ")
            said = said or f"run request ended with status {done.returncode}"
            raise BadData(said) if done.returncode in REFUSED else Unreachable(said)
        run = done.stdout.decode().strip()
        self._asked.add(run)  # it cannot be over yet
        return run

    def over(self, run: str) -> Json | None:
        """How the job ended; None while it has not, as of the last look."""
        if run not in self._asked:
            self.look({run})
        return self._over.get(run)

    def look(self, runs: Collection[str]) -> None:
        """Ask after these jobs. Raises Unreachable."""
        left = sorted(run for run in runs if run not in self._over)
        self._asked.update(left)
        for first in range(0, len(left), SHOWN):
            words = ["show", "-o", "jsonl", *left[first : first + SHOWN]]
            done = subprocess.run([*_run(), *words], env=self._env, stdout=subprocess.PIPE)
            rows = map(codec.loads, done.stdout.splitlines())
            self._over.update((row["run_id"], row) for row in rows if row["status"] in OVER)
            if done.returncode:
                raise Unreachable(f"run show ended with status {done.returncode}")

    def forget(self, run: str) -> None:
        """It is not asked for again."""
        self._over.pop(run, None)
        self._asked.discard(run)

    def output(self, row: Json, most: int) -> bytes | None:
        """What the job printed; None if that is not in this store. Raises BadData if it is over so many bytes."""
        said = row.get("stdout") or {"bytes": 0, "tail": ""}
        tail: bytes = said["tail"].encode()
        if len(tail) == said["bytes"]:
            return tail
        if said["bytes"] > most:
            raise BadData(f"its output has {said['bytes']:,} bytes, more than {most:,}")
        found = self._store.load(
            "local", "runs", row["run_id"], str(row["attempt"]), "stdout.log", most=most
        )
        return found if found and len(found) == said["bytes"] else None

    def worker(self, slots: int) -> Worker:
        """Begin to run them, so many at once."""
        words = ["worker", "--slots", str(slots), "--cap", self.cap, "--only", "-o", "jsonl"]
        return Worker([*_run(), *words], self._env)


class Worker:
    """A `run worker`, which ends when this process does: it notices that nobody reads what it prints."""

    def __init__(self, argv: Sequence[str], env: dict[str, str]) -> None:
        self.fd, written = os.pipe2(os.O_CLOEXEC)
        self._child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=written, env=env)
        os.close(written)
        os.set_blocking(self.fd, False)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: Any) -> None:
        os.close(self.fd)  # what still runs is ended and given back
        self._child.wait()

    def hear(self) -> None:
        """Take what it printed. Raises Unreachable if it has ended."""
        try:
            while os.read(self.fd, 1 << 16):
                pass
        except BlockingIOError:
            return
        raise Unreachable(
            f"run worker ended with status {self._child.wait()}", todo="start it again"
        )


def _run() -> list[str]:
    """How `run` is started: from beside this program."""
    beside = os.path.join(os.path.dirname(os.path.realpath(sys.argv[0])), "run")
    return (
        [beside]
        if os.access(beside, os.X_OK)
        else [sys.executable, "-c", "from coord_run.cli import main; main()"]
    )
