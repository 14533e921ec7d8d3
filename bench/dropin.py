"""What bd, tbd and Gas City's operations cost, beside the command of the tools each stands for.

    python bench/dropin.py [ROUNDS]

CPU of both, user and system, children included, in turn, on a store of 200 items. Status 1 if one
takes more than three times as much.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from functools import partial

import measure
from measure import Place, Row

MOST = 3.0
ITEMS = 200
PAIRS = (
    ("wk new x", "coord-bd create x --json", ""),
    ("wk show {id}", "coord-bd show {id} --json", ""),
    ("wk ls", "coord-bd list --json --limit 0", ""),
    ("wk ready", "coord-bd ready --json --limit 0", ""),
    ("wk update {id} --field a={n}", "coord-bd update {id} --set-metadata a={n} --json", ""),
    ("wk claim {id}", "coord-bd update {id} --claim --json", ""),
    ("wk comment {id} x", "coord-bd comment {id} x --json", ""),
    ("wk search item", "coord-bd search item --json", ""),
    ("wk new x", "coord-tbd create x --json", ""),
    ("wk show {id}", "coord-tbd show {id} --json", ""),
    ("wk ls", "coord-tbd list --json", ""),
    ("wk ready", "coord-tbd ready --json", ""),
    ("wk update {id} -p {p}", "coord-tbd update {id} --priority {p} --json", ""),
    ("wk new x", "coord-gc beads create", '{"title": "x"}'),
    ("wk show {id}", "coord-gc beads get {id}", ""),
    ("wk ls --all --full", "coord-gc beads list", ""),
    ("wk ready --full", "coord-gc beads ready", ""),
    ("wk update {id} --field a={n}", "coord-gc beads set-metadata {id} a", "{n}"),
    ("wk update {id} -p {p}", "coord-gc beads update {id}", '{"metadata": {"b": "{n}"}}'),
    ("msg send --to bob --force --subject x", "coord-gc mail send bob", '{"subject": "x"}'),
    ("msg ls bob", "coord-gc mail inbox bob", ""),
    ("ev emit a.b", "coord-gc events record", '{"type": "a.b"}'),
    ("ev replay -n 1 --pos", "coord-gc events latest-seq", ""),
    ("run ls", "coord-gc session is-running x", ""),
    ("ev emit a.b", "coord-kwike dispatch --type a.b", '{"a": 1}'),
)
"""The command of the tools, that which stands for it, and the standard input of the latter."""


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    """A row for each operation."""
    place = Place(f"{scratch}/dropin")
    place.run("ev", "init")
    titles = "".join(f'{{"title": "item {n}"}}\n' for n in range(ITEMS))
    place.run("wk", "new", stdin=titles.encode())
    item = place.run("wk", "new", "x", "-o", "id").decode().strip()
    count = itertools.count()
    for ours, theirs, stdin in PAIRS:
        acts = {
            "ours": partial(cpu, place, item, count, ours, ""),
            "theirs": partial(cpu, place, item, count, theirs, stdin),
        }
        took = measure.interleaved(rounds, acts)
        yield took.row(f"`{theirs}`", "theirs", "ours", MOST, label=f"`{ours}`")


def cpu(place: Place, item: str, count: Iterator[int], line: str, stdin: str) -> float:
    """Seconds of CPU of a command line, with values that no call had before."""
    number = next(count)
    values = {"{id}": item, "{n}": str(number), "{p}": str(number // 2 % 5)}
    for name, value in values.items():
        line, stdin = line.replace(name, value), stdin.replace(name, value)
    path = f"{place.path}/stdin"
    with open(path, "w") as file:
        file.write(stdin)
    return place.cpu(*line.split(), stdin=path)


if __name__ == "__main__":
    sys.exit(measure.alone("dropin", rows))
