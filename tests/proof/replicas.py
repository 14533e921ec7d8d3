"""Replicas of a store, acted on in this process, and a witness who remembers what each of them held, and when.

The tools run as they are: their own parser and command functions, with file descriptors 0, 1 and 2 pointed elsewhere.
Only time, boot and randomness are given, at the one place where they enter. A process a command would be 30 times
slower, and the search too shallow.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from support import Done, Json

from coord_envelope import world
from coord_envelope.errors import Fault
from coord_kernel.cli import argv, complaints
from coord_kernel.cli.command import name_of, perform
from coord_kernel.store.disk import fault_of

TOOLS: dict[str, Any] = {
    name: importlib.import_module(f"coord_{name}.cli")
    for name in ("wk", "ev", "lease", "msg", "run")
}
TABLES = {name: importlib.import_module(f"coord_{name}.argv").TABLE for name in TOOLS}
NOW = world.parse_ts("2026-01-17T12:00:00Z")


class Stage:
    """What stands in place of the standard descriptors while a command runs."""

    def __init__(self, place: Path) -> None:
        self._files = [
            os.open(place / name, os.O_RDWR | os.O_CREAT) for name in ("given", "out", "err")
        ]

    @contextlib.contextmanager
    def set(self, given: bytes) -> Iterator[None]:
        sys.stdout.flush()
        saved = [os.dup(fd) for fd in range(3)]
        for fd, file in enumerate(self._files):
            os.ftruncate(file, 0)
            os.pwrite(file, b"" if fd else given, 0)
            os.lseek(file, 0, os.SEEK_SET)
            os.dup2(file, fd)
        try:
            yield
        finally:
            if len(os.listdir("/dev/fd")) > 300:
                gc.collect()  # a command is a process's last act, so it leaves its store open
            for fd, old in enumerate(saved):
                os.dup2(old, fd)
                os.close(old)

    def said(self, fd: int) -> str:
        return os.pread(self._files[fd], os.fstat(self._files[fd]).st_size, 0).decode()

    def close(self) -> None:
        for file in self._files:
            os.close(file)


class Memory:
    """What a replica must still know: a rollback takes it back, too."""

    def __init__(self) -> None:
        self.held = 0
        """A bit for each event."""
        self.cut = 0
        """Events of which all but the newline was written: never acked, they may yet come to be."""
        self.printed: dict[tuple[str, str], Counter[str]] = {}
        """By agent and cursor."""


class Replica:
    """One store, its wall clock and its boot."""

    def __init__(self, path: Path, stage: Stage, offset_ms: int = 0) -> None:
        self.path, self.store, self._stage = path, path / ".coord", stage
        self.now, self.boot, self.awake_ms = NOW + offset_ms, 0, 1_000_000
        self.memory = Memory()
        path.mkdir()
        assert self("ev init").status == 0

    def __call__(
        self, line: str, *more: str, agent: str = "ada", given: bytes = b"", now: int | None = None
    ) -> Done:
        """Run a command line; `now` in place of its clock, which goes on by a second otherwise."""
        if now is None:
            self.now += 1_000
            self.awake_ms += 1_000
        name, *words = [*line.split(), *more]
        pinned = {
            "COORD_AGENT": agent,
            "COORD_NOW": world.format_ts(self.now if now is None else now),
            "COORD_BOOT": f"boot{self.boot}:{self.awake_ms}",
        }
        os.environ.update(pinned)
        with contextlib.chdir(self.path), self._stage.set(given):
            status = _performed(name, words)
        return Done(status, self._stage.said(1), self._stage.said(2))

    def lines(self) -> Iterator[tuple[str, int, bytes, bool]]:
        """Of every line of the journal its file, where it begins, its bytes, and whether it is ended."""
        for file in self.segments():
            at, name = 0, str(file.relative_to(self.store))
            *whole, rest = file.read_bytes().split(b"\n")
            for line in whole:
                yield name, at, line, True
                at += len(line) + 1
            if rest:
                yield name, at, rest, False

    def segments(self) -> list[Path]:
        return sorted(self.store.glob("journal/*/*.jsonl"))

    def saved(self, place: Path) -> Memory:
        """Copy the whole store to a place; what must be known there."""
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.store, place)
        return deepcopy(self.memory)

    def put_back(self, place: Path, memory: Memory) -> None:
        """Make the store what it was, as if its disk had been set back: its directories are the same ones."""
        for kept in (self.store, self.store / "local"):
            for one in kept.iterdir():
                if one.name != "local":
                    shutil.rmtree(one) if one.is_dir() else one.unlink()
        shutil.copytree(place, self.store, dirs_exist_ok=True)
        self.memory = deepcopy(memory)

    def forget(self) -> None:
        """Delete what is derived."""
        for file in [*self.store.glob("local/*.sqlite*"), self.store / "local/redacted"]:
            file.unlink(missing_ok=True)


def _performed(name: str, words: list[str]) -> int:
    complaints.speak_as(name)
    plain = argv.parse(TABLES[name], words)
    assert plain, f"{name} {words} is not a plain command line"
    command = next(one for one in TOOLS[name].COMMANDS if name_of(one) == plain[0])
    try:
        return perform(command, plain[1])
    except Fault as fault:
        complaints.complain(fault)
        return fault.status
    except OSError as error:
        complaints.complain(refused := fault_of(error))
        return refused.status


class Told(NamedTuple):
    """An event, its bytes, and what its replica held when it was written."""

    bit: int
    event: Json
    raw: bytes
    knew: int


def ordered(found: Iterable[Told]) -> list[Told]:
    """In order of their ids."""
    return sorted(found, key=lambda one: str(one.event["event_id"]))


class History:
    """All that was ever written anywhere."""

    def __init__(self) -> None:
        self.by_id: dict[str, Told] = {}
        self._count = itertools.count()
        self._parsed: dict[bytes, Json | None] = {}

    def of(self, held: int) -> list[Told]:
        """The events of a set, in order of their ids."""
        return sorted(
            (one for one in self.by_id.values() if one.bit & held),
            key=lambda one: str(one.event["event_id"]),
        )

    def parsed(self, raw: bytes) -> Json | None:
        """The event on a line; None if there is none. By the JSON parser alone: every event here is a good one."""
        if raw not in self._parsed:
            try:
                self._parsed[raw] = json.loads(raw)
            except ValueError:
                self._parsed[raw] = None
        return self._parsed[raw]

    def look(self, replica: Replica, came: int = 0) -> list[Told]:
        """Read what a replica holds now; what was written there since. `came` is what a sync could bring.

        Asserts that nothing went, that no id is two events, and that each stream's numbers increase.
        """
        memory, found, fresh, last = replica.memory, 0, list[Told](), dict[str, int]()
        for file, _, raw, ended in replica.lines():
            event = self.parsed(raw) if ended else None
            if event is None or event["type"] == "coord.signed":
                continue  # what a sync signs is no one's event
            stream = file.split("/")[1]
            assert event["seq"] > last.get(stream, 0), (
                f"{stream}: seq {event['seq']} follows {last[stream]}"
            )
            last[stream] = event["seq"]
            told = self.by_id.get(event["event_id"])
            if told is None:
                told = self._note(event, raw, memory.held | found)
                fresh.append(told)
            assert told.raw == raw, f"{event['event_id']} is two events"
            found |= told.bit
        fresh = self._ordered(fresh, memory.held)
        lost = self.of(memory.held & ~found)
        assert not lost, f"lost: {[one.event['event_id'] for one in lost]}"
        made = sum(one.bit for one in fresh)
        strange = self.of(found & ~(memory.held | memory.cut | came | made))
        assert not strange, f"from nowhere: {[one.event['event_id'] for one in strange]}"
        memory.held = found
        return fresh

    def _note(self, event: Json, raw: bytes, knew: int) -> Told:
        told = Told(1 << next(self._count), event, raw, knew)
        self.by_id[event["event_id"]] = told
        return told

    def _ordered(self, fresh: list[Told], knew: int) -> list[Told]:
        """One command wrote these: each knew of those before it."""
        done = []
        for one in sorted(fresh, key=lambda one: int(one.event["seq"])):
            done.append(one._replace(knew=knew))
            self.by_id[one.event["event_id"]] = done[-1]
            knew |= one.bit
        assert len({one.event["writer"] for one in fresh}) <= 1
        return done

    def forget(self, told: Told) -> None:
        """It was cut off in the middle: there never was such an event."""
        del self.by_id[told.event["event_id"]]
