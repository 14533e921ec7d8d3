"""A work item as a fold of its events. Pure and total: what makes no sense is passed over.

Registers (title, priority, …, closed): the value is set by the causally latest event. Of concurrent ones the
greatest id wins, and the losers are its conflicts until the next write, which saw them. Sets (labels, deps): an
add wins over a remove that did not see it (Shapiro et al., "Conflict-free Replicated Data Types", 2011, OR-set;
causality in place of tags). Who holds the item is the rule of all claims (`coord_kernel.rules.claims`).
"""

from __future__ import annotations

from coord_kernel.rules import causality, claims
from coord_kernel.rules.causality import precedes
from coord_kernel.rules.claims import owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope import Event
    from coord_envelope.codec import Json

TEXTS = ("title", "desc", "kind", "parent", "assignee", "hold", "defer_until")
REGISTERS = (*TEXTS, "priority")
SETS = ("labels", "deps")
RESOLUTIONS = ("done", "cancelled", "duplicate")
name, version = "work", "4"


def entities(event: Event) -> Iterable[str]:
    """The item a work event is about."""
    refs, kind = event.get("refs"), event["type"]
    found = refs.get("work_id") if isinstance(refs, dict) else None
    if kind == "work.created" and found is None:
        return (event.id,)
    if not found or not isinstance(found, str) or not kind.startswith(("work.", "artifact.")):
        return ()
    return (found,)


def step(state: Json | None, event: Event) -> Json:
    """The state after one event more, taken in order of event_id."""
    if state is None:
        state = {
            **claims.nothing(),
            "registers": {},
            "sets": {},
            "comments": [],
            "artifacts": {},
            "keys": {},
        }
    early = causality.know(state, event)
    at, said = event.id, {"by": event["actor"]["agent_id"], "ts": event["ts"]}
    state["last"] = said
    claims.take(state, event)
    change = _CHANGES.get(event["type"])
    if change and _first(state, event):
        change(state, at, said, event["body"], event)
    if early:  # what an event before it knew of is known of only now
        _prune(state)
    return state


def _first(state: Json, event: Event) -> bool:
    """Is it the first with its idempotency key? The others are aliases of it."""
    key = event.get("idempotency_key")
    if not isinstance(key, str):
        return True
    return state["keys"].setdefault(f"{event['type']} {key}", event.id) == event.id  # type: ignore[no-any-return]


def _prune(state: Json) -> None:
    for register, values in state["registers"].items():
        kept = [one for one in values if not any(precedes(state, one, other) for other in values)]
        state["registers"][register] = {one: values[one] for one in kept}


def _created(state: Json, at: str, said: Json, body: Json, event: Event) -> None:
    state.setdefault("created", {"id": at, **said})
    if isinstance(event.get("idempotency_key"), str):
        state.setdefault("key", event["idempotency_key"])
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
    how = body.get("resolution")
    more = {name: body[name] for name in ("note", "dup_of") if isinstance(body.get(name), str)}
    _write(
        state, at, "closed", {"resolution": how if how in RESOLUTIONS else "done", **said, **more}
    )


def _reopened(state: Json, at: str, _said: Json, _body: Json, _: Event) -> None:
    _write(state, at, "closed", None)


def _commented(state: Json, at: str, said: Json, body: Json, _: Event) -> None:
    text = body.get("text")
    state["comments"].append(
        {"event_id": at, **said, "text": text if isinstance(text, str) else ""}
    )


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


def united(states: list[Json]) -> Json:
    """The state of items that are one: made with one key in stores that had not met. The oldest first."""
    whole = {**states[0], **claims.united(states), "registers": {}, "sets": {}}
    for state in states:
        for register, values in state["registers"].items():
            whole["registers"][register] = whole["registers"].get(register, {}) | values
        for which, members in state["sets"].items():
            known = whole["sets"].setdefault(which, {})
            for member, by in members.items():
                before = known.get(member, {"add": [], "rm": []})
                known[member] = {how: sorted(before[how] + by[how]) for how in ("add", "rm")}
    _prune(whole)
    keys = sorted(one for state in states for one in state["keys"].items())
    again = {at for (key, at), (before, _) in zip(keys[1:], keys, strict=False) if key == before}
    comments = (
        one for state in states for one in state["comments"] if one["event_id"] not in again
    )
    whole["comments"] = sorted(comments, key=lambda one: str(one["event_id"]))
    whole["artifacts"] = {
        at: body for state in states for at, body in state["artifacts"].items() if at not in again
    }
    whole["last"] = max((state["last"] for state in states), key=lambda last: str(last["ts"]))
    return whole


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


def indexed(state: Json) -> Iterable[tuple[str, str]]:
    """By what an item is found: open or closed, free, whose, its parent, its id's ending, its foreign id.

    Of what has a key it may be too much: who asks looks at it together with its twins.
    """
    if "created" not in state:
        return
    created = state["created"]["id"]
    rank = f"{priority(state)}{created}"
    parents = {one for one in _standing(state, "parent") if isinstance(one, str)}
    closed, alias = _standing(state, "closed"), value(state, "fields.alias")
    yield "end", created[::-1]
    if isinstance(alias, str):
        yield "alias", alias
    if "key" in state:
        yield "key", state["key"]
    yield from (("child", one) for one in parents)
    if any(closed):
        yield "closed", created
    if all(closed):
        return
    holder = owner(state)
    yield "open", rank
    if holder:
        yield "owner", f"{holder['agent']} {rank}"
    if not holder or "key" in state:
        yield "free", rank
    yield from (("part", one) for one in parents)


def _standing(state: Json, register: str) -> list[object]:
    """The values that may count: of what has a key all that were not replaced, for a twin may replace the greatest."""
    values = state["registers"].get(register)
    return list(values.values()) if values and "key" in state else [value(state, register)]


def priority(state: Json) -> int:
    """0 is the most urgent; 2 where none is given."""
    found = value(state, "priority")
    return found if isinstance(found, int) else 2


def _dict(value: object) -> Json:
    return value if isinstance(value, dict) else {}
