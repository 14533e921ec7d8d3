"""A discrete simulation of towns that sync: pure, seeded, no clock.

A remote is the list of its pushes. A store remembers how far it has seen that list, and what it
takes in at its next sync is each ref that was pushed since; what that costs is the model's. The
simulated replicas run the very schedule of the measured ones (`measured`), and then others that
nobody has the machines for (`day`, `claims`).
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from scale.model import Model, Point

TRIES, PAUSE_S, LONGEST_S = 12, 0.05, 2.0
"""Of `coord_kernel.sync.rounds`: rounds, and the random pauses between them."""


class Remote:
    """Refs, and the order in which they were pushed last."""

    def __init__(self, room: int) -> None:
        """`room`: most pushes."""
        self._sums = [0] * (room + 1)
        self._last: dict[int, int] = {}
        self.pushes = 0

    @property
    def refs(self) -> int:
        return len(self._last)

    def push(self, ref: int) -> None:
        if ref in self._last:
            self._add(self._last[ref], -1)
        self.pushes += 1
        self._last[ref] = self.pushes
        self._add(self.pushes, 1)

    def changed(self, seen: int, own: int) -> int:
        """The refs of others that were pushed since the list had `seen` pushes."""
        count = len(self._last) - self._upto(seen)
        return count - (self._last.get(own, 0) > seen)

    def _add(self, at: int, count: int) -> None:
        while at < len(self._sums):
            self._sums[at] += count
            at += at & -at

    def _upto(self, at: int) -> int:
        total = 0
        while at:
            total += self._sums[at]
            at -= at & -at
        return total


class Replica:
    """A store that syncs with one remote."""

    def __init__(self, name: int, remote: Remote, model: Model) -> None:
        self.name, self._remote, self._model, self._seen = name, remote, model, -1
        self.taken = 0

    def sync(self, gives: bool = True) -> float:
        """Take in what is new and, if there is something, push; the CPU seconds."""
        joins = self._seen < 0
        self.taken = self._remote.changed(max(self._seen, 0), self.name)
        if gives:
            self._remote.push(self.name)
        self._seen = self._remote.pushes
        refs = self._remote.refs
        if joins:
            return self._model.cost("join", refs)
        if not gives and not self.taken:
            return self._model.cost("quiet", refs)
        return self._model.cost("some", refs, self.taken)


PROBES = 5
"""Replicas that sync only at the sizes at which is measured; the first ones."""


def measured(model: Model, sizes: Sequence[int]) -> Iterator[Point]:
    """What the simulation says of the schedule of `scale.replicas`, at these sizes."""
    remote = Remote(4 * max(sizes) + 100)
    replicas: list[Replica] = []
    for size in sizes:
        joined = 0.0
        while len(replicas) < size:
            replicas.append(Replica(len(replicas), remote, model))
            joined = replicas[-1].sync()
        yield Point("join", size, size - 1, joined)
        costs = [(probe.sync(), probe.taken) for probe in replicas[:PROBES]]
        yield Point("some", size, costs[0][1], costs[0][0])
        probe, other = replicas[0], replicas[-1]
        other.sync()
        probe.sync()
        other.sync()
        yield Point("one", size, 1, probe.sync())
        other.sync()
        probe.sync()
        yield Point("quiet", size, 0, probe.sync(gives=False))


class Day(NamedTuple):
    """What a busy hour costs."""

    refs: int
    """That a store sees at its remote."""
    taken: float
    """Refs with something new, a sync."""
    sync_s: float
    """CPU seconds of a sync, the mean."""
    busy: float
    """The part of one CPU that a replica spends on it."""


def hour(model: Model, refs: int, every_s: float, events: float, chance: random.Random) -> Day:
    """`refs` replicas of one namespace: each writes `events` times an hour, and syncs `every_s`.

    When it writes and syncs is random; after a warm-up of two intervals it is counted.
    """
    begin, end = 2 * every_s, 4 * every_s
    quiet = 2.718281828 ** (-events * every_s / 3600)
    """The chance that a replica has written nothing in an interval."""
    remote = Remote(int(refs * (end / every_s + 2)) + refs)
    replicas = [Replica(name, remote, model) for name in range(refs)]
    for replica in replicas:
        replica.sync()
    turns = [(chance.random() * every_s, name) for name in range(refs)]
    heapq.heapify(turns)
    spent = taken = syncs = 0.0
    while turns[0][0] < end:
        at, name = turns[0]
        heapq.heapreplace(turns, (at + every_s, name))
        cost = replicas[name].sync(gives=chance.random() >= quiet)
        if at >= begin:
            spent, taken, syncs = spent + cost, taken + replicas[name].taken, syncs + 1
    return Day(refs, taken / syncs, spent / syncs, spent / syncs / every_s)


class Race(NamedTuple):
    """What became of claims that were made at once."""

    confirmed: int
    tries: float
    """Rounds a claim, the mean."""
    seconds: float
    """Until the last one was confirmed or gave up."""
    median_s: float


def race(count: int, round_s: float, cores: float, chance: random.Random) -> Race:
    """So many claims on different items, at once, each by a store of its own.

    A round takes `round_s`, longer if more rounds run than `cores`. It wins if nobody has moved the
    arbiter since it was read, a half of the round before.
    """
    tip = 0
    running = count
    ends: list[tuple[float, int, int, int, int]] = []
    """When, a number that makes rows comparable, claim, attempt, the tip that was read."""
    numbers = iter(range(1 << 60))

    def begin(at: float, claim: int, attempt: int) -> None:
        took = round_s * max(1.0, running / cores) * (0.8 + 0.4 * chance.random())
        heapq.heappush(ends, (at + took / 2, next(numbers), claim, attempt, -1))
        heapq.heappush(ends, (at + took, next(numbers), claim, attempt, 0))

    reads: dict[int, int] = {}
    done: list[float] = []
    tries = won = 0
    last = 0.0
    for claim in range(count):
        begin(chance.random() * round_s, claim, 0)
    while ends:
        at, _, claim, attempt, reads_now = heapq.heappop(ends)
        if reads_now:
            reads[claim] = tip
            continue
        tries, last = tries + 1, at
        if reads[claim] == tip:
            tip, running, won = tip + 1, running - 1, won + 1
            done.append(at)
        elif attempt + 1 < TRIES:
            pause = chance.random() * min(PAUSE_S * (1 << (attempt + 1)), LONGEST_S)
            begin(at + pause, claim, attempt + 1)
        else:
            running -= 1
    done.sort()
    return Race(won, tries / count, last, done[len(done) // 2] if done else 0.0)
