"""The verbs of bd about dependencies, labels and comments."""

from __future__ import annotations

from coord_bd.answer import Answer
from coord_bd.issue import OWN, RELATIONS, Issues
from coord_bd.write import as_set, check_type, kept, text_of, touch
from coord_envelope import BadData, No, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coord_envelope.codec import Json
    from coord_wk.desk import Desk

    Values = dict[str, Any]


def dep_add(desk: Desk, args: list[str], values: Values) -> Answer:
    """dep add A B: A depends on B"""
    if "blocked_by" in values:
        args = [*args[:1], values["blocked_by"]]
    if len(args) != 2:
        raise Usage("dep add needs two issue IDs")
    how = values.get("type", "blocks")
    check_type(how)
    with desk.transaction() as (t, items):
        item, to = (desk.resolve(items, name) for name in args)
        issues = Issues(desk, items)
        if item == to:
            raise BadData("cannot add self-dependency: an issue cannot depend on itself")
        have = dict(issues.down(item))
        if have.get(to, how) != how:
            raise No(f"dependency {args[0]} -> {args[1]} already exists with type {have[to]!r}")
        if to in have:
            pass
        elif how == "parent-child":
            desk.bring(t, items, item, {"set": {"parent": to}})
        else:
            _refuse_odd(issues, item, to, how)
            deps = [{"rel": RELATIONS.get(how, "relates_to"), "to": to}]
            wish: Any = {"set": as_set(kept(how, to)), "add": {"deps": deps}}
            try:
                desk.bring(t, items, item, wish)
            except BadData as fault:
                if "cycle" in fault.what:
                    raise BadData("adding dependency would create a cycle") from None
                raise
    touch(desk, item)
    obj: Json = {"status": "added", "issue_id": issues.id(item), "depends_on_id": issues.id(to)}
    line = f"✓ Added dependency: {issues.id(item)} depends on {issues.id(to)} ({how})"
    return Answer(obj | {"type": how}, [line])


def _refuse_odd(issues: Issues, item: str, to: str, how: str) -> None:
    if to in issues.items.ancestors(item)[:1]:
        raise BadData(f"{issues.id(item)} is already a child of {issues.id(to)}")
    kinds = {issues.items.kind(item) == "epic", issues.items.kind(to) == "epic"}
    if how == "blocks" and len(kinds) == 2:
        raise BadData("epics can only block other epics, not tasks")


def dep(desk: Desk, args: list[str], values: Values) -> Answer:
    """dep B --blocks A"""
    if "blocks" not in values:
        raise Usage("dep needs add, remove, list, tree, or --blocks ID")
    return dep_add(desk, [values["blocks"], args[0]], {})


def dep_remove(desk: Desk, args: list[str], values: Values) -> Answer:
    """dep remove, rm"""
    with desk.transaction() as (t, items):
        item, to = (desk.resolve(items, name) for name in args)
        issues = Issues(desk, items)
        have = dict(issues.down(item))
        if to not in have:
            raise No(f"dependency from {args[0]} to {args[1]} not found")
        links = [{"rel": rel, "to": other} for rel, other in items.links(item) if other == to]
        wish: Any = {"set": as_set({f"{OWN}dep:{to}": None}), "rm": {"deps": links}}
        if to in items.ancestors(item)[:1]:
            wish["set"]["parent"] = None
        desk.bring(t, items, item, wish)
    obj = {"status": "removed", "issue_id": issues.id(item), "depends_on_id": issues.id(to)}
    line = f"✓ Removed dependency: {issues.id(item)} no longer depends on {issues.id(to)}"
    return Answer(obj, [line])


def label_add(desk: Desk, args: list[str], values: Values) -> Answer:
    """label add ID… LABEL"""
    return _label(desk, args, "add")


def label_remove(desk: Desk, args: list[str], values: Values) -> Answer:
    """label remove ID… LABEL"""
    return _label(desk, args, "rm")


def _label(desk: Desk, args: list[str], how: str) -> Answer:
    *names, label = args
    done = "added" if how == "add" else "removed"
    answer = Answer([], [])
    for name in names:
        try:
            with desk.transaction() as (t, items):
                item = desk.resolve(items, name)
                wish: Any = {how: {"labels": [label]}}
                desk.bring(t, items, item, wish)
                id_ = Issues(desk, items).id(item)
        except (No, BadData, Usage) as fault:
            answer.fail(name, fault)
            continue
        answer.obj.append({"status": done, "issue_id": id_, "label": label})
        answer.lines.append(f"✓ {done.capitalize()} label '{label}': {id_}")
    return answer.judged()


def comment(desk: Desk, args: list[str], values: Values) -> Answer:
    """comments add ID TEXT, comment ID WORDS"""
    words = " ".join(args[1:]) or text_of(values, "text")
    if not words:
        raise Usage("comment text is required")
    with desk.transaction() as (t, items):
        item = desk.resolve(items, args[0])
        event = desk.comment(t, items, item, words)
    touch(desk, item)
    now = Issues(desk, desk.items())
    obj = next(each for each in now.comments(item) if each["id"] == event.id)
    return Answer(obj, [f"✓ Comment added to {now.id(item)}"])
