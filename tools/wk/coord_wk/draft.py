"""Drafts of work events, from a user's values and the item's state. Pure."""

from __future__ import annotations

from coord_envelope import SELF, BadData, No, Usage
from coord_envelope.codec import Json
from coord_envelope.event import name_ok
from coord_kernel.cli.values import typed
from coord_kernel.rules import claims
from coord_wk import registers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_wk.registers import State

NOT_WORK = ("message", "agent", "role", "rig", "molecule", "event", "gate", "question", "memory")
"""Kinds of items that `ready` does not offer."""
KIND = "use a word of a-z 0-9 . _ -, such as task, bug or feature"
RELATIONS = ("blocked_by", "discovered_from", "relates_to", "duplicate_of", "supersedes")
RESOLUTIONS = registers.RESOLUTIONS
STATUSES = ("ready", "active", "blocked", "held", *RESOLUTIONS)
ARTIFACTS = ("commit", "branch", "pr", "diff", "log", "file", "url", "trace")
NEW = (
    *("title", "desc", "kind", "priority", "labels", "deps"),
    *("parent", "assignee", "hold", "defer_until", "fields"),
)
"""The fields that `wk new` takes on stdin, besides idempotency_key."""
INLINE, LONGEST_TEXT = 32 << 10, 64 << 20
"""Bytes of a description or a comment inside its event, and in a blob."""
_LONGEST = {
    "title": 200,
    "desc": LONGEST_TEXT,
    "hold": 500,
    "note": 4 * 1024,
    "reason": 500,
    "text": LONGEST_TEXT,
    "uri": 2048,
    "name": 200,
}
"""Bytes."""
_LONGEST_FIELD = 4 * 1024
LONGEST_LABEL = 200


def created(words: Json, blob: Json | None = None) -> Json:
    """The `work.created` of an object with a title. Raises BadData.

    `blob`: a body's field that stands for a long description.
    """
    for name in words:
        if name not in (*NEW, "idempotency_key"):
            raise BadData(f"unknown field {name!r}", todo=f"valid fields: {', '.join(NEW)}")
    body = {name: words[name] for name in NEW if words.get(name) is not None}
    if not isinstance(body.get("title"), str) or not body["title"].strip():
        raise BadData("title is missing or not text")
    check(body)
    body |= blob or {}
    key = {"idempotency_key": words["idempotency_key"]} if "idempotency_key" in words else {}
    return {"type": "work.created", "refs": {"work_id": SELF}, "body": body, **key}


def change(verb: str, item: str, state: State, body: Json) -> Json:
    """An event about an item, whose base is the state. Raises BadData."""
    check(body)
    return {
        "type": f"work.{verb}",
        "refs": {"work_id": item},
        "base": claims.base(state),
        "body": body,
    }


def claimed(
    item: str,
    state: State,
    steal: bool = False,
    reason: str | None = None,
    behalf: Json | None = None,
) -> Json:
    """A claim, whose token is the next generation; `behalf`: the actor that has it."""
    body: Json = {"gen": claims.next_gen(state)}
    if steal:
        body |= {"steal": True, "reason": reason}
    if behalf:
        body["for"] = behalf
    return change("claimed", item, state, body)


def told(draft: Json, agent: str, actor: Json) -> Json:
    """The draft as mail to the agent whose claim it ends, unless that is the caller."""
    return draft if agent == actor["agent_id"] else draft | {"to": [agent]}


def assigning(update: Json, state: State | None, actor: Json) -> Json:
    """The update as mail to the agent that gets the item by it, unless that is the caller.

    Raises No for a question.
    """
    changed = update["body"].get("set", {})
    agent = changed.get("assignee")
    if state and "assignee" in changed and registers.text(state, "assignee") != agent:
        refuse_asked(update["refs"]["work_id"], state)
    if not agent or (state and registers.text(state, "assignee") == agent):
        return update
    return told(update, agent, actor)


def refuse_asked(item: str, state: State) -> None:
    """Raise No if it is a question: who is asked does not change."""
    if "question" in state:
        asked = " ".join(state["question"]["to"])
        what = f"is a question, asked of {asked}"
        raise No(what, where=item, todo="`wk ask` another", code="wrong_state")


def refuse_answered(item: str, state: State | None) -> None:
    """Raise No if it is an answered question, which stays answered."""
    given = registers.value(state, "closed") if state and "question" in state else None
    if isinstance(given, dict) and "answer" in given:
        what = f"was answered {given['answer']}, and stays so"
        raise No(what, where=item, todo="ask again: `wk ask`", code="closed")


def given_back(
    item: str, state: State, claim: str, how: str = "released", note: str | None = None
) -> Json:
    """The end of a claim."""
    body = {"claim": claim, "reason": how, **({"note": note} if note else {})}
    return change("released", item, state, body)


def waits(body: Json) -> tuple[list[str], str | None]:
    """What a `work.created` or `work.updated` makes the item wait on, and its new parent."""
    deps = [*body.get("deps", ()), *body.get("add", {}).get("deps", ())]
    parent = body.get("parent") or body.get("set", {}).get("parent")
    return [dep["to"] for dep in deps if dep["rel"] == "blocked_by"], parent


def fields(pairs: Sequence[str]) -> Json:
    """`--field K=V …`: whole numbers, true and false are JSON's; other values are text.

    Raises BadData.
    """
    values: Json = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise BadData("not K=V", where=f"--field {pair}")
        if _bytes(text) > _LONGEST_FIELD:
            raise BadData(f"exceeds {_LONGEST_FIELD:,} bytes", where=f"--field {name}")
        values[name] = typed(text)
    return values


def check(body: Json) -> None:
    """Raise BadData for the first value in a body that is not valid."""
    for name, most in _LONGEST.items():
        if name in body and not isinstance(body[name], str):
            raise BadData(f"{name} is not text")
        if name in body and _bytes(body[name]) > most:
            raise BadData(f"{name} exceeds {most:,} bytes")
    if "resolution" in body and body["resolution"] not in RESOLUTIONS:
        todo = f"valid values: {' '.join(RESOLUTIONS)}"
        raise BadData(f"not a valid resolution: {body['resolution']!r}", todo=todo)
    if "kind" in body and not kind_ok(body["kind"]):
        raise BadData(f"not a valid kind: {body['kind']!r}", todo=KIND)
    if "priority" in body and (type(body["priority"]) is not int or not 0 <= body["priority"] <= 4):
        raise BadData(f"not a valid priority: {body['priority']!r}", todo="valid values: 0 to 4")
    labels = body.get("labels", [])
    for label in labels if isinstance(labels, list) else [labels]:
        if not label_ok(label):
            todo = f"use a text of up to {LONGEST_LABEL} bytes without control characters"
            raise BadData(f"not a valid label: {label!r}", todo=todo)


def check_statuses(statuses: Sequence[str] | None) -> None:
    """Raise Usage for a word that is not a status."""
    for word in statuses or ():
        if word not in STATUSES:
            todo = f"valid values: {' '.join(STATUSES)}"
            raise Usage(f"--status: not a valid status: {word}", todo=todo)


def kind_ok(kind: object) -> bool:
    """Is this a kind: one plain word?"""
    return isinstance(kind, str) and name_ok(kind, 64)


def label_ok(label: object) -> bool:
    """Is this a label: a text of one line, without blanks around it?"""
    return (
        isinstance(label, str)
        and 0 < _bytes(label) <= LONGEST_LABEL
        and label == label.strip()
        and not any(char < " " or "\x7f" <= char < "\xa0" for char in label)
    )


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
