"""Who is there, with 100,000 beats in the past beside none; how soon the work of the dead is back.

    python bench/presence.py [ROUNDS]

The views are warm: the first command after a reboot reads the history once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import measure
from measure import Place, Row
from replay import BEGAN_MS, Writer

from coord_envelope import codec, ids

AGENTS, BEATS, MOST = 10, 100_000, 1.5
BACK_S = 2.0


def history(path: str, beats: int) -> Place:
    """A store in which ten agents hold an item each, and so many beats were written."""
    place = Place(path)
    place.run("ev", "init")
    for number in range(AGENTS):
        agent = f"w{number}"
        item = place.run("wk", "new", f"Item {number}", "--as", agent, "-o", "id").decode().strip()
        place.run("wk", "claim", item, "--as", agent)
    writers = [Writer(place, number) for number in range(AGENTS)]
    own = codec.loads(place.run("ev", "replay", "-n", "1"))["writer"].partition("~")[2]
    for number, writer in enumerate(writers):
        os.rmdir(writer.directory)
        writer.name = f"agent.w{number}~{own}+live"
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
    for words in (
        ("ev", "agents"),
        ("ev", "agents", "w0"),
        ("coord", "status"),
        ("coord-patrol", "--ls"),
        ("wk", "mine", "--as", "w0"),
    ):
        acts = {"none": none.act(*words), "many": many.act(*words)}
        took = measure.interleaved(rounds, acts)
        what = f"`{' '.join(words)}`, {AGENTS} agents, {BEATS:,} beats in the past"
        yield took.row(what, "many", "none", MOST, label="no beat")
    yield back(rounds, f"{scratch}/presence-back")


def back(rounds: int, path: str) -> Row:
    """From the kill of an agent in a wrapper until another can claim its item."""
    place = Place(path)
    place.run("ev", "init")
    null, took = subprocess.DEVNULL, []
    patrol = subprocess.Popen(
        ["coord-patrol"], cwd=path, env=place.env, stdin=null, stdout=null, start_new_session=True
    )
    with measure.running(patrol):
        for number in range(rounds + 1):
            item = place.run("wk", "new", f"Item {number}", "-o", "id").decode().strip()
            agent = f"wk claim {item} >&2; echo $$; exec sleep 600"
            argv = ["run", "exec", "--env", f"PATH={place.env['PATH']}", "--env"]
            argv += [f"COORD_AGENT=w{number}", "--", "sh", "-c", agent]
            with subprocess.Popen(
                argv, cwd=path, env=place.env, stdin=null, stdout=subprocess.PIPE, stderr=null
            ) as wrapper:
                assert wrapper.stdout
                pid = int(wrapper.stdout.readline())
                began = time.perf_counter()
                os.kill(pid, signal.SIGKILL)
                while item.encode() not in place.run("wk", "ready", "-o", "id"):
                    pass
                took.append(time.perf_counter() - began)
    median, worst = sorted(took)[len(took) // 2], max(took)
    what = f"kill -9 of an agent in `run exec` → its item is ready again, {rounds + 1} kills"
    row = Row(what, f"{measure.shown(median)}, at most {measure.shown(worst)}")
    return row.must(worst < BACK_S, f"< {BACK_S:g} s")


if __name__ == "__main__":
    sys.exit(measure.alone("presence", rows))
