"""A queue and consumers that are killed: every message is processed, and twice only if its consumer died."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from proof.witness import PATIENCE_S, Watched, bytes_of, replayed
from support import Json, Shell

CONSUMERS, VISIBILITY, DELIVERIES = 8, "10s", 5
CONSUMER = """
import json, os, subprocess, sys
follower = subprocess.Popen(["msg", "recv", "queue:q", "-f", "--visibility", sys.argv[1]], stdout=subprocess.PIPE)
for line in follower.stdout:
    done = json.loads(line)["event_id"]
    fd = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{done} {os.environ['COORD_AGENT']}\\n".encode())
    os.close(fd)
    subprocess.run(["msg", "ack", done], stdout=subprocess.DEVNULL, check=True)
    print(done, flush=True)
"""
"""Takes one message at a time, notes it down (that is the work), and acks it."""


class Crew:
    """Consumers, each a process group with an agent of its own; one that was killed has a successor."""

    def __init__(self, shell: Shell, stack: ExitStack) -> None:
        self._shell, self._stack, self.hired, self.killed = shell, stack, 0, list[str]()
        (shell.cwd / "consumer.py").write_text(CONSUMER)
        self.alive: dict[str, Watched] = {}
        for _ in range(CONSUMERS):
            self.hire()

    def hire(self) -> None:
        agent = f"c{self.hired}"
        self.hired += 1
        line = f"env COORD_AGENT={agent} python consumer.py {VISIBILITY} done"
        self.alive[agent] = self._stack.enter_context(Watched(self._shell, line, start_new_session=True))

    def kill(self, agent: str) -> None:
        """As a machine would: the follower, the consumer and its ack, all at once."""
        os.killpg(self.alive.pop(agent).child.pid, signal.SIGKILL)
        self.killed.append(f"agent:{agent}")
        self.hire()

    def work(self) -> int:
        """Wait until something is done; how many were."""
        outs = {one.out: one for one in self.alive.values()}
        ready, _, _ = select.select(list(outs), [], [], PATIENCE_S)
        assert ready, "the queue stands still"
        return sum(os.read(fd, 1 << 16).count(b"\n") for fd in ready)

    def end(self) -> None:
        for one in self.alive.values():
            os.killpg(one.child.pid, signal.SIGKILL)


def worked(path: Path) -> Iterator[tuple[str, str]]:
    """(message, consumer) of what was noted down, in that order."""
    for line in path.read_text().splitlines():
        message, _, agent = line.partition(" ")
        yield message, f"agent:{agent}"


def test_killed_consumers_lose_nothing_and_only_their_own_comes_twice(
    shell: Shell, long: bool, say: Callable[[str], None]
) -> None:
    """A message comes again only after its last consumer was killed, and dies only with its fifth.

    History: the messages here had a thousand deliveries each, and so what died too early was never seen.
    """
    chance, count, kills = random.Random(5), 1_000 if long else 80, 40 if long else 8
    lines = (json.dumps({"to": "queue:q", "text": str(n)}) for n in range(count))
    (shell.cwd / "in").write_text("\n".join(lines))
    sent = {json.loads(line)["event_id"] for line in bytes_of(shell, "msg send <in").splitlines()}
    done, due = 0, sorted(chance.sample(range(1, count * 3 // 4), kills))
    with ExitStack() as stack:
        crew = Crew(shell, stack)
        deadline = time.monotonic() + PATIENCE_S * (20 if long else 4)
        while is_open(shell):
            assert time.monotonic() < deadline, "the queue does not end"
            done += crew.work()
            while due and done >= due[0]:
                due.pop(0)
                crew.kill(chance.choice(sorted(crew.alive)))
        crew.end()
    noted = list(worked(shell.cwd / "done"))
    times = Counter(message for message, _ in noted)
    dead = buried(shell, set(crew.killed))
    assert times.keys() | dead == sent, "a message was never processed, or one that was never sent"
    again = [message for message, number in times.items() if number > 1]
    for message in again:
        *earlier, _ = [agent for one, agent in noted if one == message]
        assert set(earlier) <= set(crew.killed), "came twice, and the first consumer was alive"
    given = Counter(one["refs"]["msg_id"] for one in events(shell, "msg.claimed"))
    say(
        f"queue: {count} messages, {CONSUMERS} consumers, {len(crew.killed)} killed: all processed, "
        f"{len(again)} of them twice, {sum(n - 1 for n in given.values())} redelivered, {len(dead)} dead"
    )
    assert len(crew.killed) == kills


def is_open(shell: Shell) -> bool:
    """Is there something in the queue that was not processed, and is not dead?"""
    first = bytes_of(shell, "msg ls queue:q -n 1")
    rows = first if b'"dead"' not in first else bytes_of(shell, "msg ls queue:q")
    return any(json.loads(row)["status"] != "dead" for row in rows.splitlines())


def buried(shell: Shell, killed: set[str]) -> set[str]:
    """The dead messages: each was given out five times, and to nobody who is alive."""
    dead = {json.loads(line)["msg_id"] for line in bytes_of(shell, "msg dead").splitlines()}
    had: dict[str, list[str]] = {message: [] for message in dead}
    for one in events(shell, "msg.claimed"):
        had.get(one["refs"]["msg_id"], []).append(one["actor"]["agent_id"])
    for message, consumers in had.items():
        assert len(consumers) == DELIVERIES and set(consumers) <= killed, f"{message} is dead too early: {consumers}"
    return dead


def events(shell: Shell, kind: str) -> list[Json]:
    return [one for one in map(json.loads, replayed(shell)) if one["type"] == kind]
