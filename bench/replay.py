"""`ev replay` beside `sort -m`, filtered beside `grep | sort` and jq, and its memory; the index.

    python bench/replay.py [ROUNDS]

Eight writers took turns at random (from a seed), so that the merge has work to do; one event in ten
has the type of the filter. The peers get one file per writer, and sort by bytes. A sync checks what
it takes in, so the first replay knows which files hold only good lines. Of a journal that was copied
it checks every line.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import measure
import peers
from measure import Act, Place, Row, cpu

from coord_envelope import event, ids
from coord_envelope.codec import Json
from coord_kernel import Store
from coord_kernel.streams import lines
from coord_kernel.streams.rows import SEGMENT
from coord_kernel.streams.stream import streams

COUNT, WRITERS, SEED = 1_000_000, 8, 15
MERGE, FILTER, MEMORY, INDEX_S = 4.5, 2.0, 1.1, 2.5
BEGAN_MS = 1_760_000_000_000
WANTED = "ci.failed"
PARSED = "each line is parsed, once, to skip bad ones; `sort` and `grep` check nothing"
RACY_S = 2.5
"""A file is not remembered as good until so long after its last change."""


class Writer:
    """A stream, in segments of a store and in one file for the peers."""

    def __init__(self, place: Place, number: int) -> None:
        self.name, self.actor = f"agent.w{number}~{number:08d}", {"agent_id": f"agent:w{number}"}
        self.directory, self.plain = f"{place.store}/journal/{self.name}", f"{place.path}/w{number}"
        os.makedirs(self.directory, mode=0o700)
        self.seq, self.lines, self.first = 0, list[bytes](), 1

    def add(self, draft: Json, event_id: str, now: int) -> None:
        self.seq += 1
        head = ("bench", self.name, self.seq)
        self.lines.append(event.build(draft, event_id, now, head, self.actor).raw + b"\n")
        if len(self.lines) * 200 >= SEGMENT:
            self.seal()

    def seal(self) -> None:
        data = b"".join(self.lines)
        for path in (f"{self.directory}/{self.first:012d}.jsonl", self.plain):
            with open(path, "ab") as file:
                file.write(data)
        self.first, self.lines = self.seq + 1, []


def history(path: str, count: int) -> tuple[Place, list[str]]:
    """A store of `count` events, and one plain file per writer."""
    place, chance, stamp = Place(path), random.Random(SEED), 0
    place.run("ev", "init")
    writers = [Writer(place, number) for number in range(WRITERS)]
    for number in range(count):
        stamp = ids.tick(stamp, BEGAN_MS + number)
        kind = WANTED if chance.random() < 0.1 else "ci.passed"
        draft = {"type": kind, "body": {"n": number, "test": f"test_{chance.randrange(10_000)}"}}
        chance.choice(writers).add(draft, ids.mint(stamp, chance.randbytes(8)), BEGAN_MS + number)
    for writer in writers:
        writer.seal()
    return place, [writer.plain for writer in writers]


def forget(place: Place) -> None:
    with suppress(FileNotFoundError):
        os.unlink(f"{place.store}/local/plain")


def synced(place: Place) -> None:
    """Leave the store as a sync does that took in all of it."""
    forget(place)
    store = Store(place.store, "bench")
    lines.check(store, {stream.writer for stream in streams(store)})


def index(place: Place) -> Act:
    """An act that gives the CPU seconds of an index from nothing, with one look-up."""

    def act() -> float:
        synced(place)
        for path in Path(place.store, "local").glob("index.*"):
            path.unlink()
        return cpu(place, "ev", "show", "0" * 26)()

    return act


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    few, _ = history(f"{scratch}/replay-few", COUNT // 10)
    place, files = history(f"{scratch}/replay", COUNT)
    place.env["LC_ALL"] = "C"
    matching = place.run("ev", "replay", "--type", WANTED).count(b"\n")
    grep = f'grep -hF \'"type":"{WANTED}"\' {" ".join(files)} | sort'

    def copied() -> float:
        forget(place)
        return place.time("ev", "replay")

    def first() -> float:
        synced(place)
        return place.time("ev", "replay")

    time.sleep(RACY_S)
    acts: dict[str, Act] = {
        "copied": copied,
        "first": first,
        "replay": place.act("ev", "replay"),
        "merge": place.act("sort", "-m", *files),
        "filter": place.act("ev", "replay", "--type", WANTED),
        "grep": place.act("sh", "-c", grep),
    }
    if place.run("sh", "-c", grep).count(b"\n") != matching:
        sys.exit("replay: the filter and its peer find different lines")
    took = measure.interleaved(rounds, acts)
    yield took.row(f"`ev replay`, {COUNT:,} events", "replay", "merge", MERGE, label="`sort -m`")
    what = f"the first `ev replay` of {COUNT:,} events after a sync"
    yield took.row(what, "first", "merge", MERGE, label="`sort -m`")
    what = f"the first `ev replay` of {COUNT:,} events that were copied"
    yield took.row(what, "copied", "merge", why=PARSED, label="`sort -m`")
    took = measure.interleaved(
        max(rounds // 10, 1), {"index": index(place), "merge": cpu(place, "sort", "-m", *files)}
    )
    what = f"CPU of an index of {COUNT:,} events from nothing after a sync"
    row = took.row(what, "index", "merge", label="`sort -m`")
    yield row.must(took.median("index") <= INDEX_S, f"≤ {INDEX_S} s")
    what = f"`ev replay --type`, {matching:,} of {COUNT:,}"
    yield took.row(what, "filter", "grep", FILTER, label="`grep \\| sort`")
    yield _beside_jq(what, max(rounds // 10, 1), place, files)
    yield _memory(place, few)


def _beside_jq(what: str, rounds: int, place: Place, files: list[str]) -> Row:
    try:
        jq = place.act(*peers.program("jq"), "-c", f'select(.type == "{WANTED}")', *files)
    except peers.MissingError as why:
        return Row(f"{what} beside jq", note=str(why))
    took = measure.interleaved(
        rounds, {"filter": place.act("ev", "replay", "--type", WANTED), "jq": jq}
    )
    return took.row(what, "filter", "jq", label=f"`jq 'select(…)'`, {rounds} rounds,")


def _memory(place: Place, few: Place) -> Row:
    forget(place)
    forget(few)
    most, least = place.used("ev", "replay")[1], few.used("ev", "replay")[1]
    row = Row(
        f"memory of the first `ev replay`, {COUNT:,} events",
        f"{most:.0f} MB",
        f"{COUNT // 10:,} events {least:.0f} MB",
    )
    row.cells[3] = f"{most / least:.2f}"
    return row.must(most <= least * MEMORY, f"≤ {MEMORY}")


if __name__ == "__main__":
    sys.exit(measure.alone("replay", rows))
