"""The clock of the benchmarks.

What is compared runs in turn, round by round. The result is the median of the ratios of the
rounds: other work of the machine affects both sides of a round alike, so a ratio is stable where
times are not. One round before the first is a warm-up and is not counted.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import peers

from coord_envelope import VERSION

ROUNDS = 30
BIN = str(Path(sys.executable).parent)
PYTHON = (sys.executable, "-c", "pass")
HEAD = "| what | coord | peer | ratio | demand | |\n|---|---:|---|---:|---:|---|"

Act = Callable[[], float]
"""Does something and returns the seconds that count."""


class Row:
    """A row of the table. `holds` is None if there is no demand."""

    def __init__(
        self, what: str, ours: str = "", peer: str = "", ratio: str = "", note: str = ""
    ) -> None:
        self.cells = [what, ours, peer, ratio]
        self.demand, self.note = "", note
        self.holds: bool | None = None

    def must(self, holds: bool, demand: str, why: str = "") -> Row:
        """Set a demand; `why` is printed beside it if it is missed."""
        self.demand, self.holds = demand, holds
        self.note = "holds" if holds else f"**missed**: {why}".removesuffix(": ")
        return self

    def __str__(self) -> str:
        return f"| {' | '.join([*self.cells, self.demand, self.note])} |"


class Took:
    """Seconds of each act, round by round."""

    def __init__(self, seconds: dict[str, list[float]]) -> None:
        self.seconds = seconds

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def shown(self, name: str) -> str:
        return shown(self.median(name))

    def ratio(self, name: str, peer: str, less: str | None = None) -> float:
        """The median ratio to the peer in the same round; `less` is subtracted first."""
        subtracted = self.seconds[less] if less else [0.0] * len(self.seconds[name])
        rounds = zip(self.seconds[name], subtracted, self.seconds[peer], strict=True)
        return statistics.median((own - part) / theirs for own, part, theirs in rounds)

    def row(
        self,
        what: str,
        name: str,
        peer: str,
        most: float | None = None,
        why: str = "",
        label: str = "",
    ) -> Row:
        """One act beside its peer (printed as `label`), and the highest ratio demanded."""
        ratio = self.ratio(name, peer)
        row = Row(what, self.shown(name), f"{label or peer} {self.shown(peer)}", f"{ratio:.2f}")
        return row if most is None else row.must(ratio <= most, f"≤ {most}", why)


def interleaved(rounds: int, acts: Mapping[str, Act]) -> Took:
    """Run each act once a round, in this order."""
    took: dict[str, list[float]] = {name: [] for name in acts}
    for number in range(rounds + 1):
        for name, act in acts.items():
            seconds = act()
            if number:
                took[name].append(seconds)
    return Took(took)


class Place:
    """A directory with a store (after `ev init`), and the commands that run in it."""

    def __init__(self, path: str, agent: str = "bench") -> None:
        self.path, self.store = path, f"{path}/.coord"
        os.makedirs(path, exist_ok=True)
        here = {
            "COORD_DIR": self.store,
            "COORD_AGENT": agent,
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)  # as it is installed: compiled
        self.env = kept | here

    def run(self, *argv: str, stdin: bytes | None = None) -> bytes:
        """The output of a command. Ends the benchmark if the command fails."""
        done = subprocess.run(
            argv, cwd=self.path, env=self.env, input=stdin or b"", capture_output=True
        )
        _demand(argv, done.returncode, done.stderr)
        return done.stdout

    def time(self, *argv: str, stdin: str = os.devnull, stdout: str = os.devnull) -> float:
        """Seconds of a command. It reads the file `stdin` and appends its output to `stdout`."""
        with open(stdin, "rb") as source, open(stdout, "ab") as sink:
            began = time.perf_counter()
            done = subprocess.run(
                argv, cwd=self.path, env=self.env, stdin=source, stdout=sink, stderr=subprocess.PIPE
            )
            took = time.perf_counter() - began
        _demand(argv, done.returncode, done.stderr)
        return took

    def cpu(self, *argv: str, stdin: str = os.devnull, stdout: str = os.devnull) -> float:
        """As `time`, the seconds of CPU of the command and its children, user and system."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.time(*argv, stdin=stdin, stdout=stdout)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def act(self, *argv: str, stdin: str = os.devnull, stdout: str = os.devnull) -> Act:
        """An act that times a command; a single argument is split into words."""
        words = argv[0].split() if len(argv) == 1 else argv
        return lambda: self.time(*words, stdin=stdin, stdout=stdout)

    def used(self, *argv: str) -> tuple[float, float]:
        """Seconds of a command, and the peak memory in MB of one of its processes."""
        program = shutil.which(argv[0], path=self.env["PATH"]) or argv[0]
        began = time.perf_counter()
        silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0o600)]
        _, status, usage = os.wait4(os.posix_spawn(program, argv, self.env, file_actions=silent), 0)
        _demand(argv, os.waitstatus_to_exitcode(status), b"")
        return time.perf_counter() - began, usage.ru_maxrss * 1024 / 1e6


def cpu(place: Place, *argv: str) -> Act:
    """An act that gives the CPU seconds of a command."""

    def act() -> float:
        program = shutil.which(argv[0], path=place.env["PATH"]) or argv[0]
        silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0o600)]
        usage = os.wait4(os.posix_spawn(program, argv, place.env, file_actions=silent), 0)[2]
        return usage.ru_utime + usage.ru_stime

    return act


def _demand(argv: Iterable[str], status: int, err: bytes) -> None:
    if status:
        sys.exit(
            f"{' '.join(argv)[:200]}: exit {status}: {err.decode(errors='replace').strip()[-400:]}"
        )


@contextmanager
def running(*processes: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill the processes and their process groups at the end."""
    with ExitStack() as stack:
        for process in processes:
            stack.callback(process.wait)
            stack.callback(os.killpg, process.pid, 9)
        yield


def shown(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.1f} ms" if seconds >= 0.01 else f"{seconds * 1000:.2f} ms"


def quantiles(values: list[float]) -> tuple[float, float]:
    """The median and the 99th percentile."""
    p99 = statistics.quantiles(values, n=100)[98] if len(values) > 1 else values[0]
    return statistics.median(values), p99


def machine(place: str) -> str:
    """The machine and the versions, in one line."""
    fields = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
    cpu = next(
        (value.strip() for name, _, value in fields if name.startswith("model name")),
        platform.machine(),
    )
    disk = subprocess.run(
        ["stat", "-f", "-c", "%T", place], capture_output=True, text=True
    ).stdout.strip()
    host = f"{os.cpu_count()} CPUs, {cpu}, Linux {platform.release()}, {disk}"
    own = f"coord {VERSION}, Python {platform.python_version()}"
    return f"{host}; {', '.join([own, *peers.versions()])}"


Theme = Callable[[int, str], Iterable[Row]]
"""Yields rows, given the number of rounds and a scratch directory that all themes share."""


def report(themes: Mapping[str, Theme], rounds: int) -> int:
    """Measure, and print one table. Exit status 1 if a demand is missed."""
    missed = False
    with tempfile.TemporaryDirectory(prefix="coord-bench-") as place:
        print(HEAD, flush=True)
        loads = [os.getloadavg()[0]]
        for name, theme in themes.items():
            began = time.monotonic()
            for row in theme(rounds, place):
                print(row, flush=True)
                missed = missed or row.holds is False
                loads.append(os.getloadavg()[0])
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
        how = f"medians of {rounds} rounds, in turn; load {min(loads):.0f} to {max(loads):.0f}"
        print(f"\n{time.strftime('%Y-%m-%d')}; {machine(place)}; {how}")
    return int(missed)


def alone(name: str, theme: Theme) -> int:
    """`python bench/NAME.py [ROUNDS]`."""
    return report({name: theme}, int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
