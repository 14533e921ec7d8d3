"""What stops controllers and workers, and whose work had to be taken back, as a fold. Pure, total.

    control.stopped {scope, reason}       stops what the scope names, until that stop is resumed
    control.resumed {stops}               ends these stops
    patrol.reclaimed {agent, session}     a session died, and its work was given back
    patrol.quarantined, patrol.freed      an agent that died too often
    provider.limited {pool, until}        a stop of a pool that ends by itself

1. A stop is an event, not a lease: it survives restarts and reboots, and reaches other replicas.
2. Each stop lasts until an event names it: two at once are two, and a resume ends what its writer
   knew of.
3. A resume counts whether or not its stop has come.
"""

from __future__ import annotations

from coord_envelope import world
from coord_envelope.event import name_ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import TypedDict

    from coord_envelope.codec import Json
    from coord_envelope.event import Event

    class Stop(TypedDict):
        """A `control.stopped`."""

        id: str
        scope: str
        reason: str
        by: str
        ts: str

    class Quarantine(TypedDict):
        """A `patrol.quarantined`."""

        id: str
        name: str
        why: str
        ts: str

    class Limit(TypedDict):
        """A `provider.limited`."""

        id: str
        pool: str
        kind: str
        until_ms: int
        """When it ends, in Unix milliseconds."""
        ts: str

    class Control(TypedDict):
        """The state of a store's one entity of this fold."""

        stops: dict[str, Stop]
        resumed: dict[str, str]
        """Stop → when it was first resumed."""
        deaths: dict[str, dict[str, list[str]]]
        """Agent → session and time of its death → [ts, key] of the first reclaim after it."""
        quarantines: dict[str, Quarantine]
        freed: dict[str, str]
        limits: dict[str, Limit]


name, version = "control", "2"
needles = (b'"type":"control.', b'"type":"patrol.', b'"type":"provider.')
ENTITY = "control"
MOST = 20
"""Newest deaths that are kept of an agent, and limits of a pool."""
LONGEST_LIMIT_MS = 8 * 86_400_000
"""A limit ends so long after its report, whatever that says: no provider's window is longer."""


def entities(event: Event) -> Iterable[str]:
    return (ENTITY,) if event["type"] in _CHANGES else ()


def indexed(_: Control) -> Iterable[tuple[str, str]]:
    return ()


def nothing() -> Control:
    """The state before the first event."""
    return {
        "stops": {},
        "resumed": {},
        "deaths": {},
        "quarantines": {},
        "freed": {},
        "limits": {},
    }


def step(state: Control | None, event: Event) -> Control:
    """The state after one event more, in any order."""
    state = nothing() if state is None else state
    _CHANGES[event["type"]](state, event, event["body"])
    return state


def _stopped(state: Control, event: Event, body: Json) -> None:
    scope, reason = body.get("scope"), body.get("reason")
    if isinstance(scope, str) and valid_scope(scope):
        state["stops"][event.id] = {
            "id": event.id,
            "scope": scope,
            "reason": reason if isinstance(reason, str) else "",
            "by": event["actor"]["agent_id"],
            "ts": event["ts"],
        }


def _resumed(state: Control, event: Event, body: Json) -> None:
    for stop in _texts(body.get("stops")):
        state["resumed"][stop] = min(state["resumed"].get(stop, event["ts"]), event["ts"])


def _reclaimed(state: Control, event: Event, body: Json) -> None:
    agent, key = body.get("agent"), event.get("idempotency_key")
    if not isinstance(agent, str) or not isinstance(key, str):
        return
    # Several claims of one session are given back after one death.
    death, entry = f"{body.get('session')} {body.get('since')}", [event["ts"], key]
    deaths = state["deaths"].setdefault(agent, {})
    deaths[death] = min(deaths.get(death, entry), entry)
    if len(deaths) > MOST:
        del deaths[min(deaths, key=lambda each: (deaths[each], each))]


def _quarantined(state: Control, event: Event, body: Json) -> None:
    agent, why = body.get("name"), body.get("why")
    if isinstance(agent, str):
        reason = why if isinstance(why, str) else ""
        state["quarantines"][event.id] = {
            "id": event.id,
            "name": agent,
            "why": reason,
            "ts": event["ts"],
        }


def _freed(state: Control, event: Event, body: Json) -> None:
    for quarantine in _texts(body.get("quarantines")):
        state["freed"][quarantine] = min(state["freed"].get(quarantine, event["ts"]), event["ts"])


def _limited(state: Control, event: Event, body: Json) -> None:
    pool, kind, until = (body.get(name) for name in ("pool", "kind", "until"))
    if not isinstance(pool, str) or not name_ok(pool) or not isinstance(until, str):
        return
    try:
        until_ms = min(world.parse_ts(until), world.parse_ts(event["ts"]) + LONGEST_LIMIT_MS)
    except (ValueError, OverflowError):
        return
    state["limits"][event.id] = {
        "id": event.id,
        "pool": pool,
        "kind": kind if isinstance(kind, str) else "",
        "until_ms": until_ms,
        "ts": event["ts"],
    }
    limits = [limit for limit in state["limits"].values() if limit["pool"] == pool]
    if len(limits) > MOST:
        del state["limits"][min(limits, key=lambda each: (each["until_ms"], each["id"]))["id"]]


_CHANGES: dict[str, Callable[[Control, Event, Json], None]] = {
    "control.stopped": _stopped,
    "control.resumed": _resumed,
    "patrol.reclaimed": _reclaimed,
    "patrol.quarantined": _quarantined,
    "patrol.freed": _freed,
    "provider.limited": _limited,
}


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


# ---- questions


def valid_scope(scope: str) -> bool:
    """Is it `all`, `agent:NAME` (or human:, bridge:), `label:LABEL` or `pool:POOL`?"""
    kind, _, rest = scope.partition(":")
    if kind == "pool":
        return name_ok(rest)
    return scope == "all" or (kind in ("agent", "human", "bridge", "label") and bool(rest))


def open_stops(state: Control) -> list[Stop]:
    """The stops that no event has resumed, oldest first."""
    return [stop for at, stop in sorted(state["stops"].items()) if at not in state["resumed"]]


def stopped(
    state: Control, agent: str = "", labels: Collection[str] = (), pool: str = ""
) -> Stop | None:
    """The stop that concerns an agent, work with these labels, or a pool; only those of everything
    if none is given."""
    stops = open_stops(state)
    return next((stop for stop in stops if covers(stop["scope"], agent, labels, pool)), None)


def covers(scope: str, agent: str, labels: Collection[str] = (), pool: str = "") -> bool:
    """Does a scope concern the agent, work with these labels, or the pool?"""
    if scope.startswith("pool:"):
        return scope[5:] == pool
    return scope in ("all", agent) or (scope.startswith("label:") and scope[6:] in labels)


def by_label(state: Control) -> bool:
    """Is any stop about labels?"""
    return any(stop["scope"].startswith("label:") for stop in open_stops(state))


def limits(state: Control, pool: str | None = None) -> list[Limit]:
    """The limits of a pool, or of all, that were not resumed: those that ended, too."""
    return [
        limit
        for at, limit in sorted(state["limits"].items())
        if at not in state["resumed"] and pool in (None, limit["pool"])
    ]


def pauses(
    state: Control, agent: str, labels: Collection[str] = ()
) -> Iterator[tuple[str, str | None]]:
    """When the agent, or work with these labels, was stopped: from when until when.

    The end is None if it still is.
    """
    for at, stop in state["stops"].items():
        if covers(stop["scope"], agent, labels):
            yield stop["ts"], state["resumed"].get(at)


def open_quarantines(state: Control, agent: str | None = None) -> list[Quarantine]:
    """The quarantines that no event has ended, of an agent or all, oldest first."""
    return [
        quarantine
        for at, quarantine in sorted(state["quarantines"].items())
        if at not in state["freed"] and agent in (None, quarantine["name"])
    ]


def crashes(state: Control, agent: str) -> list[list[str]]:
    """[ts, key] of the first reclaim after each death since the agent was freed last."""
    freed = [
        state["freed"][at]
        for at, quarantine in state["quarantines"].items()
        if quarantine["name"] == agent and at in state["freed"]
    ]
    since = max(freed, default="")
    return sorted(entry for entry in state["deaths"].get(agent, {}).values() if entry[0] > since)
