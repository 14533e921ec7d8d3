"""What a session has shown of itself: signs of life, output, its screen, its runtime's id."""

from __future__ import annotations

import os
import re
import subprocess

from coord_agents import fold
from coord_agents.drive import READY
from coord_agents.record import DRIVEN
from coord_envelope import codec
from coord_envelope.platform import suppress
from coord_kernel.rules import presence
from coord_kernel.store import pins
from coord_kernel.views.presence import Sessions
from coord_kernel.views.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from coord_agents.record import Record
    from coord_envelope.codec import Json
    from coord_kernel import Store
    from coord_kernel.views.view import Source

BEGINNING = 1 << 18
"""Bytes of an output that are looked at for the id of a session."""


class Agents(View):
    """The sessions that were started for something."""

    commutes = True

    def __init__(self, store: Store) -> None:
        super().__init__(store, fold)


class Evidence:
    """The sessions of a store, and whether each has come up."""

    def __init__(self, store: Store, records: Mapping[str, Record]) -> None:
        self._store, self.records = store, records
        self._agents, self._signs = Agents(store), Sessions(store)
        self._ready = set[str]()
        """Jobs whose driver is ready."""

    def sessions(self) -> Source:
        """The sessions now; reads what is new."""
        self._signs.refresh()
        return self._agents.refresh()

    def is_up(self, state: fold.Session) -> bool:
        """Has it shown a sign of life, or printed what its runtime prints first?"""
        if fold.facts(state).get("via") in DRIVEN:
            return self._is_ready(state)
        since = state["starts"][max(state["starts"])][0]
        return self._alive(state, since) or any(
            max(child["starts"].values())[0] >= since for child in self.children(state)
        )

    def shows(self, state: fold.Session) -> bool:
        """As `is_up`; or does its output or its screen show that it takes input?"""
        return self.is_up(state) or self._printed(state)

    def children(self, state: fold.Session) -> Iterator[fold.Session]:
        """The sessions that its program started under its own id, by its hooks."""
        prefix = state["session"]
        for _, entity in self._agents.find("parent", f"{prefix} ", f"{prefix}!"):
            yield self._agents.get(entity)

    def lives(self, state: fold.Session) -> bool:
        """Is it not over, and does a process of it live?"""
        pin = fold.facts(state).get("pin", "")
        path = pin.split("/") if pin.startswith("local/") else []
        return bool(path) and not fold.over(state) and not pins.dropped(self._store, *path)

    def status(self, state: fold.Session) -> str:
        """What its last beat says: idle, busy, waiting; empty without one."""
        beats = [
            signs["beat"]
            for each in (state, *self.children(state))
            if (signs := self._signs.get(_entity(each))) and "beat" in signs
        ]
        latest: Json = max(beats, key=lambda beat: beat[1])[2] if beats else {}
        return str(latest.get("status", ""))

    def provider(self, state: fold.Session) -> str | None:
        """The id that its runtime has for it, as far as that is known."""
        known = fold.facts(state)
        record = self.records.get(known.get("preset", ""))
        if known.get("via") in DRIVEN:
            said = named(self.lines(state, BEGINNING), "provider_session")
            if said:
                return said
        if "provider_session" in known:
            return str(known["provider_session"])
        child = next(iter(self.children(state)), None)
        if child:
            return child["session"]
        if record and record.chosen and known.get("via") not in DRIVEN:
            return state["session"]
        path = record.output if record else None
        return path and named(self.lines(state, BEGINNING), path)

    def lines(self, state: fold.Session, most: int = -1) -> Iterator[Json]:
        """The JSON objects that it has printed, each on a line; of the first `most` bytes."""
        for line in self.output(state, "stdout", most).split(b"\n"):
            if line.startswith(b"{"):
                with suppress(ValueError):
                    yield codec.loads(line)

    def output(self, state: fold.Session, stream: str, most: int = -1) -> bytes:
        """What it has printed, as its job keeps it here."""
        run = fold.facts(state).get("run")
        if run is None:
            return b""
        with suppress(OSError):
            fd = self._store.open("local", "runs", run, "1", f"{stream}.log")
            with open(fd, "rb") as file:
                return file.read(most)
        return b""

    def _alive(self, state: fold.Session, since: str) -> bool:
        """Has it shown a sign of life since then? A session that goes on has others from before."""
        signs = self._signs.get(_entity(state))
        return bool(signs) and any(ts >= since for ts in presence.stamps(signs).values())

    def _is_ready(self, state: fold.Session) -> bool:
        """Does its driver say that the program takes input? Its hooks may act before that."""
        run = fold.facts(state).get("run", "")
        if run not in self._ready and named(self.lines(state, BEGINNING), "coord") == READY:
            self._ready.add(run)
        return run in self._ready

    def _printed(self, state: fold.Session) -> bool:
        known = fold.facts(state)
        record = self.records.get(known.get("preset", ""))
        via = known.get("via", "")
        if record is None or "run" not in known or via in DRIVEN:
            return False
        if via == "tmux" and via in record.ways and record.ways[via].ready:
            shown = screen(known["run"])
            return re.search(str(record.ways[via].ready), shown, re.MULTILINE) is not None
        if via == "headless" and record.output:
            return named(self.lines(state, BEGINNING), record.output) is not None
        return bool(self.output(state, "output", 1))


def _entity(state: fold.Session) -> str:
    return presence.session_name(state["replica"], state["agent"], state["session"])


def named(lines: Iterable[Json], path: str) -> str | None:
    """The first text at a path such as `a.b` in these objects."""
    return next((text for line in lines if isinstance(text := at(line, path), str) and text), None)


def at(value: object, path: str) -> object:
    """What is at a path such as `a.b` in an object; None if nothing is."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def label(run: str) -> str:
    """The name of the tmux server of a job's attempt; see run(1), SUBSTRATES."""
    return f"run-{run.lower()}-1"


def screen(run: str) -> str:
    """What the terminal of a job shows; empty without one."""
    argv = ["tmux", "-L", label(run), "capture-pane", "-p", "-t", "job"]
    with suppress(OSError, subprocess.TimeoutExpired):
        env = {name: text for name, text in os.environ.items() if name != "TMUX"}
        done = subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=10
        )
        return done.stdout.decode("utf-8", "replace")
    return ""
