"""Work items beside tbd: create, list, ready, show, update, with 10, 1,000 and 5,000 items.

    python bench/work.py [ROUNDS]

Both import the same items from one file (one in ten is open), and run the same commands. tbd runs
with --no-sync. It takes seconds with many items, so there are fewer rounds; the row has the number.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import measure
import peers
from measure import Act, Place, Row

SIZES = {10: 1, 1_000: 5, 5_000: 15}
"""Items, and the divisor of the number of rounds."""
STAMP = "2026-01-01T00:00:00Z"
COMMANDS = {
    "create": ("wk new more", "create more"),
    "list": ("wk ls", "list"),
    "ready": ("wk ready", "ready"),
    "show": ("wk show ID", "show ID"),
    "update": ("wk update ID -p 1", "update ID --priority 1"),
}


def records(path: str, count: int) -> str:
    with open(path, "w") as file:
        for number in range(count):
            status = "closed" if number % 10 else "open"
            item = {
                "id": f"bd-{number:04x}",
                "title": f"item {number}",
                "status": status,
                "priority": number % 5,
            }
            times = dict.fromkeys(
                ("created_at", "updated_at", *(["closed_at"] if number % 10 else [])), STAMP
            )
            file.write(json.dumps(item | {"issue_type": "task"} | times) + "\n")
    return path


class Both:
    """The same items in a store and in a repository of tbd."""

    def __init__(self, scratch: str, count: int) -> None:
        self.tbd = [*peers.program("tbd"), "--no-sync"]
        self.place = Place(f"{scratch}/work-{count}")
        self.place.env |= {"HOME": self.place.path, "GIT_CONFIG_NOSYSTEM": "1"}
        run, file = self.place.run, records(f"{self.place.path}/items.jsonl", count)
        run("git", "init", "--quiet")
        run("git", "config", "user.name", "Ada")
        run("git", "config", "user.email", "ada@example.org")
        run("git", "commit", "--quiet", "--allow-empty", "-m", "x")
        run("ev", "init")
        run("wk", "import", "--from", "beads", file)
        for words in (["init", "--prefix", "bd"], ["import", file]):
            argv = [*self.tbd, *words]
            done = subprocess.run(
                argv, cwd=self.place.path, env=self.place.env, capture_output=True, text=True
            )
            if done.returncode:  # it needs a recent git
                raise peers.MissingError(f"tbd: {done.stderr.strip().partition(chr(10))[0]}")

    def acts(self, name: str) -> dict[str, Act]:
        ours, theirs = (line.replace("ID", "bd-0000").split() for line in COMMANDS[name])
        return {
            f"wk {name}": self.place.act(*ours),
            f"tbd {name}": self.place.act(*self.tbd, *theirs),
        }


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    for count, part in SIZES.items():
        few = max(rounds // part, 1)
        try:
            both = Both(scratch, count)
        except peers.MissingError as why:
            yield Row("work items beside tbd", note=str(why))
            return
        acts: dict[str, Act] = {}
        for name in COMMANDS:
            acts |= both.acts(name)
        took = measure.interleaved(few, acts)
        for name, (line, _) in COMMANDS.items():
            what, peer = f"`{line}`, {count:,} items", f"tbd {name}"
            row = took.row(what, f"wk {name}", peer, label=f"`{peer}`")
            row.note = "" if few == rounds else f"{few} rounds"
            yield row


if __name__ == "__main__":
    sys.exit(measure.alone("work", rows))
