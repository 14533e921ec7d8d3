"""The hot commands from coord.pyz, in multiples of the same commands as pip installs them.

    python bench/onefile.py [ROUNDS]

CPU of the command and its children. coord.pyz is built, and unpacked by a first run, before.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import measure
from measure import BIN, Act, Place, Row

MOST = 1.3
COMMANDS = ("ev emit a.b --body {}", "ev tail -n 10", "wk ready", "msg recv", "lease ls")
BUILD = os.path.join(os.path.dirname(__file__), "..", "tools", "pyz", "build.py")


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    place = Place(f"{scratch}/onefile")
    place.run("ev", "init")
    file = f"{place.path}/coord.pyz"
    subprocess.run([sys.executable, BUILD, file], check=True, stdout=subprocess.DEVNULL)
    place.env["XDG_CACHE_HOME"] = f"{place.path}/cache"
    acts = dict[str, Act]()
    for command in COMMANDS:
        tool, *words = command.split()
        acts[f"packed {command}"] = partial(place.cpu, file, tool, *words)
        acts[command] = partial(place.cpu, f"{BIN}/{tool}", *words)
    took = measure.interleaved(rounds, acts)
    for command in COMMANDS:
        name = " ".join(command.split()[:2])
        what = f"`coord.pyz {name}`"
        yield took.row(what, f"packed {command}", command, MOST, label="installed")


if __name__ == "__main__":
    sys.exit(measure.alone("onefile", rows))
