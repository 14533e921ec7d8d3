"""How far replicas of one project carry: measured on this machine, then simulated.

    python bench/scale [--short] [--save FILE]        measure, fit, simulate
    python bench/scale --from FILE                    simulate what was measured before

Real stores over git, a relay and Redis grow to 10, 30, 60 and 100 replicas (--short: 5, 10, 15 and
20). Lines are fitted to all sizes but the last, and the simulation of the same schedule must be
within 20 % of each measured point, the last size included: else exit status 1. So is it if a
measure has no effect. Then 1,000 and 10,000 replicas are simulated. Takes 20 minutes (--short: 4)
on two CPUs that do other work, too.
"""

from __future__ import annotations

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

SIZES, SHORT = (10, 30, 60, 100), (5, 10, 15, 20)
KINDS = (GIT, "ws", "redis")
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
            kept, without = (replicas.one(*names).cpu_s for names in ((), ("manifests",)))
            extra["manifests"] = {
                "refs": sizes[-1],
                "with_s": round(kept, 4),
                "without_s": round(without, 4),
            }
            extra["archived"] = replicas.archived()
        return {"points": replicas.points, "facts": replicas.facts} | extra


def main() -> int:
    words = sys.argv[1:]
    if "--from" in words:
        figures = json.loads(Path(words[words.index("--from") + 1]).read_text())
    else:
        short = "--short" in words
        sizes, races = (SHORT, SHORT_RACES) if short else (SIZES, RACES)
        figures = {"date": time.strftime("%Y-%m-%d"), "kinds": {}}
        figures["machine"] = measure.machine(tempfile.gettempdir())
        for kind in KINDS:
            try:
                figures["kinds"][kind] = measured(kind, sizes, races)
            except peers.MissingError as reason:
                print(f"{kind}: not measured: {reason}", file=sys.stderr)
        if "--save" in words:
            text = json.dumps(figures, indent=1)
            Path(words[words.index("--save") + 1]).write_text(f"{text}\n")
    return report.show(figures)


if __name__ == "__main__":
    sys.exit(main())
