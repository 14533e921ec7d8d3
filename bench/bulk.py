"""Many events through one process: `ev emit` beside `redis-cli --pipe`, `jq -c` and `cat >>`.

    python bench/bulk.py [ROUNDS]

Each round gives all programs the same events from a file; `ev emit` appends them to a new store and
its output is discarded. The output means that the events are on the disk. The demand is relative to
a Redis with the same guarantee (append-only file, synced for every batch); a Redis in memory only
is measured beside it. The ratio depends on the load of the disk: see README.md.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import measure
import peers
from measure import Act, Place, Row

COUNT, SEED = 50_000, 15
SYNCED, KEYED = 1.2, 2.0
SERVERS = {"memory only": (), "synced as we do": ("--appendonly", "yes", "--appendfsync", "always")}
SLOWER = "events are checked and numbered in Python"


def bodies() -> Iterator[dict[str, object]]:
    chance = random.Random(SEED)
    for number in range(COUNT):
        yield {
            "n": number,
            "test": f"test_{chance.randrange(10_000)}",
            "pad": "x" * chance.randrange(120),
        }


def write(path: str, kind: str) -> str:
    """Write the events, one per line, also keyed, or the commands that add them in Redis."""
    with open(path, "w") as file:
        for body in bodies():
            if kind != "commands":
                key = {"idempotency_key": f"job-{body['n']}"} if kind == "keyed" else {}
                draft = {"type": "ci.passed", **key, "body": body}
                file.write(json.dumps(draft, separators=(",", ":")) + "\n")
            else:
                text = json.dumps(body, separators=(",", ":"))
                words = ("XADD", "events", "*", "type", "ci.passed", "body", text)
                file.write(f"*{len(words)}\r\n")
                file.writelines(f"${len(word)}\r\n{word}\r\n" for word in words)
    return path


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    place = Place(f"{scratch}/bulk")
    events = write(f"{place.path}/events", "events")
    keyed = write(f"{place.path}/keyed", "keyed")
    sink = f"{place.path}/sink"

    def emit(source: str) -> Act:
        def act() -> float:
            shutil.rmtree(place.store, ignore_errors=True)
            place.run("ev", "init")
            return place.time("ev", "emit", stdin=source)

        return act

    acts: dict[str, Act] = {
        "emit": emit(events),
        "keyed": emit(keyed),
        "cat": place.act("cat", stdin=events, stdout=sink),
    }
    without = []
    with ExitStack() as stack:
        try:
            acts["jq"] = place.act(*peers.program("jq"), "-c", ".", stdin=events)
        except peers.MissingError as why:
            without.append(Row("bulk beside `jq -c`", note=str(why)))
        try:
            commands = write(f"{place.path}/commands", "commands")
            client = peers.program("redis-cli")
            for name, settings in SERVERS.items():
                socket = stack.enter_context(peers.redis(scratch, *settings))
                acts[name] = place.act(*client, "-s", socket, "--pipe", stdin=commands)
        except peers.MissingError as why:
            without.append(Row("bulk beside `redis-cli --pipe`", note=str(why)))
        took = measure.interleaved(rounds, acts)
    what = f"`ev emit` of {COUNT:,} events, synced ({COUNT / took.median('emit'):,.0f}/s)"
    for name in [name for name in SERVERS if name in acts]:
        label = f"`redis-cli --pipe`, {name} ({COUNT / took.median(name):,.0f}/s)"
        wanted = (SYNCED, KEYED) if name != "memory only" else (None, None)
        yield took.row(what, "emit", name, wanted[0], SLOWER, label)
        with_keys = f"the same, each with a key ({COUNT / took.median('keyed'):,.0f}/s)"
        yield took.row(with_keys, "keyed", name, wanted[1], "each key is looked up", label)
    for name, label in (("jq", "`jq -c`"), ("cat", "`cat >>`")):
        if name in acts:
            yield took.row(what, "emit", name, label=label)
    yield from without


if __name__ == "__main__":
    sys.exit(measure.alone("bulk", rows))
