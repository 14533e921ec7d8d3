"""Long histories, the same ones for the same size: work items side by side, ten events each, one in a hundred open.

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
"""Events an item, items that are written side by side, and of so many items one is open."""


def place(scratch: str, count: int) -> Place:
    """A store with so many events; made once in a scratch directory, and added to by whoever measures with it."""
    found = Place(f"{scratch}/history-{count}")
    if not os.path.exists(found.store):
        found.run("git", "init", "--quiet")
        found.run("ev", "init")
        # In a process of its own: what this one holds would count as memory of its children.
        found.run(sys.executable, __file__, found.store, str(count))
    return found


def life(number: int, item: str, last: str, step: int) -> Json:
    """What happens to an item in this step after it was made; `last` is the event before."""
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
    """Append the history: items side by side, each event with the one before as its base."""
    journal, actor = Journal(Store(path, "bench")), {"agent_id": "agent:bench"}
    for first in range(0, count // EVENTS, BATCH):
        numbers = range(first, min(first + BATCH, count // EVENTS))
        titles = (
            {"title": f"item {number} of a long history", "labels": ["bench"]} for number in numbers
        )
        made = journal.append(
            actor,
            [{"type": "work.created", "refs": {"work_id": SELF}, "body": body} for body in titles],
        )
        last = items = [one.id for one in made]
        for step in range(1, EVENTS):
            drafts = [life(*about, step) for about in zip(numbers, items, last, strict=True)]
            last = [one.id for one in journal.append(actor, drafts)]


if __name__ == "__main__":
    build(sys.argv[1], int(sys.argv[2]))
