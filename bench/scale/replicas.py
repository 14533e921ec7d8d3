"""Real replicas of one remote on this machine: stores, and `ev sync` as processes.

The stores of a remote grow to each size in turn, and at each it is measured what a sync costs:
the least of a few, since other work of the machine only adds to it. `towns.measured` simulates the
same schedule.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import engines
import measure
import peers
from scale.model import Point
from scale.towns import PROBES

from coord_envelope import world

AGAIN = 15
"""Repetitions of what is short."""
YARDSTICK = (sys.executable, "-c", "import asyncio, json, sqlite3, unittest")
"""Its CPU seconds say how much longer the machine's other work makes everything."""
FANOUT, MIRRORS = 20, 3
GIT = "git"
DAY_MS = 86_400_000


class Used(NamedTuple):
    """What a command and its children used."""

    cpu_s: float
    elapsed_s: float
    memory_mb: float
    out: bytes


class Remote(NamedTuple):
    """Where the replicas meet."""

    kind: str
    url: str
    env: dict[str, str]
    pid: int
    """Of the server; 0: there is none."""


@contextmanager
def remote(kind: str, scratch: str) -> Iterator[Remote]:
    """A bare repository, or a started server of this engine. Raises peers.MissingError."""
    if kind == GIT:
        hub = f"{scratch}/hub.git"
        subprocess.run([*peers.program("git"), "init", "--quiet", "--bare", hub], check=True)
        yield Remote(kind, hub, {}, 0)
        return
    with engines.running(kind, scratch) as engine:
        yield Remote(kind, engine.url("live"), engine.env, engine.pid)


class Replicas:
    """The stores of one remote."""

    def __init__(self, remote: Remote, scratch: str) -> None:
        self.remote, self._scratch = remote, scratch
        self.places: list[measure.Place] = []
        self.points: list[Point] = []
        self.facts: list[dict[str, Any]] = []
        self._yards, self._yard_s = list[float](), 0.0

    def grow(self, size: int) -> None:
        """Join replicas until there are so many, and measure, in CPU seconds of the first size.

        A busy machine makes all CPU seconds longer, those of the yardstick as well.
        """
        self._yards, known = [], len(self.points)
        while len(self.places) < size - PROBES:
            self.join()
        self._point("join", size, size - 1, self._least(self.join, PROBES))
        stored, probes = _bytes(self.places[0]), iter(self.places[:PROBES])
        fact = {"refs": size, "load": round(os.getloadavg()[0], 1)}
        some = self._least(lambda: self.give(next(probes)), PROBES)
        self._point("some", size, received(some.out), some)
        fact |= {"some_bytes": _bytes(self.places[0]) - stored}
        fact |= {"memory_mb": round(some.memory_mb), "some_s": round(some.elapsed_s, 2)}
        self._steady(size)
        self._views(size)
        self.facts.append(fact | self._looked())
        self._yard_s = self._yard_s or min(self._yards)
        pace = self._yard_s / min(self._yards)
        self.points[known:] = [
            point._replace(cpu_s=round(point.cpu_s * pace, 4)) for point in self.points[known:]
        ]

    def join(self) -> Used:
        """A new store that has one item, and its first sync."""
        name = f"a{len(self.places)}"
        place = measure.Place(f"{self._scratch}/{name}", name)
        place.env |= self.remote.env
        Path(place.path, "coord.toml").write_text('project = "acme"\n')
        place.run("sh", "-c", "ev init && wk new 'an item of its own'")
        self.places.append(place)
        return used(place, "ev", "sync", "--remote", self.remote.url)

    def give(self, place: measure.Place, *without: str) -> Used:
        """A sync that gives one event. Files of its repository may be deleted before."""
        place.run("ev", "emit", stdin=b'{"type":"bench.tick","body":{}}\n')
        for name in without:
            Path(place.store, ".git", name).unlink(missing_ok=True)
        return used(place, "ev", "sync")

    def one(self, *without: str) -> Used:
        """A sync that gives one event and takes in one ref."""
        self.give(self.places[-1])
        return self.give(self.places[0], *without)

    def manifests(self) -> dict[str, Any]:
        """What a sync costs with the kept lists of manifests, and without, in turn."""
        uses: dict[str, list[float]] = {"with_s": [], "without_s": []}
        for _ in range(AGAIN):
            uses["with_s"].append(self.one().cpu_s)
            uses["without_s"].append(self.one("manifests").cpu_s)
        least = {name: round(min(seconds), 4) for name, seconds in uses.items()}
        return {"refs": len(self.places), **least}

    def _steady(self, size: int) -> None:
        self.one()
        self._point("one", size, 1, self._least(self.one, AGAIN))
        probe = self.places[0]
        self._point("quiet", size, 0, self._least(lambda: used(probe, "ev", "sync"), AGAIN))

    def _views(self, size: int) -> None:
        place = self.places[-1]

        def anew(*command: str) -> Used:
            for file in Path(place.store, "local").glob("*.sqlite*"):
                file.unlink()
            return used(place, *command)

        ready = self._least(lambda: anew("wk", "ready"), AGAIN)
        self._point("ready", size, size - 1, ready)
        tail = self._least(lambda: anew("ev", "tail", "-n", "100"), AGAIN)
        self._point("tail", size, size - 1, tail)

    def _least(self, act: Callable[[], Used], times: int) -> Used:
        """The cheapest of a few."""
        uses = []
        for _ in range(times):
            self._yards.append(used(self.places[0], *YARDSTICK).cpu_s)
            uses.append(act())
        return min(uses, key=lambda use: use.cpu_s)

    def _point(self, act: str, size: int, taken: int, least: Used) -> None:
        self.points.append(Point(act, size, taken, round(least.cpu_s, 4)))

    def _looked(self) -> dict[str, Any]:
        files = sum(1 for _ in Path(self.places[0].store, "journal").rglob("*.jsonl"))
        if self.remote.kind != GIT:
            return {"segments": files}
        out = self.places[0].run("git", "ls-remote", "--refs", self.remote.url)
        return {"segments": files, "look_bytes": len(out) + 4 * out.count(b"\n")}

    # ---- the arbiter

    def claims(self, count: int) -> dict[str, Any]:
        """So many replicas claim an item of their own at once: when they had an answer."""
        log, shim = Path(self._scratch, f"calls-{count}"), _counted(self._scratch)
        waiting = [(place, _own(place)) for place in self.places[:count]]
        began = time.monotonic()
        racing = [
            subprocess.Popen(
                ["wk", "claim", item, "--require", "confirmed"],
                cwd=place.path,
                env=place.env | {"PATH": f"{shim}:{place.env['PATH']}", "CALLS": str(log)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for place, item in waiting
        ]
        statuses, ends = [], []
        while racing:
            for process in [process for process in racing if process.poll() is not None]:
                statuses.append(process.returncode)
                ends.append(time.monotonic() - began)
                racing.remove(process)
            time.sleep(0.01)
        calls = log.read_text().split() if log.exists() else []
        return {
            "claims": count,
            "confirmed": statuses.count(0),
            "median_s": round(sorted(ends)[len(ends) // 2], 2),
            "last_s": round(max(ends), 2),
            "pushes": calls.count("push"),
        }

    # ---- mirrors

    def fanout(self) -> dict[str, Any]:
        """What an event costs each mirror, and the server, when few come."""
        places = [self.places[0], *self.places[-MIRRORS:]]
        mirrors = [
            subprocess.Popen(
                ["ev", "sync", "--watch"], cwd=place.path, env=place.env, stdout=subprocess.DEVNULL
            )
            for place in places
        ]
        try:
            for place in places:
                peers.until(Path(place.store, "local/bus.sock").exists)
            self._mirrored(places)
            pids = [process.pid for process in mirrors] + [self.remote.pid]
            before = [_cpu(pid) for pid in pids]
            for _ in range(FANOUT):
                self._mirrored(places)
            each = [
                (_cpu(pid) - begun) * 1000 / FANOUT for pid, begun in zip(pids, before, strict=True)
            ]
        finally:
            for process in mirrors:
                process.terminate()
                process.wait()
        return {
            "refs": len(self.places),
            "giver_ms": round(each[0], 2),
            "mirror_ms": round(sum(each[1:-1]) / MIRRORS, 2),
            "server_ms": round(each[-1], 2),
        }

    def _mirrored(self, places: list[measure.Place]) -> None:
        """One event of the first of these stores; back when the others have it."""
        line = places[0].run("ev", "emit", stdin=b'{"type":"bench.tick","body":{}}\n')
        event = json.loads(line)
        file = f"journal/{event['writer']}"
        mark = event["event_id"].encode()

        def there(place: measure.Place) -> Callable[[], bool]:
            segments = Path(place.store, file)
            return lambda: any(mark in path.read_bytes() for path in segments.glob("*.jsonl"))

        for place in places[1:]:
            peers.until(there(place))

    # ---- measures

    def archived(self) -> dict[str, Any]:
        """One store takes over all other refs, a month later: a join and a sync then."""
        place = self.places[1]
        later = {"COORD_NOW": world.format_ts(world.now_ms() + 31 * DAY_MS)}
        done = used(place, "ev", "sync", "--archive", env=later)
        joins = self._least(self.join, PROBES).cpu_s
        return {
            "refs": len(self.places) - PROBES,
            "archive_s": round(done.cpu_s, 3),
            "join_s": round(joins, 3),
            "one_s": round(self._least(self.one, PROBES).cpu_s, 3),
        }


def used(place: measure.Place, *argv: str, env: dict[str, str] | None = None) -> Used:
    """Run a command. Ends the benchmark if it fails."""
    program = shutil.which(argv[0], path=place.env["PATH"]) or argv[0]
    out = Path(place.path, "out")
    write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, number, f"{out}{end}", write, 0o600)
        for number, end in ((1, ""), (2, ".err"))
    ]
    began = time.perf_counter()
    whole = place.env | (env or {})
    _, status, usage = os.wait4(os.posix_spawn(program, argv, whole, file_actions=actions), 0)
    elapsed = time.perf_counter() - began
    if status:
        raise SystemExit(f"{' '.join(argv)}: {Path(f'{out}.err').read_text()[-400:]}")
    cpu_s = usage.ru_utime + usage.ru_stime
    return Used(cpu_s, elapsed, usage.ru_maxrss * 1024 / 1e6, out.read_bytes())


def received(out: bytes) -> int:
    """How many writers a sync has taken in from, by what it printed."""
    return len(json.loads(out).get("from", ()))


def _own(place: measure.Place) -> str:
    return place.run("wk", "new", "to be claimed", "-o", "id").decode().strip()


def _counted(scratch: str) -> str:
    """A directory with a `git` that notes its calls in the file CALLS."""
    shim = Path(scratch, "shim")
    shim.mkdir(exist_ok=True)
    git = shutil.which("git")
    lines = [
        "#!/bin/sh",
        'for word; do case $word in push|fetch|ls-remote) echo "$word" >>"$CALLS"; break;; esac; done',
        f'exec {git} "$@"',
    ]
    (shim / "git").write_text("\n".join([*lines, ""]))
    (shim / "git").chmod(0o755)
    return str(shim)


def _bytes(place: measure.Place) -> int:
    """Of the objects that the store's repository holds."""
    objects = Path(place.store, ".git/objects").rglob("*")
    return sum(file.stat().st_size for file in objects if file.is_file())


def _cpu(pid: int) -> float:
    """Seconds of CPU of a process so far; 0 without one."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
