"""Which agents there are, and how many events. Pure and total; bridges may import it.

The state of an agent is made of greatest values and unions, so it is the same in any order of its
events: `name`, `version`, `entities`, `step` and `indexed` are what a view needs.
"""

from __future__ import annotations

from coord_envelope import codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NotRequired, TypedDict

    from coord_envelope import Event
    from coord_envelope.codec import Json

    class State(TypedDict):
        """An agent, over all its sessions and stores."""

        agent: str
        first: str
        events: int
        seen: dict[str, list[Any]]
        """`WRITER NAMESPACE` → [seq, ts] of its last event there."""
        said: dict[str, list[Any]]
        """Field of its description → [event id, value]; also `retired`, and `group NAME`."""
        sessions: dict[str, list[Any]]
        """`REPLICA SESSION` → [ts, status] of its last event; the newest."""
        closed: dict[str, str]
        """Event → the item that it closed; the newest."""
        runs: dict[str, str]
        """Event → the job's command; the newest."""

    class Agent(TypedDict):
        """A row of `ev agents`. Times are stamps; the description is as registered or updated."""

        agent_id: str
        first_seen: str
        last_seen: str | None
        events: int
        kind: NotRequired[str]
        model: NotRequired[str]
        display: NotRequired[str]
        retired: NotRequired[bool]

    class Detail(Agent, total=False):
        """What `ev agents NAME` adds to that."""

        caps: list[str]
        groups: list[str]
        sessions: list[Json]
        runs: list[Json]
        closed: list[str]

    class Stats(TypedDict):
        """Counts of events; `first` and `last` are stamps, None where there is no event."""

        events: int
        first: str | None
        last: str | None
        types: dict[str, int]
        writers: dict[str, int]


name, version = "agents", "2"
MOST = 20
"""Newest sessions, jobs and closed items that are kept of an agent."""
_DESCRIBED = ("kind", "model", "display")


def entities(event: Event) -> Iterable[str]:
    """The agent that wrote it."""
    agent = event["actor"]["agent_id"]
    return (agent,) if agent else ()


def step(state: State | None, event: Event) -> State:
    """The state after one event more, in any order."""
    ts, kind, body = event["ts"], event["type"], event["body"]
    if state is None:
        state = _nothing(event["actor"]["agent_id"], ts)
    chain = f"{event['writer']} {kind.partition('.')[0]}"
    last = state["seen"].get(chain, [0, ""])
    if event["seq"] > last[0]:  # else a copy, in a fork
        state["events"] += 1
    state["first"] = min(state["first"], ts)
    state["seen"][chain] = max(last, [event["seq"], ts])
    _session(state, event)
    refs = event.get("refs")
    if kind.startswith("agent."):
        _describe(state, event)
    elif kind == "work.closed" and isinstance(refs, dict) and isinstance(refs.get("work_id"), str):
        _keep(state["closed"], event.id, refs["work_id"])
    elif kind == "run.requested" and isinstance(body.get("argv"), list):
        words = [word for word in body["argv"] if isinstance(word, str)]
        _keep(state["runs"], event.id, " ".join(words)[:200])
    return state


def _nothing(agent: str, first: str) -> State:
    empty: Any = {"seen": {}, "said": {}, "sessions": {}, "closed": {}, "runs": {}}
    return {"agent": agent, "first": first, "events": 0, **empty}  # type: ignore[typeddict-item]


def begun(agent: str, sessions: Iterable[tuple[str, str, str]]) -> State | None:
    """An agent that has not written yet, by its sessions that a job began; None if there is none.

    Each: replica, session, time stamp of its start.
    """
    kept: dict[str, list[Any]] = {f"{at} {text}": [ts, ""] for at, text, ts in sessions}
    if not kept:
        return None
    return {**_nothing(agent, min(ts for ts, _ in kept.values())), "sessions": kept}


def _session(state: State, event: Event) -> None:
    session = event["actor"].get("session_id")
    writer: str = event["writer"].partition("!")[0]
    replica = writer.rpartition("~")[2].partition("+")[0]
    place = f"{replica} {session if isinstance(session, str) else ''}"
    status = event["body"].get("status") if event["type"] == "agent.seen" else None
    new = [event["ts"], status if isinstance(status, str) else ""]
    _keep(state["sessions"], place, max(state["sessions"].get(place, new), new))


def _describe(state: State, event: Event) -> None:
    body, verb = event["body"], event["type"].partition(".")[2]
    fields: dict[str, Any] = {}
    if verb == "retired":
        fields["retired"] = True
    elif verb in ("registered", "updated"):
        described = body if verb == "registered" else body.get("set")
        described = described if isinstance(described, dict) else {}
        fields = {name: described[name] for name in (*_DESCRIBED, "caps") if name in described}
        fields |= {"retired": False} if fields else {}
        for how in ("add", "rm"):
            change = body.get(how)
            names = change.get("groups") if isinstance(change, dict) else None
            for group in names if isinstance(names, list) else ():
                if isinstance(group, str):
                    fields[f"group {group}"] = how == "add"
    for name, value in fields.items():
        known = state["said"].get(name, [""])
        state["said"][name] = [event.id, value] if event.id > known[0] else known


def _keep(newest: dict[str, Any], at: str, value: Any) -> None:
    """Add it to the newest."""
    newest[at] = value
    if len(newest) > MOST:
        # By the id of the event, or of a session by its last event.
        order = (lambda each: newest[each]) if isinstance(value, list) else None
        del newest[min(newest, key=order)]


def indexed(state: State) -> Iterable[tuple[str, str]]:
    """`seen`: by the time of the last event; behind it the row, so that a list reads no state."""
    line = codec.dumps({**row(state)}).decode()
    yield "seen", f"{max(ts for _, ts in state['seen'].values())} {line}"


def row(state: State, until: str = "9999") -> Agent:
    """The agent in a line. A time later than `until` is of a clock that was ahead."""
    stamps = [ts for _, ts in state["seen"].values() if ts <= until]
    said = {name: value for name, (_, value) in state["said"].items()}
    fields = {
        "agent_id": state["agent"],
        "first_seen": state["first"],
        "last_seen": max(stamps, default=None),
        "events": state["events"],
    }
    fields |= {name: said[name] for name in _DESCRIBED if said.get(name) is not None}
    return fields | ({"retired": True} if said.get("retired") else {})  # type: ignore[return-value]


def detail(state: State, until: str = "9999") -> Detail:
    """Everything about the agent."""
    said = {name: value for name, (_, value) in state["said"].items()}
    sessions = sorted(state["sessions"].items(), key=lambda each: each[1], reverse=True)
    lists = {
        "caps": said.get("caps") if isinstance(said.get("caps"), list) else [],
        "groups": sorted(name[6:] for name, in_ in said.items() if name[:6] == "group " and in_),
        "sessions": [
            {
                "session": place.partition(" ")[2],
                "last_seen": ts,
                **({"status": status} if status else {}),
                "replica": place.partition(" ")[0],
            }
            for place, (ts, status) in sessions
        ],
        "runs": [{"run_id": at, "command": state["runs"][at]} for at in sorted(state["runs"])],
        "closed": [state["closed"][at] for at in sorted(state["closed"])],
    }
    filled: Any = {name: value for name, value in lists.items() if value}
    return {**row(state, until), **filled}  # type: ignore[typeddict-item]


def agents(events: Iterable[Event], until: str = "9999") -> list[Agent]:
    """Everyone who wrote, last seen first.

    An event later than `until` is of a clock that was ahead, and no sign of life.
    """
    states: dict[str, State] = {}
    for event in events:
        for agent in entities(event):
            states[agent] = step(states.get(agent), event)
    rows = [row(state, until) for state in states.values()]
    return sorted(rows, key=lambda agent: agent["last_seen"] or "", reverse=True)


def stats(events: Iterable[Event]) -> Stats:
    """Counts over all events, the most frequent type first; `events` in replay order."""
    types: dict[str, int] = {}
    writers: dict[str, int] = {}
    count, first, last = 0, None, None
    for event in events:
        count += 1
        first, last = first or event["ts"], event["ts"]
        types[event["type"]] = types.get(event["type"], 0) + 1
        writers[event["writer"]] = writers.get(event["writer"], 0) + 1
    ordered = dict(sorted(types.items(), key=lambda item: -item[1]))
    return {"events": count, "first": first, "last": last, "types": ordered, "writers": writers}
