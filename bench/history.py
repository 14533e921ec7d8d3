"""Long histories, reproducible: interleaved work items of ten events, one in a hundred of them open.

python bench/history.py STORE COUNT
"""

from __future__ import annotations

import os
import sys

from measure import Place

from coord_envelope import SELF
from coord_envelope.codec import Json
from coord_kernel import Journal, Store

SIZES = (1_000, 100_000, 1_000_000)
EVENTS, BATCH, OPEN = 10, 1_000, 100
"""Events per item, items interleaved, and one open item in so many."""


def place(scratch: str, count: int) -> Place:
    """A store with `count` events, made once per scratch directory. Benchmarks append to it."""
    history = Place(f"{scratch}/history-{count}")
    if not os.path.exists(history.store):
        history.run("git", "init", "--quiet")
        history.run("ev", "init")
        # In a separate process: memory of this one would count as memory of its children.
        history.run(sys.executable, __file__, history.store, str(count))
    return history


def life(number: int, item: str, last: str, step: int) -> Json:
    """The draft of an item's event in this step; `last` is the event before it."""
    about = {"refs": {"work_id": item}, "base": [last]}
    if step == EVENTS - 1 and number % OPEN:
        return {"type": "work.closed", "body": {"resolution": "done", "note": "as asked"}, **about}
    if step == EVENTS - 2 and number % OPEN:
        return {"type": "work.claimed", "body": {"gen": 1}, **about}
    if step in (2, 5):
        return {"type": "work.updated", "body": {"set": {"priority": (number + step) % 5}}, **about}
    return {
        "type": "work.commented",
        "body": {"text": f"step {step} of {EVENTS}: nothing to report"},
        **about,
    }


def build(path: str, count: int) -> None:
    """Append the history: interleaved items, each event with its predecessor as base."""
    journal, actor = Journal(Store(path, "bench")), {"agent_id": "agent:bench"}
    for first in range(0, count // EVENTS, BATCH):
        numbers = range(first, min(first + BATCH, count // EVENTS))
        titles = (
            {"title": f"item {number} of a long history", "labels": ["bench"]} for number in numbers
        )
        created = journal.append(
            actor,
            [{"type": "work.created", "refs": {"work_id": SELF}, "body": body} for body in titles],
        )
        last = items = [event.id for event in created]
        for step in range(1, EVENTS):
            drafts = [life(*about, step) for about in zip(numbers, items, last, strict=True)]
            last = [event.id for event in journal.append(actor, drafts)]


if __name__ == "__main__":
    build(sys.argv[1], int(sys.argv[2]))
