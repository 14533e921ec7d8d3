"""Sessions of agents that were started for something, as a fold of events. Pure and total.

    session.started {agent, session, preset, …}   asked for, and once more when its job begins
    session.ended {agent, session, how}           by the job, an undo, a patrol, or a person
    session.nudged {agent, session, mail, result} what came of a delivery
    usage.reported {agent, session}               what a job of it used
    work.closed, mountain.cleared                 end the count of an item's failures, and so
    work.released {reason: handoff}               does a session that hands it over
    mountain.skipped {question}                   an item is passed over until a person answers

Every part of the state is a greatest value or a union, so it is the same in any order and with
copies. The entities are `REPLICA AGENT SESSION`, as those of `rules/presence`, and `work ID`.

1. Of each fact the last start that has it counts.
2. A session is over if its last start is: an end names that start, or came after it.
3. It failed if it is over, and no end says that it was handed over, or that a person stopped it.
"""

from __future__ import annotations

from coord_kernel.rules import presence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, TypedDict

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_kernel.views.view import Source

    class Session(TypedDict):
        """A session of an agent in a replica."""

        replica: str
        agent: str
        session: str
        starts: dict[str, list[Any]]
        """Event id → [ts, by, facts]."""
        ends: dict[str, list[Any]]
        """Event id → [ts, body]."""
        nudges: dict[str, list[Any]]
        """Idempotency key → [ts, body]."""
        reports: dict[str, list[Any]]
        """Job whose use was reported → [ts, event id] of the first report."""

    class Work(TypedDict):
        """An item: when the count of its failures began last."""

        since: str
        """Event id; empty before the first."""
        skipped: list[str]
        """[event id, question] of the last time that it was passed over; empty before that."""


name, version = "agents", "2"
MOST = 64
"""Newest starts, ends and deliveries of a session that are kept."""
FACTS = ("cwd", "run", "preset", "via", "provider_session", "transcript", "parent", "pin")
_KEPT = {"session.started": "starts", "session.ended": "ends", "session.nudged": "nudges"}
_REPORT = "usage.reported"
_RESETS, _SKIPS = ("work.closed", "mountain.cleared"), "mountain.skipped"


def entities(event: Event) -> Iterable[str]:
    """The session or the item that an event is about."""
    kind = event["type"]
    if kind in _KEPT:
        return presence.entities(event)
    if kind == _REPORT:
        body = event["body"]
        names = (body.get("agent"), body.get("session"), _refs(event).get("run_id"))
        if not all(isinstance(name, str) for name in names):
            return ()
        return (presence.session_name(presence.replica_of(event), *map(str, names[:2])),)
    work = _refs(event).get("work_id")
    about = _resets(event) or kind == _SKIPS
    return (f"work {work}",) if about and isinstance(work, str) else ()


def step(state: Any, event: Event) -> Any:
    """The state after one event more, in any order."""
    kind = event["type"]
    if _resets(event) or kind == _SKIPS:
        return _work(state, event)
    if state is None:
        names = next(iter(entities(event))).split(" ", 2)
        state = {
            **dict(zip(("replica", "agent", "session"), names, strict=True)),
            **{name: {} for name in ("starts", "ends", "nudges", "reports")},
        }
    kept = state[_KEPT.get(kind, "reports")]
    if kind == _REPORT:
        run, known = _refs(event)["run_id"], [event["ts"], event.id]
        kept[run] = min(kept.get(run, known), known)
    elif kind == "session.started":
        kept[event.id] = [event["ts"], event["actor"]["agent_id"], _facts(event)]
    elif kind == "session.ended":
        kept[event.id] = [event["ts"], event["body"]]
    else:
        key = event.get("idempotency_key") or event.id
        known = [event["ts"], event["body"]]
        kept[key] = min(kept.get(key, known), known, key=lambda each: each[0])
    if len(kept) > MOST:
        del kept[min(kept, key=lambda each: (kept[each][0], each))]
    return state


def _resets(event: Event) -> bool:
    handed = event["type"] == "work.released" and event["body"].get("reason") == "handoff"
    return handed or event["type"] in _RESETS


def _work(state: Work | None, event: Event) -> Work:
    state = state or {"since": "", "skipped": []}
    if event["type"] == _SKIPS:
        skipped = [event.id, str(event["body"].get("question", ""))]
        return {**state, "skipped": max(state["skipped"], skipped)}
    return {**state, "since": max(state["since"], event.id)}


def _facts(event: Event) -> Json:
    body, refs = event["body"], _refs(event)
    facts = {name: body[name] for name in FACTS if isinstance(body.get(name), str)}
    facts |= {"work": refs["work_id"]} if isinstance(refs.get("work_id"), str) else {}
    run = refs.get("run_id")
    return {"run": run, **facts} if isinstance(run, str) else facts


def _refs(event: Event) -> Json:
    refs = event.get("refs")
    return refs if isinstance(refs, dict) else {}


def indexed(state: Any) -> Iterable[tuple[str, str]]:
    """`open`: those that are not over; `agent`, `work`, `parent`, `by` and preset: all of them.

    Each by the first start. `id`: by the name of the session. `skipped`: items that are passed
    over, by the question. `unreported`: those that are over whose use was not reported, as `by`.
    """
    if state.get("skipped") and state["skipped"][0] > state["since"]:
        yield "skipped", state["skipped"][1]
    if not state.get("starts"):
        return
    begun, known = min(state["starts"]), facts(state)
    yield "agent", f"{state['agent']} {begun}"
    yield "id", state["session"]
    if not over(state):
        yield "open", f"{state['agent']} {begun}"
    elif "preset" in known and "run" in known and known["run"] not in state["reports"]:
        yield "unreported", f"{asked_by(state)} {known['preset']} {begun}"
    if "preset" in known:
        yield "by", f"{asked_by(state)} {known['preset']} {begun}"
    for fact in ("work", "parent"):
        if fact in known:
            yield fact, f"{known[fact]} {begun}"


# ---- questions


def facts(state: Session) -> Json:
    """What is known of a session: each fact as the last start that has it says."""
    known: Json = {}
    for at in sorted(state["starts"]):
        known |= state["starts"][at][2]
    return known


def over(state: Session) -> bool:
    """Is it over?"""
    last = max(state["starts"], default="")
    return any(at > last or body.get("start") == last for at, (_, body) in state["ends"].items())


def failed(state: Session) -> bool:
    """Is it over, and neither handed over nor stopped by a person?"""
    bodies = [body for _, body in state["ends"].values()]
    meant = any(body.get("how") == "handoff" or "by" in body for body in bodies)
    return over(state) and not meant


def begun(state: Session) -> tuple[str, str]:
    """The id and the time stamp of its first start."""
    first = min(state["starts"])
    return first, state["starts"][first][0]


def begun_last(state: Session) -> str:
    """The time stamp of its last start."""
    return str(state["starts"][max(state["starts"])][0])


def ended(state: Session) -> str:
    """The time stamp of its last end; empty without one."""
    return max((ts for ts, _ in state["ends"].values()), default="")


def asked_by(state: Session) -> str:
    """Who asked for it: the agent of its first start."""
    return str(state["starts"][min(state["starts"])][1])


def of_work(source: Source, work: str) -> Iterator[Session]:
    """The sessions that were started for an item, in order of their start."""
    for _, entity in source.find("work", f"{work} ", f"{work}!"):
        yield source.get(entity)


def opened(source: Source) -> Iterator[Session]:
    """The sessions that are not over and were started with a preset, by agent."""
    for _, entity in source.find("open"):
        state: Session = source.get(entity)
        if "preset" in facts(state):
            yield state


def failures(source: Source, work: str) -> list[Session]:
    """The sessions for an item that failed since it was closed or cleared last, oldest first."""
    reset = source.get(f"work {work}")
    since = reset["since"] if reset else ""
    return [each for each in of_work(source, work) if failed(each) and begun(each)[0] > since]
