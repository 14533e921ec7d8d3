"""Latency and idle CPU of `ev tail -f`, beside GNU `tail -F` and the `XREAD BLOCK` of Redis.

    python bench/follow.py [ROUNDS]

In turn: append an event durably to a store, write a line durably to a plain file, add an entry to a
stream of Redis; wait for each follower before the next. Then send events through
`ev tail -f | jq | msg send`, until `msg recv -f` prints them. The clock starts before the append
and stops when the line is read, so it includes the append; another row has what the follower adds.
At the end all followers are idle for a while.
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
"""Events per round; time-out for a follower; length of the idle phase."""
FOLLOWER_MS, PIPE_MS, IDLE_SHARE = 1.0, 100.0, 0.001
OURS, GNU, REDIS = "ev tail -f", "tail -F", "XREAD BLOCK"
LINE = b"x" * 199 + b"\n"
PIPELINE = """ev tail -f --type bench.mail |
jq --unbuffered -c '{to: "agent:bench", subject: .type, text: (.body.n|tostring)}' |
msg send --as bridge:bench >sent"""


class Follower:
    """A following process, and the time at which each of its lines was read."""

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
        """Time from before the write until its line is read. `added` gets the part after it."""

        def act() -> float:
            began = time.perf_counter_ns()
            write()
            written = time.perf_counter_ns()
            read = self.read.get(timeout=PATIENCE_S)
            self.added.append((read - written) / 1e9)
            return (read - began) / 1e9

        return act

    def settle(self, write: Callable[[], object]) -> None:
        """Write until the follower prints, then read until it has printed everything."""
        end, following = time.monotonic() + PATIENCE_S, False
        while time.monotonic() < end:
            if not following:
                write()
            try:
                self.read.get(timeout=1.0)
                following = True
            except queue.Empty:
                if following:
                    return
        raise TimeoutError(f"{self.process.args!r} prints nothing")

    def cpu_s(self) -> float:
        """CPU time of the process so far."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9


def appender(place: Place, kind: str) -> Callable[[], object]:
    journal = Journal(Store(place.store, "bench"))
    return lambda: journal.append({"agent_id": "agent:writer"}, [{"type": kind, "body": {"n": 1}}])


def writer(path: str) -> Callable[[], object]:
    """Writes a line of an event's length and waits for the disk, as the journal does."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write() -> None:
        os.write(fd, LINE)
        os.fdatasync(fd)

    return write


def adder(path: str) -> Callable[[], object]:
    """Adds an entry of the same length to a stream of Redis and waits for the answer."""
    words = (b"XADD", b"events", b"*", b"body", LINE.strip())
    command = b"*5\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    server = socket.socket(socket.AF_UNIX)
    server.connect(path)

    def write() -> None:
        server.sendall(command)
        server.recv(1 << 16)

    return write


READER = """
import socket, sys
server, last = socket.socket(socket.AF_UNIX), b"$"
server.connect(sys.argv[1])
while True:
    words = (b"XREAD", b"BLOCK", b"0", b"STREAMS", b"events", last)
    server.sendall(b"*6\\r\\n" + b"".join(b"$%d\\r\\n%s\\r\\n" % (len(word), word) for word in words))
    answer = b""
    while not answer.endswith(b"x\\r\\n"):
        answer += server.recv(1 << 16)
    last = next(word for word in answer.split(b"\\r\\n") if b"-" in word and word[:1].isdigit())
    print(last.decode(), flush=True)
"""
"""Follows a stream of Redis with XREAD BLOCK, which redis-cli cannot do continuously."""


def lines(rounds: int, scratch: str) -> Iterator[Row]:
    """`ev tail -f` and its peers in turn, then all of them idle."""
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
            writes[REDIS] = adder(path)
            followers[REDIS] = Follower(place, f"exec {sys.executable} reader.py {path}")
        except peers.MissingError as why:
            yield Row("follow beside `XREAD BLOCK`", note=str(why))
        processes = [follower.process for follower in followers.values()]
        stack.enter_context(measure.running(*processes))
        for name, follower in followers.items():
            follower.settle(writes[name])
        acts = {name: follower.act(writes[name]) for name, follower in followers.items()}
        took = measure.interleaved(rounds * EACH, acts)
        for peer in [name for name in (GNU, REDIS) if name in acts]:
            yield took.row(f"append → line of `{OURS}`, both synced", OURS, peer, label=f"`{peer}`")
        yield _after(followers)
        yield _idle(followers)


def _after(followers: dict[str, Follower]) -> Row:
    """What a follower adds to a durable append. Negative: it read the line before the sync ended."""
    added = {name: measure.quantiles(follower.added) for name, follower in followers.items()}
    texts = {
        name: f"p50 {p50 * 1000:.2f} ms, p99 {p99 * 1000:.2f} ms"
        for name, (p50, p99) in added.items()
    }
    others = ", ".join(f"`{name}` {text}" for name, text in texts.items() if name != OURS)
    row = Row(f"of it after the append, `{OURS}`", texts[OURS], others)
    return row.must(added[OURS][0] * 1000 < FOLLOWER_MS, f"p50 < {FOLLOWER_MS:.0f} ms")


def _idle(followers: dict[str, Follower]) -> Row:
    """CPU time while nothing happens."""
    before = {name: follower.cpu_s() for name, follower in followers.items()}
    time.sleep(IDLE_S)
    share = {
        name: (follower.cpu_s() - before[name]) / IDLE_S for name, follower in followers.items()
    }
    others = ", ".join(f"`{name}` {part:.3%}" for name, part in share.items() if name != OURS)
    row = Row(f"idle CPU of `{OURS}`, {IDLE_S:.0f} s", f"{share[OURS]:.3%}", others)
    return row.must(share[OURS] < IDLE_SHARE, f"< {IDLE_SHARE:.1%}")


def mail(rounds: int, scratch: str) -> Row:
    """From the append until `msg recv -f` prints the mail that a pipe of three made of it."""
    what = "append → `ev tail -f \\| jq \\| msg send` → `msg recv -f`"
    place = Place(f"{scratch}/follow-mail")
    try:
        place.env["PATH"] += f":{Path(peers.program('jq')[-1]).parent}"
    except peers.MissingError as why:
        return Row(what, note=str(why))
    place.run("ev", "init")
    place.run("ev", "emit", "bench.began", "--as", "bench")  # mail goes to known agents only
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
