"""Agents that are idle, as a controller: mail wakes them, and those whose work is done are ended.

Only sessions that run as a job of this store: who types in a terminal of their own is not
disturbed, and hooks show an agent its mail while it works. It is `coord-agent deliver` and
`coord-agent finish` that look once more, and act.

1. Mail waits that the agent has not read, and no hook has shown to the session; its last sign says
   that it is idle.
2. What came of that is an event of `coord-agent`, with a key of the session and the newest message.
   After `delivered`, `unknown` and `gone` nothing more is done about that message; after `busy` it
   is tried again when the session is idle.
3. A session that was started for an item, has nothing left to do (`coord_agents.duties`), and has
   been idle for `done`, with no mail to be delivered, is ended; if somebody is attached to it, that
   is tried again after the same time. A session without an item at its start stays.
"""

from __future__ import annotations

from coord_agents.duties import Duties
from coord_envelope import codec, ids, world
from coord_kernel.controller import Act, Plan
from coord_kernel.rules import control, presence
from coord_kernel.store import pins
from coord_kernel.views import look
from coord_kernel.views.presence import Sessions, Stops
from coord_kernel.views.view import View
from coord_msg.mail import Mail
from coord_patrol import policy
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
        self._duties, self._pause = Duties(store), policy.load(store).done
        self._agents, self._expecting = set[str](), set[str]()
        self._tried = dict[str, int]()
        """Session → when it was to be ended last; Unix milliseconds."""
        self._ahead = dict[str, tuple[str, int]]()
        """Session → its last sign of life, of a clock that is ahead, and when that was seen."""

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
        state, acts, wakes = self._stops.control(), list[Act](), list[int]()
        self._agents, self._expecting = set(), set()
        if control.stopped(state):
            return Plan(acts)
        for session, family in _families(self._sessions.refresh(), self._is_ours):
            agent = session["agent"]
            self._agents.add(agent)
            if control.stopped(state, agent):
                continue
            newest = self._newest(agent, [each["session"] for each in family])
            is_idle = _status(family) == "idle"
            if newest is not None and not self._is_settled(session["session"], newest):
                self._expecting.add(agent)
                if is_idle:
                    key = f"deliver:{session['session']}:{newest}"
                    acts.append(Act("deliver", key, agent=agent, mail=newest))
            elif session["started"][2].get("work"):
                self._expecting.add(agent)
                if is_idle and not self._duties.left(agent, {each["session"] for each in family}):
                    self._end(session, family, acts, wakes)
        return Plan(acts, min(wakes, default=None))

    def _end(
        self, session: Session, family: list[Session], acts: list[Act], wakes: list[int]
    ) -> None:
        """Plan its end, or when that is due."""
        name, now = session["session"], world.now_ms()
        stamps = [ts for each in family for ts in presence.stamps(each).values()]
        stamp = max(stamps, default="")
        last = _ms(stamp)
        if last > now:  # of a clock that is ahead: it counts from when it was seen first
            if self._ahead.get(name, ("", 0))[0] != stamp:
                self._ahead[name] = stamp, now
            last = self._ahead[name][1]
        due = max(last, self._tried.get(name, 0)) + self._pause
        if due > now:
            wakes.append(due)
        else:
            act = Act("finish", f"finish:{name}:{due}", agent=session["agent"], session=name)
            acts.append(act)

    def act(self, act: Act) -> None:
        """Have it done; looked at again, there. Raises Fault."""
        if act.kind == "finish":
            self._tried[act.about["session"]] = world.now_ms()
            written = ran(self._agent, (0,), "coord-agent", "finish", act.about["session"])
        else:
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


def _ms(ts: str) -> int:
    try:
        return world.parse_ts(ts)
    except ValueError:
        return 0


def _status(family: list[Session]) -> str:
    """What the last beat of a session or of its program's says."""
    beats = [each["beat"] for each in family if "beat" in each]
    return str(max(beats, key=lambda beat: beat[1])[2].get("status", "")) if beats else ""
