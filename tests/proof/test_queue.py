"""A queue and an inbox whose senders and consumers are killed, and what became of each message, as Jepsen counts it.

Lost: its send was acked, and nobody ever processed it. Duplicated: processed more than once. Recovered: its sender was
killed before the ack, and it came through. What was never written was not acked, and is no loss.
"""

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
from typing import NamedTuple

import pytest
from proof.test_kill import Moment, kill_at
from proof.witness import PATIENCE_S, Watched, bytes_of, journal_size, replayed
from support import Json, Shell

DELIVERIES = 5
CONSUMER = """
import json, os, subprocess, sys
done, name, *recv = sys.argv[1:]
follower = subprocess.Popen(["msg", "recv", *recv], stdout=subprocess.PIPE)
for line in follower.stdout:
    message = json.loads(line)["event_id"]
    fd = os.open(done, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{message} {name}\\n".encode())
    os.close(fd)
    subprocess.run(["msg", "ack", message], stdout=subprocess.DEVNULL, check=True)
    print(message, flush=True)
"""
"""Takes one message at a time, notes it down (that is the work), and acks it."""


class Box(NamedTuple):
    """Where messages are sent to, and who reads them how. A consumer's own name is behind his agent's, if many read."""

    to: str
    recv: str
    ls: str
    consumers: int
    agent: str


QUEUE = Box("queue:q", "queue:q -f --visibility 10s", "msg ls queue:q", 8, "{}")
INBOX = Box("agent:reader", "-f", "msg ls --as reader", 1, "reader")


class Crew:
    """Consumers, each a process group with a name of its own; one that was killed has a successor."""

    def __init__(self, shell: Shell, stack: ExitStack, box: Box) -> None:
        self._shell, self._stack, self._box = shell, stack, box
        self.hired, self.killed = 0, list[str]()
        self.alive: dict[str, Watched] = {}
        for _ in range(box.consumers):
            self.hire()

    def hire(self) -> None:
        name = f"c{self.hired}"
        self.hired += 1
        agent = self._box.agent.format(name)
        line = f"env COORD_AGENT={agent} python consumer.py done {name} {self._box.recv}"
        self.alive[name] = self._stack.enter_context(
            Watched(self._shell, line, start_new_session=True)
        )

    def kill(self, name: str) -> None:
        """As a machine would: the follower, the consumer and its ack, all at once."""
        os.killpg(self.alive.pop(name).child.pid, signal.SIGKILL)
        self.killed.append(name)
        self.hire()

    def work(self) -> int:
        """Wait until something is done; how many were."""
        outs = {one.out: one for one in self.alive.values()}
        ready, _, _ = select.select(list(outs), [], [], PATIENCE_S)
        assert ready, "it stands still"
        return sum(os.read(fd, 1 << 16).count(b"\n") for fd in ready)

    def end(self) -> None:
        for one in self.alive.values():
            os.killpg(one.child.pid, signal.SIGKILL)


def worked(path: Path) -> Iterator[tuple[str, str]]:
    """(message, consumer) of what was noted down, in that order."""
    for line in path.read_text().splitlines():
        message, _, name = line.partition(" ")
        yield message, name


def send(shell: Shell, to: str, count: int) -> set[str]:
    """Send so many, in ten goes of which every other is killed as soon as something is written; what was acked."""
    acked, each, line = set[str](), count // 10, "msg send --force <in"
    for go in range(10):
        lines = (json.dumps({"to": to, "text": str(n)}) for n in range(go * each, (go + 1) * each))
        (shell.cwd / "in").write_text("\n".join(lines))
        acks = kill_at(shell, grown(shell), line) if go % 2 else bytes_of(shell, line).splitlines()
        acked |= {json.loads(ack)["event_id"] for ack in acks}
    return acked


def grown(shell: Shell) -> Moment:
    size = journal_size(shell)
    return lambda _: journal_size(shell) > size


@pytest.mark.parametrize(
    ("box", "messages", "kills"),
    [(QUEUE, (80, 1_000), (8, 40)), (INBOX, (40, 400), (6, 40))],
    ids=["queue", "inbox"],
)
def test_killed_senders_and_consumers_lose_nothing_and_only_their_own_comes_twice(
    shell: Shell,
    box: Box,
    messages: tuple[int, int],
    kills: tuple[int, int],
    long: bool,
    say: Callable[..., None],
) -> None:
    """A message comes again only after its last consumer was killed, and dies only with its fifth.

    History: the messages here had a thousand deliveries each, and so what died too early was never seen.
    """
    chance, count = random.Random(5), messages[long]
    acked = send(shell, box.to, count)
    sent = {one["event_id"] for one in events(shell, "msg.sent")}
    done, due = 0, sorted(chance.sample(range(1, len(sent) * 3 // 4), kills[long]))
    (shell.cwd / "consumer.py").write_text(CONSUMER)
    with ExitStack() as stack:
        crew = Crew(shell, stack, box)
        deadline = time.monotonic() + PATIENCE_S * (20 if long else 4)
        while is_open(shell, box):
            assert time.monotonic() < deadline, "it does not end"
            done += crew.work()
            while due and done >= due[0]:
                due.pop(0)
                crew.kill(chance.choice(sorted(crew.alive)))
        crew.end()
    noted = list(worked(shell.cwd / "done"))
    times = Counter(message for message, _ in noted)
    dead = buried(shell, set(crew.killed))
    lost, recovered = len(acked - times.keys() - dead), len(times.keys() - acked)
    again = [message for message, number in times.items() if number > 1]
    given = Counter(one["refs"]["msg_id"] for one in events(shell, "msg.claimed"))
    say(
        f"{box.to}: {count} sent, {len(acked)} acked, consumers killed {len(crew.killed)} times: {lost} lost, "
        f"{len(again)} duplicated, {recovered} of {count - len(acked)} not acked recovered; "
        f"{sum(n - 1 for n in given.values())} redelivered, {len(dead)} dead",
        acked=len(acked),
        lost=lost,
    )
    assert lost == 0 and acked <= sent, "an acked message was never processed"
    assert times.keys() | dead == sent, (
        "one was processed that was never sent, or not processed though it is there"
    )
    for message in again:
        *earlier, _ = [name for one, name in noted if one == message]
        assert set(earlier) <= set(crew.killed), "came twice, and the first consumer was alive"
    assert len(crew.killed) == kills[long] and len(acked) < count


def is_open(shell: Shell, box: Box) -> bool:
    """Is there something that was not processed, and is not dead?"""
    first = bytes_of(shell, f"{box.ls} -n 1")
    rows = first if b'"dead"' not in first else bytes_of(shell, box.ls)
    return any(json.loads(row)["status"] != "dead" for row in rows.splitlines())


def buried(shell: Shell, killed: set[str]) -> set[str]:
    """The dead messages: each was given out five times, and to nobody who is alive."""
    dead = {json.loads(line)["msg_id"] for line in bytes_of(shell, "msg dead").splitlines()}
    had: dict[str, list[str]] = {message: [] for message in dead}
    for one in events(shell, "msg.claimed"):
        had.get(one["refs"]["msg_id"], []).append(one["actor"]["agent_id"].removeprefix("agent:"))
    for message, consumers in had.items():
        assert len(consumers) == DELIVERIES and set(consumers) <= killed, (
            f"{message} is dead too early: {consumers}"
        )
    return dead


def events(shell: Shell, kind: str) -> list[Json]:
    return [one for one in map(json.loads, replayed(shell)) if one["type"] == kind]
