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

TEXTS = ("title", "desc", "kind", "parent", "assignee", "hold", "defer_until")
REGISTERS = (*TEXTS, "priority")
SETS = ("labels", "deps")
RESOLUTIONS = ("done", "cancelled", "duplicate")
name, version = "work", "2"

_HEADS = 256
"""A base names no more of them: a line has an end. The next writes name the others."""


def entities(event: Event) -> Iterable[str]:
    """The item a work event is about."""
    if not event["type"].startswith(("work.", "artifact.")):
        return ()
    refs = event.get("refs")
    found = refs.get("work_id") if isinstance(refs, dict) else None
    if event["type"] == "work.created" and found is None:
        found = event.id
    return (found,) if found and isinstance(found, str) else ()


def step(state: Json | None, event: Event) -> Json:
    """The state after one event more, taken in order of event_id."""
    if state is None:
        state = {"dag": {}, "heads": [], "early": [], "registers": {}, "sets": {}, "claims": {}, "ended": {}}
        state |= {"steals": [], "closes": [], "comments": [], "artifacts": {}}
    at = event.id
    _know(state, at, event.get("base"))
    said = {"by": event["actor"]["agent_id"], "ts": event["ts"]}
    state["last"] = said
    change = _CHANGES.get(event["type"])
    if change:
        change(state, at, said, event["body"], event)
    if at in state["early"]:  # what an event before it knew of is known of only now
        _prune(state)
    return state


def _know(state: Json, at: str, base: object) -> None:
    """Take in what the event's writer knew of. Heads are the events that no other knew of."""
    dag, heads, early = state["dag"], state["heads"], state["early"]
    if base == heads and at not in dag and at not in early:  # it saw everything: mostly so
        dag[at], state["heads"] = base, [at]
        return
    named = [one for one in base if isinstance(one, str)] if isinstance(base, list) else []
    # A circle would have no head, and nobody could write past it.
    known = [one for one in named if one != at and not (at in early and precedes(state, at, one))]
    early += [one for one in known if one > at]  # from a clock that ran ahead
    dag[at] = [*dag.get(at, ()), *known]
    if known:
        state["heads"] = heads = [one for one in heads if one not in known]
    if at not in early and at not in heads:
        heads.append(at)


def _prune(state: Json) -> None:
    for register, values in state["registers"].items():
        kept = [one for one in values if not any(precedes(state, one, other) for other in values)]
        state["registers"][register] = {one: values[one] for one in kept}


def _created(state: Json, at: str, said: Json, body: Json, _: Event) -> None:
    state.setdefault("created", {"id": at, **said})
    for register in REGISTERS:
        if register in body:
            _write(state, at, register, body[register])
    for key, value in _dict(body.get("fields")).items():
        _write(state, at, f"fields.{key}", value)
    _members(state, at, "add", body)


def _updated(state: Json, at: str, _said: Json, body: Json, _: Event) -> None:
    for register, value in _dict(body.get("set")).items():
        if register in REGISTERS or register.startswith("fields."):
            _write(state, at, register, value)
    for how in ("add", "rm"):
        _members(state, at, how, _dict(body.get(how)))


def _closed(state: Json, at: str, said: Json, body: Json, _: Event) -> None:
    state["closes"].append(at)
    how = body.get("resolution")
    more = {name: body[name] for name in ("note", "dup_of") if isinstance(body.get(name), str)}
    _write(state, at, "closed", {"resolution": how if how in RESOLUTIONS else "done", **said, **more})


def _reopened(state: Json, at: str, _said: Json, _body: Json, _: Event) -> None:
    _write(state, at, "closed", None)


def _claimed(state: Json, at: str, said: Json, body: Json, event: Event) -> None:
    gen = body.get("gen")
    state["claims"][at] = {
        "agent": said["by"],
        "session": event["actor"].get("session_id"),
        "replica": event["writer"].rpartition("~")[2],
        "gen": gen if type(gen) is int and 0 < gen < 1 << 53 else 1,
        "ts": said["ts"],
    }
    if body.get("steal") is True:
        state["steals"].append(at)


def _released(state: Json, at: str, _said: Json, body: Json, _: Event) -> None:
    if isinstance(body.get("claim"), str):
        state["ended"].setdefault(body["claim"], at)


def _commented(state: Json, at: str, said: Json, body: Json, _: Event) -> None:
    text = body.get("text")
    state["comments"].append({"event_id": at, **said, "text": text if isinstance(text, str) else ""})


def _added(state: Json, at: str, _said: Json, body: Json, _: Event) -> None:
    state["artifacts"].setdefault(at, body)


def _removed(state: Json, _at: str, _said: Json, _body: Json, event: Event) -> None:
    removed = event["refs"].get("artifact_id")
    if isinstance(removed, str):
        state["artifacts"][removed] = None


_CHANGES = {
    "work.created": _created,
    "work.updated": _updated,
    "work.closed": _closed,
    "work.reopened": _reopened,
    "work.claimed": _claimed,
    "work.released": _released,
    "work.conceded": _released,
    "work.commented": _commented,
    "artifact.added": _added,
    "artifact.removed": _removed,
}


def _write(state: Json, at: str, register: str, value: object) -> None:
    if value is not None and not _fits(register, value):
        return
    values = state["registers"].get(register)
    if not values or state["heads"] == [at]:  # it knew of everything before it
        state["registers"][register] = {at: value}
    elif not any(precedes(state, at, other) for other in values):
        kept = {other: old for other, old in values.items() if not precedes(state, other, at)}
        state["registers"][register] = kept | {at: value}


def _fits(register: str, value: object) -> bool:
    if register == "priority":
        return type(value) is int and 0 <= value <= 4
    return register not in TEXTS or isinstance(value, str)


def _members(state: Json, at: str, how: str, given: Json) -> None:
    for which in SETS:
        for one in given[which] if isinstance(given.get(which), list) else ():
            member = _member(which, one)
            if member:
                members = state["sets"].setdefault(which, {})
                members.setdefault(member, {"add": [], "rm": []})[how].append(at)


def _member(which: str, given: object) -> str | None:
    if which == "labels":
        return given if isinstance(given, str) else None
    relation, to = _dict(given).get("rel"), _dict(given).get("to")
    known = isinstance(relation, str) and " " not in relation and isinstance(to, str)
    return f"{relation} {to}" if known else None


def precedes(state: Json, one: str, other: str) -> bool:
    """Did the writer of `other` know of `one`?"""
    dag, early = state["dag"], state["early"]
    todo, seen = list(dag.get(other, ())), set[str]()
    while todo:
        at = todo.pop()
        if at == one:
            return True
        # Where no id is smaller than one its writer knew, what is older than `one` leads nowhere.
        if (at > one or early) and at not in seen:
            seen.add(at)
            todo += dag.get(at, ())
    return False


def heads(state: Json) -> list[str]:
    """The item's latest events: those that no other knew of. A new event's `base`.

    Of very many the newest, and the claims: who takes one over must have seen it.
    """
    found: list[str] = state["heads"]
    claims = [one for one in found[:-_HEADS] if one in state["claims"]]
    return [*claims[:_HEADS], *found[-_HEADS:]]


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
    for claim_id in sorted(state["claims"].keys() - state["ended"].keys()):
        closed = any(not precedes(state, close, claim_id) for close in state["closes"])
        if not closed and not stolen(state, claim_id):
            return {"id": claim_id, **state["claims"][claim_id]}
    return None


def stolen(state: Json, claim_id: str) -> bool:
    """Was the claim taken over, by one who had seen it, and not given back before?"""
    return claim_id not in state["ended"] and any(precedes(state, claim_id, steal) for steal in state["steals"])


def facets(state: Json) -> Iterable[tuple[str, str]]:
    """By what an item is found: open or closed, free, whose, its parent, its id's ending, its foreign id."""
    if "created" not in state:
        return
    created = state["created"]["id"]
    rank = f"{priority(state)}{created}"
    parent, alias = value(state, "parent"), value(state, "fields.alias")
    yield "end", created[::-1]
    if isinstance(alias, str):
        yield "alias", alias
    if isinstance(parent, str):
        yield "child", parent
    if value(state, "closed"):
        yield "closed", created
        return
    holder = owner(state)
    yield "open", rank
    yield ("owner", f"{holder['agent']} {rank}") if holder else ("free", rank)
    if isinstance(parent, str):
        yield "part", parent


def priority(state: Json) -> int:
    """0 is the most urgent; 2 where none is given."""
    found = value(state, "priority")
    return found if isinstance(found, int) else 2


def _dict(value: object) -> Json:
    return value if isinstance(value, dict) else {}
