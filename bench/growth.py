"""What a question costs on a long history: `wk ready`, `wk show`, `wk new` on 1,000 to 1,000,000 events, and a rebuild.

    python bench/growth.py [ROUNDS] [SIZE]…

Each item has ten events, and one in a hundred is open. The same command runs on each store in turn, with a warm
index, so that what else the machine does meets all of them. Where an answer grows with the store, the command
asks for one line of it, and a row without a limit shows the rest. The rebuild is one command whose view was
deleted before: its time from start to end, and the most memory it had.
Exit 1 if a command costs more than 1.15 times what it costs on the smallest store, if the rebuild of the largest
reads less than 100,000 events a second, or if it takes more than 300 MB.
"""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from coord_envelope import SELF, VERSION, Journal, Store
from coord_envelope.codec import Json

RATIO, RATE, MEMORY_MB = 1.15, 100_000, 300
SIZES, ROUNDS = (1_000, 100_000, 1_000_000), 25
EVENTS, BATCH, OPEN = 10, 1_000, 100
"""Events an item, items that are written side by side, and of so many items one is open."""
READY, SHOW, SHORT, NEW, ALL = "ready -n 1", "show ID", "show wk-SHORT", "new", "ready"
DEMANDED = (READY, SHOW, SHORT, NEW)
VIEW, INDEX = "work", "index"


class Place:
    """A store of so many events, and the commands that ask it."""

    def __init__(self, path: str, count: int) -> None:
        self.path, self.count = path, count
        self.env = {**os.environ, "COORD_DIR": f"{path}/.coord", "COORD_AGENT": "bench"}
        self.env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.took: dict[str, list[float]] = {}
        os.mkdir(path)
        self.run("ev", "init")
        # In a process of its own: what this one holds would count as memory of its children.
        self.run(sys.executable, __file__, "--build", self.env["COORD_DIR"], str(count))
        self.item = self.run("wk", "ready", "-n", "1", "-o", "id").decode().strip()
        self.open = self.run("wk", "ready").count(b"\n")

    def run(self, *argv: str) -> bytes:
        return subprocess.run(argv, cwd=self.path, env=self.env, check=True, stdout=subprocess.PIPE).stdout

    def argv(self, command: str) -> list[str]:
        short = f"wk-{self.item[-8:].lower()}"
        words = {SHOW: ["show", self.item], SHORT: ["show", short], NEW: ["new", "one more"]}
        return ["wk", *words.get(command, command.split())]

    def time(self, command: str) -> None:
        began = time.perf_counter()
        self.run(*self.argv(command))
        self.took.setdefault(command, []).append(time.perf_counter() - began)

    def median_ms(self, command: str) -> float:
        return statistics.median(self.took[command]) * 1_000

    def rebuild(self, name: str, *argv: str) -> tuple[float, float]:
        """Seconds and MB of a command that must first make this database anew."""
        for file in Path(self.env["COORD_DIR"], "local").glob(f"{name}.sqlite*"):
            file.unlink()
        began = time.perf_counter()
        silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0o600)]
        program = shutil.which(argv[0], path=self.env["PATH"]) or argv[0]
        pid = os.posix_spawn(program, argv, self.env, file_actions=silent)
        _, status, usage = os.wait4(pid, 0)
        if status:
            sys.exit(f"growth: {' '.join(argv)}: exit {os.waitstatus_to_exitcode(status)}")
        return time.perf_counter() - began, usage.ru_maxrss * 1024 / 1e6


def life(number: int, item: str, last: str, step: int) -> Json:
    """What happens to an item in this step after it was made; `last` is the event before."""
    about = {"refs": {"work_id": item}, "base": [last]}
    if step == EVENTS - 1 and number % OPEN:
        return {"type": "work.closed", "body": {"resolution": "done", "note": "as asked"}, **about}
    if step == EVENTS - 2 and number % OPEN:
        return {"type": "work.claimed", "body": {"gen": 1}, **about}
    if step in (2, 5):
        return {"type": "work.updated", "body": {"set": {"priority": (number + step) % 5}}, **about}
    return {"type": "work.commented", "body": {"text": f"step {step} of {EVENTS}: nothing to report"}, **about}


def build(path: str, count: int) -> None:
    """Append the history: items side by side, each event with the one before as its base."""
    journal, actor = Journal(Store(path, "bench")), {"agent_id": "agent:bench"}
    for first in range(0, count // EVENTS, BATCH):
        numbers = range(first, min(first + BATCH, count // EVENTS))
        titles = ({"title": f"item {number} of a long history", "labels": ["bench"]} for number in numbers)
        made = journal.append(
            actor, [{"type": "work.created", "refs": {"work_id": SELF}, "body": body} for body in titles]
        )
        last = items = [one.id for one in made]
        for step in range(1, EVENTS):
            drafts = [life(*about, step) for about in zip(numbers, items, last, strict=True)]
            last = [one.id for one in journal.append(actor, drafts)]


def table(places: Sequence[Place]) -> list[str]:
    """Print the medians; what is asked too much for."""
    small, missed = places[0], []
    heads = "".join(f" {place.count:,} events, {place.open:,} open: ms | × |" for place in places)
    print(f"| warm, one process |{heads}")
    print("|---" + "|---:|---:" * len(places) + "|")
    for command in (*DEMANDED, ALL):
        ratios = [place.median_ms(command) / small.median_ms(command) for place in places]
        cells = (
            f" {place.median_ms(command):.1f} | {ratio:.2f} |" for place, ratio in zip(places, ratios, strict=True)
        )
        print(f"| wk {command} |{''.join(cells)}")
        if command in DEMANDED and max(ratios) > RATIO:
            missed.append(f"wk {command} costs {max(ratios):.2f} times what it costs on {small.count:,} events")
    return missed


def rebuilds(place: Place) -> list[str]:
    """Print how fast and in how much memory both databases of a store are made; what is too slow or too much."""
    print(f"\n| from nothing, {place.count:,} events | s | events/s | MB |\n|---|---:|---:|---:|")
    missed = []
    for name, argv in ((VIEW, place.argv(READY)), (INDEX, ["ev", "show", place.item])):
        seconds, memory = place.rebuild(name, *argv)
        rate = place.count / seconds
        print(f"| {name}.sqlite, by `{argv[0]} {argv[1]}` | {seconds:.2f} | {rate:,.0f} | {memory:.0f} |")
        if rate < RATE:
            missed.append(f"{name}.sqlite is made at {rate:,.0f} events/s, less than {RATE:,}")
        if memory > MEMORY_MB:
            missed.append(f"making {name}.sqlite takes {memory:.0f} MB, more than {MEMORY_MB}")
    return missed


def machine() -> str:
    fields = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
    cpu = next((value.strip() for name, _, value in fields if name.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} × {cpu}, Linux {platform.release()}; coord {VERSION}, Python {platform.python_version()}"


def main() -> int:
    if sys.argv[1:2] == ["--build"]:
        build(sys.argv[2], int(sys.argv[3]))
        return 0
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    sizes = [int(size) for size in sys.argv[2:]] or SIZES
    with tempfile.TemporaryDirectory() as scratch:
        places = [Place(f"{scratch}/{size}", size) for size in sizes]
        for number in range(rounds + 1):
            for command in (*DEMANDED, ALL):
                for place in places:
                    place.time(command)
            if not number:
                for place in places:
                    place.took.clear()  # the first round warmed up
        missed = table(places) + rebuilds(places[-1])
    print(f"\n{machine()}; medians of {rounds} rounds, in turn")
    for one in missed:
        print(f"growth: {one}", file=sys.stderr)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
