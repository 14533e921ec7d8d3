"""Sessions of agents: when each showed a sign of life, as a fold of events. Pure and total.

    session.started, session.ended   by what runs the session
    agent.seen                       a beat: idle, busy, waiting
    patrol.*                         what a patrol did about it
    any other event                  a sign of life of the session that wrote it

Every part of the state is a greatest value or a union, so it is the same in any order and with
copies.

1. What a program around the session writes (the wrapper of a job, a hook at the start, a patrol)
   shows no life of it, and neither does a claim that another made for it.
2. The last sign is the last by `seq`, for each writer and namespace (a chain): so it is the last
   whatever the clock was set to. The sum of these numbers rises with every sign, and names the
   silence since. A sign that a patrol noticed to come from a clock that was ahead is from then.
3. Only the replica in which a session runs can say that it started or ended.
"""

from __future__ import annotations

from coord_envelope import ids, world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import Any, NotRequired, TypedDict

    from coord_envelope.event import Event

    class Session(TypedDict):
        """A session of an agent in a replica; `session` is empty for events that name none."""

        agent: str
        session: str
        replica: str
        signs: dict[str, list[Any]]
        """Chain, `WRITER NAMESPACE` → [seq, ts] of the last sign of life there."""
        beat: NotRequired[list[Any]]
        """[seq, ts, body, chain] of the last agent.seen."""
        ahead: dict[str, list[Any]]
        """Chain → [seq, ts]: signs up to this one are from a clock that was ahead; noticed when."""
        started: NotRequired[list[Any]]
        """[event id, ts, body, writer, seq] of the last start, and in the same way of the last
        end."""
        ended: NotRequired[list[Any]]
        told: dict[str, str]
        """Idempotency key of a patrol's event about it → its ts."""


name, version = "sessions", "2"
STATUSES = ("idle", "busy", "waiting", "blocked")
TOLD = 64
"""Newest events of patrols about a session that are kept."""
_AROUND = frozenset(
    (
        *("agent.registered", "agent.updated", "agent.retired", "work.conceded"),
        *("run.claimed", "run.started", "run.heartbeat", "run.completed", "run.released"),
        *("run.expired", "run.conceded", "lease.renewed", "lease.expired"),
    )
)
"""What programs around a session write."""


def entities(event: Event) -> Iterable[str]:
    """The session that an event is a sign of life of, or is about."""
    if "$trust" in event and event.get("$type") != "agent.seen":
        return ()  # nobody has signed it; nor does anybody sign a beat
    space = event["type"].partition(".")[0]
    if space in ("session", "patrol"):
        about = _about(event)
        return (session_name(*about),) if about else ()
    if space == "control" or event["type"] in _AROUND or _is_delivery(event):
        return ()
    session = event["actor"].get("session_id")
    text = session if isinstance(session, str) else ""
    return (session_name(replica_of(event), event["actor"]["agent_id"], text),)


def session_name(replica: str, agent: str, session: str) -> str:
    """The name of a session's entity."""
    return f"{replica} {agent} {session}"


def replica_of(event: Event) -> str:
    """The replica that an event was written in; its live and forked streams are its own, too."""
    return _replica(event["writer"])


def _replica(writer: str) -> str:
    return writer.partition("!")[0].rpartition("~")[2].partition("+")[0]


def _is_delivery(event: Event) -> bool:
    """Did a hook note that it showed mail?"""
    return event["type"] == "msg.acked" and bool(event["body"].get("kind") == "delivered")


def _about(event: Event) -> tuple[str, str, str] | None:
    """(replica, agent, session) that a session.* or patrol.* event is about."""
    body, actor, own = event["body"], event["actor"], replica_of(event)
    agent = body.get("agent", actor["agent_id"])
    session = body.get("session", "" if "agent" in body else actor.get("session_id", ""))
    replica = body.get("replica", own)
    if not all(isinstance(text, str) for text in (replica, agent, session)):
        return None
    if event["type"].startswith("session.") and replica != own:
        return None
    return replica, agent, session


def nothing(replica: str, agent: str, session: str) -> Session:
    """The state before the first event."""
    names = {"replica": replica, "agent": agent, "session": session}
    return {**names, "signs": {}, "ahead": {}, "told": {}}  # type: ignore[typeddict-item]


def step(state: Session | None, event: Event) -> Session:
    """The state after one event more, in any order."""
    if state is None:
        # A valid agent has no blank; a session may have some.
        name = next(iter(entities(event))).split(" ", 2)
        state = nothing(*name)
    kind, ts = event["type"], event["ts"]
    space, _, verb = kind.partition(".")
    if space == "session":
        if verb in ("started", "ended"):
            last: Any = state.get(verb, [""])
            new = [event.id, ts, event["body"], event["writer"], event["seq"]]
            state[verb] = new if event.id > last[0] else last  # type: ignore[literal-required]
    elif space == "patrol":
        _tell(state, event)
    else:
        chain = f"{event['writer']} {space}"
        state["signs"][chain] = max(state["signs"].get(chain, [0, ""]), [event["seq"], ts])
        if kind == "agent.seen" and event["body"].get("status") in STATUSES:
            beat = [event["seq"], ts, event["body"], chain]
            state["beat"] = max(state.get("beat", beat), beat, key=_place)
    return state


def _tell(state: Session, event: Event) -> None:
    key, ahead = event.get("idempotency_key"), event["body"].get("ahead")
    if event["type"] == "patrol.noticed" and isinstance(ahead, dict):
        for chain, seq in ahead.items():
            if type(seq) is int:
                state["ahead"][chain] = max(state["ahead"].get(chain, [0, ""]), [seq, event["ts"]])
    if not isinstance(key, str):
        return
    told = state["told"]
    told[key] = min(told.get(key, event["ts"]), event["ts"])
    if len(told) > TOLD:
        del told[min(told, key=lambda each: (told[each], each))]


def indexed(state: Session) -> Iterable[tuple[str, str]]:
    """`agent`: by agent and the time of the last sign; `open`: started, and not ended since."""
    last = max(stamps(state).values(), default="")
    yield "agent", f"{state['agent']} {last}"
    if is_open(state):
        yield "open", state["agent"]


def is_open(state: Session) -> bool:
    """Did it start, and not end since?"""
    return "started" in state and not ended(state)


def ended(state: Session) -> bool:
    """Did its last start end?

    By an end that names it, or that its writer wrote later; else by one with a greater id, but a
    clock may be set back.
    """
    if "ended" not in state:
        return False
    start = state["ended"][2].get("start")
    if "started" in state and isinstance(start, str):
        return bool(start == state["started"][0])
    *_, writer, seq = started = state.get("started", ["", "", {}, "", 0])
    if writer == state["ended"][3]:
        return bool(state["ended"][4] > seq)
    return bool(state["ended"][0] > started[0])


def survived(state: Session) -> bool:
    """Has it shown a sign of life after its end?

    Never after the end of its process, which names the start. An end for its silence has the number
    of its signs until then. Signs of the writer of the end are before or after it by their `seq`,
    those of others by the clock.
    """
    _, ts, body, writer, seq = state["ended"]
    if isinstance(body.get("signs"), int):
        return bool(signs(state) > body["signs"])
    if "started" in state and body.get("start") == state["started"][0]:
        return False
    return any(
        state["signs"][chain][0] > seq if chain.startswith(f"{writer} ") else stamp > ts
        for chain, stamp in stamps(state).items()
    )


def signs(state: Session) -> int:
    """A number that rises with every sign of life: it names the silence since the last one."""
    return sum(sign[0] for sign in state["signs"].values())


def stamps(state: Session) -> dict[str, str]:
    """When the last sign of life of each chain was shown."""
    return {chain: _when(state, chain, *sign) for chain, sign in state["signs"].items()}


def _when(state: Session, chain: str, seq: int, ts: str) -> str:
    return state["ahead"][chain][1] if _is_ahead(state, chain, seq) else ts


def waits(state: Session, ahead: Collection[str] = ()) -> tuple[str, str] | None:
    """Since when it waits for a person, and for what, if that is its last sign of life.

    What came from a clock that was ahead, as the chains in `ahead` did, may have been before or
    after: then it waits.
    """
    if "beat" not in state:
        return None
    seq, ts, body, chain = state["beat"]
    why = body.get("why")
    known = [
        sign[1]
        for at, sign in state["signs"].items()
        if at not in ahead and not _is_ahead(state, at, sign[0])
    ]
    over = chain not in ahead and not _is_ahead(state, chain, seq) and max(known) > _after(ts)
    if body.get("status") != "waiting" or over:
        return None
    return _when(state, chain, seq, ts), why[:100] if isinstance(why, str) else ""


def _after(ts: str) -> str:
    """Five minutes later: by so much clocks may differ, and be set back, without notice."""
    try:
        return world.format_ts(world.parse_ts(ts) + ids.AHEAD_MS)
    except ValueError:
        return ts


def _is_ahead(state: Session, chain: str, seq: int) -> bool:
    return bool(seq <= state["ahead"].get(chain, [0, ""])[0])


def united(sessions: Sequence[Session], replicas: Sequence[str]) -> Session:
    """One session whose store changed its replica id, as it does when its clock is set back.

    `replicas` are the ids of the store, the current one last. The session keeps the id in which it
    started; a beat in a later one is later.
    """
    sessions = sorted(sessions, key=lambda each: replicas.index(each["replica"]))
    first = next((each for each in sessions if "started" in each), sessions[0])
    own: Any = {**first, **{name: {} for name in ("signs", "ahead", "told")}}
    for each in sessions:
        _take_signs(own, each, replicas)
        for key, ts in each["told"].items():
            own["told"][key] = min(own["told"].get(key, ts), ts)
        for verb in ("started", "ended"):
            if verb in each:
                own[verb] = max(
                    own.get(verb, each[verb]), each[verb], key=lambda last: str(last[0])
                )
    return own  # type: ignore[no-any-return]


def joined(state: Session, others: Iterable[Session], replicas: Sequence[str]) -> Session:
    """The session with the signs of life of other sessions of its agent, in its store.

    One agent acts through several doors (a shell, a hook, MCP), and not each has a session: so what
    has none counts for every session, and a claim without one lives while any of them does.
    """
    own: Any = {**state, "signs": dict(state["signs"]), "ahead": dict(state["ahead"])}
    if not own["signs"] and own["session"]:
        return own  # type: ignore[no-any-return]
    for other in others:
        if other["agent"] == own["agent"] and not (own["session"] and other["session"]):
            _take_signs(own, other, replicas)
    return own  # type: ignore[no-any-return]


def _take_signs(own: Session, other: Session, replicas: Sequence[str]) -> None:
    for chain, sign in other["signs"].items():
        own["signs"][chain] = max(own["signs"].get(chain, [0, ""]), sign)
    for chain, sign in other["ahead"].items():
        own["ahead"][chain] = max(own["ahead"].get(chain, [0, ""]), sign)
    if "beat" in other:
        beats = (own.get("beat", other["beat"]), other["beat"])
        own["beat"] = max(beats, key=lambda beat: (_age_of(beat, replicas), *_place(beat)))


def _age_of(beat: list[Any], replicas: Sequence[str]) -> int:
    """The later the replica id is that it was written in, the greater."""
    replica = _replica(beat[3].partition(" ")[0])
    return replicas.index(replica) if replica in replicas else -1


def _place(last: list[Any]) -> list[Any]:
    return last[:2]
