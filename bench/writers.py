"""Many writers beside few, with as many events: CPU time of commands that read.

    python bench/writers.py [ROUNDS]

Each fresh clone in CI is a writer of its own. `ev replay` is compared with that of ten writers, the
commands that look at a view with bare Python. They are warm: each has run before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import measure
from measure import PYTHON, Place, Row, cpu
from replay import BEGAN_MS, Writer

from coord_envelope import ids

FEW, MANY, EVENTS = 10, (1_000, 10_000), 200_000
REPLAY, WARM = 1.5, 5.0
COMMANDS = ("ev agents", "wk ready", "msg recv")
WARM_UP = 4
"""Runs of a command: it fills its view, counts the streams, makes the log, knows its place."""


def history(path: str, writers: int, events: int = EVENTS) -> Place:
    """A store with so many writers, whose events take turns."""
    place = Place(path)
    place.run("ev", "init")
    authors = [Writer(place, number) for number in range(writers)]
    for number in range(events):
        draft = {"type": "ci.done", "body": {"n": number}}
        event_id = ids.mint(ids.tick(0, BEGAN_MS + number), b"\0" * 8)
        authors[number % writers].add(draft, event_id, BEGAN_MS + number)
    for author in authors:
        author.seal()
    return place


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    few = history(f"{scratch}/writers-{FEW}", FEW)
    for writers in MANY:
        many = history(f"{scratch}/writers-{writers}", writers)
        acts = {name: cpu(many, *name.split()) for name in ("ev replay", *COMMANDS)}
        for _ in range(WARM_UP):
            for act in acts.values():
                act()
        acts |= {"few": cpu(few, "ev", "replay"), "bare": cpu(few, *PYTHON)}
        took = measure.interleaved(max(rounds // 3, 1), acts)
        what = f"CPU of `ev replay`, {EVENTS:,} events, {writers:,} writers"
        yield took.row(what, "ev replay", "few", REPLAY, label=f"{FEW} writers")
        for name in COMMANDS:
            what = f"CPU of `{name}`, {writers:,} writers"
            yield took.row(what, name, "bare", WARM, label="bare Python")


if __name__ == "__main__":
    sys.exit(measure.alone("writers", rows))
