"""A town of real processes: agents in wrappers and without, killed, stopped, waiting, silent; two stores that sync, and two patrols at once in each.

Time is injected (COORD_NOW) and sometimes set back; processes, locks, kills and stores are real.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from proof.witness import PATIENCE_S, Watched
from run.jobs import ended
from support import Json, Shell, hear

from coord_envelope import world

BEGIN = world.parse_ts("2026-06-01T09:00:00Z")
MINUTE = 60_000
WRAPPED = ("busy", "silent", "stopped", "killed", "waiting")
BARE = ("gone", "door")
LOST_MIN = 31
"""A session without a lock is lost so many minutes after its last sign of life."""


class Agent:
    """One agent, in one of the stores."""

    def __init__(self, kind: str, name: str, store: Shell) -> None:
        self.kind, self.name, self.store = kind, name, store
        self.session, self.item, self.pid = f"s-{name}", "", 0
        self.wrapper: Watched | None = None
        self.turned = False
        """Was it killed, stopped, or does it wait or say nothing from here on?"""

    @property
    def dead(self) -> bool:
        return self.turned and self.kind in ("killed", "gone")


class Town:
    """One schedule: `run` plays it to its end."""

    def __init__(self, seed: int, first: Shell, path: Path) -> None:
        self.chance = random.Random(seed)
        self.first, self.second = first, Shell(path / "second")
        self.second.cwd.mkdir()
        self.minutes, self.set_back, self.stopped = 0, 0, False
        self.acts: list[Json] = []
        self.agents: list[Agent] = []

    @property
    def now(self) -> str:
        return world.format_ts(BEGIN + self.minutes * MINUTE)

    def run(self) -> None:
        with contextlib.ExitStack() as stack:
            self.second("git init -q && ev init")
            kinds = [*WRAPPED, *BARE]
            for number in range(self.chance.randint(4, 6)):
                kind = kinds.pop(self.chance.randrange(len(kinds)))
                store = self.chance.choice([self.first, self.second])
                self._begin(Agent(kind, f"a{number}", store), stack)
            back = self.chance.randint(1, 6) if self.chance.random() < 0.5 else 0
            stop = self.chance.randint(1, 4) if self.chance.random() < 0.3 else 0
            for step in range(1, 8):
                self._happens(step, back, stop)
                self._patrolled()
            self.minutes += self.set_back + LOST_MIN + 1
            self._signs()
            self._patrolled()
            self._sync()
            self._verdict()

    # ---- what happens

    def _begin(self, agent: Agent, stack: contextlib.ExitStack) -> None:
        self.agents.append(agent)
        store = agent.store
        agent.item = store("wk new x --as boss -o id", COORD_NOW=self.now).out.strip()
        if agent.kind in WRAPPED:
            program = "sh -c 'echo $$ $COORD_SESSION; exec sleep 600'"
            line = f"env COORD_NOW={self.now} run exec --as boss --env COORD_AGENT={agent.name} -- {program}"
            agent.wrapper = stack.enter_context(Watched(store, line))
            pid, agent.session = agent.wrapper.line().decode().split()
            agent.pid = int(pid)
        else:
            body = f'{{"agent":"agent:{agent.name}","session":"{agent.session}"}}'
            store(f"ev emit session.started --as boss --body '{body}'", COORD_NOW=self.now)
        self._as(agent, f"wk claim {agent.item}")

    def _as(self, agent: Agent, line: str) -> None:
        session = "" if agent.kind == "door" else agent.session
        named = {"COORD_SESSION": session, "COORD_AGENT": agent.name}
        agent.store(line, expect=0, COORD_NOW=self.now, **named)

    def _happens(self, step: int, back: int, stop: int) -> None:
        self.minutes += self.chance.randint(1, 9)
        if step == back:
            by = self.chance.choice([2, 20, 90])
            self.minutes, self.set_back = self.minutes - by, self.set_back + by
        if stop and step in (stop, stop + 2):
            verb = "stop" if step == stop else "resume"
            self.first(f"coord-patrol {verb} --as human:eve", COORD_NOW=self.now)
            self.stopped = verb == "stop"
            self._sync()
        for agent in self.agents:
            if not agent.turned and self.chance.random() < 0.3:
                self._turn(agent)
        self._signs()
        if self.chance.random() < 0.3:
            self._sync()

    def _turn(self, agent: Agent) -> None:
        agent.turned = agent.kind not in ("busy", "door")
        if agent.kind == "stopped":
            os.kill(agent.pid, signal.SIGSTOP)
        elif agent.kind == "waiting":
            asks = '{"session_id":"%s","hook_event_name":"Notification","message":"may I?"}'
            self._as(agent, f"echo '{asks % agent.session}' | coord-hooks seen")
        elif agent.kind == "killed":
            assert agent.wrapper
            wrapper = agent.wrapper.child
            os.kill(self.chance.choice([agent.pid, wrapper.pid]), signal.SIGKILL)
            wrapper.wait(PATIENCE_S)
            assert ended(agent.pid)
            wait_for_lock(agent)

    def _signs(self) -> None:
        """Who is at work shows it."""
        for agent in self.agents:
            if agent.turned or agent.kind == "silent":
                continue
            if self.chance.random() < 0.2:
                self._as(agent, f"wk comment {agent.item} on")
            else:
                self._as(agent, 'ev emit agent.seen --live --body \'{"status":"busy"}\'')

    def _sync(self) -> None:
        self.second(f"ev sync --with {self.first.cwd}/.coord", COORD_NOW=self.now)

    # ---- patrols

    def _patrolled(self) -> None:
        """Two patrols in each store, all at once."""
        stores = [self.first, self.first, self.second, self.second]
        ran = [(store, patrol(store, self.now)) for store in stores]
        for store, process in ran:
            out, err = process.communicate(timeout=120)
            hear(err.decode())
            assert process.returncode == 0, err.decode()
            for line in out.splitlines():
                self._judge(store, json.loads(line))
        if not self.stopped:
            for agent in self.agents:
                if agent.kind == "killed" and agent.turned:
                    assert self._status(agent) == "ready", f"{agent.name} died and keeps its work"

    def _judge(self, store: Shell, act: Json) -> None:
        """May this be done, as things really are?"""
        self.acts.append(act)
        kind, body = act["type"], act["body"]
        assert not self.stopped, f"{kind} under a stop"
        agent = next(each for each in self.agents if f"agent:{each.name}" == body["agent"])
        assert agent.store is store, f"{kind}: {agent.name} lives in the other store"
        if kind in ("patrol.reclaimed", "session.ended"):
            assert agent.dead, f"{kind}: {agent.kind} lives"
        if kind == "patrol.nudged":
            assert agent.kind in ("silent", "stopped", "gone"), f"{kind}: {agent.kind}"

    def _status(self, agent: Agent) -> str:
        return str(agent.store(f"wk show {agent.item}", COORD_NOW=self.now).one["status"])

    def _verdict(self) -> None:
        for agent in self.agents:
            dead = agent.dead and not (self.stopped and agent.kind == "killed")
            assert self._status(agent) == ("ready" if dead else "active"), agent.kind
        keyed = [(act["type"], act["idempotency_key"]) for act in self.acts]
        assert len(set(keyed)) == len(keyed), "an act was printed twice"
        for kind in ("patrol.*", "work.released"):
            events = self.second(f"ev replay --type '{kind}'", COORD_NOW=self.now).lines
            keys = [event.get("idempotency_key") or event["body"]["claim"] for event in events]
            assert len(set(keys)) == len(keys), f"{kind} was done twice"


def patrol(store: Shell, now: str) -> subprocess.Popen[bytes]:
    argv = ["coord-patrol", "--once"]
    pipe, env = subprocess.PIPE, store.env | {"COORD_NOW": now}
    return subprocess.Popen(argv, cwd=store.cwd, env=env, stdout=pipe, stderr=pipe)


def wait_for_lock(agent: Agent) -> None:
    """Until nobody holds the pin of its attempt: the last process that has it is gone."""
    (pin,) = (agent.store.cwd / ".coord/local/runs").glob(
        f"{agent.session.rpartition('.')[0]}/*/pin"
    )
    with pin.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)


def schedules(seeds: range, first: Shell, path: Path) -> Iterator[Town]:
    """Each in stores of its own, run to its end."""
    for seed in seeds:
        place = path / f"seed{seed}"
        (place / "first").mkdir(parents=True)
        shell = Shell(place / "first")
        shell.env |= first.env
        shell("git init -q && ev init")
        town = Town(seed, shell, place)
        try:
            town.run()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        yield town
