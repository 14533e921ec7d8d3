"""What a dispatcher is to start. Pure.

1. Under a stop of everything nothing is planned. Items with a stopped label, and agents that are
   stopped or quarantined, are passed over.
2. A session that has shown output, but no sign of life, has come up: that is noted for it. If it
   has not come up in time, it is undone.
3. What a session that is over has used is reported; what a person answered about an item that was
   passed over is done.
4. The ready items in their order, each that has no session:
   a. three sessions failed: it is held, and a person is asked
   b. one failed: not before its pause is over, which doubles with each
   c. no preset can do it, or each that can is at its most, or a budget is spent or a provider
      limits it: passed over
   d. as many agents as allowed: nothing more is planned
   e. the pause after the last start is not over: look again then
   f. else an agent is started
5. The key of a start counts the sessions that the item has had, so two dispatchers that see the
   same start one session; and which has seen less, finds the key, or the claim.
"""

from __future__ import annotations

from coord_agents import fold
from coord_envelope import world
from coord_kernel.controller import Act, Plan
from coord_kernel.rules import control

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from typing import TypedDict

    from coord_kernel.rules.control import Control

    class Item(TypedDict):
        """A ready work item, and the sessions that it has had."""

        id: str
        title: str
        kind: str
        labels: Collection[str]
        needs: Collection[str]
        """Capabilities, or the name of a preset."""
        assignee: str
        tries: int
        """Sessions that were ever started for it."""
        failures: list[list[str]]
        """[session, time stamp of its end] of those that failed since it was closed or cleared."""
        cleared: str
        """The event since which its failures count; empty: the first."""

    class Flight(TypedDict):
        """A session that a dispatcher started and that is not over."""

        session: str
        agent: str
        work: str
        preset: str
        kind: str
        ts: str
        """When it was asked for."""
        up: bool
        """Has it shown a sign of life?"""
        shows: bool
        """Has it printed something, or does its screen take input?"""

    class Answer(TypedDict):
        """What a person said about an item that was passed over."""

        work: str
        question: str
        option: str

    class Seen(TypedDict):
        """What a look has seen."""

        ready: Iterable[Item]
        """In their order; read as far as something may be planned for them."""
        flights: Sequence[Flight]
        unreported: Sequence[fold.Session]
        """Sessions that are over, and whose use has yet to be reported."""
        answers: Sequence[Answer]
        started: dict[str, str]
        """Preset → time stamp of its last start."""
        gate: Callable[[str, str, str], tuple[int, str] | None]
        """(agent, item, pool) → None, or when budgets and limits let it begin, and why not yet."""
        control: Control


class Preset:
    """Which items a runtime is started for."""

    most = 1 << 30
    """Sessions at once."""

    def __init__(self, name: str, can: Collection[str] = (), pool: str = "") -> None:
        self.name, self.can, self.pool = name, {*can, name}, pool or name


class Policy:
    """What is allowed."""

    max = 3
    """Sessions at once."""
    delay = 5_000
    """Milliseconds between two starts."""
    within = 120_000
    """Milliseconds in which a session has to come up."""
    backoff = 60_000
    """Pause after the first failure of an item; it doubles with each."""
    failures = 3
    """After so many failures an item is held."""

    def __init__(self, presets: Sequence[Preset] = ()) -> None:
        self.presets = presets
        self.kinds: dict[str, int] = {}
        """Kind of item → sessions at once."""


class _Planning:
    """One plan in the making."""

    def __init__(self, seen: Seen, now: int, policy: Policy) -> None:
        self._seen, self._now, self._policy = seen, now, policy
        self.acts: list[Act] = []
        self.wakes: list[int] = []
        # What is undone first leaves its place; its item and its agent are taken until then.
        self._late = [flight for flight in seen["flights"] if self._is_late(flight)]
        flights = (flight for flight in seen["flights"] if flight not in self._late)
        self._flights = [(flight["preset"], flight["kind"]) for flight in flights]
        self._agents = {flight["agent"] for flight in seen["flights"]}
        self._busy = {flight["work"] for flight in seen["flights"]}
        self._last = max(map(_ms, seen["started"].values()), default=0)

    def plan(self) -> Plan:
        for flight in self._seen["flights"]:
            if flight["shows"] and not flight["up"]:
                self.acts.append(Act("seen", f"seen:{flight['session']}", flight=flight))
        for state in self._seen["unreported"]:
            run = fold.facts(state)["run"]
            self.acts.append(Act("report", f"usage:{run}", state=state))
        for answer in self._seen["answers"]:
            self.acts.append(Act("answer", f"answer:{answer['question']}", answer=answer))
        self.acts += [Act("undo", f"undo:{each['session']}", flight=each) for each in self._late]
        for item in self._seen["ready"]:
            if item["id"] not in self._busy and not self._stopped(item) and self._full(item):
                break
        wake = min((wake for wake in self.wakes if wake > self._now), default=None)
        return Plan(self.acts, wake)

    def _is_late(self, flight: Flight) -> bool:
        if flight["up"] or flight["shows"]:
            return False
        due = _ms(flight["ts"]) + self._policy.within
        self.wakes.append(due)
        return due <= self._now

    def _stopped(self, item: Item) -> bool:
        return control.stopped(self._seen["control"], "", item["labels"]) is not None

    def _full(self, item: Item) -> bool:
        """Plan what there is to do for an item. Is nothing left to be planned for others?"""
        count = len(item["failures"])
        if count >= self._policy.failures:
            key = f"skip:{item['id']}:{item['cleared']}"
            self.acts.append(Act("skip", key, item=item))
            return False
        if count:
            last = max(_ms(ts) for _, ts in item["failures"])
            again = last + self._policy.backoff * (1 << (count - 1))
            if again > self._now:
                self.wakes.append(again)
                return False
        if len(self._flights) >= self._policy.max:
            return True
        choice = self._choice(item) if self._room(item["kind"]) else None
        if choice is None:
            return False
        preset, agent = choice
        if self._last + self._policy.delay > self._now:
            self.wakes.append(self._last + self._policy.delay)
            return True
        key = f"start:{item['id']}:{item['tries']}"
        self.acts.append(Act("start", key, item=item, preset=preset.name, agent=agent))
        self._flights.append((preset.name, item["kind"]))
        self._agents.add(agent)
        self._last = self._now if self._policy.delay else 0
        return False

    def _choice(self, item: Item) -> tuple[Preset, str] | None:
        """The first preset that can do it, has room, and may begin now, and the agent that is to.

        What is assigned to an agent of a preset, by its name, is for that preset.
        """
        needs, presets = set(item["needs"]), self._policy.presets
        own = [each for each in presets if item["assignee"].startswith(f"agent:{each.name}-")]
        for preset in own or presets:
            taken = sum(name == preset.name for name, _ in self._flights)
            agent = self._agent(item, preset)
            if not needs <= preset.can or taken >= preset.most or agent is None:
                continue
            closed = self._seen["gate"](agent, item["id"], preset.pool)
            if closed is None:
                return preset, agent
            self.wakes.append(closed[0])
        return None

    def _room(self, kind: str) -> bool:
        most = self._policy.kinds.get(kind)
        return most is None or sum(each == kind for _, each in self._flights) < most

    def _agent(self, item: Item, preset: Preset) -> str | None:
        """The agent that is to do it: its assignee, or a free name of the preset."""
        state = self._seen["control"]

        def free(agent: str) -> bool:
            halted = control.stopped(state, agent) or control.open_quarantines(state, agent)
            return agent not in self._agents and not halted

        if item["assignee"]:
            assigned = item["assignee"].startswith("agent:") and free(item["assignee"])
            return item["assignee"] if assigned else None
        most = len(self._agents) + len(state["quarantines"]) + len(state["stops"]) + 1
        names = (f"agent:{preset.name}-{number}" for number in range(1, most + 1))
        return next(filter(free, names), None)


def plan(seen: Seen, now: int, policy: Policy) -> Plan:
    """The acts that are due at `now` (Unix milliseconds), and when the next may be."""
    if control.stopped(seen["control"]):
        return Plan([])
    return _Planning(seen, now, policy).plan()


def _ms(ts: str) -> int:
    try:
        return world.parse_ts(ts)
    except ValueError:
        return 0
