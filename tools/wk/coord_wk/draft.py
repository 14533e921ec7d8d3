"""Drafts of work events, from what a user gives and the item's state. Pure."""

from __future__ import annotations

from coord_envelope import SELF, BadData
from coord_envelope.codec import Json
from coord_envelope.event import name_ok
from coord_kernel.rules import claims
from coord_wk import fold

KINDS = ("task", "bug", "feature", "epic", "chore", "question")
RELATIONS = ("blocked_by", "discovered_from", "relates_to", "duplicate_of", "supersedes")
RESOLUTIONS = fold.RESOLUTIONS
STATUSES = ("ready", "active", "blocked", "held", *RESOLUTIONS)
ARTIFACTS = ("commit", "branch", "pr", "diff", "log", "file", "url", "trace")
NEW = (
    "title",
    "desc",
    "kind",
    "priority",
    "labels",
    "deps",
    "parent",
    "assignee",
    "hold",
    "defer_until",
    "fields",
)
"""What `wk new` takes on stdin, besides idempotency_key."""
_LONGEST = {
    "title": 200,
    "desc": 32 * 1024,
    "hold": 500,
    "note": 4 * 1024,
    "reason": 500,
    "text": 32 * 1024,
}
_LONGEST |= {"uri": 2048, "name": 200}
_LONGEST_FIELD = 4 * 1024


def created(given: Json) -> Json:
    """The `work.created` of an object with a title. Raises BadData."""
    for name in given:
        if name not in (*NEW, "idempotency_key"):
            raise BadData(
                f"field {name!r} is none of a work item's", todo=f"it has {', '.join(NEW)}"
            )
    body = {name: given[name] for name in NEW if given.get(name) is not None}
    if not isinstance(body.get("title"), str) or not body["title"].strip():
        raise BadData("title is missing or no text")
    check(body)
    key = {"idempotency_key": given["idempotency_key"]} if "idempotency_key" in given else {}
    return {"type": "work.created", "refs": {"work_id": SELF}, "body": body, **key}


def change(kind: str, item: str, state: Json, body: Json) -> Json:
    """An event about an item, from one who has seen the state. Raises BadData."""
    check(body)
    return {
        "type": f"work.{kind}",
        "refs": {"work_id": item},
        "base": claims.base(state),
        "body": body,
    }


def claimed(item: str, state: Json, steal: bool, reason: str | None) -> Json:
    """A claim, with the next generation as its token."""
    body: Json = {"gen": claims.next_gen(state)}
    if steal:
        body |= {"steal": True, "reason": reason}
    return change("claimed", item, state, body)


def given_back(
    item: str, state: Json, claim: str, how: str = "released", note: str | None = None
) -> Json:
    """The end of a claim."""
    return change(
        "released", item, state, {"claim": claim, "reason": how, **({"note": note} if note else {})}
    )


def waits(body: Json) -> tuple[list[str], str | None]:
    """What an item waits on from here on, and its parent, as a `work.created` or `work.updated` says it."""
    deps = [*body.get("deps", ()), *body.get("add", {}).get("deps", ())]
    parent = body.get("parent") or body.get("set", {}).get("parent")
    return [dep["to"] for dep in deps if dep["rel"] == "blocked_by"], parent


def fields(pairs: list[str]) -> Json:
    """`--field K=V …`: a whole number or true/false is one, any other value is text. Raises BadData."""
    found: Json = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise BadData("is no K=V", where=f"--field {pair}")
        if _bytes(text) > _LONGEST_FIELD:
            raise BadData(f"is longer than {_LONGEST_FIELD:,} bytes", where=f"--field {name}")
        words: Json = {"true": True, "false": False}
        found[name] = words.get(text, int(text) if _is_number(text) else text)
    return found


def _is_number(text: str) -> bool:
    # Up to 18 digits every reader of JSON can hold; 007 is a name.
    return len(text) < 19 and text.removeprefix("-").isdecimal() and str(int(text)) == text


def check(body: Json) -> None:
    """Raise BadData for the first part of a body that may not be so."""
    for name, most in _LONGEST.items():
        if name in body and (not isinstance(body[name], str) or _bytes(body[name]) > most):
            raise BadData(f"{name} is no text of at most {most:,} bytes")
    for name, allowed in (("kind", KINDS), ("resolution", RESOLUTIONS)):
        if name in body and body[name] not in allowed:
            raise BadData(f"{name} {body[name]!r} is none of {' '.join(allowed)}")
    if "priority" in body and (type(body["priority"]) is not int or not 0 <= body["priority"] <= 4):
        raise BadData(f"priority {body['priority']!r} is no number from 0 to 4")
    labels = body.get("labels", [])
    for label in labels if isinstance(labels, list) else [labels]:
        if not isinstance(label, str) or not name_ok(label, 64):
            raise BadData(f"label {label!r} is no word of a-z 0-9 . _ - up to 64")


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
