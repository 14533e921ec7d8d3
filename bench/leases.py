"""The cost of one lease while 10 or 10,000 are held: `lease acquire`, `renew`, `release`, `ls`.

    python bench/leases.py [ROUNDS]

Half of the held resources are files of one directory, so that they share a prefix; half are
environments. Two rows measure the same decision inside one process, without the start of Python.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator

import measure
from measure import Act, Place, Row

from coord_envelope.errors import No
from coord_kernel.cli.call import Call
from coord_lease.local import Local
from coord_lease.scope import Wanted

FEW, MANY, GROWTH, TTL_MS = 10, 10_000, 1.5, 6 * 60 * 60 * 1000


class Held:
    """A store with `count` leases; a round acquires, lists, renews and releases one more."""

    def __init__(self, scratch: str, count: int) -> None:
        self.place, self.lease = Place(f"{scratch}/leases-{count}"), ""
        self.place.run("ev", "init")
        os.environ.update(COORD_DIR=self.place.store, COORD_AGENT="bench")
        self.scope = Local(Call())
        for number in range(count):
            name = f"file:src/module-{number}.py" if number % 2 else f"env:{number}"
            self.scope.acquire(Wanted([name], "x", TTL_MS))

    def acts(self) -> dict[str, Act]:
        short = Wanted(["file:src/here.py"], "x", 1)
        return {
            "`lease acquire`": self.acquire,
            "`lease renew`": lambda: self.place.time("lease", "renew", self.lease),
            "`lease ls RESOURCE`": self.place.act("lease ls file:src/new.py"),
            "`lease release`": lambda: self.place.time("lease", "release", self.lease),
            "a lease acquired, in one process": lambda: _timed(lambda: self.scope.acquire(short)),
            "a lease refused, in one process": lambda: _timed(self.refused),
        }

    def acquire(self) -> float:
        began = time.perf_counter()
        self.lease = (
            self.place.run("lease", "acquire", "file:src/new.py", "env:new", "-o", "id")
            .decode()
            .strip()
        )
        return time.perf_counter() - began

    def refused(self) -> None:
        try:
            self.scope.acquire(Wanted(["env:0"], "x", 1))
        except No:
            return
        sys.exit("leases: a held resource was granted again")


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    acts: dict[str, Act] = {}
    for count in (FEW, MANY):
        acts |= {f"{name} {count}": act for name, act in Held(scratch, count).acts().items()}
    took = measure.interleaved(rounds, acts)
    for name in [name.removesuffix(f" {FEW}") for name in acts if name.endswith(f" {FEW}")]:
        what, label = f"{name}, {MANY:,} held", f"{FEW} held"
        yield took.row(what, f"{name} {MANY}", f"{name} {FEW}", GROWTH, label=label)


if __name__ == "__main__":
    sys.exit(measure.alone("leases", rows))
