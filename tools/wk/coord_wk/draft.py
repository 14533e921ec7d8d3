"""Drafts of work events, from what a user gives and the item's state. Pure."""

from __future__ import annotations

from coord_envelope import SELF, BadData
from coord_envelope.codec import Json
from coord_envelope.event import name_ok
from coord_wk import fold

KINDS = ("task", "bug", "feature", "epic", "chore", "question")
RELATIONS = ("blocked_by", "discovered_from", "relates_to", "duplicate_of", "supersedes")
RESOLUTIONS = ("done", "cancelled", "duplicate")
ARTIFACTS = ("commit", "branch", "pr", "diff", "log", "file", "url", "trace")
NEW = ("title", "desc", "kind", "priority", "labels", "deps", "parent", "assignee", "hold", "defer_until", "fields")
"""What `wk new` takes on stdin, besides idempotency_key."""
_LONGEST = {"title": 200, "desc": 32 * 1024, "note": 4 * 1024, "reason": 500, "text": 32 * 1024}


def created(given: Json) -> Json:
    """The `work.created` of an object with a title. Raises BadData."""
    for name in given:
        if name not in (*NEW, "idempotency_key"):
            raise BadData(f"field {name!r} is none of a work item's", todo=f"it has {', '.join(NEW)}")
    body = {name: given[name] for name in NEW if given.get(name) is not None}
    if not isinstance(body.get("title"), str) or not body["title"].strip():
        raise BadData("title is missing or no text")
    check(body)
    key = {"idempotency_key": given["idempotency_key"]} if "idempotency_key" in given else {}
    return {"type": "work.created", "refs": {"work_id": SELF}, "body": body, **key}


def change(kind: str, item: str, state: Json, body: Json, **more: object) -> Json:
    """An event about an item, from one who has seen the state."""
    check(body)
    return {"type": f"work.{kind}", "refs": {"work_id": item}, "base": fold.heads(state), "body": body, **more}


def claimed(item: str, state: Json, steal: bool, reason: str | None) -> Json:
    """A claim, with the next generation as its token."""
    generations = (claim["gen"] for claim in state["claims"].values())
    body: Json = {"gen": max(generations, default=0) + 1}
    if steal:
        body |= {"steal": True, "reason": reason}
    return change("claimed", item, state, body)


def fields(pairs: list[str]) -> Json:
    """`--field K=V …`: a number or true/false is one, any other value is text. Raises BadData."""
    found: Json = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise BadData("is no K=V", where=f"--field {pair}")
        words: Json = {"true": True, "false": False}
        found[name] = words.get(text, int(text) if text.removeprefix("-").isdecimal() else text)
    return found


def check(body: Json) -> None:
    """Raise BadData for the first part of a body that may not be so."""
    for name, most in _LONGEST.items():
        if name in body and (not isinstance(body[name], str) or len(body[name].encode("utf-8", "replace")) > most):
            raise BadData(f"{name} is no text of at most {most:,} bytes")
    for name, allowed in (("kind", KINDS), ("resolution", RESOLUTIONS)):
        if name in body and body[name] not in allowed:
            raise BadData(f"{name} {body[name]!r} is none of {' '.join(allowed)}")
    if "priority" in body and (type(body["priority"]) is not int or not 0 <= body["priority"] <= 4):
        raise BadData(f"priority {body['priority']!r} is no number from 0 to 4")
    for label in body.get("labels", ()):
        if not isinstance(label, str) or not name_ok(label):
            raise BadData(f"label {label!r} is no word of a-z 0-9 . _ - up to 63")
