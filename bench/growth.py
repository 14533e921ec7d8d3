"""What a question costs on a long history: `wk ready`, `wk show`, `wk new` on 1,000 to 1,000,000 events, and a rebuild.

    python bench/growth.py [ROUNDS] [--picture FILE.svg]

The same command runs on each store in turn, with a warm index. Where an answer grows with the store, the command asks
for one line of it, and a row without a limit shows the rest. The rebuild is one command whose view was deleted before:
its time from start to end, and the most memory that a process of it had. `--picture` draws the costs against the
history (it needs matplotlib: `pip install '.[bench]'`).
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import history
import measure
from history import SIZES
from measure import Act, Place, Row, Took

GROWTH, RATE, MEMORY_MB, REBUILDS = 1.15, 100_000, 300, 3
READY, SHOW, SHORT, NEW, ALL = (
    "wk ready -n 1",
    "wk show ID",
    "wk show wk-SHORT",
    "wk new",
    "wk ready",
)
DEMANDED, SLOW = (READY, SHOW, SHORT, NEW), "a single figure, of a machine that had other work"


def argv(command: str, item: str) -> list[str]:
    words = {
        SHOW: ["wk", "show", item],
        SHORT: ["wk", "show", f"wk-{item[-8:].lower()}"],
        NEW: [*NEW.split(), "more"],
    }
    return words.get(command, command.split())


def measured(rounds: int, places: dict[int, Place]) -> Took:
    """Each command on each store, once a round."""
    acts: dict[str, Act] = {}
    items = {
        size: place.run("wk", "ready", "-n", "1", "-o", "id").decode().strip()
        for size, place in places.items()
    }
    for command in (*DEMANDED, ALL):
        acts |= {
            f"{command} {size}": place.act(*argv(command, items[size]))
            for size, place in places.items()
        }
    return measure.interleaved(rounds, acts)


def rows(rounds: int, scratch: str, picture: str = "") -> Iterator[Row]:
    places = {size: history.place(scratch, size) for size in SIZES}
    took = measured(rounds, places)
    for command in (*DEMANDED, ALL):
        for size in SIZES[1:]:
            most = GROWTH if command in DEMANDED else None
            said, name = f"{SIZES[0]:,} events", f"{command} {size}"
            yield took.row(
                f"`{command}`, {size:,} events", name, f"{command} {SIZES[0]}", most, said=said
            )
    if picture:
        draw(took, picture)
    yield from rebuilds(places[SIZES[-1]])


def rebuilds(place: Place) -> Iterator[Row]:
    """How fast and in how much memory both databases of a store are made."""
    item = place.run("wk", "ready", "-n", "1", "-o", "id").decode().strip()
    count = place.run("ev", "replay", "-o", "id").count(b"\n")
    for name, command in (("work", ["wk", "ready", "-n", "1"]), ("index", ["ev", "show", item])):
        made = []
        for _ in range(REBUILDS):
            for file in Path(place.store, "local").glob(f"{name}.sqlite*"):
                file.unlink()
            made.append(place.used(*command))
        seconds, memory = (statistics.median(one) for one in zip(*made, strict=True))
        what = f"{name}.sqlite from nothing, {count:,} events, median of {REBUILDS}"
        row = Row(what, f"{measure.shown(seconds)}, {count / seconds:,.0f}/s")
        yield row.must(
            count / seconds >= RATE,
            f"≥ {RATE:,}/s",
            "each event is parsed and folded in Python",
        )
        row = Row(f"{name}.sqlite from nothing, memory", f"{memory:.0f} MB")
        yield row.must(memory <= MEMORY_MB, f"≤ {MEMORY_MB} MB")


def draw(took: Took, path: str) -> None:
    """The cost of each command against the history, as SVG: the same picture for the same figures."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "coord", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    for command in (*DEMANDED, ALL):
        costs = [took.median(f"{command} {size}") * 1000 for size in SIZES]
        axes.plot(SIZES, costs, marker="o", markersize=3, linewidth=1.2, label=command)
    axes.set(
        xscale="log", xlabel="events in the store", ylabel="ms, median, process start included"
    )
    axes.set_ylim(bottom=0)
    axes.set_title(
        "Cost of a command against history (wk ready prints all that is open)", fontsize=9
    )
    axes.grid(visible=True, which="major", linewidth=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    file = sys.argv.pop() if "--picture" in sys.argv else ""
    sys.argv = [one for one in sys.argv if one != "--picture"]
    sys.exit(measure.alone("growth", lambda rounds, scratch: rows(rounds, scratch, file)))
