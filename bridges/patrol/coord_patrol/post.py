"""Mail for agents that are idle, as a controller: `coord-agent deliver` wakes them.

Only sessions that run as a job of this store: who types in a terminal of their own is not
disturbed, and hooks show an agent its mail while it works.

1. Mail waits that the agent has not read, and no hook has shown to the session; its last sign says
   that it is idle.
2. What came of that is an event of `coord-agent`, with a key of the session and the newest message.
   After `delivered`, `unknown` and `gone` nothing more is done about that message; after `busy` it
   is tried again when the session is idle.
"""

from __future__ import annotations

from coord_envelope import codec, ids
from coord_kernel.controller import Act, Plan
from coord_kernel.rules import control
from coord_kernel.store import pins
from coord_kernel.views import look
from coord_kernel.views.presence import Sessions, Stops
from coord_kernel.views.view import View
from coord_msg.mail import Mail
from coord_patrol.act import ran

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Journal
    from coord_kernel.rules.presence import Session
    from coord_kernel.views.view import Source

SETTLED = ("delivered", "unknown", "gone")
"""Outcomes after which nothing more is done about a message."""
_MANY = ("all", "group:", "chan:")
"""How an address begins that may be that of an agent among others."""


class Post:
    """It acts as one agent, whoever started it."""

    def __init__(self, journal: Journal, agent: str, put: Callable[[Iterable[Json]], None]) -> None:
        """`put` prints the events that were written."""
        store = journal.store
        self._journal, self._store, self._agent, self._put = journal, store, agent, put
        self._sessions, self._stops = Sessions(store), Stops(store)
        self._mail = View(store, Mail.fold)
        self._agents, self._expecting = set[str](), set[str]()

    def wakes(self, event: Event) -> bool:
        """Can the event change the plan? Mail for an agent that runs; its turn is over."""
        kind, to = event["type"], event.get("to")
        if kind == "agent.seen":
            is_idle = event["body"].get("status") == "idle"
            return is_idle and event["actor"]["agent_id"] in self._expecting
        return isinstance(to, list) and any(
            address in self._agents or str(address).startswith(_MANY) for address in to
        )

    def plan(self) -> Plan:
        state, acts = self._stops.control(), list[Act]()
        self._agents, self._expecting = set(), set()
        if control.stopped(state):
            return Plan(acts)
        for session, family in _families(self._sessions.refresh(), self._is_ours):
            agent = session["agent"]
            self._agents.add(agent)
            if control.stopped(state, agent):
                continue
            newest = self._newest(agent, [each["session"] for each in family])
            if newest is None or self._is_settled(session["session"], newest):
                continue
            self._expecting.add(agent)
            if _status(family) == "idle":
                key = f"deliver:{session['session']}:{newest}"
                acts.append(Act("deliver", key, agent=agent, mail=newest))
        return Plan(acts)

    def act(self, act: Act) -> None:
        """Have it delivered; looked at again, there. Raises Fault."""
        written = ran(self._agent, (0,), "coord-agent", "deliver", act.about["agent"])
        self._put(codec.loads(line) for line in written.splitlines() if line.startswith(b"{"))

    def draft(self, act: Act) -> Json:
        """What would be tried."""
        return {"act": act.kind, **act.about}

    def _is_ours(self, session: Session) -> bool:
        """Does a job of this store run it?"""
        pin = look.pin(session)
        return (
            session["replica"] in self._store.replicas()
            and "run" in session["started"][2]
            and pin is not None
            and not pins.dropped(self._store, *pin)
        )

    def _newest(self, agent: str, sessions: list[str]) -> str | None:
        """The newest message that waits for it."""
        newest = None
        for state in Mail.current(self._mail).untold(agent, sessions):
            newest = state["mail"]["id"]
        return newest

    def _is_settled(self, session: str, mail: str) -> bool:
        keys = [ids.key(f"nudge:{session}:{mail}:{result}") for result in SETTLED]
        index = self._journal.index.refresh()
        return any(index.by_key("session.nudged", key) for key in [*keys, f"nudge::{mail}:gone"])


def _families(
    sessions: Source, is_ours: Callable[[Session], bool]
) -> Iterator[tuple[Session, list[Session]]]:
    """Each session that a job runs, and with it those that its program started, by its hooks."""
    opened: list[Session] = [sessions.get(name) for _, name in sessions.find("open")]
    for session in opened:
        if is_ours(session):
            mine = (session["agent"], session["session"])
            children = [
                each for each in opened if (each["agent"], each["started"][2].get("parent")) == mine
            ]
            yield session, [session, *children]


def _status(family: list[Session]) -> str:
    """What the last beat of a session or of its program's says."""
    beats = [each["beat"] for each in family if "beat" in each]
    return str(max(beats, key=lambda beat: beat[1])[2].get("status", "")) if beats else ""
