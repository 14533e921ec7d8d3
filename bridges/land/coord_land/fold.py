"""Requests, verdicts and holds of merge queues, as a fold of events. Pure and total.

    land.requested                             a request: its id is the entity
    land.landed, .rejected, .withdrawn         its end
    land.batched, .asked, .tested              of a base: `base TARGET BASE`
    land.held, .resumed                        of a queue: `queue TARGET`
    any other event whose body has a `commit`  a hosted check of that commit: `commit ID`

Every part of a state is a union, so it is the same in any order and with copies; of each the
newest are kept.

1. A request landed if anybody says so, because that is read off the target. Otherwise the first
   end counts.
2. Of two events with one key the first counts.
"""

from __future__ import annotations

from coord_envelope import ids, world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, TypedDict

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_kernel.views.view import Source

    class Request(TypedDict, total=False):
        """A request to land a commit."""

        id: str
        target: str
        branch: str
        sha: str
        ref: str
        priority: int
        close: bool
        title: str
        work: str
        by: str
        ts: str
        ends: dict[str, list[Any]]
        """Event id → [type, ts, body]."""

    class Base(TypedDict):
        """What was done on a commit that a target was."""

        target: str
        base: str
        batches: dict[str, list[str]]
        """Event id → requests."""
        asked: dict[str, Json]
        tested: dict[str, Json]
        """Key → body, `id` and `run` of the first event with it."""

    class Queue(TypedDict):
        """A target's queue."""

        holds: dict[str, Json]
        resumed: dict[str, str]
        """Hold → the first event that ended it."""


name, version = "land", "2"
MOST = 512
"""Newest verdicts of a base that are kept."""
LONGEST = 2_000
"""Characters of a text of a body that is kept."""
FEW = 64
"""Newest of everything else that a state has."""
AGING_MS = 4 * 3_600_000
"""What waits for so long is worth a priority."""
PRIORITY = 2
ENDS = ("land.landed", "land.rejected", "land.withdrawn")
_OF_BASE = ("land.batched", "land.asked", "land.tested")
_OF_QUEUE = ("land.held", "land.resumed")
_REQUEST = ("target", "branch", "sha", "ref", "title")


def entities(event: Event) -> Iterable[str]:
    """The request, the base, the queue or the commit that an event is about."""
    kind, body = event["type"], event["body"]
    target, base = _text(body, "target"), body.get("base")
    if kind == "land.requested":
        return (event.id,) if is_commit(body.get("sha")) and target else ()
    if kind in ENDS:
        return _ids([body.get("request")])
    if kind in _OF_BASE:
        return (f"base {target} {base}",) if is_commit(base) else ()
    if kind in _OF_QUEUE:
        return (f"queue {target}",)
    signed = "$trust" not in event  # a verdict that nobody has signed is none
    known = signed and not kind.startswith("land.") and is_commit(body.get("commit"))
    return (f"commit {body['commit']}",) if known else ()


def is_commit(value: object) -> bool:
    """Is it the full id of a commit?"""
    full = isinstance(value, str) and len(value) in (40, 64)
    return full and not str(value).strip("0123456789abcdef")


def step(state: Any, event: Event) -> Any:
    """The state after one event more, in any order."""
    kind = event["type"]
    if kind == "land.requested" or kind in ENDS:
        return _request(state, event)
    if kind in _OF_BASE:
        return _base(state, event)
    return (_queue if kind in _OF_QUEUE else _commit)(state, event)


def _request(state: Any, event: Event) -> Request:
    kind, body = event["type"], event["body"]
    request: Request = {"ends": {}} if state is None else state
    if kind == "land.requested":
        priority, refs = body.get("priority"), event.get("refs")
        work = refs.get("work_id") if isinstance(refs, dict) else None
        known = {field: _text(body, field) for field in _REQUEST}
        request |= known  # type: ignore[typeddict-item]
        request |= {"id": event.id, "by": event["actor"]["agent_id"], "ts": event["ts"]}
        request["priority"] = priority if type(priority) is int and 0 <= priority < 5 else PRIORITY
        request["close"] = body.get("close") is True
        request |= {"work": work} if isinstance(work, str) else {}
    else:
        request["ends"][event.id] = [kind, event["ts"], _plain(body)]
        _trim(request["ends"])
    return request


def _base(state: Any, event: Event) -> Base:
    kind, body = event["type"], event["body"]
    base: Base = _untouched(_text(body, "target"), _text(body, "base")) if state is None else state
    if kind == "land.batched":
        base["batches"][event.id] = _ids(body.get("requests"))
        _trim(base["batches"])
    elif kind in _OF_BASE:
        kept, refs = base["asked" if kind == "land.asked" else "tested"], event.get("refs")
        run = refs.get("run_id") if isinstance(refs, dict) else None
        known = _plain(body) | {"requests": _ids(body.get("requests")), "id": event.id, "run": run}
        key = event.get("idempotency_key") or event.id
        kept[key] = min(kept.get(key, known), known, key=lambda each: each["id"])
        if len(kept) > MOST:
            # Verdicts of the base itself are asked for as long as it is the base.
            others = [at for at in kept if kept[at].get("commit") != base["base"]]
            del kept[min(others or kept, key=lambda at: kept[at]["id"])]
    return base


def _queue(state: Any, event: Event) -> Queue:
    kind, body = event["type"], event["body"]
    queue: Queue = {"holds": {}, "resumed": {}} if state is None else state
    if kind == "land.held":
        queue["holds"][event.id] = _plain(body) | {"ts": event["ts"]}
        _trim(queue["holds"])
    elif kind == "land.resumed":
        for hold in _ids(body.get("holds")):
            queue["resumed"][hold] = min(queue["resumed"].get(hold, event.id), event.id)
        _trim(queue["resumed"])
    return queue


def _commit(state: Any, event: Event) -> dict[str, Json]:
    """Event id → {type, by, body}."""
    events = state or {}
    by, body = event["actor"]["agent_id"], _plain(event["body"])
    events[event.id] = {"type": event["type"], "by": by, "body": body}
    _trim(events)
    return events


def _trim(kept: dict[str, Any]) -> None:
    if len(kept) > FEW:
        del kept[min(kept)]


def _text(body: Json, field: str) -> str:
    value = body.get(field)
    return value if isinstance(value, str) else ""


def _ids(value: object) -> list[str]:
    """The event ids in a list."""
    return [each for each in _texts(value) if ids.valid(each)]


def _texts(value: object) -> list[str]:
    found = value[:MOST] if isinstance(value, list) else []
    return [each for each in found if isinstance(each, str) and len(each) <= LONGEST]


def _plain(body: Json) -> Json:
    """Of a body what is a short text, a number, true or false, or a list of short texts."""
    plain: Json = {}
    for field, value in body.items():
        if type(value) in (bool, int) or (isinstance(value, str) and len(value) <= LONGEST):
            plain[field] = value
        elif isinstance(value, list):
            plain[field] = _texts(value)
    return plain


def indexed(state: Any) -> Iterable[tuple[str, str]]:
    """Of requests `open`, in order of landing, `ended`, by the end, and `sha`, all for one.

    `ref` is where an ended one is kept. Of bases `batch`, by the last one, and `of`, by request.
    """
    if state.get("batches"):
        yield "batch", f"{state['target']} {max(state['batches'])}"
        for request in {each for batch in state["batches"].values() for each in batch}:
            yield "of", f"{request} {min(state['batches'])}"
    if "id" not in state or "ends" not in state:
        return
    target, end = state["target"], ended(state)
    yield "sha", f"{state['sha']} {target} {state['branch']} {state['id']}"
    if end is None:
        yield "open", f"{target} {order(state)}"
    else:
        yield "ended", f"{target} {end[0]}"
        yield "ref", f"{state['ref']} {state['id']}"


# ---- questions


def order(request: Request) -> str:
    """By this requests land: age and priority, then the id. It does not change with time."""
    try:
        since = world.parse_ts(request["ts"])
    except ValueError:
        since = 0
    return f"{since + request['priority'] * AGING_MS:016d} {request['id']}"


def ended(request: Request) -> tuple[str, str, str, Json] | None:
    """The end that counts: event id, type, ts, body."""
    ends = [(at, kind, ts, body) for at, (kind, ts, body) in sorted(request["ends"].items())]
    landed = [end for end in ends if end[1] == ENDS[0]]
    return next(iter((*landed, *ends)), None)


def has_left(request: Request) -> bool:
    """Is it over, and did it not land?"""
    end = ended(request)
    return end is not None and end[1] != ENDS[0]


def opened(source: Source, target: str) -> Iterator[Request]:
    """The open requests of a target, in the order in which they are to land."""
    for _, entity in source.find("open", f"{target} ", f"{target}!"):
        request: Request = source.get(entity)
        if request["target"] == target:  # it may begin like another one, with a blank
            yield request


def named(source: Source, request: str) -> Request | None:
    """A request; None if there is none with this id."""
    state = source.get(request)
    return state if state and "ends" in state and "id" in state else None


def base_of(source: Source, target: str, base: str) -> Base:
    """What was done on a base."""
    return source.get(f"base {target} {base}") or _untouched(target, base)


def _untouched(target: str, base: str) -> Base:
    return {"target": target, "base": base, "batches": {}, "asked": {}, "tested": {}}


def bases(source: Source, request: str) -> Iterator[Base]:
    """The bases on which a request was in a batch."""
    for _, entity in source.find("of", f"{request} ", f"{request}!"):
        yield source.get(entity)


def last_base(source: Source, target: str) -> Base | None:
    """The base of the last batch of a target."""
    for _, entity in source.newest("batch", f"{target} ", f"{target}!"):
        base: Base = source.get(entity)
        if base["target"] == target:
            return base
    return None


def queue_of(source: Source, target: str) -> Queue:
    """The state of a target's queue."""
    nothing: Queue = {"holds": {}, "resumed": {}}
    return source.get(f"queue {target}") or nothing


def holds(queue: Queue) -> dict[str, Json]:
    """The holds that are not over."""
    return {at: hold for at, hold in sorted(queue["holds"].items()) if at not in queue["resumed"]}


def epoch(queue: Queue, base: str, gate: str) -> str:
    """The last resume of a hold of this base and gate; empty without one."""
    ends = [
        queue["resumed"][at]
        for at, hold in queue["holds"].items()
        if at in queue["resumed"] and (hold.get("base"), hold.get("gate")) == (base, gate)
    ]
    return max(ends, default="")


def checks(source: Source, commit: str) -> dict[str, Json]:
    """Hosted checks of a commit, by event id."""
    return dict(sorted((source.get(f"commit {commit}") or {}).items()))
