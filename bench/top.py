"""How soon coord-top shows a change, and what it costs while nothing happens.

    python bench/top.py [ROUNDS]

Time from the end of a synced append to the bytes of its title at the terminal of a real coord-top, in
a store of 1,000,000 events: as a sentence among the events, which are drawn at once, and as the row
of the agent that holds it, which is drawn when the whole store was looked at. Then the same while
100 other events a second come; and its CPU in 20 quiet seconds.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import statistics
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import history
import measure
from measure import BIN, Place, Row

from coord_envelope import SELF
from coord_kernel import Journal, Store

COUNT, SIZE = 1_000_000, (160, 50)
WITHIN_S, PANELS_S, BUSY_S = 0.05, 0.1, 1.0
IDLE_S, IDLE = 20, 0.005
OTHERS, GAP_S = 100, 0.3
ACTOR = {"agent_id": "agent:bench"}


class Screen:
    """A coord-top at a terminal, and when which bytes were drawn."""

    def __init__(self, place: Place) -> None:
        ours, theirs = pty.openpty()
        size = struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
        env = {**place.env, "TERM": "xterm-256color", "COORD_AGENT": "human:bench"}
        self.process = subprocess.Popen(
            [f"{BIN}/coord-top"], cwd=place.path, env=env,
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self._terminal, self._drawn = ours, b""
        self._new = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._terminal, 1 << 16)
            except OSError:
                return
            with self._new:
                self._drawn = (self._drawn + data)[-(1 << 20) :]
                self._new.notify_all()

    def until(self, pattern: str, seconds: float = 300) -> float:
        """Wait until what was drawn matches; the time at which it did."""
        wanted = re.compile(pattern.encode())
        with self._new:
            if not self._new.wait_for(lambda: wanted.search(self._drawn), seconds):
                sys.exit(f"{pattern} was not drawn within {seconds} s")
            return time.perf_counter()

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        os.close(self._terminal)


@contextmanager
def shown(place: Place) -> Iterator[Screen]:
    screen = Screen(place)
    try:
        screen.until("live")
        time.sleep(1)
        yield screen
    finally:
        screen.close()


@contextmanager
def item(journal: Journal, title: str) -> Iterator[float]:
    """An item that is worked on for a while; the time at which it was durable."""
    body = {"title": title, "priority": 0}
    with journal.transaction(ACTOR) as t:
        made = t.add({"type": "work.created", "refs": {"work_id": SELF}, "body": body})
        about = {"refs": {"work_id": made.id}, "base": [made.id]}
        t.add({"type": "work.claimed", "body": {"gen": 1}, **about})
    yield time.perf_counter()
    journal.append(ACTOR, [{"type": "work.closed", "body": {"resolution": "done"}, **about}])


def delays(
    screen: Screen, journal: Journal, name: str, rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds from each of so many single changes to its event, and to its item on the screen."""
    events, items = [], []
    for number in range(rounds):
        title = f"{name}{number:04}q"
        with item(journal, title) as began:
            events.append(screen.until(title, 20) - began)
            # In a sentence a word stands before the id; in the row of its agent nothing.
            items.append(screen.until(rf"mwk-\w+ {title}", 20) - began)
        time.sleep(GAP_S)
    return events, items


@contextmanager
def others(journal: Journal) -> Iterator[None]:
    """100 events a second."""
    ended = threading.Event()

    def write() -> None:
        begin = time.monotonic()
        for number in range(1 << 30):
            draft = {"type": "bench.tick", "body": {"n": number}}
            journal.append({"agent_id": "agent:other"}, [draft])
            if ended.wait(max(0, begin + (number + 1) / OTHERS - time.monotonic())):
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    place = history.place(scratch, COUNT)
    journal = Journal(Store(place.store, "bench"))
    with shown(place) as screen:
        events, items = delays(screen, journal, "one", rounds)
        time.sleep(2)  # until the last change is drawn
        before = screen.cpu()
        time.sleep(IDLE_S)
        idle = (screen.cpu() - before) / IDLE_S
        with others(Journal(Store(place.store, "bench"))):
            screen.until(r"  \+\d")
            _, busy = delays(screen, journal, "many", rounds)
    for what, took, most in (("a change", events, WITHIN_S), ("its panels", items, PANELS_S)):
        p50, p99 = measure.quantiles(took)
        shown_s = f"p50 {measure.shown(p50)}, p99 {measure.shown(p99)}"
        row = Row(f"coord-top shows {what}, {COUNT:,} events", shown_s)
        yield row.must(p50 <= most, f"p50 ≤ {most * 1000:.0f} ms")
    row = Row(f"the same, {OTHERS} other events a second", measure.shown(statistics.median(busy)))
    yield row.must(statistics.median(busy) <= BUSY_S, "p50 ≤ 1 s, and it says +N")
    row = Row(f"coord-top, idle for {IDLE_S} s", f"{idle * 100:.2f} % of a CPU")
    yield row.must(idle <= IDLE, f"≤ {IDLE:.1%}")


if __name__ == "__main__":
    sys.exit(measure.alone("top", rows))
