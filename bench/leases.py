"""What a lease costs when much is held: `lease acquire`, `renew`, `release`, `ls` of one, over 10 and 10,000 held.

    python bench/leases.py [ROUNDS]

Half of what is held are files of one directory, so that it has one beginning; half are environments. Two rows are the
same decision inside one process, without the start of Python, which hides it.
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
    """A store in which so much is held; a round acquires, asks, and gives back."""

    def __init__(self, scratch: str, count: int) -> None:
        self.place, self.lease = Place(f"{scratch}/leases-{count}"), ""
        self.place.run("ev", "init")
        os.environ.update(COORD_DIR=self.place.store, COORD_AGENT="bench")
        self.scope = Local(Call())
        for number in range(count):
            name = f"file:src/module-{number}.py" if number % 2 else f"env:{number}"
            self.scope.acquire(Wanted([name], "x", TTL_MS))

    def acts(self) -> dict[str, Act]:
        one = Wanted(["file:src/here.py"], "x", 1)
        return {
            "`lease acquire`": self.acquire,
            "`lease renew`": lambda: self.place.time("lease", "renew", self.lease),
            "`lease ls RESOURCE`": self.place.act("lease ls file:src/new.py"),
            "`lease release`": lambda: self.place.time("lease", "release", self.lease),
            "a lease acquired, in one process": lambda: _timed(lambda: self.scope.acquire(one)),
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
        sys.exit("leases: what is held was granted again")


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    acts: dict[str, Act] = {}
    for count in (FEW, MANY):
        acts |= {f"{name} {count}": act for name, act in Held(scratch, count).acts().items()}
    took = measure.interleaved(rounds, acts)
    for name in [one.removesuffix(f" {FEW}") for one in acts if one.endswith(f" {FEW}")]:
        yield took.row(
            f"{name}, {MANY:,} held", f"{name} {MANY}", f"{name} {FEW}", GROWTH, said=f"{FEW} held"
        )


if __name__ == "__main__":
    sys.exit(measure.alone("leases", rows))
