"""Who is there, with 100,000 beats in the past beside none: `ev agents` and `coord-patrol --ls`.

    python bench/presence.py [ROUNDS]

The views are warm: the first command after a reboot reads the history once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import measure
from measure import Place, Row
from replay import BEGAN_MS, Writer

from coord_envelope import ids

AGENTS, BEATS, MOST = 10, 100_000, 1.5


def history(path: str, beats: int) -> Place:
    """A store in which ten agents hold an item each, and so many beats were written."""
    place = Place(path)
    place.run("ev", "init")
    for number in range(AGENTS):
        agent = f"w{number}"
        item = place.run("wk", "new", f"Item {number}", "--as", agent, "-o", "id").decode().strip()
        place.run("wk", "claim", item, "--as", agent)
    writers = [Writer(place, number) for number in range(AGENTS)]
    for writer in writers:
        os.rmdir(writer.directory)
        writer.name += "+live"
        writer.directory = f"{place.store}/live/{writer.name}"
        os.makedirs(writer.directory, mode=0o700)
    draft = {"type": "agent.seen", "body": {"status": "busy"}}
    for number in range(beats):
        event_id = ids.mint(ids.tick(0, BEGAN_MS + number), b"\0" * 8)
        writers[number % AGENTS].add(draft, event_id, BEGAN_MS + number)
    for writer in writers:
        writer.seal()
    return place


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    none, many = (history(f"{scratch}/presence-{count}", count) for count in (0, BEATS))
    for words in (("ev", "agents"), ("coord-patrol", "--ls")):
        acts = {"none": none.act(*words), "many": many.act(*words)}
        took = measure.interleaved(rounds, acts)
        what = f"`{' '.join(words)}`, {AGENTS} agents, {BEATS:,} beats in the past"
        yield took.row(what, "many", "none", MOST, label="no beat")


if __name__ == "__main__":
    sys.exit(measure.alone("presence", rows))
