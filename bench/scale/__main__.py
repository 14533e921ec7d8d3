"""How far replicas of one project carry: measured on this machine, then simulated.

    python bench/scale [--short] [--save FILE]        measure, fit, simulate
    python bench/scale --from FILE                    simulate what was measured before

Real stores over git, a relay and Redis grow to 10, 30, 60 and 100 replicas (--short: 8, 12, 16 and
24). Lines are fitted to them, and the simulation of the same schedule must be within 20 % of each
measured point: else exit status 1. So is it if a measure has no effect. What the smaller sizes
foretell of the last one is shown. Then 1,000 and 10,000 replicas are simulated. Takes 10 minutes
(--short: 6) on two idle CPUs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import measure
import peers
from scale import report
from scale.replicas import GIT, Replicas, remote

SIZES, SHORT = (10, 30, 60, 100), (8, 12, 16, 24)
KINDS = (GIT, "ws", "redis")
USAGE = "python bench/scale [--short] [--save FILE] | --from FILE"
RACES, SHORT_RACES = (5, 10, 20), (2, 5)


def measured(kind: str, sizes: tuple[int, ...], races: tuple[int, ...]) -> dict[str, Any]:
    """What one kind of remote costs."""
    with tempfile.TemporaryDirectory(prefix="coord-scale-") as scratch, remote(kind, scratch) as at:
        replicas = Replicas(at, scratch)
        extra: dict[str, Any] = {"fanout": []}
        for size in sizes:
            began = time.monotonic()
            replicas.grow(size)
            if kind != GIT and size in (sizes[0], sizes[-1]):
                extra["fanout"].append(replicas.fanout())
            print(f"{kind} {size}: {time.monotonic() - began:.0f} s", file=sys.stderr)
        if kind != "ws":
            extra["claims"] = [replicas.claims(count) for count in races if count <= sizes[-1]]
        if kind == GIT:
            extra["manifests"] = replicas.manifests()
            extra["archived"] = replicas.archived()
        return {"points": replicas.points, "facts": replicas.facts} | extra


def main() -> int:
    parser = argparse.ArgumentParser(usage=USAGE)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--save", type=Path)
    parser.add_argument("--from", dest="past", type=Path)
    asked = parser.parse_args()
    if asked.past:
        figures = json.loads(asked.past.read_text())
    else:
        sizes, races = (SHORT, SHORT_RACES) if asked.short else (SIZES, RACES)
        figures = {"date": time.strftime("%Y-%m-%d"), "kinds": {}}
        figures["machine"] = measure.machine(tempfile.gettempdir())
        for kind in KINDS:
            try:
                figures["kinds"][kind] = measured(kind, sizes, races)
            except peers.MissingError as reason:
                print(f"{kind}: not measured: {reason}", file=sys.stderr)
        if asked.save:
            asked.save.write_text(f"{json.dumps(figures)}\n")
    return report.show(figures)


if __name__ == "__main__":
    sys.exit(main())
