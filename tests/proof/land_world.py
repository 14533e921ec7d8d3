"""A merge queue in memory: requests, pushers, flaky gates, two copies that are killed at any step.

The fold, the plan and the drafts are the real ones. A commit is a text, and the target's history a
list of them; time is a number.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

from support import Json

from coord_envelope import event, ids, world
from coord_envelope.event import Event
from coord_kernel.controller import Act, Plan
from coord_kernel.views.past import Snapshot
from coord_land import draft, fold
from coord_land.plan import Outcome, Running, Seen, plan
from coord_land.policy import parsed
from coord_land.repository import Conflict

BEGIN = 1_767_225_600_000
DAY = 86_400_000
POLICY = parsed({"gate": [{"run": ["t"], "proof": "([0-9]+) passed"}], "batch": 4}, "x")


def digest(*parts: str) -> str:
    return hashlib.sha1("\0".join(parts).encode()).hexdigest()


class Town:
    """A target, what is asked to land on it, and the events of one store."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now, self.stamp, self.events = BEGIN, 0, list[Event]()
        self.base = digest("base")
        self.history = [self.base]
        self.content: dict[str, frozenset[str]] = {self.base: frozenset()}
        """Commit → what is in it."""
        self.trailers: dict[str, str] = {}
        self.poison, self.clash = set[str](), dict[str, str]()
        self.flaky = self.chance.choice([0.0, 0.1, 0.3])
        self.broken = False
        self.jobs: dict[str, str] = {}
        """Key of a test → its outcome, or empty while it runs."""
        self.tested = set[str]()
        self.keys = set[tuple[str, str]]()
        self.held = 0
        self.unlucky = set[str]()
        """Requests of which a test failed because the gate was broken: if it is mended before the
        queue asks the base, nobody can know that."""

    # ---- the store

    def emit(self, kind: str, agent: str = "agent:ada", **fields: Any) -> Event | None:
        """Write an event; None if its key is taken, or a request has an end."""
        key = fields.get("idempotency_key", "")
        kinds = fold.ENDS if kind in fold.ENDS[1:] else (kind,)
        if key and any((each, key) in self.keys for each in kinds):
            return None
        self.now += self.chance.randrange(1, 60_000)
        self.stamp = ids.tick(self.stamp, self.now)
        event_id = ids.mint(self.stamp, self.chance.randbytes(8))
        head = ("acme", f"{agent.replace(':', '.')}~00000000", len(self.events) + 1)
        draft: Json = {"type": kind, "body": {}, **fields}
        new = event.build(draft, event_id, self.now, head, {"agent_id": agent})
        self.keys.add((kind, key))
        self.events.append(new)
        return new

    def arrive(self) -> None:
        number = len(self.keys)
        branch = self.chance.choice([f"b{number}", f"b{number}", "again"])
        body: Json = {"target": "main", "branch": branch, "sha": digest(branch, str(number))}
        body |= {"ref": f"refs/land/{number}", "priority": self.chance.randrange(5), "title": "x"}
        made = self.emit(
            "land.requested",
            **{k: v for k, v in draft.requested(body, 0, None).items() if k != "type"},
        )
        assert made
        if self.chance.random() < 0.25:
            self.poison.add(made.id)
        others = [each["id"] for each in self.open() if each["id"] != made.id]
        if others and self.chance.random() < 0.15:
            self.clash[made.id] = self.chance.choice(others)

    def open(self) -> list[fold.Request]:
        return list(fold.opened(self.source(self.events), "main"))

    def source(self, events: Sequence[Event]) -> Any:
        return Snapshot(fold, sorted(events, key=lambda each: each.id))

    # ---- git, and gates

    def merged(self, below: str, request: fold.Request) -> str:
        name, inside = request["id"], self.content[below]
        if self.clash.get(name) in inside or name in [self.clash.get(each) for each in inside]:
            raise Conflict(["file"], "it conflicts")
        if name in inside:
            raise Conflict([], "", "empty")
        commit = digest(below, name)
        self.content[commit] = inside | {name}
        self.trailers[commit] = name
        return commit

    def push(self, act: Act) -> None:
        """The compare-and-swap."""
        if act.about["base"] == self.base:
            self.base = act.about["commit"]
            self.history.append(self.base)

    def other(self) -> None:
        """Somebody else pushes."""
        commit = digest(self.base, str(self.now))
        self.content[commit] = self.content[self.base]
        self.base = commit

    def landed(self) -> dict[str, str]:
        inside = self.content[self.base]
        return {
            self.trailers[commit]: commit
            for commit in list(self.trailers)
            if self.trailers[commit] in inside
        }

    def over(self) -> None:
        """One test that runs ends."""
        running = [key for key, outcome in self.jobs.items() if not outcome]
        if running:
            key = self.chance.choice(running)
            commit, attempt = key.split(":")
            bad = self.broken or self.content[commit] & self.poison
            self.unlucky |= self.content[commit] if self.broken else set()
            flaked = attempt == "1" and self.chance.random() < self.flaky
            self.jobs[key] = (
                "fail"
                if bad or flaked
                else self.chance.choice(["pass"] * 9 + ["error"])
                if attempt == "1"
                else "pass"
            )
            if self.jobs[key] == "pass":
                self.tested.add(commit)

    # ---- the queue

    def planned(self, events: Sequence[Event], now: int) -> Plan:
        return plan(Look(self, self.source(events)), now)

    def act(self, act: Act) -> None:
        if act.kind == "begin":
            about = act.about
            self.jobs.setdefault(f"{about['commit']}:{about['attempt']}", "")
        elif act.kind == "land":
            self.push(act)
        else:
            said = draft.draft(act, "main", "human:eve")
            self.held += said["type"] == "land.held"
            self.emit(said.pop("type"), "bridge:land", **said)


class Look(Seen):
    """A look at the town by the events that are known."""

    def __init__(self, town: Town, source: Any) -> None:
        self._town = town
        self.requests = list(fold.opened(source, "main"))
        self.base, self.policy = town.base, POLICY
        self.landed, self.missing = town.landed(), set[str]()
        last = fold.last_base(source, "main")
        members = {name for batch in (last["batches"].values() if last else ()) for name in batch}
        found = (fold.named(source, name) for name in sorted(members))
        self.left = [each for each in found if each and fold.has_left(each)]
        self.stray, self.checked = dict[str, str](), dict[str, str]()
        self.done = fold.base_of(source, "main", town.base)
        self.queue = fold.queue_of(source, "main")

    def merged(self, below: str, request: fold.Request) -> str:
        return self._town.merged(below, request)

    def proven(self, request: fold.Request, _: str) -> bool:
        inside, name = self._town.content, request["id"]
        return any(at in self._town.tested and name in inside[at] for at in self._town.history)

    def gates(self, _: str) -> Sequence[Any]:
        return self.policy.gates

    def progress(self, _: Any, commit: str, attempt: int) -> Running | Outcome | None:
        outcome = self._town.jobs.get(f"{commit}:{attempt}")
        if outcome is None:
            return None
        return Outcome(outcome, {}) if outcome else Running(None)


def copy(town: Town) -> Iterator[None]:
    """A copy of the controller: each step is one act, on a look that may be old by then."""
    while True:
        for act in town.planned(town.events, town.now).acts:
            yield
            if town.planned(town.events, town.now).has(act):
                town.act(act)
        yield


def settle(town: Town) -> None:
    """Let everything end."""
    for _ in range(2_000):
        acts = town.planned(town.events, town.now).acts
        for act in acts:
            town.act(act)
        if not acts and not any(not outcome for outcome in town.jobs.values()):
            return
        town.over()
    raise AssertionError("it does not end")


def schedule(seed: int) -> Town:
    """A random day: everything that can happen, in any order; then the queue is emptied."""
    town = Town(seed)
    copies = [copy(town), copy(town)]
    for _ in range(town.chance.randrange(40, 160)):
        what = town.chance.random()
        if what < 0.12:
            town.arrive()
        elif what < 0.14:
            town.other()
        elif what < 0.15:
            town.broken = not town.broken
        elif what < 0.17 and town.open():
            request = town.chance.choice(town.open())
            said = draft.withdrawn(request, why="asked")
            town.emit(said.pop("type"), **said)
        elif what < 0.4:
            town.over()
        elif what < 0.45:
            copies[town.chance.randrange(2)] = copy(town)  # killed, and started again
        else:
            next(town.chance.choice(copies))
        check_plan(town)
    town.broken = False
    while True:
        settle(town)
        holds = list(fold.holds(fold.queue_of(town.source(town.events), "main")))
        if not holds:
            break
        town.emit("land.resumed", body={"target": "main", "holds": holds})
    check_end(town)
    return town


def check_plan(town: Town) -> None:
    """The order of events and copies of them count for nothing; nothing is due before its time."""
    if town.chance.random() < 0.9:
        return
    now, first = town.now, town.planned(town.events, town.now)
    events = [*town.events, *town.chance.choices(town.events, k=5)] if town.events else []
    town.chance.shuffle(events)
    states: dict[str, Any] = {}
    for each in events:
        for entity in fold.entities(each):
            states[entity] = fold.step(states.get(entity), each)
    again = plan(Look(town, Snapshot(fold, (), states)), now)
    assert [act.key for act in again.acts] == [act.key for act in first.acts]
    assert again.wake == first.wake
    keys = [act.key for act in first.acts]
    assert len(set(keys)) == len(keys)
    if not first.acts:
        latest = now + DAY if first.wake is None else first.wake - 1
        for moment in (latest, town.chance.randint(now, latest)):
            assert town.planned(town.events, moment).acts == []


def check_end(town: Town) -> None:
    """What landed was tested as it is, in one piece; each request has one end; culprits are out."""
    assert set(town.history[1:]) <= town.tested, "what landed was not tested"
    assert not town.content[town.base] & town.poison, "a culprit landed"
    source = town.source(town.events)
    for each in town.events:
        if each["type"] == "land.requested":
            request = fold.named(source, each.id)
            assert request, "a request is not there"
            end = fold.ended(request)
            assert end, "a request has no end"
            kinds = [kind for kind, _, _ in request["ends"].values()]
            # It may have been withdrawn while it was pushed; then that it landed comes after.
            assert len(kinds) == 1 or kinds == ["land.withdrawn", "land.landed"], kinds
            assert (each.id in town.content[town.base]) == (end[1] == "land.landed")
            if end[3].get("why") == "gate":
                guilty = town.poison | town.unlucky
                assert each.id in guilty, "an innocent was rejected"


def order(ts: float, priority: int) -> str:
    """Where a request of this age and priority stands."""
    ms = BEGIN + int(ts)
    return fold.order({"id": "", "ts": world.format_ts(ms), "priority": priority, "ends": {}})
