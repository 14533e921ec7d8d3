"""What agents spent, and when a worker began something, as a fold of events. Pure and total.

    usage.reported               what a session spent since its last report
    run.claimed {agent?, pool?}  a worker begins an attempt
    budget.warned, budget.paused a person has mail about a budget

An entity is five minutes of time, by the stamp of the event. What it has is kept by idempotency
key, or id: so it is the same in any order and with copies. The secondary index has the sums, so
that a window costs its buckets, not the reports in them.

1. A scope is `all`, an agent's address, `item:ID` or `pool:NAME`. Each event counts in all of its.
2. `tokens` are those that limits of providers count: input, output and what a cache was made of.
   What was read from a cache is not among them.
"""

from __future__ import annotations

from coord_envelope import ids, world
from coord_envelope.event import name_ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, TypedDict

    from coord_envelope.event import Event

    class Bucket(TypedDict):
        """Five minutes."""

        spent: dict[str, list[Any]]
        """Report → [bucket, scopes, tokens, millionths of a US dollar]."""
        starts: dict[str, list[Any]]
        """Claim → [ts, scopes]."""
        told: dict[str, list[Any]]
        """budget.* → [ts, what it is about]."""


name, version = "usage", "1"
needles = (b'"type":"run.claimed"', b'"type":"usage.', b'"type":"budget.')
BUCKET_MS = 5 * 60_000
_MOST = 1 << 53
"""Greater numbers are not counts."""
_TOKENS = ("input", "output", "cache_write")


def entities(event: Event) -> Iterable[str]:
    kind = event["type"]
    if kind == "run.claimed":
        relevant = "agent" in event["body"] or "pool" in event["body"]
    else:
        relevant = kind == "usage.reported" or kind.startswith("budget.")
    if relevant:
        try:
            return (bucket(world.parse_ts(event["ts"])),)
        except (ValueError, OverflowError):
            pass
    return ()


def bucket(ms: int) -> str:
    """The name of the bucket of a time in Unix milliseconds; sorts as time does."""
    return f"{max(0, ms) // BUCKET_MS:012}"


def nothing() -> Bucket:
    """The state before the first event."""
    return {"spent": {}, "starts": {}, "told": {}}


def step(state: Bucket | None, event: Event) -> Bucket:
    """The state after one event more, in any order."""
    state = nothing() if state is None else state
    kind, body, key = event["type"], event["body"], event.get("idempotency_key")
    of = key if isinstance(key, str) else event.id
    if kind == "usage.reported":
        tokens = sum(_count(body.get(each)) for each in _TOKENS)
        spent = [*entities(event), scopes_of(event), tokens, _count(body.get("micros"))]
        state["spent"][of] = max(state["spent"].get(of, spent), spent)
    elif kind == "run.claimed":
        state["starts"][event.id] = [event["ts"], scopes_of(event)]
    else:
        state["told"][event.id] = [event["ts"], saying(kind.partition(".")[2], body)]
    return state


def saying(state: str, level: Mapping[str, object]) -> str:
    """What a budget.* event is about, as the secondary index has it."""
    names = ("scope", "measure", "limit", "window_ms")
    return " ".join((state, *(str(level.get(name)) for name in names)))[:400]


def indexed(state: Bucket) -> Iterable[tuple[str, str]]:
    """`spent`: by scope and bucket, with the sums; `at`: by bucket and scope; `start`; `told`."""
    sums: dict[tuple[str, str], list[int]] = {}
    for at, scopes, tokens, micros in state.get("spent", {}).values():
        for scope in scopes:
            sum_ = sums.setdefault((scope, at), [0, 0])
            sum_[0] += tokens
            sum_[1] += micros
    for (scope, at), (tokens, micros) in sums.items():
        yield "spent", f"{scope} {at} {tokens} {micros}"
        yield "at", f"{at} {scope}"
    for ts, scopes in state.get("starts", {}).values():
        for scope in scopes:
            yield "start", f"{scope} {ts}"
    for ts, said in state.get("told", {}).values():
        yield "told", f"{said} {ts}"


def scopes_of(event: Event) -> list[str]:
    """The scopes that an event counts in."""
    body, refs = event["body"], event.get("refs")
    item = refs.get("work_id") if isinstance(refs, dict) else None
    agent = body.get("agent")
    if event["type"] == "usage.reported" and not isinstance(agent, str):
        agent = event["actor"]["agent_id"]
    return scopes(agent, item, body.get("pool"))


def scopes(agent: object = None, item: object = None, pool: object = None) -> list[str]:
    """The scopes of what an agent does for an item in a pool, as far as these are known."""
    found = ["all"]
    if isinstance(agent, str) and agent and " " not in agent:
        found.append(agent)
    if isinstance(item, str) and ids.valid(item):
        found.append(f"item:{item}")
    if isinstance(pool, str) and name_ok(pool):
        found.append(f"pool:{pool}")
    return found


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value < _MOST else 0
