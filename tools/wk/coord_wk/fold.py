"""A work item as a fold of its events. Pure and total: what makes no sense is ignored.

1. and 2., registers and sets, are in `registers`.
3. Who holds the item follows the rule of all claims (`coord_kernel.rules.claims`).
4. Of events with one type and idempotency key only the first counts.
5. Items made with one idempotency key, in stores that had not met, are one item (`united`):
   its registers and sets are those of all, by rules 1, 2 and 4.
By what an item is found is in `found`.
"""

from __future__ import annotations

from coord_kernel.rules import causality, claims
from coord_wk.found import EVER, entities, ever, indexed, says, texts
from coord_wk.registers import (
    REGISTERS,
    RESOLUTIONS,
    change_members,
    fields_of,
    present,
    priority,
    prune,
    standing,
    text,
    value,
    write,
    write_blob,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope import Event
    from coord_wk.registers import Comment, State

__all__ = [
    "EVER",
    "entities",
    "ever",
    "indexed",
    "key",
    "made",
    "name",
    "present",
    "priority",
    "says",
    "standing",
    "step",
    "text",
    "texts",
    "united",
    "value",
    "version",
]
name, version = "work", "10"
needles = (b'"type":"work.', b'"type":"artifact.')


def step(state: State | None, event: Event) -> State:
    """The state after one event more, taken in order of event_id."""
    state = _nothing() if state is None else state
    early = causality.know(state, event)
    if not event["type"].endswith(".unsigned"):  # as `rules.trust.demoted` has it
        state["last"] = {"by": event["actor"]["agent_id"], "ts": event["ts"]}
    claims.take(state, event)
    change = _CHANGES.get(event["type"])
    if change and _first(state, event):
        change(state, event)
    if early:  # what an earlier event had seen is known only now
        prune(state)
    _keep_answer(state)
    return state


def _keep_answer(state: State) -> None:
    """What closed or reopened an answered question besides its answer has no effect."""
    if "given" in state and "question" in state:
        from coord_wk.question import first  # of few items

        if at := first(state):
            state["registers"]["closed"] = {at: state["given"][at]}


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


def _created(state: State, event: Event) -> None:
    body = event["body"]
    last = state["last"]
    state.setdefault("created", {"id": event.id, "by": last["by"], "ts": last["ts"]})
    if body.get("redacted") is True:
        state["created"].setdefault("redacted", True)
    if event.get("$trust"):
        state["created"]["trust"] = event["$trust"]
    elif isinstance(event.get("idempotency_key"), str):
        state.setdefault("key", event["idempotency_key"])
    for register in REGISTERS:
        if register in body:
            write(state, event.id, register, body[register])
    write_blob(state, event.id, body)
    for field, new in fields_of(body.get("fields")).items():
        write(state, event.id, f"fields.{field}", new)
    change_members(state, event.id, "add", body)
    if "question" in body and "question" not in state:
        from coord_wk.question import asked  # of few items

        if question := asked(event):
            state["question"] = question


def _claimed(state: State, event: Event) -> None:
    answer = event["body"].get("answer")
    if isinstance(answer, str):
        state.setdefault("answers", {})[event.id] = answer


def _updated(state: State, event: Event) -> None:
    body = event["body"]
    for register, new in fields_of(body.get("set")).items():
        if register == "assignee" and "question" in state:
            continue  # who is asked does not change
        if register in REGISTERS or register.startswith("fields."):
            write(state, event.id, register, new)
    write_blob(state, event.id, body)
    change_members(state, event.id, "add", fields_of(body.get("add")))
    change_members(state, event.id, "rm", fields_of(body.get("rm")))


def _closed(state: State, event: Event) -> None:
    body, how = event["body"], event["body"].get("resolution")
    closed = {"resolution": how if how in RESOLUTIONS else "done", **state["last"]}
    if body.get("redacted") is True and "answers" in state:  # what its claim says still counts
        body = body | {"answer": state["answers"].get(str(body.get("claim")))}
    texts = ("note", "dup_of", "answer", "claim") if "answer" in body else ("note", "dup_of")
    closed |= {name: body[name] for name in texts if isinstance(body.get(name), str)}
    if isinstance(closed.get("answer"), str):
        state.setdefault("given", {})[event.id] = closed
    write(state, event.id, "closed", closed)


def _reopened(state: State, event: Event) -> None:
    write(state, event.id, "closed", None)


def _commented(state: State, event: Event) -> None:
    text, blob = event["body"].get("text"), event["body"].get("blob")
    inline = text if isinstance(text, str) else ""
    by, ts = state["last"]["by"], state["last"]["ts"]
    comment: Comment = {"event_id": event.id, "by": by, "ts": ts, "text": inline}
    if event.get("$trust"):
        comment["trust"] = event["$trust"]
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
    "work.claimed": _claimed,
    "work.updated": _updated,
    "work.closed": _closed,
    "work.reopened": _reopened,
    "work.commented": _commented,
    "artifact.added": _added,
    "artifact.removed": _removed,
}


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
    prune(whole)
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
    if any("answers" in state for state in states):
        answers = [state.get("answers", {}) for state in states]
        whole["answers"] = {at: option for each in answers for at, option in each.items()}
    if any("given" in state for state in states):
        whole["given"] = {
            at: closed for state in states for at, closed in state.get("given", {}).items()
        }
    whole["last"] = max((state["last"] for state in states), key=lambda last: last["ts"])
    _keep_answer(whole)
    return whole
