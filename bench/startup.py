"""The cost of the hot commands, in multiples of `python -c pass`.

    python bench/startup.py [ROUNDS]

Each round runs every command once, with a bare Python right before it, so that other work of the
machine affects both. CPU of the command and its children, user and system, durable writes included. The naive version of `ev emit` is an append with
Typer, orjson, python-ulid and filelock, without attention to start-up.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from functools import partial

import measure
from measure import PYTHON, Act, Place, Row

FAST, WITH_INDEX = 1.35, 1.9
DEMAND = {
    **dict.fromkeys(("ev emit", "ev tail", "msg send"), FAST),
    "wk update": 2.2,
    "msg hook": 3.0,
    "run worker": 4.0,
    "run exec": 4.0,
}
WHY = {
    "wk claim": "it opens two databases: items and keys",
    "wk close": "it opens two databases: items and keys",
}
STEPS = (
    "ev emit a.b --body {}",
    "ev tail -n 10",
    "msg send --to bench --subject x --body y -o id",
    "msg recv",
    "msg ack {id}",
    "wk new x -p 1 --label y -o id",
    "wk ready",
    "wk show {id}",
    "wk claim {id}",
    "wk update {id} -p 2",
    "wk close {id} --note x",
    "lease acquire env:bench -o id",
    "lease ls env:bench",
    "lease renew {id}",
    "lease release {id}",
    "run request -- true",
    "run worker --once",
    "run exec -- true",
    "msg hook claude --event UserPromptSubmit",
)
"""In this order; {id} is the output of the last `-o id`."""
BY_TYPER = """
import sys
from coord_kernel.cli import application
import coord_ev.cli as cli
sys.exit(application.run("ev", cli.ABOUT, cli.COMMANDS, "coord_ev.options", sys.argv[1:]))
"""
NAIVE = """
import os, sys
import filelock, orjson, typer, ulid
app = typer.Typer()
@app.callback()
def top(): ...
@app.command()
def emit(type_: str, body: str = "{}"):
    with filelock.FileLock("naive.lock"), open("naive.jsonl", "ab") as file:
        event = {"event_id": str(ulid.ULID()), "type": type_, "body": orjson.loads(body)}
        line = orjson.dumps(event) + b"\\n"
        file.write(line)
        file.flush()
        os.fdatasync(file.fileno())
    sys.stdout.buffer.write(line)
app()
"""


class Bench:
    """A store, and the steps as acts; {id} passes what one step created to the next."""

    def __init__(self, scratch: str) -> None:
        self.place, self.id_file = Place(f"{scratch}/startup"), f"{scratch}/startup/id"
        self.place.run("ev", "init")

    def step(self, line: str) -> Act:
        def act() -> float:
            words = line.split()
            if "{id}" in words:
                with open(self.id_file) as file:
                    words[words.index("{id}")] = file.read().strip()
            if "-o" not in words:
                return self.place.cpu(*words)
            open(self.id_file, "wb").close()
            return self.place.cpu(*words, stdout=self.id_file)

        return act


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    bench = Bench(scratch)
    steps = {" ".join(step.split()[:2]): step for step in STEPS}
    extra = {
        "ev emit, through Typer": [sys.executable, "-c", BY_TYPER, "emit", "a.b", "--body", "{}"]
    }
    if importlib.util.find_spec("filelock") and importlib.util.find_spec("ulid"):
        extra["naive version of ev emit"] = [sys.executable, "-c", NAIVE, "emit", "a.b"]
    bare, acts = partial(bench.place.cpu, *PYTHON), dict[str, Act]()
    for name, step in steps.items():
        acts |= {f"bare {name}": bare, name: bench.step(step)}
    for name, argv in extra.items():
        acts |= {f"bare {name}": bare, name: partial(bench.place.cpu, *argv)}
    took = measure.interleaved(rounds, acts)
    for name in steps:
        most, why = DEMAND.get(name, WITH_INDEX), WHY.get(name, "")
        yield took.row(f"`{name}`", name, f"bare {name}", most, why, "bare Python")
    for name in extra:
        yield took.row(name, name, f"bare {name}", label="bare Python")


if __name__ == "__main__":
    sys.exit(measure.alone("startup", rows))
