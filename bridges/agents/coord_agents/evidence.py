"""What a session has shown of itself: signs of life, output, its screen, its runtime's id."""

from __future__ import annotations

import os
import re
import subprocess

from coord_agents import fold
from coord_agents.drive import READY
from coord_agents.paths import named
from coord_agents.record import DRIVEN
from coord_agents.usage import used
from coord_envelope import codec
from coord_envelope.platform import suppress
from coord_kernel.rules import presence
from coord_kernel.store import pins
from coord_kernel.views.presence import Sessions
from coord_kernel.views.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
        since = fold.begun_last(state)
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

    def used(self, state: fold.Session) -> Json | None:
        """What it used, by its output or else by its runtime's record of the conversation."""
        record = self.records.get(fold.facts(state).get("preset", ""))
        if record is None:
            return None
        where, since = record.transcript, fold.begun_last(state)
        found = used(self.lines(state), record.usage) if record.usage else None
        if found is None or (where and fold.facts(state).get("via") in DRIVEN):
            recorded = used(self._recorded(state, record), where, since) if where else None
            found = recorded or found
        return found

    def _recorded(self, state: fold.Session, record: Record) -> Iterator[Json]:
        """The JSON objects in the files that have its conversation, each on a line."""
        family = (state, *self.children(state))
        known = [fold.facts(each).get("transcript") for each in family]
        paths = set(filter(None, known)) or transcripts(record, self.provider(state) or "")
        for path in sorted(paths):
            with suppress(OSError):
                fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
                with open(fd, "rb") as file:
                    for line in file if os.path.isfile(path) else ():
                        if line.startswith(b"{"):
                            with suppress(ValueError):
                                yield codec.loads(line)

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


def transcripts(record: Record, session: str) -> set[str]:
    """The files in which a runtime keeps a conversation, as its record says."""
    env = {**os.environ, "HOME": os.path.expanduser("~"), **record.env}
    found = set[str]()
    for pattern in record.transcript.get("files", ()) if session else ():
        from glob import escape, glob

        words = re.findall(r"\$([A-Z_]+)", pattern)
        if all(env.get(word) for word in words):
            place = re.sub(r"\$([A-Z_]+)", lambda word: escape(env[word[1]]), pattern)
            found |= set(glob(place.replace("{session}", escape(session))))
    return found


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
