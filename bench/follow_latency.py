"""How soon a follower knows: append → line of `ev tail -f`, beside GNU `tail -F`; append → mail through a pipeline.

    python bench/follow_latency.py [ROUNDS]

(a) One event appended durably to a store, and one line written durably to a plain file, in turn; each follower
is waited for before the next. (b) One event through `ev tail -f | jq | msg send`, until `msg recv -f` prints it.
The clock starts before the append and stops when the line is read, so the append itself is in it.
Exit 1 if the median of (b) is not below 100 ms.
"""

from __future__ import annotations

import os
import platform
import queue
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from coord_envelope import VERSION, Journal, Store

LIMIT_MS, PATIENCE_S = 100, 30.0
PIPELINE = """ev tail -f --type bench.mail |
jq --unbuffered -c '{to: "agent:bench", subject: .type, text: (.body.n|tostring)}' |
msg send --as bridge:bench >sent"""


class Follower:
    """A process that follows, and when each of its lines was read."""

    def __init__(self, command: str, cwd: str, env: dict[str, str]) -> None:
        self.read: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()
        self.process = subprocess.Popen(
            ["bash", "-c", command], cwd=cwd, env=env, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        threading.Thread(target=self._stamp, daemon=True).start()

    def _stamp(self) -> None:
        assert self.process.stdout
        held = b""
        while chunk := os.read(self.process.stdout.fileno(), 1 << 16):
            now = time.perf_counter_ns()
            *whole, held = (held + chunk).split(b"\n")
            for line in whole:
                self.read.put((now, line))

    def latency_ms(self, write: Callable[[], object]) -> float:
        """From before the write until its line was read."""
        began = time.perf_counter_ns()
        write()
        return (self.read.get(timeout=PATIENCE_S)[0] - began) / 1e6

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def environment(place: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "COORD_AGENT": "bench", "COORD_DIR": f"{place}/.coord"}


@contextmanager
def following(place: str, *commands: str) -> Iterator[list[Follower]]:
    env = environment(place)
    found = [Follower(command, place, env) for command in commands]
    try:
        yield found
    finally:
        for one in found:
            one.end()


def appender(place: str, kind: str) -> Callable[[], object]:
    journal = Journal(Store(f"{place}/.coord", "bench"))
    return lambda: journal.append({"agent_id": "agent:writer"}, [{"type": kind, "body": {"n": 1}}])


def writer(path: str) -> Callable[[], object]:
    """Appends a line of an event's length and waits for the disk, as the journal does."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    line = b"x" * 199 + b"\n"

    def write() -> None:
        os.write(fd, line)
        os.fdatasync(fd)

    return write


def settle(follower: Follower, write: Callable[[], object]) -> None:
    """Write until the follower is there and has said all it has to say."""
    while True:
        write()
        try:
            follower.read.get(timeout=1.0)
            break
        except queue.Empty:
            continue
    while True:
        try:
            follower.read.get(timeout=1.0)
        except queue.Empty:
            return


def lines(place: str, rounds: int) -> tuple[list[float], list[float]]:
    """(a): of `ev tail -f`, and of its peer in the same rounds."""
    plain, append = writer(f"{place}/plain"), appender(place, "bench.line")
    commands = "exec ev tail -n 0 -f --type bench.line", "exec tail -n 0 -F plain"
    with following(place, *commands[1:]) as (peer,), following(place, *commands[:1]) as (ours,):
        settle(ours, append)
        settle(peer, plain)
        pairs = [(ours.latency_ms(append), peer.latency_ms(plain)) for _ in range(rounds)]
    return [one for one, _ in pairs], [two for _, two in pairs]


def mail(place: str, rounds: int) -> list[float]:
    """(b): until `msg recv -f` prints it."""
    append = appender(place, "bench.mail")
    with following(place, PIPELINE, "exec msg recv -f --as bench") as (_, inbox):
        settle(inbox, append)
        return [inbox.latency_ms(append) for _ in range(rounds)]


def row(name: str, values: list[float], peer: list[float] | None) -> str:
    median, p99 = statistics.median(values), statistics.quantiles(values, n=100)[98]
    ratio = f"{median / statistics.median(peer):.2f}" if peer else "1"
    return f"| {name} | {len(values)} | {median:.2f} | {p99:.2f} | {ratio} |"


def first_line(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.partition("\n")[0]


def machine(place: str) -> str:
    fields = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
    cpu = next((value.strip() for name, _, value in fields if name.startswith("model name")), platform.machine())
    disk = first_line("stat", "-f", "-c", "%T", place)
    tools = f"coord {VERSION}, Python {platform.python_version()}, {first_line('jq', '--version')}"
    return f"{os.cpu_count()} × {cpu}, Linux {platform.release()}, {disk}; {tools}, {first_line('tail', '--version')}"


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    if missing := [tool for tool in ("jq", "tail") if not shutil.which(tool)]:
        sys.exit(f"follow_latency: needs {' and '.join(missing)}")
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["ev", "init"], cwd=place, env=environment(place), check=True, stdout=subprocess.DEVNULL)
        ours, peer = lines(place, rounds)
        through = mail(place, rounds)
        print("| append → … | events | median ms | p99 ms | median / `tail -F` |")
        print("|---|---:|---:|---:|---:|")
        print(row("line of GNU `tail -F`, a plain file", peer, None))
        print(row("line of `ev tail -f`", ours, peer))
        print(row("message of `msg recv -f`, through `ev tail -f \\| jq \\| msg send`", through, peer))
        print(f"\n{machine(place)}")
    return int(statistics.median(through) >= LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
