"""`ev replay` and `ev agents` of many writers beside few: CPU time per event, 20 events a writer.

    python bench/writers.py [ROUNDS]

Each fresh clone in CI is a writer of its own. The second pair has as many events in both stores:
what is left then is the price of a stream, which has to be opened.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator

import measure
from measure import Act, Place, Row
from replay import BEGAN_MS, Writer

from coord_envelope import ids

FEW, MANY, EACH = 10, 10_000, 20
MOST = 1.5


def history(path: str, writers: int, events: int) -> Place:
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


def cpu(place: Place, *argv: str, events: int) -> Act:
    """An act that gives the CPU seconds of a command for each of so many events."""

    def act() -> float:
        program = shutil.which(argv[0], path=place.env["PATH"]) or argv[0]
        silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0o600)]
        usage = os.wait4(os.posix_spawn(program, argv, place.env, file_actions=silent), 0)[2]
        return (usage.ru_utime + usage.ru_stime) / events

    return act


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    many = history(f"{scratch}/writers-many", MANY, MANY * EACH)
    stores = {
        "each": (history(f"{scratch}/writers-each", FEW, FEW * EACH), FEW * EACH),
        "same": (history(f"{scratch}/writers-same", FEW, MANY * EACH), MANY * EACH),
    }
    for name in ("replay", "agents"):
        acts = {"many": cpu(many, "ev", name, events=MANY * EACH)}
        for kind, (place, events) in stores.items():
            acts[kind] = cpu(place, "ev", name, events=events)
        took = measure.interleaved(max(rounds // 10, 1), acts)
        what = f"CPU per event of `ev {name}`, {MANY:,} writers"
        yield took.row(what, "many", "each", MOST, label=f"{FEW} writers of {EACH} events")
        yield took.row(what, "many", "same", label=f"{FEW} writers, as many events")


if __name__ == "__main__":
    sys.exit(measure.alone("writers", rows))
