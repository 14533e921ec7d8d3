"""What mail costs on a long history: `msg recv` with 3 unread, and its kin, on 1,000 to 1,000,000 events; a queue.

    python bench/mail.py [ROUNDS] [SIZE]…

One event in ten is mail, and all of it but 3 messages is acked. The same command runs on each store in turn, with
a warm view, so that what else the machine does meets all of them. Then the view is made from nothing by one
`msg recv`, and one process takes messages from a queue and acks them, one by one.
Exit 1 if a command costs more than 1.5 times what it costs on the smallest store.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from coord_envelope import VERSION, Journal, Store
from coord_envelope.codec import Json

RATIO, SIZES, ROUNDS, BATCH, MAIL, UNREAD = 1.5, (1_000, 100_000, 1_000_000), 25, 10_000, 20, 3
"""Of so many events one is a message, and the next its ack."""
COMMANDS = ("recv", "ls", "thread ID", "show ID", "recv queue:empty", "recv chan:empty", "send --to writer --subject x")
QUEUE = 50


class Place:
    """A store of so many events, and the commands that ask it."""

    def __init__(self, path: str, count: int) -> None:
        self.path, self.count = path, count
        self.env = {**os.environ, "COORD_DIR": f"{path}/.coord", "COORD_AGENT": "reader"}
        self.env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.took: dict[str, list[float]] = {}
        os.mkdir(path)
        self.run("ev", "init")
        # In a process of its own: what this one holds would count as memory of its children.
        self.run(sys.executable, __file__, "--build", self.env["COORD_DIR"], str(count))
        began = time.perf_counter()
        unread = self.run("msg", "recv", "-o", "id").decode().split()
        self.cold_s = time.perf_counter() - began
        assert len(unread) == UNREAD
        self.message = unread[0]

    def run(self, *argv: str) -> bytes:
        return subprocess.run(argv, cwd=self.path, env=self.env, check=True, stdout=subprocess.PIPE).stdout

    def time(self, command: str) -> None:
        argv = ["msg", *command.replace("ID", self.message).split()]
        began = time.perf_counter()
        self.run(*argv)
        self.took.setdefault(command, []).append(time.perf_counter() - began)

    def median_ms(self, command: str) -> float:
        return statistics.median(self.took[command]) * 1_000

    def drain(self) -> float:
        """Messages a second of one consumer that takes and acks one at a time, each with two processes."""
        lines = "".join('{"to":"queue:bench","text":"job"}\n' for _ in range(QUEUE))
        subprocess.run(["msg", "send"], input=lines.encode(), env=self.env, check=True, stdout=subprocess.DEVNULL)
        began, done = time.perf_counter(), 0
        while self.run("bash", "-c", "msg recv queue:bench | msg ack"):
            done += 1
        assert done == QUEUE
        return done / (time.perf_counter() - began)


def build(path: str, count: int) -> None:
    """Append the history: what is no mail, mail, and its acks; the last UNREAD messages have none."""
    journal = Journal(Store(path, "bench"))
    writer, reader = {"agent_id": "agent:writer"}, {"agent_id": "agent:reader"}
    for first in range(0, count, BATCH):
        size = min(BATCH, count - first)
        tail = UNREAD if first + size >= count else 0
        sent = journal.append(writer, [message(n) for n in range(size // MAIL)])
        acks = [
            {"type": "msg.acked", "refs": {"msg_id": one.id}, "body": {"kind": "done"}}
            for one in sent[: len(sent) - tail]
        ]
        journal.append(reader, acks)
        rest = size - len(sent) - len(acks)
        journal.append(writer, [{"type": "ci.passed", "body": {"n": n, "pad": "x" * 60}} for n in range(rest)])


def message(number: int) -> Json:
    return {"type": "msg.sent", "to": ["agent:reader"], "body": {"subject": f"job {number}", "text": "x" * 100}}


def table(places: Sequence[Place]) -> list[str]:
    """Print the medians; what costs too much."""
    small, missed = places[0], []
    print("| warm, one process |" + "".join(f" {place.count:,} events: ms | × |" for place in places))
    print("|---" + "|---:|---:" * len(places) + "|")
    for command in COMMANDS:
        ratios = [place.median_ms(command) / small.median_ms(command) for place in places]
        cells = (f" {p.median_ms(command):.1f} | {ratio:.2f} |" for p, ratio in zip(places, ratios, strict=True))
        print(f"| msg {command} |{''.join(cells)}")
        if max(ratios) > RATIO:
            missed.append(f"msg {command} costs {max(ratios):.2f} times what it costs on {small.count:,} events")
    return missed


def main() -> int:
    if sys.argv[1:2] == ["--build"]:
        build(sys.argv[2], int(sys.argv[3]))
        return 0
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    sizes = [int(size) for size in sys.argv[2:]] or SIZES
    with tempfile.TemporaryDirectory() as scratch:
        places = [Place(f"{scratch}/{size}", size) for size in sizes]
        for number in range(rounds + 1):
            for command in COMMANDS:
                for place in places:
                    place.time(command)
            if not number:
                for place in places:
                    place.took.clear()  # the first round warmed up
        missed = table(places)
        last = places[-1]
        print(f"\nthe view of {last.count:,} events from nothing: {last.cold_s:.1f} s", end="; ")
        print(f"{QUEUE} messages of a queue, each taken and acked by a process: {places[0].drain():.1f} a second")
    machine = f"{os.cpu_count()} CPUs, coord {VERSION}, Python {sys.version.split()[0]}"
    print(f"{machine}; medians of {rounds} rounds, in turn")
    for one in missed:
        print(f"mail: {one}", file=sys.stderr)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
