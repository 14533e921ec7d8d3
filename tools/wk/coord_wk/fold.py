"""A work item as a fold of its events. Pure and total: what makes no sense is ignored.

1. Registers (title, priority, …, closed) have one value. A write replaces the writes that its
   writer had seen. Of concurrent writes the one with the greatest id is the value; the others
   are kept as conflicts until a write that has seen them all.
   A text too long for its event is in a blob, which the register names (`{"blob": …}`).
2. Sets (labels, deps) have members. An add wins over a remove that had not seen it (Shapiro et
   al., "Conflict-free Replicated Data Types", 2011, OR-set; causality in place of tags).
3. Who holds the item follows the rule of all claims (`coord_kernel.rules.claims`).
4. Of events with one type and idempotency key only the first counts.
5. Items made with one idempotency key, in stores that had not met, are one item (`united`):
   its registers and sets are those of all, by rules 1, 2 and 4.
6. The secondary index of an item with a key holds all values that may count once it is united:
   of each register every write that was not replaced. Whoever searches checks the result
   against the united state.
"""

from __future__ import annotations

from coord_envelope import codec
from coord_kernel.rules import causality, claims
from coord_kernel.rules.causality import precedes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Literal, NotRequired, TypedDict

    from coord_envelope import Event
    from coord_envelope.codec import Json

    class Author(TypedDict):
        """Who wrote an event, and when."""

        by: str
        ts: str

    class Created(Author):
        """An item's first event."""

        id: str

    class Comment(Author):
        """A `work.commented` event."""

        event_id: str
        text: str
        blob: NotRequired[Json]
        """Where the text is, if it is too long for the event."""

    class Members(TypedDict):
        """The events about one member of a set."""

        add: list[str]
        rm: list[str]

    class State(claims.ClaimsState):
        """A work item, and the claims on it."""

        created: NotRequired[Created]
        last: NotRequired[Author]
        registers: dict[str, dict[str, object]]
        """Register → event id → value: the writes that no other write has seen."""
        sets: dict[str, dict[str, Members]]
        """Set → member → its events."""
        comments: list[Comment]
        artifacts: dict[str, Json | None]
        """Event id → body; None: removed."""
        keys: dict[str, str]
        """Type and idempotency key → the first event with them."""


TEXTS = ("title", "desc", "kind", "parent", "assignee", "hold", "defer_until")
REGISTERS = (*TEXTS, "priority")
SETS = ("labels", "deps")
RESOLUTIONS = ("done", "cancelled", "duplicate")
_SAID = {
    "work.created": ("title", "desc", "hold"),
    "work.updated": ("title", "desc", "hold"),
    "work.closed": ("note",),
    "work.commented": ("text",),
    "artifact.added": ("uri", "name"),
}
"""The texts of events, by type."""
name, version = "work", "6"


def entities(event: Event) -> Iterable[str]:
    """The item that a work event is about."""
    refs, kind = event.get("refs"), event["type"]
    item = refs.get("work_id") if isinstance(refs, dict) else None
    if kind == "work.created" and item is None:
        return (event.id,)
    if not item or not isinstance(item, str) or not kind.startswith(("work.", "artifact.")):
        return ()
    return (item,)


def step(state: State | None, event: Event) -> State:
    """The state after one event more, taken in order of event_id."""
    state = _nothing() if state is None else state
    early = causality.know(state, event)
    state["last"] = {"by": event["actor"]["agent_id"], "ts": event["ts"]}
    claims.take(state, event)
    change = _CHANGES.get(event["type"])
    if change and _first(state, event):
        change(state, event)
    if early:  # what an earlier event had seen is known only now
        _prune(state)
    return state


def _nothing() -> State:
    return {
        **claims.nothing(),  # type: ignore[typeddict-item]
        "registers": {},
        "sets": {},
        "comments": [],
        "artifacts": {},
        "keys": {},
    }


def _first(state: State, event: Event) -> bool:
    """Is it the first with its idempotency key? The others are the same event again."""
    key = event.get("idempotency_key")
    if not isinstance(key, str):
        return True
    return state["keys"].setdefault(f"{event['type']} {key}", event.id) == event.id


def _prune(state: State) -> None:
    for register, values in state["registers"].items():
        kept = [at for at in values if not any(precedes(state, at, other) for other in values)]
        state["registers"][register] = {at: values[at] for at in kept}


def _created(state: State, event: Event) -> None:
    body = event["body"]
    state.setdefault("created", {"id": event.id, **state["last"]})
    if isinstance(event.get("idempotency_key"), str):
        state.setdefault("key", event["idempotency_key"])
    for register in REGISTERS:
        if register in body:
            _write(state, event.id, register, body[register])
    _write_blob(state, event.id, body)
    for field, value in _dict(body.get("fields")).items():
        _write(state, event.id, f"fields.{field}", value)
    _change_members(state, event.id, "add", body)


def _updated(state: State, event: Event) -> None:
    body = event["body"]
    for register, value in _dict(body.get("set")).items():
        if register in REGISTERS or register.startswith("fields."):
            _write(state, event.id, register, value)
    _write_blob(state, event.id, body)
    _change_members(state, event.id, "add", _dict(body.get("add")))
    _change_members(state, event.id, "rm", _dict(body.get("rm")))


def _closed(state: State, event: Event) -> None:
    body, how = event["body"], event["body"].get("resolution")
    closed = {"resolution": how if how in RESOLUTIONS else "done", **state["last"]}
    closed |= {name: body[name] for name in ("note", "dup_of") if isinstance(body.get(name), str)}
    _write(state, event.id, "closed", closed)


def _reopened(state: State, event: Event) -> None:
    _write(state, event.id, "closed", None)


def _commented(state: State, event: Event) -> None:
    text, blob = event["body"].get("text"), event["body"].get("blob")
    inline = text if isinstance(text, str) else ""
    by, ts = state["last"]["by"], state["last"]["ts"]
    comment: Comment = {"event_id": event.id, "by": by, "ts": ts, "text": inline}
    state["comments"].append(comment)
    if "text" not in event["body"] and isinstance(blob, dict):
        comment["blob"] = blob


def _added(state: State, event: Event) -> None:
    state["artifacts"].setdefault(event.id, event["body"])


def _removed(state: State, event: Event) -> None:
    artifact = event["refs"].get("artifact_id")
    if isinstance(artifact, str):
        state["artifacts"][artifact] = None


_CHANGES = {
    "work.created": _created,
    "work.updated": _updated,
    "work.closed": _closed,
    "work.reopened": _reopened,
    "work.commented": _commented,
    "artifact.added": _added,
    "artifact.removed": _removed,
}


def _write(state: State, at: str, register: str, value: object, fits: bool = False) -> None:
    if value is not None and not fits and not _fits(register, value):
        return
    values = state["registers"].get(register)
    if not values or state["heads"] == [at]:  # its writer had seen everything before it
        state["registers"][register] = {at: value}
    elif not any(precedes(state, at, other) for other in values):
        kept = {other: old for other, old in values.items() if not precedes(state, other, at)}
        state["registers"][register] = kept | {at: value}


def _write_blob(state: State, at: str, body: Json) -> None:
    """A description that is too long for the event: the register names its blob."""
    inline = "desc" in body or "desc" in _dict(body.get("set"))
    if not inline and _dict(body.get("blob")).get("media") == "text/plain":
        _write(state, at, "desc", {"blob": body["blob"]}, fits=True)


def _fits(register: str, value: object) -> bool:
    if register == "priority":
        return type(value) is int and 0 <= value <= 4
    return register not in TEXTS or isinstance(value, str)


def _change_members(state: State, at: str, how: Literal["add", "rm"], lists: Json) -> None:
    for which in SETS:
        for entry in lists[which] if isinstance(lists.get(which), list) else ():
            member = _member(which, entry)
            if member:
                members = state["sets"].setdefault(which, {})
                members.setdefault(member, {"add": [], "rm": []})[how].append(at)


def _member(which: str, entry: object) -> str | None:
    if which == "labels":
        return entry if isinstance(entry, str) else None
    relation, to = _dict(entry).get("rel"), _dict(entry).get("to")
    valid = isinstance(relation, str) and " " not in relation and isinstance(to, str)
    return f"{relation} {to}" if valid else None


def made(state: State) -> bool:
    """Has the item's first event come?"""
    return "created" in state


def key(state: State) -> str | None:
    """The idempotency key that makes items of several stores one."""
    return state.get("key")


def united(states: Sequence[State]) -> State:
    """The state of several items that turned out to be one, the oldest first."""
    whole: State = {**states[0], **claims.united(states), "registers": {}, "sets": {}}
    for state in states:
        for register, values in state["registers"].items():
            whole["registers"][register] = whole["registers"].get(register, {}) | values
        for which, members in state["sets"].items():
            known = whole["sets"].setdefault(which, {})
            for member, events in members.items():
                before = known.get(member, {"add": [], "rm": []})
                known[member] = {
                    "add": sorted(before["add"] + events["add"]),
                    "rm": sorted(before["rm"] + events["rm"]),
                }
    _prune(whole)
    keyed = sorted(entry for state in states for entry in state["keys"].items())
    again = {at for (key, at), (before, _) in zip(keyed[1:], keyed, strict=False) if key == before}
    whole["comments"] = sorted(
        (
            comment
            for state in states
            for comment in state["comments"]
            if comment["event_id"] not in again
        ),
        key=lambda comment: comment["event_id"],
    )
    whole["artifacts"] = {
        at: body for state in states for at, body in state["artifacts"].items() if at not in again
    }
    whole["last"] = max((state["last"] for state in states), key=lambda last: last["ts"])
    return whole


def value(state: State, register: str) -> object:
    """The register's value; None if it was never written."""
    values = state["registers"].get(register)
    return values[max(values)] if values else None


def text(state: State, register: str) -> str | None:
    """The value of a register of text."""
    content = value(state, register)
    return content if isinstance(content, str) else None


def present(state: State, which: str) -> dict[str, str]:
    """The members of a set, each with the id of the oldest event that keeps it there."""
    members = {}
    for member, events in state["sets"].get(which, {}).items():
        alive = [
            add for add in events["add"] if not any(precedes(state, add, rm) for rm in events["rm"])
        ]
        if alive:
            members[member] = min(alive)
    return members


def standing(state: State, body: Json) -> str | None:
    """The newest event that made what an update says hold already; None if it changes anything."""
    events = [state["created"]["id"]] if "created" in state else []
    blob = {"desc": {"blob": body["blob"]}} if "blob" in body else {}
    for register, new in {**_dict(body.get("set")), **blob}.items():
        values = state["registers"].get(register, {})
        if len(values) > 1 or not codec.same(next(iter(values.values()), None), new):
            return None
        events += values
    for how in ("add", "rm"):
        for which in SETS:
            members = present(state, which)
            for entry in _dict(body.get(how)).get(which, ()):
                member = _member(which, entry)
                if (member in members) != (how == "add"):
                    return None
                events += [members[member]] if member in members else []
    return max(events, default=None)


def indexed(state: State) -> Iterable[tuple[str, str]]:
    """The secondary index of an item; see 6. above.

    `end`: its id, reversed; `alias`: its foreign id; `key`; `child`: its parent; `closed`: its id.
    While it is open `open`: its rank; `owner`: agent and rank; `free`: its rank if nobody holds it;
    `part`: its parent. The rank is the priority and the id. `count`: its status, if that depends on
    no other item and on no time; otherwise `linked`: its id.
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
    if any(closed):
        yield "closed", created
    if all(closed):
        return
    holder = claims.owner(state)
    yield "open", rank
    if holder:
        yield "owner", f"{holder['agent']} {rank}"
    if not holder or "key" in state:
        yield "free", rank
    yield from (("part", parent) for parent in parents)
    if _alone(state, parents):
        yield "count", "active" if holder else "ready"
    else:
        yield "linked", created


def _alone(state: State, parents: set[str]) -> bool:
    """Does its status depend on nothing else, as long as it has no parts?"""
    paused = value(state, "hold") is not None or value(state, "defer_until") is not None
    waits = any(member.startswith("blocked_by ") for member in present(state, "deps"))
    return not (parents or paused or waits or "key" in state)


def _standing(state: State, register: str) -> list[object]:
    """The values of a register that may count; see 6. above."""
    values = state["registers"].get(register)
    return list(values.values()) if values and "key" in state else [value(state, register)]


def priority(state: State) -> int:
    """0 is the most urgent; the default is 2."""
    level = value(state, "priority")
    return level if isinstance(level, int) else 2


def _dict(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def texts(event: Event) -> Iterable[tuple[str, str, str]]:
    """What an event says about an item, for full-text search: (item, part, text)."""
    body = event["body"]
    said = {**_dict(body.get("set")), **body}
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
