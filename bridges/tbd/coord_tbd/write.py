"""The verbs of tbd that change issues: each looks and writes under one lock.

Each returns what --json prints, and the line for people; None if there was nothing to do.
"""

from __future__ import annotations

import os

from coord_envelope import BadData, No, Usage
from coord_kernel.cli.values import content, moment
from coord_kernel.store import locate
from coord_tbd.issue import HOLDS, KINDS, OWN, STATUSES, Issues
from coord_tbd.read import priority
from coord_wk.desk import agent_of, owner_of, spread, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.journal.transaction import Transaction
    from coord_wk.desk import Desk, Wish

    Values = dict[str, Any]
    Done = tuple[object, str] | None


def _file(path: str) -> str:
    return content(f"@{path}").decode("utf-8", "replace")


def _text(words: str | None) -> str | None:
    """A text as tbd keeps it: without white space around it."""
    return (words or "").strip() or None


def _own(name: str, each: str | None) -> Json:
    """The field `tbd:NAME`, whole or in pieces."""
    return spread(f"{OWN}{name}", each or "")


def _spec(desk: Desk, path: str) -> str | None:
    """The path of a spec from the root. Raises Usage."""
    if not path:
        return None
    root = os.path.realpath(locate.root(desk.call.journal.store.path))
    full = os.path.realpath(path)
    if not full.startswith(f"{root}{os.sep}") or not os.path.isfile(full):
        raise Usage(f"File not found: {path}")
    return os.path.relpath(full, root)


def _time(word: str, name: str) -> str | None:
    """A date, as tbd keeps it. Raises No."""
    try:
        return word if word and moment(word) else None
    except Usage:
        raise No(f"Invalid datetime in {name}: {word}") from None


def _common(desk: Desk, values: Values) -> Json:
    """Fields for the options that create and update have."""
    fields: Json = {}
    if "due" in values:
        fields |= _own("due_date", _time(values["due"], "due_date"))
    if "defer" in values:
        fields |= _own("deferred_until", _time(values["defer"], "deferred_until"))
    if "spec" in values:
        fields |= _own("spec_path", _spec(desk, values["spec"]))
    return fields


def _kind(word: str, also: str) -> str:
    if word not in KINDS:
        raise Usage(f"Invalid type: {word}{also}")
    return word


def _title(title: str, empty: str) -> str:
    if not title.strip():
        raise Usage(empty)
    return title


def create(desk: Desk, args: list[str], values: Values) -> Done:
    """create"""
    todo = 'Title is required. Use: tbd create "Issue title"'
    desc = _file(values["file"]) if "file" in values else values.get("description")
    words: Json = {
        "title": _title(args[0] if args else "", todo),
        "kind": _kind(values.get("type", "task"), f". Must be: {', '.join(KINDS)}"),
        "priority": priority(values.get("priority", "2")),
        "desc": _text(desc),
        "labels": list(dict.fromkeys(values.get("label", ()))) or None,
        "assignee": agent_of(values["assignee"]) if values.get("assignee") else None,
        "defer_until": moment(values["defer"]) if values.get("defer") else None,
    }
    fields = {name: each for name, each in _common(desk, values).items() if each is not None}
    with desk.transaction() as (t, items):
        issues = Issues(desk, items)
        if "parent" in values:
            words["parent"] = parent = _parent(issues, values["parent"])
            spec = issues.fields(parent).get("spec_path")
            fields |= {} if "spec" in values or not spec else _own("spec_path", spec)
        words["fields"] = {name: each for name, each in fields.items() if each is not None}
        event = desk.create(t, items, words)
    issues = Issues(desk, desk.items())
    made = {"id": issues.id(event.id), "internalId": issues.internal(event.id)}
    return {**made, "title": words["title"]}, f"Created {made['id']}: {words['title']}"


def _parent(issues: Issues, name: str) -> str:
    try:
        return issues.find(name)
    except No:
        raise Usage(f"Invalid parent ID: {name}") from None


def _changed(
    desk: Desk, name: str, act: Callable[[Transaction, Issues, str], object]
) -> str | None:
    """The id of an issue after `act` under the lock; None if that did nothing (False)."""
    with desk.transaction() as (t, items):
        issues = Issues(desk, items)
        item = issues.find(name)
        if act(t, issues, item) is False:
            return None
    return issues.id(item)


def update(desk: Desk, args: list[str], values: Values) -> Done:
    """update"""
    words = _words(desk, values)
    claims: list[Event] = []

    def act(t: Transaction, issues: Issues, item: str) -> None:
        wish = _wish(issues, item, values, dict(words))
        if wish.get("status") == "in_progress" and "assignee" not in values:
            _refuse_held(desk, issues, item)
        events = desk.bring(t, issues.items, item, wish)
        claims.extend(event for event in events if event["type"] == "work.claimed")

    shown = _changed(desk, args[0], act)
    for claim in claims:
        desk.secure(claim)
    return {"id": shown, "updated": True}, f"Updated {shown}"


def start(desk: Desk, args: list[str], values: Values) -> Done:
    """start: update --status in_progress"""
    return update(desk, args, {"status": "in_progress"})


def _refuse_held(desk: Desk, issues: Issues, item: str) -> None:
    """Raise No if another agent holds the item, or the caller may hold only one."""
    holder = owner_of(issues.items.known(item))
    if not holder:
        desk.refuse_second(issues.items)
    if holder and not desk.mine(holder):
        who = desk.named(holder).removeprefix("agent:")
        raise No(f"Issue {issues.id(item)} is in progress: {who} holds it", code="held")


def _words(desk: Desk, values: Values) -> Json:
    """The registers that the options set."""
    fields = _common(desk, values)
    words: Json = {}
    if "notes_file" in values:
        fields |= _own("notes", _text(_file(values["notes_file"])))
    elif "notes" in values:
        fields |= _own("notes", _text(values["notes"]))
    if "title" in values:
        words["title"] = _title(values["title"], "Title cannot be empty")
    if "type" in values:
        words["kind"] = _kind(values["type"], "")
    if values.get("priority"):
        words["priority"] = priority(values["priority"])
    if "assignee" in values:
        words["assignee"] = agent_of(values["assignee"]) if values["assignee"] else None
    if "description" in values:
        words["desc"] = _text(values["description"])
    if "defer" in values:
        words["defer_until"] = moment(values["defer"]) if values["defer"] else None
    return words | {f"fields.{name}": each for name, each in fields.items()}


def _wish(issues: Issues, item: str, values: Values, words: Json) -> Wish:
    wish: Wish = {"set": words}
    status = values.get("status")
    if status:
        if status not in STATUSES:
            raise Usage(f"Invalid status: {status}")
        wish["status"] = "held" if status in HOLDS else status
        words.setdefault("defer_until", value(issues.items.known(item), "defer_until"))
        words |= {"hold": status} if status in HOLDS else {}
    if "parent" in values:
        words["parent"] = _parent(issues, values["parent"]) if values["parent"] else None
    if "child_order" in values:
        names = [name.strip() for name in values["child_order"].split(",") if name.strip()]
        parts = ",".join(issues.find(name) for name in names)
        words |= {f"fields.{name}": each for name, each in _own("child_order", parts).items()}
    lists = (("add", "add_label"), ("rm", "remove_label"))
    for how, option in lists:
        if values.get(option):
            wish[how] = {"labels": values[option]}  # type: ignore[literal-required]
    return wish


def close(desk: Desk, args: list[str], values: Values) -> Done:
    """close"""
    already = False

    def act(t: Transaction, issues: Issues, item: str) -> None:
        nonlocal already
        already = issues.status(item) == "closed"
        state = issues.items.known(item)
        holder = owner_of(state)
        if holder and not desk.mine(holder) and desk.robbed(state):
            raise No(f"Issue {issues.id(item)} was taken over by {holder['agent']}", code="held")
        note = {"note": values["reason"]} if values.get("reason") else {}
        desk.bring(
            t, issues.items, item, {"status": "closed", "closing": {"resolution": "done", **note}}
        )

    shown = _changed(desk, args[0], act)
    return {"id": shown, "closed": True, "alreadyClosed": already}, f"Closed {shown}"


def reopen(desk: Desk, args: list[str], values: Values) -> Done:
    """reopen"""

    def act(t: Transaction, issues: Issues, item: str) -> None:
        status = issues.status(item)
        if status != "closed":
            raise No(f"Issue {args[0]} is not closed (status: {status})", code="wrong_state")
        words: Json = {"defer_until": value(issues.items.known(item), "defer_until")}
        if values.get("reason"):
            note, notes = f"Reopened: {values['reason']}", issues.fields(item).get("notes")
            both = _own("notes", f"{notes}\n\n{note}" if notes else note)
            words |= {f"fields.{name}": each for name, each in both.items()}
        desk.bring(t, issues.items, item, {"status": "open", "set": words})

    shown = _changed(desk, args[0], act)
    return {"id": shown, "reopened": True}, f"Reopened {shown}"


def dep_add(desk: Desk, args: list[str], values: Values) -> Done:
    """dep add"""
    with desk.transaction() as (t, items):
        issues = Issues(desk, items)
        item, to = map(issues.find, args)
        if item == to:
            raise Usage("Issue cannot depend on itself")
        dep = {"rel": "blocked_by", "to": to}
        try:
            done = desk.bring(t, items, item, {"add": {"deps": [dep]}})
        except BadData:
            what = f"{issues.id(item)} cannot depend on {issues.id(to)}: a dependency cycle"
            raise No(what, code="cycle") from None
    a, b = issues.id(item), issues.id(to)
    return ({"issue": a, "dependsOn": b}, f"{a} now depends on {b}") if done else None


def dep_remove(desk: Desk, args: list[str], values: Values) -> Done:
    """dep remove"""
    with desk.transaction() as (t, items):
        issues = Issues(desk, items)
        item, to = map(issues.find, args)
        dep = {"rel": "blocked_by", "to": to}
        done = desk.bring(t, items, item, {"rm": {"deps": [dep]}})
    a, b = issues.id(item), issues.id(to)
    return ({"issue": a, "removed": b}, f"{a} no longer depends on {b}") if done else None


def label_add(desk: Desk, args: list[str], values: Values) -> Done:
    """label add"""
    return _label(desk, args, "add", "addedLabels", "Added labels to")


def label_remove(desk: Desk, args: list[str], values: Values) -> Done:
    """label remove"""
    return _label(desk, args, "rm", "removedLabels", "Removed labels from")


def _label(desk: Desk, args: list[str], how: str, field: str, words: str) -> Done:
    name, *labels = args

    def act(t: Transaction, issues: Issues, item: str) -> bool:
        wish: Any = {how: {"labels": labels}}
        return bool(desk.bring(t, issues.items, item, wish))

    shown = _changed(desk, name, act)
    return (
        ({"id": shown, field: labels}, f"{words} {shown}: {', '.join(labels)}") if shown else None
    )


WRITING: dict[str, tuple[Callable[[Desk, list[str], Values], Done], str]] = {
    "create": (create, "create issue"),
    "update": (update, "update issue"),
    "start": (start, "update issue"),
    "close": (close, "close issue"),
    "reopen": (reopen, "reopen issue"),
    "dep add": (dep_add, "add dependency"),
    "dep remove": (dep_remove, "remove dependency"),
    "label add": (label_add, "add labels"),
    "label remove": (label_remove, "remove labels"),
}
"""Verb → what does it, and what --dry-run says would be done."""
