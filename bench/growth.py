"""The cost of `wk` commands on 1,000 to 1,000,000 events, and of rebuilding a view.

    python bench/growth.py [ROUNDS] [--picture FILE.svg]

The same command runs on each store in turn, with a warm index. If its answer grows with the store,
the command asks for one line, and a row without a demand has the whole answer. A rebuild is one
command whose view was deleted before: its time, and the peak memory of one process. `--picture`
draws the costs against the history (needs matplotlib: `pip install '.[bench]'`).
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
DEMANDED = (READY, SHOW, SHORT, NEW)


def argv(command: str, item: str) -> list[str]:
    words = {
        SHOW: ["wk", "show", item],
        SHORT: ["wk", "show", f"wk-{item[-8:].lower()}"],
        NEW: [*NEW.split(), "more"],
    }
    return words.get(command, command.split())


def measured(rounds: int, places: dict[int, Place]) -> Took:
    """Run each command on each store, once a round."""
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
            what, small = f"`{command}`, {size:,} events", f"{command} {SIZES[0]}"
            label = f"{SIZES[0]:,} events"
            yield took.row(what, f"{command} {size}", small, most, label=label)
    if picture:
        draw(took, picture)
    yield from rebuilds(places[SIZES[-1]])


def rebuilds(place: Place) -> Iterator[Row]:
    """Time and memory to rebuild the work view and the index."""
    item = place.run("wk", "ready", "-n", "1", "-o", "id").decode().strip()
    count = place.run("ev", "replay", "-o", "id").count(b"\n")
    for name, command in (("work", ["wk", "ready", "-n", "1"]), ("index", ["ev", "show", item])):
        runs = []
        for _ in range(REBUILDS):
            for file in Path(place.store, "local").glob(f"{name}.sqlite*"):
                file.unlink()
            runs.append(place.used(*command))
        seconds, memory = (statistics.median(values) for values in zip(*runs, strict=True))
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
    """Draw the cost of each command against the history, as a reproducible SVG."""
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
    sys.argv = [word for word in sys.argv if word != "--picture"]
    sys.exit(measure.alone("growth", lambda rounds, scratch: rows(rounds, scratch, file)))
