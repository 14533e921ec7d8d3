"""Signed writers: what a signature adds to a sync, and verifying to intake.

    python bench/signing.py [ROUNDS] [EVENTS]

A sync of one new event with and without `[sync] sign`. A new store that takes in 1,000,000 events,
with and without allowed_signers; its CPU time, since both wait for the same disk. And the modules
that a store without signers loads for it: none.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import measure
from measure import Place, Row

COUNT = 1_000_000
SIGN_S, VERIFY, FEW = 0.060, 1.10, 3
EVENTS = b'{"type":"bench.tick","body":{"pad":"' + b"x" * 60 + b'"}}\n'
PART = 100_000
OURS = ("coord_kernel.sync.signed", "coord_kernel.streams.trusted", "coord_kernel.rules.signing")
COMMANDS = ("wk ls", "wk new x", "msg recv", "lease ls", "run ls", "ev agents", "ev sync")


class Key:
    """A key, and who may write with it."""

    def __init__(self, scratch: str) -> None:
        self.path = f"{scratch}/key"
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path]
        subprocess.run(make, check=True)
        self.public = Path(f"{self.path}.pub").read_text()

    def store(self, path: str, remote: str, sign: bool, verify: bool) -> Place:
        """A store that has not synced yet."""
        place = Place(path)
        place.run("git", "init", "-q")
        place.run("git", "config", "user.signingkey", f"{self.path}.pub")
        lines = ['project = "acme"', "[sync]", f"sign = {str(sign).lower()}"]
        lines += ['allowed_signers = "signers"'] if verify else []
        Path(path, "coord.toml").write_text("\n".join(lines) + "\n")
        Path(path, "signers").write_text(f"agent:* {self.public}")
        place.run("ev", "init")
        if verify:
            place.run("ev", "trust")
        place.env["BENCH_REMOTE"] = remote
        return place


def sync(place: Place, timed: str = "time") -> float:
    words = ("ev", "sync", "--remote", place.env["BENCH_REMOTE"], "--budget", "15m")
    seconds: float = getattr(place, timed)(*words)
    return seconds


def rows(rounds: int, scratch: str, count: int = COUNT) -> Iterator[Row]:
    key, remotes = Key(scratch), [f"{scratch}/{name}.git" for name in ("one", "two")]
    for remote in remotes:
        subprocess.run(["git", "init", "-q", "--bare", remote], check=True)
    yield from _sign(rounds, key, scratch, remotes)
    yield _verify(min(rounds, FEW), count, key, scratch)
    yield _nothing(key, scratch, remotes[0])


def _sign(rounds: int, key: Key, scratch: str, remotes: list[str]) -> Iterator[Row]:
    places = {
        "plain": key.store(f"{scratch}/plain", remotes[0], sign=False, verify=False),
        "signed": key.store(f"{scratch}/signed", remotes[1], sign=True, verify=True),
    }

    def give(place: Place, timed: str) -> float:
        place.run("ev", "emit", "bench.tick")
        return sync(place, timed)

    for timed, what in (("cpu", "a sync that signs, CPU"), ("time", "a sync that signs")):
        took = measure.interleaved(
            rounds,
            {name: partial(give, place, timed) for name, place in places.items()},
        )
        pairs = zip(took.seconds["signed"], took.seconds["plain"], strict=True)
        more = statistics.median(signed - plain for signed, plain in pairs)
        row = Row(what, took.shown("signed"), f"one that does not {took.shown('plain')}")
        row.cells[3] = f"+{more * 1000:.0f} ms"
        if timed == "cpu" or os.getloadavg()[0] <= (os.cpu_count() or 1):
            row.must(more <= SIGN_S, f"≤ +{SIGN_S * 1000:.0f} ms")
        else:
            row.note = "too much other work on this machine for a demand"
        yield row


def _verify(rounds: int, count: int, key: Key, scratch: str) -> Row:
    remote = f"{scratch}/many.git"
    subprocess.run(["git", "init", "-q", "--bare", remote], check=True)
    giver = key.store(f"{scratch}/giver", remote, sign=True, verify=False)
    for begin in range(0, count, PART):
        giver.run("ev", "emit", "-o", "id", stdin=EVENTS * min(PART, count - begin))
        sync(giver)
    number = 0

    def take(verify: bool) -> float:
        nonlocal number
        number += 1
        place = key.store(f"{scratch}/taker-{number}", remote, sign=False, verify=verify)
        seconds = sync(place, "cpu")
        subprocess.run(["rm", "-rf", place.path], check=True)
        return seconds

    took = measure.interleaved(
        rounds, {"verified": lambda: take(verify=True), "believed": lambda: take(verify=False)}
    )
    what = f"{count:,} signed events taken in and verified, CPU"
    return took.row(what, "verified", "believed", VERIFY, label="without signers")


def _nothing(key: Key, scratch: str, remote: str) -> Row:
    place = key.store(f"{scratch}/nothing", remote, sign=False, verify=False)
    sync(place)
    loaded = []
    for command in COMMANDS:
        tool, *words = command.split()
        code = (
            f"import sys; sys.argv = {[tool, *words]!r}\n"
            f"from coord_{tool}.cli import main\n"
            "try: main()\n"
            "except SystemExit: pass\n"
            f"names = [name for name in sys.modules if name.startswith({OURS!r})]\n"
            "print(*names)"
        )
        out = place.run(sys.executable, "-c", code).decode()
        loaded += [word for word in out.split() if word.startswith(OURS)]
    row = Row(
        f"modules for signatures that {len(COMMANDS)} commands load without", str(len(loaded))
    )
    return row.must(not loaded, "0", " ".join(loaded))


if __name__ == "__main__":
    many = int(sys.argv[2]) if len(sys.argv) > 2 else COUNT
    sys.exit(measure.alone("signing", partial(rows, count=many)))
