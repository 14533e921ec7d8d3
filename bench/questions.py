"""Questions about items: what a filter, a search and a log cost, in a short and a long history.

    python bench/questions.py [ROUNDS]

Each history has one item in ten events. The questions have one answer, so what they cost more in
the long one is what they read besides it. The first search makes its index, and is not counted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import history
import measure
from measure import Place, Row

GROWTH = 1.5
LINES = (
    "ls --field route=east",
    "ready --field route=east",
    "ls --assignee needle",
    "ls --label needle",
    "ls --kind needle",
    "ls --all --label needle",
    "search needle",
    "stale --older 36500d",
    "log ID",
)


def asked(scratch: str, count: int) -> tuple[Place, str]:
    """A store with so many events, and the id of the item that is asked for."""
    place = history.place(scratch, count)
    options = "--field route=east --assignee needle --label needle --kind needle"
    line = f"wk new needle --key needle {options} -o id"
    item = place.run(*line.split()).decode().strip()
    place.run("wk", "search", "needle")
    return place, item


def rows(rounds: int, scratch: str, large: int = history.SIZES[-1]) -> Iterator[Row]:
    small = history.SIZES[0]
    acts = {}
    for count in (small, large):
        place, item = asked(scratch, count)
        for line in LINES:
            acts[f"{line} {count}"] = place.act("wk", *line.replace("ID", item).split())
    took = measure.interleaved(rounds, acts)
    for line in LINES:
        what = f"`wk {line}`, {large:,} events"
        yield took.row(
            what, f"{line} {large}", f"{line} {small}", GROWTH, label=f"{small:,} events"
        )


if __name__ == "__main__":
    sys.exit(measure.alone("questions", rows))
