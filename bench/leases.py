"""What a lease costs when much is held: `lease acquire`, `renew`, `release`, `ls` of one, over 10 and 10,000 held.

    python bench/leases.py [ROUNDS] [HELD]…

Half of what is held are files of one directory, so that it has one beginning; half are environments. The same command
runs on each store in turn, so that what else the machine does meets all of them. Two rows are the process as a user
starts it; the last is the same decision inside one process, without the start of Python, which hides it.
Exit 1 if one costs more than 1.5 times what it costs with the fewest held.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from coord_envelope.errors import No
from coord_envelope.tool import Call
from coord_lease.local import Local
from coord_lease.scope import Wanted

RATIO, HELD, ROUNDS, TTL_MS = 1.5, (10, 10_000), 25, 6 * 60 * 60 * 1000


class Place:
    """A store in which so much is held, and what is timed in it."""

    def __init__(self, path: str, count: int) -> None:
        self.count, self.took = count, dict[str, list[float]]()
        os.makedirs(path)
        self.env = {**os.environ, "COORD_DIR": f"{path}/.coord", "COORD_AGENT": "bench"}
        self.env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.path = path
        self.run("ev init")
        os.environ.update(COORD_DIR=self.env["COORD_DIR"], COORD_AGENT="bench")
        self.scope = Local(Call())
        for number in range(count):
            name = f"file:src/module-{number}.py" if number % 2 else f"env:{number}"
            self.scope.acquire(Wanted([name], "x", TTL_MS))
        self.number = 0

    def run(self, line: str) -> str:
        argv = line.split()
        return subprocess.run(argv, cwd=self.path, env=self.env, check=True, capture_output=True, text=True).stdout

    def time(self, name: str, act: Callable[[], object]) -> None:
        began = time.perf_counter()
        act()
        self.took.setdefault(name, []).append(time.perf_counter() - began)

    def round(self) -> None:
        """Each command once; what is acquired is given back."""
        self.number += 1
        resource, lease = f"file:src/new-{self.number}.py", ""

        def acquire() -> None:
            nonlocal lease
            lease = self.run(f"lease acquire {resource} env:new-{self.number} -o id").strip()

        self.time("lease acquire", acquire)
        self.time("lease renew", lambda: self.run(f"lease renew {lease}"))
        self.time("lease ls RESOURCE", lambda: self.run(f"lease ls {resource}"))
        self.time("lease release", lambda: self.run(f"lease release {lease}"))
        self.time("acquire, in one process", lambda: self.scope.acquire(Wanted([resource], "x", 1)))
        self.time("refused, in one process", self.refused)

    def refused(self) -> None:
        try:
            self.scope.acquire(Wanted(["env:0"], "x", 1))
        except No:
            return
        sys.exit("leases: what is held was granted again")

    def median_ms(self, name: str) -> float:
        return statistics.median(self.took[name]) * 1000


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    counts = [int(count) for count in sys.argv[2:]] or HELD
    missed = []
    with tempfile.TemporaryDirectory() as scratch:
        places = [Place(f"{scratch}/{count}", count) for count in counts]
        for number in range(rounds + 1):
            for place in places:
                place.round()
                if not number:
                    place.took.clear()  # the first round warmed up
        print("| " + "".join(f"| {place.count:,} held: ms | × " for place in places) + "|")
        print("|---" + "|---:|---:" * len(places) + "|")
        for name in places[0].took:
            ratios = [place.median_ms(name) / places[0].median_ms(name) for place in places]
            cells = (f" {p.median_ms(name):.2f} | {r:.2f} |" for p, r in zip(places, ratios, strict=True))
            print(f"| {name} |{''.join(cells)}")
            if max(ratios) > RATIO:
                missed.append(f"{name} costs {max(ratios):.2f} times what it costs with {counts[0]} held")
    for one in missed:
        print(f"leases: {one}", file=sys.stderr)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
