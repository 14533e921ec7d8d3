"""What a call costs, in multiples of `python -c pass`: the commands that DESIGN 15 wants fast.

    python bench/startup.py [ROUNDS]

Each round runs every command once as its console script and once through Typer, as an unusual line goes, with a bare
Python right before each: so what else the machine does meets all of them. Durable writes are included. The last row
is what somebody would write without a thought of it: an append behind Typer, orjson, python-ulid and filelock.
Exit 1 if a median is over what is demanded.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 30
DEMAND = {"ev emit": 2.0, "ev tail": 2.0, "msg send": 2.0}
WITH_INDEX = 2.5
BIN = Path(sys.executable).parent
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
    "wk close {id} --note x",
    "lease acquire env:bench -o id",
    "lease ls env:bench",
    "lease renew {id}",
    "lease release {id}",
)
"""In this order; {id} is what the last `-o id` printed."""
BY_TYPER = """
import sys
from coord_envelope import shell
import coord_{tool}.cli as cli
sys.exit(shell.run("{tool}", cli.ABOUT, cli.COMMANDS, "coord_{tool}.options", sys.argv[1:]))
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
        line = orjson.dumps({"event_id": str(ulid.ULID()), "type": type_, "body": orjson.loads(body)}) + b"\\n"
        file.write(line)
        file.flush()
        os.fdatasync(file.fileno())
    sys.stdout.buffer.write(line)
app()
"""


class Bench:
    """A store, and what each call took in it: pairs of its seconds and those of a bare Python."""

    def __init__(self, path: str) -> None:
        self.path, self.took = path, dict[tuple[str, str], list[float]]()
        self.env = {**os.environ, "COORD_DIR": f"{path}/.coord", "COORD_AGENT": "bench"}
        self.env.pop("PYTHONDONTWRITEBYTECODE", None)  # as it is installed: compiled
        self.run([str(BIN / "ev"), "init"])

    def run(self, argv: list[str]) -> tuple[float, str]:
        began = time.perf_counter()
        done = subprocess.run(argv, cwd=self.path, env=self.env, capture_output=True, text=True)
        took = time.perf_counter() - began
        if done.returncode:
            sys.exit(f"startup: {argv}: {done.stderr}")
        return took, done.stdout

    def ratio(self, name: str, way: str, argv: list[str]) -> str:
        """Run it behind a bare Python, and keep how many of those it cost; what it printed."""
        bare, _ = self.run([sys.executable, "-c", "pass"])
        took, out = self.run(argv)
        self.took.setdefault(("python", "bare"), []).append(bare)
        self.took.setdefault((name, way), []).append(took / bare)
        return out

    def round(self, way: str) -> None:
        made = ""
        for step in STEPS:
            tool, *words = step.split()
            argv = [made if word == "{id}" else word for word in words]
            start = [str(BIN / tool)] if way == "script" else [sys.executable, "-c", BY_TYPER.format(tool=tool)]
            out = self.ratio(f"{tool} {words[0]}", way, start + argv)
            made = out.strip() if "-o" in words else made

    def median(self, name: str, way: str) -> float:
        return statistics.median(self.took[name, way])


def versions() -> str:
    names = ("typer", "orjson", "python-ulid", "filelock")
    found = {one.metadata["Name"]: one.version for one in importlib.metadata.distributions()}
    libraries = ", ".join(f"{name} {found.get(name, '-')}" for name in names)
    return f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, {libraries}"


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    naive = importlib.util.find_spec("filelock")
    missed = []
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(scratch)
        for number in range(rounds + 1):
            bench.round("script")
            bench.round("typer")
            if naive:
                bench.ratio("naive", "script", [sys.executable, "-c", NAIVE, "emit", "a.b"])
            if not number:
                bench.took.clear()  # the first round compiled and warmed up
        print(f"{versions()}; a bare Python {bench.median('python', 'bare') * 1000:.1f} ms; {rounds} rounds\n")
        print("| command | × bare | demand | through Typer |\n|---|---:|---:|---:|")
        for step in STEPS:
            name = " ".join(step.split()[:2])
            ratio, most = bench.median(name, "script"), DEMAND.get(name, WITH_INDEX)
            print(f"| {name} | {ratio:.2f} | {most} | {bench.median(name, 'typer'):.2f} |")
            if ratio > most:
                missed.append(f"{name} costs {ratio:.2f} times a bare Python; the demand is {most}")
        if naive:
            print(f"| naive twin of ev emit | {bench.median('naive', 'script'):.2f} | | |")
    for one in missed:
        print(f"startup: {one}", file=sys.stderr)
    if not naive:
        print("startup: no naive twin, filelock is not installed", file=sys.stderr)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
