"""The cost of a moment of the past, beside now: `wk ls --at`, `wk show --at`, `msg ls --at`.

    python bench/past.py [ROUNDS]

On 1,000,000 events, at another random moment each round; CPU, since the answers are of one size.
Then 200 random moments of a smaller history, whose writers' events come late and whose clocks were
set back, each against a fold of all events up to it.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import history
import mail
import measure
from measure import Act, Place, Row, cpu

from coord_envelope import event, world
from coord_envelope.codec import dumps
from coord_kernel import Journal, Store
from coord_kernel.views.past import Past, Snapshot
from coord_kernel.views.view import View
from coord_wk import fold

COUNT, SEED, MOST = 1_000_000, 22, 3.0
FEW, MOMENTS, WRITERS = 4_000, 200, 5
NAMES = ("end", "open", "has", "last", "free", "count", "linked")


def span(place: Place) -> tuple[int, int]:
    """The times of the first and of the last event."""
    journal = Journal(Store(place.store, "bench"))
    first = next(journal.replay())
    (last,) = journal.tail(1)
    return world.parse_ts(first["ts"]), world.parse_ts(last["ts"])


def costs(rounds: int, place: Place, commands: list[str]) -> Iterator[Row]:
    chance, (begin, end) = random.Random(SEED), span(place)

    def past(command: str) -> Act:
        def act() -> float:
            then = world.format_ts(chance.randrange(begin, end))
            return cpu(place, *command.split(), "--at", then)()

        return act

    acts: dict[str, Act] = {}
    for command in commands:
        place.run(*command.split(), "--at", world.format_ts(begin))  # its index is made
        acts |= {command: cpu(place, *command.split()), f"{command} --at": past(command)}
    took = measure.interleaved(rounds, acts)
    for command in commands:
        what = f"`{' '.join(command.split()[:2])} --at` a random moment of {COUNT:,} events, CPU"
        yield took.row(what, f"{command} --at", command, MOST, label="now")


def late(scratch: str) -> Journal:
    """A store in which streams of several replicas arrive in parts, some of clocks set back."""
    place, chance = Place(f"{scratch}/late"), random.Random(SEED)
    place.run("ev", "init")
    made = Place(f"{scratch}/made")
    made.run("ev", "init")
    history.build(made.store, FEW)
    rows: dict[str, list[bytes]] = {}
    for number, item in enumerate(Journal(Store(made.store, "bench")).replay()):
        writer = f"agent.w{chance.randrange(WRITERS)}~0000000{chance.randrange(2)}"
        lines = rows.setdefault(writer, [])
        back = chance.choice((0, 0, 0, 5_000)) if writer.startswith("agent.w0") else 0
        stored = {**item, "writer": writer, "seq": len(lines) + 1}
        stored["ts"] = world.format_ts(world.parse_ts(item["ts"]) + number - back)
        lines.append(dumps(stored) + b"\n")
    journal = Journal(Store(place.store, "bench"))
    view = View(journal.store, fold)
    for _ in range(10):  # the view takes in what is there, and then what is late
        for writer, lines in rows.items():
            path = Path(place.store, "journal", writer)
            path.mkdir(exist_ok=True)
            some = list(islice(lines, chance.randrange(1 + len(lines))))
            del lines[: len(some)]
            with (path / f"{1:012d}.jsonl").open("ab") as file:
                file.writelines(some)
        view.refresh()
    return journal


def differences(journal: Journal) -> int:
    """Of MOMENTS random moments, at how many a view says something else than a fold."""
    chance, events = random.Random(SEED), list(journal.replay())
    times = sorted(world.parse_ts(item["ts"]) for item in events)
    view, wrong = View(journal.store, fold).refresh(), 0
    for _ in range(MOMENTS):
        then = world.format_ts(chance.randrange(times[0] - 100, times[-1] + 100))
        copies = (event.parse(item.raw) for item in events if item["ts"] <= then)
        past, whole = Past(view, fold, then), Snapshot(fold, copies)
        entities = list(whole.entities())
        same = list(past.entities()) == entities and past.tally() == whole.tally()
        same = same and all(past.get(entity) == whole.get(entity) for entity in entities)
        wrong += not (
            same and all(list(past.find(name)) == list(whole.find(name)) for name in NAMES)
        )
    return wrong


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    wrong = differences(late(scratch))
    what = f"{MOMENTS} random moments of {FEW:,} events, some late, beside a fold from nothing"
    yield Row(what, f"{wrong} differ").must(not wrong, "none differs")
    place = history.place(scratch, COUNT)
    item = place.run("wk", "ready", "-n", "1", "-o", "id").decode().strip()
    yield from costs(rounds, place, ["wk ls", f"wk show {item}"])
    mailbox = mail.place(scratch, COUNT)
    yield from costs(rounds, mailbox, ["msg ls"])


if __name__ == "__main__":
    sys.exit(measure.alone("past", rows))
