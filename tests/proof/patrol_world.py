"""A town in memory: agents that live and die, a clock that is set, stops, and patrols in two stores that sync.

The folds, the look and the plan are the real ones; time is a number, and an act is the event that it would write.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from controllers import check
from support import Json

from coord_envelope import ids, world
from coord_envelope.event import Event
from coord_kernel.controller import Act, Plan
from coord_kernel.rules import claims, control, health, presence
from coord_kernel.views.look import Look
from coord_kernel.views.past import Snapshot
from coord_patrol.draft import draft
from coord_patrol.plan import Policy, plan

BEGIN = 1_767_225_600_000
MINUTE = 60_000
LIVE = ("busy", "door", "locked", "stopped", "waiting", "never", "person", "slow")
DEAD = ("killed", "ended", "gone")
LOCKED = ("locked", "stopped", "never", "killed")
"""Those whose process holds a lock that this store can look at."""


class Memory:
    """The entities of a fold, kept up to date as a view is."""

    def __init__(self, fold: Any) -> None:
        self.fold, self.states, self.last = fold, dict[str, Any](), ""
        self.pairs = dict[str, list[tuple[str, str]]]()

    def add(self, event: Event) -> None:
        for name in self.fold.entities(event):
            state = self.states[name] = self.fold.step(self.states.get(name), event)
            self.pairs[name] = list(self.fold.indexed(state))
        self.last = max(self.last, event.id)

    def get(self, name: str) -> Any:
        return self.states.get(name)

    def find(self, name: str, begin: str = "", end: str = "~") -> Iterator[tuple[str, str]]:
        found = (
            (value, at)
            for at, pairs in self.pairs.items()
            for which, value in pairs
            if which == name
        )
        return iter(sorted(pair for pair in found if begin <= pair[0] < end))


class Member:
    """An agent, as it really is."""

    def __init__(self, kind: str, number: int, store: Store) -> None:
        self.kind, self.store = kind, store
        self.name = f"{'human' if kind == 'person' else 'agent'}:a{number}"
        self.session = "" if kind == "person" else f"s{number}"
        self.claim, self.work, self.start = "", "", ""
        self.died = 0
        """When, in true time; 0: it lives."""
        self.heard = 0
        """When it showed its last sign of life, in true time."""
        self.back = 0
        self.named = False
        """Does its end name its start?"""

    @property
    def pin(self) -> str:
        return f"local/pins/{self.name[6:]}"


class Store:
    """The events of one store."""

    def __init__(self, town: Town, replica: str, skew: int) -> None:
        self.town, self.replicas, self.skew = town, [replica], skew
        self.events: list[Event] = []
        self.folds = [Memory(fold) for fold in (presence, claims, control)]
        self.stamp, self.seqs = 0, dict[str, int]()
        self.keys = set[tuple[str, str]]()

    @property
    def replica(self) -> str:
        """Its id now."""
        return self.replicas[-1]

    def renew(self) -> None:
        """Take a new id, as a store does whose newest event is of a clock that was set back."""
        self.replicas.append(f"{self.replicas[0][:-1]}{len(self.replicas)}")

    @property
    def now(self) -> int:
        """What its clock says."""
        return self.town.time + self.skew

    def emit(
        self, agent: str, session: str, kind: str, live: bool = False, **fields: Any
    ) -> Event | None:
        """Write an event; None if its key is taken."""
        key = fields.get("idempotency_key")
        if key and (kind, key) in self.keys:
            return None
        last = 0 if ids.ahead(self.stamp, self.now) else self.stamp
        self.stamp = ids.tick(last, self.now)
        writer = f"{agent.replace(':', '.')}~{self.replica}{'+live' if live else ''}"
        self.seqs[writer] = seq = self.seqs.get(writer, 0) + 1
        actor = {"agent_id": agent, **({"session_id": session} if session else {})}
        event_id = ids.mint(self.stamp, self.town.chance.randbytes(8))
        new: Json = {
            "event_id": event_id,
            "type": kind,
            "ts": world.format_ts(self.now),
            "project": "acme",
        }
        new |= {"writer": writer, "seq": seq, "actor": actor, "body": {}, **fields}
        event = Event(b"", new)
        self.take(event)
        if not live:
            self.town.durable.append((self, event))
        return event

    def take(self, event: Event) -> None:
        self.events.append(event)
        if "idempotency_key" in event:
            self.keys.add((event["type"], event["idempotency_key"]))
        for number, memory in enumerate(self.folds):
            if memory.fold is claims and event.id < memory.last:
                memory = self.folds[number] = Memory(claims)  # a late event: from the beginning
                for each in sorted(self.events, key=lambda one: one.id):
                    memory.add(each)
            else:
                memory.add(event)

    def planned(self, events: Sequence[Event], now: int) -> Plan:
        """The plan that a patrol of this store makes of events in any order."""
        ordered = sorted({event.id: event for event in events}.values(), key=lambda event: event.id)
        return self._plan(
            [Snapshot(presence, events), Snapshot(claims, ordered), Snapshot(control, events)], now
        )

    def plan(self) -> Plan:
        return self._plan(self.folds, self.now)

    def _plan(self, folds: Sequence[Any], now: int) -> Plan:
        look = Look(*folds)
        held = {
            member.pin for member in self.town.members if member.store is self and not member.died
        }
        rows = look.rows(self.replicas, lambda path: "/".join(path) not in held, lambda _: [])
        return plan(rows, look.control, now, Policy())

    def act(self, act: Act) -> None:
        """What `Acts.do` does, and whether it may."""
        fields = draft(act, "human:boss", {})
        self.town.judge(self, act)
        self.emit("bridge:patrol", "", fields.pop("type"), **fields)
        if act.kind == "reclaim":
            self.release(act.about["claim"])

    def release(self, claim: Any) -> None:
        """As `wk release --claim`: nothing if the claim is over."""
        state = self.folds[1].get(f"work {claim['work_id']}")
        if not claims.over(state, claim["id"]):
            self.town.released.append(claim["id"])
            body = {"claim": claim["id"], "reason": "forced"}
            self.emit(
                "bridge:patrol", "", "work.released", refs={"work_id": claim["work_id"]}, body=body
            )

    def trial(self, act: Act) -> list[Event]:
        """The events that an act would write, in no store: for `check`."""
        copy = Store(self.town, self.replica, self.skew)
        copy.replicas = self.replicas
        copy.stamp, copy.seqs, copy.keys = self.stamp, dict(self.seqs), set(self.keys)
        durable, self.town.durable = self.town.durable, []
        fields = draft(act, "human:boss", {})
        copy.emit("bridge:patrol", "", fields.pop("type"), **fields)
        if act.kind == "reclaim":
            claim = act.about["claim"]
            body = {"claim": claim["id"], "reason": "forced"}
            copy.emit(
                "bridge:patrol", "", "work.released", refs={"work_id": claim["work_id"]}, body=body
            )
        self.town.durable = durable
        self.stamp, self.seqs = copy.stamp, copy.seqs
        return copy.events


class Town:
    """One schedule."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.time, self.set_back, self.paused = BEGIN, 0, 0
        self.durable: list[tuple[Store, Event]] = []
        self.released: list[str] = []
        self.acts, self.looks = 0, 0
        self.members: list[Member] = []
        self.stores = [
            Store(self, "aaaaaaaa", 0),
            Store(self, "bbbbbbbb", self.chance.randint(-MINUTE, MINUTE)),
        ]
        self.end = BEGIN + self.chance.randint(60, 200) * MINUTE
        self._queue: list[tuple[int, int, Callable[[], object]]] = []
        self._count = itertools.count()
        self._stop: tuple[Event, int] | None = None
        for number in range(self.chance.randint(1, 4)):
            self._begin(
                Member(self.chance.choice(LIVE + DEAD), number, self.chance.choice(self.stores))
            )
        self._accidents()

    def at(self, time: int, do: Callable[[], object]) -> None:
        if time < self.end:
            heapq.heappush(self._queue, (time, next(self._count), do))

    def run(self) -> None:
        """Everything in order of time; a patrol of each store looks after every event and at its own time."""
        wakes: dict[int, int | None] = {0: BEGIN, 1: BEGIN}
        while self._queue or any(wake is not None and wake < self.end for wake in wakes.values()):
            due = [wake - self.stores[n].skew for n, wake in wakes.items() if wake is not None]
            first = min([*due, self._queue[0][0] if self._queue else self.end])
            if first >= self.end:
                break
            self.time = max(self.time, first)
            if self._queue and self._queue[0][0] <= self.time:
                heapq.heappop(self._queue)[2]()
            for number, store in enumerate(self.stores):
                wakes[number] = self._patrolled(store)
        self.time = self.end
        for store in self.stores:
            self._patrolled(store)
        self._verdict()

    def _patrolled(self, store: Store) -> int | None:
        """One look of the patrols of a store; sometimes two at once, of which one acts on what was."""
        self.looks += 1
        if self.chance.random() < 0.03:
            check(store.planned, store.events, store.now, store.trial, self.chance)
        seen = store.plan()
        for act in seen.acts:
            if self.chance.random() < 0.5 or store.plan().has(act):
                self.acts += 1
                store.act(act)
        after = store.plan() if seen.acts else seen
        assert after.acts == [], f"still planned: {after.acts}"
        assert after.wake is None or after.wake > store.now
        return after.wake

    # ---- what happens

    def _begin(self, member: Member) -> None:
        self.members.append(member)
        start = BEGIN + self.chance.randint(0, 20) * MINUTE
        self.at(start, lambda: self._start(member))
        if member.kind in DEAD or member.kind in ("stopped", "waiting"):
            self.at(start + self.chance.randint(1, 60) * MINUTE, lambda: self._turn(member))

    def _start(self, member: Member) -> None:
        store, kind = member.store, member.kind
        member.heard = self.time
        if kind != "person":
            pin = {"pin": member.pin} if kind in LOCKED else {}
            named = {"agent": member.name, "session": member.session}
            by = "agent:worker" if pin else member.name
            started = store.emit(
                by, "" if pin else member.session, "session.started", body=named | pin
            )
            assert started
            member.start = started.id
        created = store.emit("human:boss", "", "work.created", body={"title": "x"})
        assert created
        member.work = created.id
        about: Json = {"refs": {"work_id": created.id}}
        behalf = {"for": {"agent_id": member.name, "session_id": member.session}}
        if kind == "never":
            claimed = store.emit(
                "agent:dispatch", "", "work.claimed", body={"gen": 1} | behalf, **about
            )
        else:
            session = "" if kind == "door" else member.session
            claimed = store.emit(member.name, session, "work.claimed", body={"gen": 1}, **about)
        assert claimed
        member.claim = claimed.id
        if kind in ("busy", "door", "stopped", "waiting", "slow", *DEAD):
            self._beat(member)

    def _beat(self, member: Member) -> None:
        if member.died or (member.kind in ("stopped", "waiting") and member.back):
            return
        member.heard = self.time
        store = member.store
        if self.chance.random() < 0.1:
            store.emit(
                member.name,
                member.session,
                "work.commented",
                refs={"work_id": member.work},
                body={"text": "on"},
            )
        store.emit(member.name, member.session, "agent.seen", live=True, body={"status": "busy"})
        pause = self.chance.randint(1, 25 if member.kind == "slow" else 4) * MINUTE
        self.at(self.time + pause, lambda: self._beat(member))

    def _turn(self, member: Member) -> None:
        """It dies, is stopped, or waits for a person from here on."""
        store, kind = member.store, member.kind
        member.back = self.time
        if kind in DEAD:
            member.died = self.time
        if kind == "ended":
            named = {"agent": member.name, "session": member.session, "how": "exit"}
            member.named = self.chance.random() < 0.5
            if member.named:
                named["start"] = member.start
            store.emit(member.name, member.session, "session.ended", body=named)
        elif kind == "waiting":
            member.heard = self.time
            store.emit(
                member.name,
                member.session,
                "agent.seen",
                live=True,
                body={"status": "waiting", "why": "Bash"},
            )

    def _accidents(self) -> None:
        chance, span = self.chance, self.end - BEGIN
        if chance.random() < 0.3:
            back = chance.choice([1, 4, 20, 90, 600]) * MINUTE
            self.at(BEGIN + chance.randrange(span), lambda: self._set_back(back))
        if chance.random() < 0.4:
            self.at(BEGIN + chance.randrange(span), self._stopped)
        for _ in range(chance.randint(0, 8)):
            self.at(BEGIN + chance.randrange(span), self._sync)

    def _set_back(self, ms: int) -> None:
        self.set_back += ms
        for store in self.stores:
            store.skew -= ms
            if ms > ids.AHEAD_MS:
                store.renew()

    def _stopped(self) -> None:
        store, scope = self.stores[0], self.chance.choice(["all", "agent:a0"])
        stop = store.emit("human:boss", "", "control.stopped", body={"scope": scope})
        assert stop
        self._sync()
        self._stop = stop, self.time
        self.at(self.time + self.chance.randint(1, 90) * MINUTE, self._resumed)

    def _resumed(self) -> None:
        assert self._stop
        stop, since = self._stop
        self._stop, self.paused = None, self.paused + self.time - since
        self.stores[0].emit("human:boss", "", "control.resumed", body={"stops": [stop.id]})
        self._sync()

    def _sync(self) -> None:
        """Each store takes what is durable in the other; beats are not."""
        for origin, event in self.durable:
            for store in self.stores:
                if store is not origin:
                    store.take(event)
        self.durable = []

    # ---- what must be

    def judge(self, store: Store, act: Act) -> None:
        """May this be done, as things really are?"""
        if self._stop:
            scope = self._stop[0]["body"]["scope"]
            agent = act.about.get("agent") or act.about["row"]["session"]["agent"]
            assert scope not in ("all", agent), f"{act} under a stop"
        if act.kind == "quarantine":
            return
        name = act.about["row"]["session"]["agent"]
        member = next(member for member in self.members if member.name == name)
        assert member.store is store, f"{act}: it lives in another store"
        if act.kind in ("reclaim", "end"):
            assert member.died, f"{act}: {member.kind} lives"
        if act.kind == "nudge":
            assert member.kind not in ("busy", "door", "waiting", "never", "person"), (
                f"{act}: {member.kind}"
            )

    def _verdict(self) -> None:
        everything = {event.id: event for store in self.stores for event in store.events}
        keyed = [
            (event["type"], event["idempotency_key"])
            for event in everything.values()
            if "idempotency_key" in event
        ]
        assert len(set(keyed)) == len(keyed), "an act was done twice"
        assert len(set(self.released)) == len(self.released), "a claim was released twice"
        for member in self.members:
            if not member.died or self._stop:
                continue
            patience = 0
            # An end that names no start, after a clock was set back, may seem older than a beat.
            unsure = member.kind == "ended" and self.set_back and not member.named
            if member.kind == "gone" or unsure:
                patience = health.Times.long + self.paused + self.set_back
            if member.died + patience + 1 < self.end:
                assert member.claim in self.released, f"{member.kind} died and keeps its claim"


def schedules(seeds: Iterable[int]) -> Iterator[Town]:
    """Each run to its end."""
    for seed in seeds:
        town = Town(seed)
        try:
            town.run()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        yield town
