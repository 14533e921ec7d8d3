"""Many items: `wk new` and `wk apply` of many lines, what waits beside them, and lists of 100,000.

    python bench/items.py [ROUNDS]

The lists have 50 rows and the items stand for themselves; one in 1,000 has a field of one value. While the items are made, `ev emit` runs
again and again and its longest wait is the row; a lease of 15 s is held by `lease with`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import measure
from measure import PYTHON, Place, Row

COUNT, STEPS = 100_000, 1_000
CHAINED, LINEAR, LISTS, MEMORY_MB, WAIT_S = 3.0, 1.3, 3.0, 60, 1.5
LINES = (
    "status",
    "ls -n 50",
    "ready -n 50",
    "tree -n 50",
    "ls --field batch=7 -n 50",
    "search item 777 -n 50",
)


def titles(path: str, count: int) -> str:
    with open(path, "w") as file:
        for number in range(count):
            item = {"title": f"item {number}", "fields": {"batch": str(number % 1_000)}}
            file.write(json.dumps(item) + "\n")
    return path


def plan(path: str, chained: bool) -> str:
    with open(path, "w") as file:
        for number in range(STEPS):
            step = {"op": "new", "as": f"$s{number}", "title": f"step {number}"}
            deps = [{"rel": "blocked_by", "to": f"$s{number - 1}"}] if chained and number else []
            file.write(json.dumps({**step, "deps": deps}) + "\n")
    return path


def beside(place: Place, lines: str) -> tuple[float, float, int]:
    """Seconds of `wk new`, the longest `ev emit` meanwhile, the status of `lease with` around."""
    held = ["lease", "with", "env:beside", "--ttl", "15s", "--", "sh", "-c", "read line"]
    lease = subprocess.Popen(held, cwd=place.path, env=place.env, stdin=subprocess.PIPE)
    began, longest = time.perf_counter(), 0.0
    with open(lines, "rb") as source:
        work = subprocess.Popen(
            ["wk", "new"], cwd=place.path, env=place.env, stdin=source, stdout=subprocess.DEVNULL
        )
        while work.poll() is None:
            longest = max(longest, place.time("ev", "emit", "beside.tick"))
    took = time.perf_counter() - began
    lease.communicate(b"\n")
    return took, longest, lease.returncode


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    place = Place(f"{scratch}/items")
    place.run("ev", "init")
    chain, flat = plan(f"{place.path}/chain", True), plan(f"{place.path}/flat", False)
    few = max(rounds // 3, 1)
    steps = measure.interleaved(
        few,
        {
            "chain": place.act("wk", "apply", stdin=chain),
            "flat": place.act("wk", "apply", stdin=flat),
        },
    )
    label = f"{STEPS:,} that wait on nothing"
    yield steps.row(f"`wk apply` of {STEPS:,} in a chain", "chain", "flat", CHAINED, label=label)

    many = Place(f"{scratch}/items-many")
    many.run("ev", "init")
    tenth, _, _ = beside(many, titles(f"{many.path}/tenth", COUNT // 10))
    took, longest, status = beside(many, titles(f"{many.path}/titles", COUNT))
    ratio = took / 10 / tenth
    what = f"`wk new` of {COUNT:,} lines, a tenth of it"
    yield Row(
        what,
        measure.shown(took / 10),
        f"{COUNT // 10:,} lines {measure.shown(tenth)}",
        f"{ratio:.2f}",
    ).must(ratio <= LINEAR, f"≤ {LINEAR}")
    what = f"the longest `ev emit` beside `wk new` of {COUNT:,} lines"
    yield Row(what, measure.shown(longest)).must(longest < WAIT_S, f"< {WAIT_S} s")
    yield Row("a lease of 15 s beside it", f"status {status}").must(status == 0, "kept")

    for line in LINES:  # once: each makes what it looks at
        many.run("wk", *line.split())
    acts = {line: many.act("wk", *line.split()) for line in LINES}
    lists = measure.interleaved(rounds, {"python": many.act(*PYTHON), **acts})
    for line in LINES:
        what = f"`wk {line}`, {COUNT:,} open items"
        yield lists.row(what, line, "python", LISTS, label="bare Python")
        _, memory = many.used("wk", *line.split())
        yield Row(f"memory of `wk {line}`", f"{memory:.0f} MB").must(
            memory <= MEMORY_MB, f"≤ {MEMORY_MB} MB"
        )


if __name__ == "__main__":
    sys.exit(measure.alone("items", rows))
