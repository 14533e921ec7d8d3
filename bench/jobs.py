"""A job beside nq and task-spooler: `true`, from its request until its exit status is known.

    python bench/jobs.py [ROUNDS]

`run request` and `run worker --once` correspond to `nq` and `nq -w`, `tsp` and `tsp -w`, which do
not wait for the disk. `run exec` requests and waits in one process, as `tsp -f` does.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import measure
import peers
from measure import Act, Place, Row

ABSENT = 69


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    place = Place(f"{scratch}/jobs")
    place.run("ev", "init")
    argv = ["run", "ls"]
    if (
        subprocess.run(argv, cwd=place.path, env=place.env, capture_output=True).returncode
        == ABSENT
    ):
        yield Row("a job beside nq and tsp", note="`run` is missing")
        return
    place.env |= {
        "TS_SOCKET": f"{place.path}/tsp",
        "NQDIR": f"{place.path}/nq",
        "TMPDIR": place.path,
    }
    acts: dict[str, Act] = {
        "queued": _both(place, ["run", "request", "--", "true"], ["run", "worker", "--once"]),
        "exec": place.act("run", "exec", "--", "true"),
    }
    try:
        nq = peers.program("nq")
        acts["nq"] = _both(place, [*nq, "true"], [*nq, "-w"])
    except peers.MissingError as why:
        yield Row("a job beside nq", note=str(why))
    try:
        tsp = peers.program("tsp")
        acts["tsp"] = _both(place, [*tsp, "true"], [*tsp, "-w"])
        acts["tsp -f"] = place.act(*tsp, "-f", "true")
    except peers.MissingError as why:
        yield Row("a job beside tsp", note=str(why))
    took = measure.interleaved(rounds, acts)
    if "tsp" in acts:
        place.run(*peers.program("tsp"), "-K")
    for name, label in (("nq", "`nq`, `nq -w`"), ("tsp", "`tsp`, `tsp -w`")):
        if name in acts:
            yield took.row("`run request`, `run worker --once`", "queued", name, label=label)
    if "tsp -f" in acts:
        yield took.row("`run exec`", "exec", "tsp -f", label="`tsp -f`")


def _both(place: Place, ask: list[str], wait: list[str]) -> Act:
    return lambda: place.time(*ask) + place.time(*wait)


if __name__ == "__main__":
    sys.exit(measure.alone("jobs", rows))
