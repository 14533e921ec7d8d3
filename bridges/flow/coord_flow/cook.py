"""A formula as operations for `wk apply`. Pure: of its tables, variables, and other formulas.

    1. Put together what it extends; check every table (`shape`).
    2. Bind variables, leave out what a condition excludes, unroll loops (`steps`).
    3. Expansions, then aspects, branches and gates of compose (`weave`).
    4. A gate is an item of kind gate before its step; what repeats a step (retry, check) is one
       behind it, for which others wait in the step's place. coord-flow run closes both.
    5. Sort so that each operation names only those before it.

The same formula, variables and key give the same operations, and each has the idempotency key
`cook:KEY:STEP`: pouring again is pouring once, and a step that the file has more is added alone.
"""

from __future__ import annotations

from coord_envelope.event import address
from coord_flow import shape, values, weave
from coord_flow.graph import Cooked
from coord_flow.graph import order as ordered
from coord_flow.steps import Size, Step, Unfolding, every

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from coord_envelope.codec import Json
    from coord_flow.shape import Problems
    from coord_flow.weave import Read, Weaving

_TITLE = 200


class Order:
    """What is asked for."""

    __slots__ = ("given", "key", "lax", "parent", "preset", "wisp")

    def __init__(self, given: Mapping[str, str] | None = None, key: str | None = None) -> None:
        self.given, self.key = dict(given or {}), key
        self.parent: str | None = None
        self.preset: str | None = None
        self.wisp = False
        self.lax = False
        """May variables that need a value have none?"""


def cooked(data: Json, order: Order, read: Read, problems: Problems) -> Cooked:
    """The formula with its variables; what is wrong with it is added to `problems`."""
    whole = weave.extended(shape.sound(data, problems), read, problems)
    known = {**_table(whole, "vars"), **_table(whole, "inputs")}
    bound = values.bound(known, order.given, shape.Problems() if order.lax else problems)
    made = Cooked(whole, bound)
    made.known = known
    kind = whole.get("type", "workflow")
    if kind in ("expansion", "aspect"):
        todo = f"name it under compose of another formula: {_USES[str(kind)]}"
        problems.add("", f"is an {kind}: it has no steps of its own", todo)
        return made
    rows = _legs(whole, order, problems) if "legs" in whole else shape.tables(whole, "steps")
    if not rows:
        problems.add("", "has no steps")
    size = Size()
    unfolding = Unfolding(known, bound, problems, size)
    steps = unfolding.steps(rows)
    compose = _table(whole, "compose")
    weaving = weave.Weaving(steps, unfolding, size, read, problems)
    weaving.expand(compose)
    weaving.advise(shape.tables(whole, "advice"), shape.tables(whole, "pointcuts"))
    for name in shape.texts(compose, "aspects"):
        _aspect(name, weaving, read, problems)
    weaving.branch(shape.tables(compose, "branch"))
    weaving.gate(shape.tables(compose, "gate"))
    size.text = 0  # with the values of variables
    for step in list(every(steps)) if size.fits() else ():
        _fill(step, bound)
        _check(step, problems)
        if not size.add(*_texts(step)):
            break
    size.report(problems)
    _gates(steps, weaving)
    made.tops = steps
    ordered(made, weaving.needs, problems)
    return made


def checked(data: Json, read: Read, problems: Problems) -> list[tuple[str, str]]:
    """Add every fault of a formula, with a value supposed for each variable that has none.

    Returns (step, name) of what no variable declares. An expansion is applied to a step `target`,
    an aspect to a step of each name that its advice has.
    """
    kind, trial = data.get("type"), shape.sound(data, shape.Problems())
    if kind == "expansion":
        step = {"id": "target", "title": "target", "expand": str(data.get("formula"))}
        trial = {"formula": "check", "version": 1, "steps": [step]}
    elif kind == "aspect":
        names = [str(rule.get("target", "")) for rule in shape.tables(data, "advice")]
        rows = [{"id": name.replace("*", "x"), "title": name} for name in dict.fromkeys(names)]
        trial = {"formula": "check", "version": 1, "steps": rows}
        trial["compose"] = {"aspects": [str(data.get("formula"))]}
    whole = weave.extended(trial, read, shape.Problems())
    known = {**_table(whole, "vars"), **_table(whole, "inputs")}
    order = Order({name: _supposed(about) for name, about in known.items() if _unbound(about)})

    def reading(name: str) -> Json:
        return data if trial is not data and name == data.get("formula") else read(name)

    shape.sound(data, problems)
    made = cooked(_unmatched(trial), order, reading, problems)
    return list(weave.undeclared(made.tops, made.known))


def _unmatched(data: Json) -> Json:
    """The formula without what the values of its variables must match."""

    def plain(about: object) -> object:
        return (
            {k: v for k, v in about.items() if k != "pattern"} if isinstance(about, dict) else about
        )

    tables = [name for name in ("vars", "inputs") if isinstance(data.get(name), dict)]
    return data | {name: {k: plain(v) for k, v in data[name].items()} for name in tables}


def _unbound(about: object) -> bool:
    return isinstance(about, dict) and "default" not in about


def _supposed(about: Json) -> str:
    enum = about.get("enum")
    if isinstance(enum, list) and enum:
        return values.written(enum[0])
    kind = about.get("type", "string")
    return {"int": "1", "integer": "1", "number": "1", "bool": "true"}.get(str(kind), "x")


_USES = {"expansion": "expand or map", "aspect": "aspects"}


def _aspect(name: str, weaving: Weaving, read: Read, problems: Problems) -> None:
    data = weave.found(name, "compose.aspects", read, problems)
    if data is None:
        return
    if data.get("type") != "aspect":
        problems.add("compose.aspects", f"{name} is not an aspect")
    elif not shape.tables(data, "advice"):
        problems.add("compose.aspects", f"{name} has no advice: it changes nothing")
    weaving.advise(shape.tables(data, "advice"), shape.tables(data, "pointcuts"))


def _legs(whole: Json, order: Order, problems: Problems) -> list[Json]:
    """The steps of a convoy: its legs, and the synthesis, which needs all of them."""
    legs = shape.tables(whole, "legs")
    if order.preset is not None:
        preset = _table(whole, "presets").get(order.preset)
        known = ", ".join(_table(whole, "presets")) or "it has none"
        if not isinstance(preset, dict):
            problems.add(f"--preset {order.preset}", "no such preset", f"presets: {known}")
            return []
        chosen = shape.texts(preset, "legs")
        names = [leg.get("id") for leg in legs]
        for name in chosen:
            if name not in names:
                problems.add(f"presets.{order.preset}", f"no such leg: {name!r}")
        legs = [leg for leg in legs if leg.get("id") in chosen]
    rows = [*legs, *shape.tables(whole, "steps")]
    synthesis = _table(whole, "synthesis")
    if synthesis:
        names = [str(leg.get("id", "")) for leg in legs]
        needs = [name for name in shape.texts(synthesis, "needs", "depends_on") if name in names]
        rows.append({"id": "synthesis", **synthesis, "needs": needs or names, "depends_on": []})
    return rows


def _fill(step: Step, bound: Mapping[str, str]) -> None:
    """Put the values of variables into a step."""
    step.title, step.desc = values.filled(step.title, bound), values.filled(step.desc, bound)
    step.assignee = values.filled(step.assignee, bound)
    step.labels = [values.filled(label, bound) for label in step.labels]
    step.kind = values.filled(step.kind, bound)
    step.data = _deep(step.data, bound)


def _texts(step: Step) -> Iterator[str]:
    """What a step prints."""
    yield from (step.id, step.title, step.desc, step.assignee, step.kind, *step.labels)
    todo: list[object] = [step.data]
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, (dict, list)):
            todo += value.values() if isinstance(value, dict) else value


def _deep(value: object, bound: Mapping[str, str]) -> Json:
    if isinstance(value, str):
        return values.filled(value, bound)  # type: ignore[return-value]
    if isinstance(value, dict):
        return {key: _deep(each, bound) for key, each in value.items()}
    if isinstance(value, list):
        return [_deep(each, bound) for each in value]  # type: ignore[return-value]
    return value  # type: ignore[return-value]


def _check(step: Step, problems: Problems) -> None:
    """What a step is after its variables have values."""
    size = len(step.title.encode("utf-8", "replace"))
    if size > _TITLE:
        problems.add(step.id, f"title exceeds {_TITLE} bytes: {size}", "shorten it")
    for name in values.names(f"{step.id} {step.assignee} {' '.join(step.labels)}"):
        problems.add(step.id, f"unbound variable {name!r}", f"give it: --var {name}=VALUE")
    if step.assignee and "{{" not in step.assignee:
        try:
            step.assignee = address(step.assignee)
        except ValueError as reason:
            problems.add(step.id, f"assignee: {reason}")
    plain = step.kind.isascii() and all(c.islower() or c.isdigit() or c in "._-" for c in step.kind)
    if not plain or len(step.kind) > 64:
        problems.add(step.id, f"not a valid type: {step.kind!r}", "use a word of a-z 0-9 . _ -")
    from coord_flow.gates import problems_of

    for what, todo in problems_of(step.data, step.kind):
        problems.add(step.id, what, todo)


def _gates(steps: list[Step], weaving: Weaving) -> None:
    """Put the items of gates before steps, and those of retry and check behind them."""
    from coord_flow import gates

    for parent in [None, *every(steps)]:
        home = steps if parent is None else parent.children
        for step in list(home):
            before, behind = gates.before(step), gates.behind(step)
            if not before and not behind:
                continue
            at = home.index(step)
            if before:
                before.needs, before.follows = list(step.needs), list(step.follows)
                step.follows = [*step.follows, before.id]
                home.insert(at, before)
                at += 1
            if behind:
                behind.follows = [weaving.after.get(step.id, step.id)]
                weaving.after[step.id] = behind.id
                if behind.follows != [step.id]:
                    behind.follows = [step.id, *behind.follows]
                home.insert(at + 1, behind)


def _table(data: Json, name: str) -> Json:
    value = data.get(name)
    return value if isinstance(value, dict) else {}
