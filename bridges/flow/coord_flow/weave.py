"""How formulas are put together: extends, expansions, aspects, branches. Pure.

1. `extends`: the steps and variables of the others, in order; a step with an id that is there
   replaces it where it stands.
2. An expansion replaces a step by its template (`{target}`, `{target.title}`,
   `{target.description}`): named by the step (`expand`), by compose (`expand`: one step, `map`:
   all that a pattern names).
3. An aspect puts steps before and after each step that its advice names, in that order. What
   needed the step waits for the last of them.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import pairwise

from coord_flow import shape, values
from coord_flow.shape import advised
from coord_flow.steps import Step, Unfolding, description, every

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from coord_envelope.codec import Json
    from coord_flow.shape import Problems
    from coord_flow.steps import Size

    Read = Callable[[str], Json]
    """The formula of a name. Raises ValueError with the reason."""

DEEPEST = 20
"""How many formulas may extend, or expansions name, each other in a row."""
_TABLES = ("vars", "inputs", "compose", "prompts", "output", "presets")
_WORDS = ("else", "end")
"""Of Go's templates."""
_LISTS = ("advice", "pointcuts")


def extended(data: Json, read: Read, problems: Problems, above: tuple[str, ...] = ()) -> Json:
    """The formula with all that it extends."""
    names = data.get("extends", [])
    names = [names] if isinstance(names, str) else names
    name = str(data.get("formula", ""))
    whole: Json = {}
    for other in map(str, names if isinstance(names, list) else ()):
        if other == name or other in above or len(above) > DEEPEST:
            problems.add("extends", f"{other} extends itself")
            continue
        parent = found(other, "extends", read, problems)
        if parent is not None:
            whole = _merged(whole, extended(parent, read, problems, (*above, name)))
    return _merged(whole, data)


def found(name: str, where: str, read: Read, problems: Problems) -> Json | None:
    """Another formula by its name, checked; None, and a fault, if it cannot be read."""
    try:
        data = read(name)
    except ValueError as reason:
        problems.add(where, str(reason))
        return None
    inner = shape.Problems()
    data = shape.sound(data, inner)
    for step, what, todo in inner:
        problems.add(f"{name}: {step}".rstrip(": "), what, todo)
    return data


def _merged(old: Json, new: Json) -> Json:
    merged = {**old, **new}
    for key in _TABLES:
        tables = [each[key] for each in (old, new) if isinstance(each.get(key), dict)]
        if tables:
            merged[key] = tables[0] if len(tables) == 1 else _joined(*tables)
    for key in _LISTS:
        merged[key] = [*shape.tables(old, key), *shape.tables(new, key)]
    for key in ("steps", "template", "legs"):
        rows = {str(row.get("id", "")): row for row in shape.tables(old, key)}
        own = shape.tables(new, key)
        merged[key] = [*(rows | {str(row.get("id", "")): row for row in own}).values()]
        merged[key] = merged[key] if rows else own
    return {key: value for key, value in merged.items() if value != [] or key in new}


def _joined(old: Json, new: Json) -> Json:
    joined = {**old, **new}
    for key in old.keys() & new.keys():
        if isinstance(old[key], list) and isinstance(new[key], list):
            joined[key] = [*old[key], *(each for each in new[key] if each not in old[key])]
    return joined


class Weaving:
    """The steps of one formula, while others are woven into them."""

    def __init__(
        self, steps: list[Step], unfolding: Unfolding, size: Size, read: Read, problems: Problems
    ) -> None:
        self.steps, self._instead, self._size = steps, unfolding.instead, size
        self._read, self._problems = read, problems
        self.after: dict[str, str] = {}
        """Step → the step behind it that others wait for in its place."""

    def needs(self, step: Step) -> list[str]:
        """What a step waits for, each once."""
        found = dict.fromkeys(step.follows)
        for need in self._instead.needs(step):
            while need in self.after:
                need = self.after[need]
            found[need] = None
        return list(found)

    def expand(self, compose: Json) -> None:
        """Apply all expansions."""
        for depth in range(DEEPEST + 1):
            named = [step for step in every(self.steps) if step.data.get("expand")]
            if not named:
                break
            if depth == DEEPEST:
                self._problems.add(named[0].id, "expansions name each other")
                return
            for step in named:
                self._expand(step, step.data.pop("expand"), step.data.get("expand_vars", {}))
        expanded = set[str]()
        for rule in shape.tables(compose, "expand"):
            target = self._known(str(rule.get("target", "")), "compose.expand")
            if target and target.id not in expanded:
                expanded |= self._expand(target, str(rule.get("with", "")), rule.get("vars", {}))
        for rule in shape.tables(compose, "map"):
            pattern = str(rule.get("select", ""))
            matching = [step for step in every(self.steps) if matches(pattern, step.id)]
            if not matching:
                self._problems.add("compose.map", f"no step matches {pattern!r}")
            for step in matching:
                if step.id not in expanded:
                    expanded |= self._expand(step, str(rule.get("with", "")), rule.get("vars", {}))

    def _known(self, id_: str, where: str) -> Step | None:
        step = next((step for step in every(self.steps) if step.id == id_), None)
        if step is None:
            self._problems.add(where, f"no such step: {id_!r}")
        return step

    def _expand(self, target: Step, name: str, given: object) -> set[str]:
        """Replace a step; the ids of it and of what stands in for it."""
        data = found(name, target.id, self._read, self._problems)
        if data is None:
            return {target.id}
        template = shape.tables(data, "template")
        if data.get("type") != "expansion" or not template:
            self._problems.add(target.id, f"{name} is not an expansion")
            return {target.id}
        inner = shape.Problems()
        overrides = given if isinstance(given, dict) else {}
        declared = data.get("vars", {})
        bound = values.bound(
            declared, {key: values.written(value) for key, value in overrides.items()}, inner
        )
        for step, what, todo in inner:
            self._problems.add(target.id, f"{name}: {step} {what}", todo)
        unfolding = Unfolding(declared, bound, self._problems, self._size)
        unfolding.instead = self._instead
        rows = [_targeted(row, target, bound) for row in template]
        made = unfolding.steps(rows)
        self._replace(target, made)
        return {target.id, *(step.id for step in every(made))}

    def _replace(self, target: Step, steps: list[Step]) -> None:
        """Put some steps where one is."""
        last = self._instead.join(target.needs, steps)
        if all(step.id != target.id for step in every(steps)):
            self._instead.put(target.id, last)
        home = next((s.children for s in every(self.steps) if target in s.children), self.steps)
        at = home.index(target)
        home[at : at + 1] = steps

    def advise(self, rules: list[Json], pointcuts: list[Json]) -> None:
        """Put the steps of advice around those of the steps that are there now."""
        homes = [(self.steps, step) for step in self.steps]
        homes += [(parent.children, s) for parent in every(self.steps) for s in parent.children]
        for home, step in homes:
            matching = [rule for rule in rules if matches(str(rule.get("target", "")), step.id)]
            if not self._size.fits():
                return
            if matching and any(_cut(cut, step) for cut in pointcuts or [{}]):
                before = [_advised(row, step) for r in matching for row in advised(r, "before")]
                behind = [_advised(row, step) for r in matching for row in advised(r, "after")]
                for each in (*before, *behind):
                    self._size.more()
                    self._size.add(each.title, each.desc)
                at = home.index(step)
                home[at : at + 1] = [*before, step, *behind]
                self._chain(before, step, behind)

    def _chain(self, before: list[Step], step: Step, behind: list[Step]) -> None:
        """Make these follow one another, around a step."""
        first = (*before, step)[0]
        first.needs, first.follows = step.needs, step.follows
        for previous, each in pairwise((*before, step)):
            each.follows = [previous.id]
            each.needs = []
        last = self.after.get(step.id, step.id)
        for each in behind:
            each.follows, last = [last], each.id
        if behind:
            self.after[step.id] = last

    def branch(self, rules: list[Json]) -> None:
        """Let steps run beside each other between two others."""
        for rule in rules:
            join = self._known(str(rule.get("join", "")), "compose.branch")
            fork = self._known(str(rule.get("from", "")), "compose.branch")
            for name in shape.texts(rule, "steps"):
                step = self._known(name, "compose.branch")
                if step and fork and join:
                    step.needs.append(fork.id)
                    join.needs.append(step.id)

    def gate(self, rules: list[Json]) -> None:
        """Put a person before steps: conditions that only they can judge."""
        for rule in rules:
            step = self._known(str(rule.get("before", "")), "compose.gate")
            if step:
                text = str(rule.get("condition", ""))
                step.data["gate"] = {"type": "human", "text": f"{step.title}: {text}?"}


def matches(pattern: str, id_: str) -> bool:
    """Does a pattern with * name a step?"""
    return fnmatchcase(id_, pattern)


def _cut(cut: Json, step: Step) -> bool:
    glob, kind, label = cut.get("glob"), cut.get("type"), cut.get("label")
    return (
        (not glob or matches(str(glob), step.id))
        and (not kind or (step.kind or "task") == kind)
        and (not label or label in step.labels)
    )


def _advised(row: Json, target: Step) -> Step:
    here = {"step.id": target.id, "step.title": target.title, "step": target.id}
    id_ = values.replaced(str(row.get("id", "")), here)
    step = Step(id_, values.replaced(str(row.get("title") or id_), here))
    step.desc = description({"description": values.replaced(str(row.get("description", "")), here)})
    step.kind = str(row.get("type", ""))
    return step


def _targeted(row: Json, target: Step, bound: Mapping[str, str]) -> Json:
    here = {
        **bound,
        "target": target.id,
        "target.id": target.id,
        "target.title": target.title,
        "target.description": target.desc,
    }

    def filled(value: object) -> object:
        if isinstance(value, str):
            return values.replaced(value, here)
        if isinstance(value, dict):
            return {key: filled(each) for key, each in value.items()}
        if isinstance(value, list):
            return [filled(each) for each in value]
        return value

    result = filled(row)
    assert isinstance(result, dict)
    return result


def undeclared(steps: list[Step], known: Json) -> Iterator[tuple[str, str]]:
    """(step, name) of each `{{name}}` in the texts of steps that no variable declares."""
    for step in every(steps):
        for name in dict.fromkeys((*values.names(step.title), *values.names(step.desc))):
            if name not in known and name not in _WORDS:
                yield step.id, name
