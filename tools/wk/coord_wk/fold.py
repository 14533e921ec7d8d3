"""A work item as a fold of its events. Pure and total: what makes no sense is passed over.

Registers (title, priority, …, closed): the value is set by the causally latest event. Of concurrent ones the
greatest id wins, and the losers are its conflicts until the next write, which saw them. Sets (labels, deps): an
add wins over a remove that did not see it (Shapiro et al., "Conflict-free Replicated Data Types", 2011, OR-set;
causality in place of tags). One event precedes another if it is reachable from it through `base`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope import Event
    from coord_envelope.codec import Json

REGISTERS = ("title", "desc", "kind", "priority", "parent", "assignee", "hold", "defer_until")
SETS = ("labels", "deps")
name, version = "work", "1"


def entities(event: Event) -> Iterable[str]:
    """The item a work event is about."""
    if not event["type"].startswith(("work.", "artifact.")):
        return ()
    refs = event.get("refs")
    found = refs.get("work_id") if isinstance(refs, dict) else None
    if event["type"] == "work.created" and found is None:
        found = event.id
    return (found,) if isinstance(found, str) else ()


def step(state: Json | None, event: Event) -> Json:
    """The state after one event more, taken in order of event_id."""
    if state is None:
        state = {"dag": {}, "registers": {}, "sets": {}, "claims": {}, "ended": {}, "closes": []}
        state |= {"comments": [], "artifacts": {}}
    base = event.get("base")
    known = [one for one in base if isinstance(one, str)] if isinstance(base, list) else []
    state["dag"][event.id] = known
    if known and max(known) > event.id:
        state["inverted"] = True  # its writer knew of an event from a clock that ran ahead
    state["last"] = {"ts": event["ts"], "by": event["actor"]["agent_id"]}
    body = event["body"]
    match event["type"]:
        case "work.created":
            _created(state, event, body)
        case "work.updated":
            _updated(state, event, body)
        case "work.closed":
            state["closes"].append(event.id)
            closed = {"resolution": body.get("resolution", "done"), "by": event["actor"]["agent_id"], "ts": event["ts"]}
            _write(state, event, "closed", closed | {k: body[k] for k in ("note", "dup_of") if k in body})
        case "work.reopened":
            _write(state, event, "closed", None)
        case "work.claimed":
            _claimed(state, event, body)
        case "work.released" | "work.conceded":
            state["ended"][str(body.get("claim"))] = event["type"]
        case "work.commented":
            said = {"by": event["actor"]["agent_id"], "ts": event["ts"], "text": str(body.get("text", ""))}
            state["comments"].append({"event_id": event.id, **said})
        case "artifact.added":
            state["artifacts"][event.id] = body
    return state


def _created(state: Json, event: Event, body: Json) -> None:
    state.setdefault("created", {"id": event.id, "by": event["actor"]["agent_id"], "ts": event["ts"]})
    for register in REGISTERS:
        if register in body:
            _write(state, event, register, body[register])
    for key, value in _dict(body.get("fields")).items():
        _write(state, event, f"fields.{key}", value)
    for which in SETS:
        for member in _members(which, body.get(which)):
            _member(state, event, which, member, "add")


def _updated(state: Json, event: Event, body: Json) -> None:
    for register, value in _dict(body.get("set")).items():
        if register in REGISTERS or register.startswith("fields."):
            _write(state, event, register, value)
    for how in ("add", "rm"):
        for which in SETS:
            for member in _members(which, _dict(body.get(how)).get(which)):
                _member(state, event, which, member, how)


def _claimed(state: Json, event: Event, body: Json) -> None:
    actor = event["actor"]
    state["claims"][event.id] = {
        "agent": actor["agent_id"],
        "session": actor.get("session_id"),
        "replica": event["writer"].rpartition("~")[2],
        "gen": body["gen"] if type(body.get("gen")) is int else 1,
        "ts": event["ts"],
    }
    if body.get("steal") is True:
        for other in state["claims"]:
            if other != event.id and precedes(state, other, event.id):
                state["ended"].setdefault(other, "stolen")


def _write(state: Json, event: Event, register: str, value: object) -> None:
    values = state["registers"].get(register, {})
    if any(precedes(state, event.id, other) for other in values):
        return
    kept = {other: old for other, old in values.items() if not precedes(state, other, event.id)}
    state["registers"][register] = kept | {event.id: value}


def _member(state: Json, event: Event, which: str, member: str, how: str) -> None:
    state["sets"].setdefault(which, {}).setdefault(member, {"add": [], "rm": []})[how].append(event.id)


def precedes(state: Json, one: str, other: str) -> bool:
    """Did the writer of `other` know of `one`?"""
    todo, seen = list(state["dag"].get(other, ())), set[str]()
    while todo:
        at = todo.pop()
        if at == one:
            return True
        # Where no id is smaller than one its writer knew, what is older than `one` leads nowhere.
        if (at > one or "inverted" in state) and at not in seen:
            seen.add(at)
            todo += state["dag"].get(at, ())
    return False


def heads(state: Json) -> list[str]:
    """The item's latest events: those that no other knew of. A new event's `base`."""
    known = {one for base in state["dag"].values() for one in base}
    return sorted(state["dag"].keys() - known)


def value(state: Json, register: str) -> object:
    """The register's value; None if it was never written."""
    values = state["registers"].get(register)
    return values[max(values)] if values else None


def present(state: Json, which: str) -> dict[str, str]:
    """The members of a set, each with the id of the event that keeps it there."""
    found = {}
    for member, by in state["sets"].get(which, {}).items():
        alive = [add for add in by["add"] if not any(precedes(state, add, rm) for rm in by["rm"])]
        if alive:
            found[member] = min(alive)
    return found


def owner(state: Json) -> Json | None:
    """The claim that holds the item: of those not ended, the one with the smallest id. With its id and token."""
    for claim_id in sorted(state["claims"]):
        closed = any(not precedes(state, close, claim_id) for close in state["closes"])
        if claim_id not in state["ended"] and not closed:
            return {"id": claim_id, **state["claims"][claim_id]}
    return None


def facets(state: Json) -> Iterable[tuple[str, str]]:
    """By what an item is found: open or closed, free, whose, what it waits on, its parent, its foreign id."""
    if "created" not in state:
        return
    created = state["created"]["id"]
    rank = f"{priority(state)}{created}"
    if value(state, "closed"):
        yield "closed", created
    else:
        holder = owner(state)
        yield "open", rank
        yield ("owner", f"{holder['agent']} {rank}") if holder else ("free", rank)
    for dep in present(state, "deps"):
        relation, _, to = dep.partition(" ")
        if relation == "blocked_by":
            yield "waits", to
    parent = value(state, "parent")
    if isinstance(parent, str):
        yield "child", parent
    alias = value(state, "fields.alias")
    if isinstance(alias, str):
        yield "alias", alias


def priority(state: Json) -> int:
    """0 is the most urgent; 2 where none is given."""
    found = value(state, "priority")
    return found if isinstance(found, int) and 0 <= found <= 4 else 2


def _members(which: str, given: object) -> list[str]:
    if not isinstance(given, list):
        return []
    if which == "labels":
        return [one for one in given if isinstance(one, str)]
    return [f"{one['rel']} {one['to']}" for one in given if isinstance(one, dict) and {"rel", "to"} <= one.keys()]


def _dict(value: object) -> Json:
    return value if isinstance(value, dict) else {}
