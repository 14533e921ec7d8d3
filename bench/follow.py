"""How soon a follower knows: append → line of `ev tail -f`, beside GNU `tail -F` and redis's `XREAD BLOCK`; idle CPU.

    python bench/follow.py [ROUNDS]

One event appended durably to a store, one line written durably to a plain file, one added to a stream of redis, in
turn; each follower is waited for before the next. Then one event through `ev tail -f | jq | msg send`, until `msg recv
-f` prints it. The clock starts before the append and stops when the line is read, so the append itself is in it; what
the follower adds is beside it. Then all follow a while, and nothing happens.
"""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import measure
import peers
from measure import Act, Place, Row

from coord_kernel import Journal, Store

EACH, PATIENCE_S, IDLE_S = 7, 30.0, 20.0
"""Events a round; patience with a follower; how long nothing happens."""
FOLLOWER_MS, PIPE_MS, IDLE_SHARE = 1.0, 100.0, 0.001
OURS, GNU, REDIS = "ev tail -f", "tail -F", "XREAD BLOCK"
LINE = b"x" * 199 + b"\n"
PIPELINE = """ev tail -f --type bench.mail |
jq --unbuffered -c '{to: "agent:bench", subject: .type, text: (.body.n|tostring)}' |
msg send --as bridge:bench >sent"""


class Follower:
    """A process that follows, and when each of its lines was read."""

    def __init__(self, place: Place, command: str) -> None:
        self.read: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.added: list[float] = []
        argv = ["bash", "-c", command]
        self.process = subprocess.Popen(
            argv,
            cwd=place.path,
            env=place.env,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        threading.Thread(target=self._stamp, daemon=True).start()

    def _stamp(self) -> None:
        assert self.process.stdout
        while chunk := os.read(self.process.stdout.fileno(), 1 << 16):
            now = time.perf_counter_ns()
            for _ in range(chunk.count(b"\n")):
                self.read.put(now)

    def act(self, write: Callable[[], object]) -> Act:
        """From before the write until its line was read; of that, `added` is what came after the write."""

        def act() -> float:
            began = time.perf_counter_ns()
            write()
            written = time.perf_counter_ns()
            read = self.read.get(timeout=PATIENCE_S)
            self.added.append((read - written) / 1e9)
            return (read - began) / 1e9

        return act

    def settle(self, write: Callable[[], object]) -> None:
        """Write until the follower is there and has said all it has to say."""
        end, there = time.monotonic() + PATIENCE_S, False
        while time.monotonic() < end:
            if not there:
                write()
            try:
                self.read.get(timeout=1.0)
                there = True
            except queue.Empty:
                if there:
                    return
        raise TimeoutError(f"{self.process.args!r} says nothing")

    def cpu_s(self) -> float:
        """CPU time of the process so far."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9


def appender(place: Place, kind: str) -> Callable[[], object]:
    journal = Journal(Store(place.store, "bench"))
    return lambda: journal.append({"agent_id": "agent:writer"}, [{"type": kind, "body": {"n": 1}}])


def writer(path: str) -> Callable[[], object]:
    """Appends a line of an event's length and waits for the disk, as the journal does."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write() -> None:
        os.write(fd, LINE)
        os.fdatasync(fd)

    return write


def adder(path: str) -> Callable[[], object]:
    """Adds as much to a stream of redis; it answers when it has it."""
    words = (b"XADD", b"events", b"*", b"body", LINE.strip())
    command = b"*5\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    there = socket.socket(socket.AF_UNIX)
    there.connect(path)

    def write() -> None:
        there.sendall(command)
        there.recv(1 << 16)

    return write


READER = """
import socket, sys
there, last = socket.socket(socket.AF_UNIX), b"$"
there.connect(sys.argv[1])
while True:
    words = (b"XREAD", b"BLOCK", b"0", b"STREAMS", b"events", last)
    there.sendall(b"*6\\r\\n" + b"".join(b"$%d\\r\\n%s\\r\\n" % (len(word), word) for word in words))
    answer = b""
    while not answer.endswith(b"x\\r\\n"):
        answer += there.recv(1 << 16)
    last = next(word for word in answer.split(b"\\r\\n") if b"-" in word and word[:1].isdigit())
    print(last.decode(), flush=True)
"""
"""Follows a stream of redis as its clients do: redis-cli cannot."""


def lines(rounds: int, scratch: str) -> Iterator[Row]:
    """Ours and its peers in turn, then all of them idle."""
    place = Place(f"{scratch}/follow")
    place.run("ev", "init")
    writes = {OURS: appender(place, "bench.line"), GNU: writer(f"{place.path}/plain")}
    with ExitStack() as stack:
        followers = {
            OURS: Follower(place, "exec ev tail -n 0 -f --type bench.line"),
            GNU: Follower(place, "exec tail -n 0 -F plain"),
        }
        try:
            path = stack.enter_context(
                peers.redis(scratch, "--appendonly", "yes", "--appendfsync", "always")
            )
            Path(place.path, "reader.py").write_text(READER)
            writes[REDIS], followers[REDIS] = (
                adder(path),
                Follower(place, f"exec {sys.executable} reader.py {path}"),
            )
        except peers.MissingError as why:
            yield Row("follow beside `XREAD BLOCK`", note=str(why))
        stack.enter_context(measure.running(*(one.process for one in followers.values())))
        for name, one in followers.items():
            one.settle(writes[name])
        acts = {name: one.act(writes[name]) for name, one in followers.items()}
        took = measure.interleaved(rounds * EACH, acts)
        for peer in [name for name in (GNU, REDIS) if name in acts]:
            yield took.row(f"append → line of `{OURS}`, both synced", OURS, peer, said=f"`{peer}`")
        yield _after(followers)
        yield _idle(followers)


def _after(followers: dict[str, Follower]) -> Row:
    """What a follower adds to a durable append. (Negative: it had the line before the disk did.)"""
    found = {name: measure.quantiles(one.added) for name, one in followers.items()}
    said = {
        name: f"p50 {p50 * 1000:.2f} ms, p99 {p99 * 1000:.2f} ms"
        for name, (p50, p99) in found.items()
    }
    others = ", ".join(f"`{name}` {text}" for name, text in said.items() if name != OURS)
    return Row(f"of it after the append, `{OURS}`", said[OURS], others).must(
        found[OURS][0] * 1000 < FOLLOWER_MS, f"p50 < {FOLLOWER_MS:.0f} ms"
    )


def _idle(followers: dict[str, Follower]) -> Row:
    """CPU time while nothing happens."""
    before = {name: one.cpu_s() for name, one in followers.items()}
    time.sleep(IDLE_S)
    share = {name: (one.cpu_s() - before[name]) / IDLE_S for name, one in followers.items()}
    said = ", ".join(f"`{name}` {part:.3%}" for name, part in share.items() if name != OURS)
    row = Row(f"idle CPU of `{OURS}`, {IDLE_S:.0f} s", f"{share[OURS]:.3%}", said)
    return row.must(share[OURS] < IDLE_SHARE, f"< {IDLE_SHARE:.1%}")


def mail(rounds: int, scratch: str) -> Row:
    """Until `msg recv -f` prints what came through a pipe of three."""
    what = "append → `ev tail -f \\| jq \\| msg send` → `msg recv -f`"
    place = Place(f"{scratch}/follow-mail")
    try:
        place.env["PATH"] += f":{Path(peers.program('jq')[-1]).parent}"
    except peers.MissingError as why:
        return Row(what, note=str(why))
    place.run("ev", "init")
    place.run("ev", "emit", "bench.began", "--as", "bench")  # mail goes to who is known
    write = appender(place, "bench.mail")
    pipe, inbox = Follower(place, PIPELINE), Follower(place, "exec msg recv -f --as bench")
    with measure.running(pipe.process, inbox.process):
        inbox.settle(write)
        seconds = measure.interleaved(rounds, {"mail": inbox.act(write)}).seconds["mail"]
    p50, p99 = measure.quantiles(seconds)
    row = Row(what, f"p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms")
    return row.must(p50 * 1000 < PIPE_MS, f"p50 < {PIPE_MS:.0f} ms")


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    yield from lines(rounds, scratch)
    yield mail(rounds, scratch)


if __name__ == "__main__":
    sys.exit(measure.alone("follow", rows))
