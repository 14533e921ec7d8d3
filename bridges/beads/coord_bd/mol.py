"""The verbs of bd about molecules: formulas as coord-flow cooks them, their steps and their end."""

from __future__ import annotations

import os

from coord_bd.answer import Answer
from coord_bd.issue import Issues
from coord_bd.write import touch
from coord_envelope import No, Usage, codec, world
from coord_kernel.cli.link import tool
from coord_kernel.store import locate
from coord_wk.desk import owner_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coord_envelope.codec import Json
    from coord_wk.desk import Desk

    Values = dict[str, Any]

HOMES = ("", ".beads/formulas", "formulas")
"""Where formulas are found by name, below the repository's root."""
ENDINGS = ("", ".formula.toml", ".toml", ".formula.json", ".json")


def pour(desk: Desk, args: list[str], values: Values) -> Answer:
    """mol pour: steps that stay"""
    return _poured(desk, args[0], values, [])


def wisp(desk: Desk, args: list[str], values: Values) -> Answer:
    """mol wisp: steps that are ephemeral"""
    return _poured(desk, args[-1], values, ["--wisp"])


def _poured(desk: Desk, name: str, values: Values, options: list[str]) -> Answer:
    key = world.entropy(8).hex()  # bd pours again, where coord-flow pours once
    given = [f"--var={pair}" for pair in values.get("var", ())]
    path = _formula(desk, name)
    printed = tool("coord-flow", "cook", path, f"--key={key}", *given, *options)
    operations: list[Json] = [codec.loads(line.encode()) for line in printed.splitlines()]
    made: dict[str, str] = {}
    with desk.transaction() as (t, items):
        root = desk.fresh(items) if desk.prefix else ""
        for number, operation in enumerate(operations):
            alias = f"{root}.{number}" if root and number else root
            if "assignee" in values and number == 0:
                operation["assignee"] = desk.call.agent_id(values["assignee"], "--assignee")
            words = _words(operation, made)
            made[str(operation["as"])] = desk.create(t, items, words, alias).id
    issues = Issues(desk, desk.items())
    ids = {step[1:] or "root": issues.id(item) for step, item in made.items()}
    touch(desk, made["$"])
    phase = "vapor" if "--wisp" in options else "liquid"
    obj = {"new_epic_id": ids["root"], "id_mapping": ids, "created": len(ids), "phase": phase}
    return Answer(obj, [f"✓ Poured {name}: {len(ids)} issues", f"  Root issue: {ids['root']}"])


def _formula(desk: Desk, name: str) -> str:
    """The file of a formula: its path, or its name. Raises No."""
    root = locate.root(desk.call.journal.store.path)
    paths = [os.path.join(root, home, name + end) for home in HOMES for end in ENDINGS]
    found = next((path for path in (name, *paths) if os.path.isfile(path)), None)
    if found is None:
        raise No(f"formula {name!r} not found in {', '.join(HOMES[1:])}")
    return found


def _words(operation: Json, made: dict[str, str]) -> Json:
    """What `wk new` takes, with ids for the names of earlier operations."""
    words = {k: v for k, v in operation.items() if k not in ("op", "as", "parent", "deps")}
    if "parent" in operation:
        words["parent"] = made[operation["parent"]]
    deps = [{"rel": dep["rel"], "to": made[dep["to"]]} for dep in operation.get("deps", ())]
    return words | ({"deps": deps} if deps else {})


def _root(desk: Desk, issues: Issues, name: str) -> str:
    item = desk.resolve(issues.items, name)
    if "formula" not in issues.fields(item):
        raise No(f"{issues.id(item)} is not a molecule")
    return item


def _steps(issues: Issues, root: str) -> list[str]:
    """The steps of a molecule that have no steps below them, oldest first."""
    found, todo = list[str](), [root]
    while todo:
        item = todo.pop()
        parts = issues.items.children(item)
        todo += parts
        if not parts and item != root:
            found.append(item)
    return sorted(found)


def current(desk: Desk, args: list[str], values: Values) -> Answer:
    """mol current: where each molecule is"""
    issues = Issues(desk, desk.items())
    items = issues.items
    if args:
        roots = [_root(desk, issues, args[0])]
    else:
        roots = [
            item
            for item in items.urgent(["label mol", "label wisp"])
            if "formula" in issues.fields(item)
        ]
    rows, lines = [], []
    for root in roots:
        steps = [_step(issues, item) for item in _steps(issues, root)]
        done = sum(step["status"] == "done" for step in steps)
        title = items.row(root)["title"]
        head: Json = {"molecule_id": issues.id(root), "molecule_title": title, "steps": steps}
        rows.append(head | {"completed": done, "total": len(steps)})
        lines.append(f"{issues.id(root)}: {title} ({done}/{len(steps)})")
        lines += [f"  [{s['status']}] {s['issue']['id']}: {s['issue']['title']}" for s in steps]
    return Answer(rows, lines or ["No molecules in progress"])


def _step(issues: Issues, item: str) -> Json:
    held = owner_of(issues.items.known(item))
    mine = bool(held) and held["agent"] == issues.desk.actor()["agent_id"]  # type: ignore[index]
    if issues.status(item) == "closed":
        status = "done"
    elif held:
        status = "current"
    else:
        status = "blocked" if issues.blockers(item) else "ready"
    return {"issue": issues.issue(item), "status": status, "is_current": mine}


def show(desk: Desk, args: list[str], values: Values) -> Answer:
    """mol show: the root, and its steps"""
    issues = Issues(desk, desk.items())
    root = _root(desk, issues, args[0])
    steps = [issues.counted(item) for item in _steps(issues, root)]
    lines = [f"{issues.id(root)}: {issues.items.row(root)['title']}"]
    lines += [f"  {step['id']}: {step['title']} ({step['status']})" for step in steps]
    return Answer({"root": issues.counted(root), "issues": steps}, lines)


def squash(desk: Desk, args: list[str], values: Values) -> Answer:
    """mol squash: one comment, all closed"""
    note = [f"--note={values['summary']}"] if values.get("summary") else []
    return _ended(desk, args[0], "squash", note)


def burn(desk: Desk, args: list[str], values: Values) -> Answer:
    """mol burn: all closed as cancelled"""
    if not values.get("force") and not values.get("json"):
        raise Usage("this closes the molecule and its steps as cancelled; use --force")
    return _ended(desk, args[0], "burn", [])


def _ended(desk: Desk, name: str, verb: str, options: list[str]) -> Answer:
    issues = Issues(desk, desk.items())
    root = _root(desk, issues, name)
    agent = str(desk.actor()["agent_id"])
    printed = tool("coord-flow", verb, root, *options, agent=agent)
    events: list[Json] = [codec.loads(line.encode()) for line in printed.splitlines()]
    closed = [e["refs"]["work_id"] for e in events if e["type"] == "work.closed"]
    ids = [issues.id(item) for item in closed]
    obj = {"molecule_id": issues.id(root), f"{verb}ed_ids": ids, f"{verb}ed_count": len(ids)}
    return Answer(obj, [f"✓ {verb.capitalize()}ed {issues.id(root)}: {len(ids)} issues closed"])
