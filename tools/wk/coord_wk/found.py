"""How items are found: the secondary index of their view, and their texts for a search.

6. The secondary index of an item with a key holds all values that may count once it is united:
   of each register every write that was not replaced. Whoever searches checks the result
   against the united state.
"""

from __future__ import annotations

from coord_kernel.rules import claims
from coord_wk.registers import fields_of, present, priority, text, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coord_envelope import Event
    from coord_wk.registers import State

CLOSED = "~"
"""Before the id of a closed item in `has`: behind every rank."""
_LONGEST_TRAIT = 200
"""Characters of a trait in the secondary index."""
_SAID = {
    "work.created": ("title", "desc", "hold"),
    "work.updated": ("title", "desc", "hold"),
    "work.closed": ("note",),
    "work.commented": ("text",),
    "artifact.added": ("uri", "name"),
}
"""The parts of an event that are texts, by type."""


def entities(event: Event) -> Iterable[str]:
    """The item that a work event is about."""
    refs, kind = event.get("refs"), event["type"]
    item = refs.get("work_id") if isinstance(refs, dict) else None
    if kind == "work.created" and item is None:
        return (event.id,)
    if not item or not isinstance(item, str) or not kind.startswith(("work.", "artifact.")):
        return ()
    return (item,)


def indexed(state: State) -> Iterable[tuple[str, str]]:
    """The secondary index of an item; see 6. above.

    `end`: its id, reversed; `alias`: its foreign id; `key`; `child`: its parent; `to`: what it
    depends on. `has`: each of its
    traits (see `traits`) and its rank, or CLOSED and its id if it is closed. While it is open
    `open`: its rank; `free`: its rank if nobody holds it; `part`: its parent; `last`: the time of
    its last event. The rank is the priority and the id. `count`: its status, if that depends on no
    other item and on no time; otherwise `linked`: its id.
    """
    if "created" not in state:
        return
    created = state["created"]["id"]
    rank = f"{priority(state)}{created}"
    parents = {parent for parent in _standing(state, "parent") if isinstance(parent, str)}
    closed, alias = _standing(state, "closed"), text(state, "fields.alias")
    yield "end", created[::-1]
    if alias is not None:
        yield "alias", alias
    if "key" in state:
        yield "key", state["key"]
    yield from (("child", parent) for parent in parents)
    yield from (("to", member.partition(" ")[2]) for member in present(state, "deps"))
    having = [found_by(trait) for trait in traits(state, _standing)]
    if any(closed):
        yield from (("has", f"{trait}{CLOSED}{created}") for trait in having)
    if all(closed):
        return
    holder = claims.owner(state)
    yield "open", rank
    yield "last", state["last"]["ts"]
    yield from (("has", f"{trait}{rank}") for trait in having)
    if not holder or "key" in state:
        yield "free", rank
    yield from (("part", parent) for parent in parents)
    if not any(closed) and _alone(state, parents):
        yield "count", "active" if holder else "ready"
    else:
        yield "linked", created


EVER = ("end", "alias", "key", "child", "part")
"""The names in `indexed` whose values an event has, each as it is: see `ever`."""


def ever(event: Event) -> Iterable[tuple[str, str]]:
    """The pairs of EVER that stand in `indexed` after this event, or may after a later one."""
    if event["type"] not in ("work.created", "work.updated"):
        return
    body, key = event["body"], event.get("idempotency_key")
    changed = fields_of(body.get("set"))
    aliases = fields_of(body.get("fields")).get("alias"), changed.get("fields.alias")
    yield from (("alias", alias) for alias in aliases if isinstance(alias, str))
    for parent in (body.get("parent"), changed.get("parent")):
        if isinstance(parent, str):
            yield "child", parent
            yield "part", parent
    if event["type"] == "work.created":
        yield "end", event.id[::-1]
        if isinstance(key, str):
            yield "key", key


def found_by(trait: str) -> str:
    """How the values begin that the secondary index has for a trait under `has`."""
    return f"{trait[:_LONGEST_TRAIT]}\0"


def traits(
    state: State, standing: Callable[[State, str], list[object]] | None = None
) -> Iterable[str]:
    """What an item can be asked for by, each `NAME VALUE`.

    kind, priority, assignee (empty: nobody), parent (its id), label, `field K=V`, status (active,
    or how it was closed) and owner. `standing` gives the values of a register that count, by
    default one.
    """
    values = standing or (lambda state, register: [value(state, register)])
    for kind in values(state, "kind"):
        yield f"kind {kind if isinstance(kind, str) else 'task'}"
    for level in values(state, "priority"):
        yield f"priority {2 if level is None else level}"
    for assignee in values(state, "assignee"):
        yield f"assignee {assignee if isinstance(assignee, str) else ''}"
    for parent in values(state, "parent") if "parent" in state["registers"] else ():
        if isinstance(parent, str):
            yield f"parent {parent}"
    for label in present(state, "labels"):
        yield f"label {label}"
    for register in state["registers"]:
        if register.startswith("fields."):
            for field in map(as_text, values(state, register)):
                if field is not None:
                    yield f"field {register[7:]}={field}"
    closed = [closed for closed in values(state, "closed") if isinstance(closed, dict)]
    yield from (f"status {how['resolution']}" for how in closed)
    holder = claims.owner(state)
    if holder and (standing or not closed):
        yield "status active"
        yield f"owner {holder['agent']}"


def as_text(field: object) -> str | None:
    """A field as it is written on a command line; None if it cannot be."""
    if isinstance(field, bool):
        return "true" if field else "false"
    if isinstance(field, (int, float)):
        return str(field) if abs(field) < 1 << 64 else None
    return field if isinstance(field, str) else None


def _alone(state: State, parents: set[str]) -> bool:
    """Does its status depend on nothing else, as long as it has no parts, and no twin?"""
    paused = value(state, "hold") is not None or value(state, "defer_until") is not None
    waits = any(member.startswith("blocked_by ") for member in present(state, "deps"))
    return not (parents or paused or waits)


def _standing(state: State, register: str) -> list[object]:
    """The values of a register that may count; see 6. above."""
    values = state["registers"].get(register)
    return list(values.values()) if values and "key" in state else [value(state, register)]


def texts(event: Event) -> Iterable[tuple[str, str, str]]:
    """What an event says about an item, for full-text search: (item, part, text)."""
    body = event["body"]
    said = {**fields_of(body.get("set")), **body}
    for item in entities(event):
        for part in _SAID.get(event["type"], ()):
            if isinstance(said.get(part), str):
                yield item, part, said[part]


def says(state: State, event_id: str, part: str) -> bool:
    """Does the item still say what it said in this part of an event?"""
    if part == "text":
        return True
    if part in ("uri", "name"):
        return state["artifacts"].get(event_id) is not None
    return event_id in state["registers"].get("closed" if part == "note" else part, ())
