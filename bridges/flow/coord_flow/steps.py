"""Steps of a formula, and how conditions and loops become more or fewer of them. Pure.

1. A step whose condition does not hold is left out, with its parts. What needs it needs what it
   needed.
2. A loop becomes its body, once a round: `LOOP.iterN.STEP`. Rounds follow one another. The
   first waits for what the loop needs; what needs the loop waits for the last.
3. Where some steps stand in for another (`Graph.replace`), those of them that need no other of
   them inherit its needs, and what needs it needs those that no other of them needs.
"""

from __future__ import annotations

from coord_flow import shape, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from coord_envelope.codec import Json
    from coord_flow.shape import Problems

MOST_STEPS, MOST_TEXT = 20_000, 64 << 20
"""Steps of a formula, and characters of their texts."""
_TEXTS = ("title", "description", "notes", "acceptance", "assignee", "focus")


class Step:
    """A step as it will be an item. `kind` is that of the item; `data` the step's tables."""

    __slots__ = (
        *("assignee", "children", "data", "desc", "follows", "id"),
        *("kind", "labels", "needs", "title"),
    )

    def __init__(self, id_: str, title: str) -> None:
        self.id, self.title, self.desc, self.kind, self.assignee = id_, title, "", "task", ""
        self.needs: list[str] = []
        """Ids as they are written: other steps may stand in for them."""
        self.follows: list[str] = []
        """Ids of steps that it needs besides, whatever stands in for them."""
        self.labels: list[str] = []
        self.children: list[Step] = []
        self.data: Json = {}

    def all(self) -> Iterator[Step]:
        """It and its parts."""
        yield self
        for child in self.children:
            yield from child.all()


def every(steps: Iterable[Step]) -> Iterator[Step]:
    """The steps and their parts, each before its parts."""
    for step in steps:
        yield from step.all()


class Instead:
    """What stands in for an id that some step needs."""

    def __init__(self) -> None:
        self._instead: dict[str, list[str]] = {}

    def put(self, id_: str, others: Iterable[str]) -> None:
        self._instead[id_] = list(others)

    def needs(self, step: Step) -> list[str]:
        """What a step needs, each once."""
        found: dict[str, None] = {}
        for need in step.needs:
            found |= dict.fromkeys(self._of(need))
        return list(found)

    def _of(self, id_: str) -> list[str]:
        todo, found, seen = [id_], dict[str, None](), set[str]()
        while todo:
            name = todo.pop()
            if name not in self._instead:
                found[name] = None
            elif name not in seen:
                seen.add(name)
                todo += reversed(self._instead[name])
        return list(found)

    def join(self, before: list[str], steps: list[Step]) -> list[str]:
        """Make the first of some steps need these; the ids of the last of them."""
        home = {each.id: top.id for top in steps for each in top.all()}
        needed = set[str]()
        for top in steps:
            inner = {home[need] for need in self.needs(top) if need in home} - {top.id}
            if not inner:
                top.needs += before
            for each in top.all():
                tops = {home[need] for need in self.needs(each) if need in home}
                needed |= tops - {top.id}
        return [top.id for top in steps if top.id not in needed] or before


class Scope:
    """Where a step stands: the round of a loop, with its variable and the ids of its body."""

    def __init__(
        self,
        prefix: str = "",
        bound: Mapping[str, str] | None = None,
        ids: Iterable[str] = (),
        outer: Scope | None = None,
    ) -> None:
        self.prefix, self.ids, self.outer = prefix, set(ids), outer
        self.bound: dict[str, str] = {**(outer.bound if outer else {}), **(bound or {})}

    def id(self, name: str) -> str:
        """The full id of a step that is named here."""
        if name in self.ids:
            return self.prefix + name
        return self.outer.id(name) if self.outer else name


class Size:
    """How much a formula has become, with all that is woven into it."""

    def __init__(self) -> None:
        self.steps = self.text = 0

    def more(self) -> bool:
        """Count a step; is it within the bound?"""
        self.steps += 1
        return self.fits()

    def add(self, *texts: str) -> bool:
        """Count texts; are they within the bound?"""
        self.text += sum(map(len, texts))
        return self.fits()

    def fits(self) -> bool:
        return self.steps <= MOST_STEPS and self.text <= MOST_TEXT

    def report(self, problems: Problems) -> None:
        """Add a fault if it is more than allowed."""
        if self.steps > MOST_STEPS:
            problems.add("", f"has more than {MOST_STEPS:,} steps", "cook it in parts")
        elif self.text > MOST_TEXT:
            what = f"has more than {MOST_TEXT >> 20} MiB of text in its steps"
            problems.add("", what, "cook it in parts, or shorten the texts")


class Unfolding:
    """One formula's steps, made from its tables."""

    def __init__(
        self, known: Json, bound: Mapping[str, str], problems: Problems, size: Size
    ) -> None:
        """`known`: the declared variables; `bound`: the values of those that have one."""
        self._known, self._bound, self._problems = known, bound, problems
        self.instead, self._size = Instead(), size

    def steps(self, rows: list[Json], scope: Scope | None = None) -> list[Step]:
        """The steps of a list of tables."""
        scope = scope or Scope()
        made: list[Step] = []
        for row in rows:
            if not self._size.more():
                return made
            name = self._filled(scope.prefix + str(row.get("id", "")))
            if not self._included(row, scope, name):
                self._leave_out(row, scope)
            elif isinstance(row.get("loop"), dict):
                made += self._loop(row, scope, name)
            else:
                made.append(self._step(row, scope, name))
        return made

    def _included(self, row: Json, scope: Scope, name: str) -> bool:
        condition = row.get("condition")
        if not isinstance(condition, str) or not condition.strip():
            return True
        try:
            return values.holds(condition, {**self._bound, **scope.bound}, self._known)
        except ValueError as reason:
            self._problems.add(name, f"condition: {reason}")
            return True

    def _leave_out(self, row: Json, scope: Scope) -> None:
        needs = self._needs(row, scope)
        for id_ in ids([row]):
            self.instead.put(self._filled(scope.prefix + id_), needs)

    def _filled(self, text: str) -> str:
        return values.filled(text, self._bound)

    def _needs(self, row: Json, scope: Scope) -> list[str]:
        needs = [scope.id(values.replaced(need, scope.bound)) for need in _needs(row)]
        needs = [self._filled(need) for need in needs]
        spawner = row.get("waits_for", "")
        if isinstance(spawner, str) and spawner.startswith("children-of("):
            needs.append(scope.id(spawner[len("children-of(") :].rstrip(")")))
        return needs

    def _loop(self, row: Json, scope: Scope, name: str) -> list[Step]:
        loop, body = row["loop"], shape.tables(row["loop"], "body")
        before, made, var = self._needs(row, scope), list[Step](), loop.get("var")
        try:
            numbers = self._rounds(loop, scope)
        except ValueError as reason:
            self._problems.add(name, f"loop: {reason}")
            return []
        for number, value in enumerate(numbers, 1):
            bound = {var: str(value)} if isinstance(var, str) and var else {}
            inner = Scope(f"{name}.iter{number}.", bound, ids(body), scope)
            round_ = self.steps(body, inner)
            before = self.instead.join(before, round_)
            made += round_
            if not self._size.fits():
                break
        self.instead.put(name, before)
        return made

    def _rounds(self, loop: Json, scope: Scope) -> range:
        if isinstance(loop.get("range"), str):
            return values.rounds(loop["range"], {**self._bound, **scope.bound})
        count = loop.get("count")
        if type(count) is not int or not 1 <= count <= values.MOST_ROUNDS:
            raise ValueError(f"not a valid count: {count!r}")
        return range(1, count + 1)

    def _step(self, row: Json, scope: Scope, name: str) -> Step:
        filled = {key: values.replaced(_text(row, key), scope.bound) for key in _TEXTS}
        self._size.add(*filled.values())
        step = Step(values.replaced(name, scope.bound), filled["title"])
        step.desc = description(filled)
        step.kind, step.assignee = _text(row, "type"), filled["assignee"]
        step.needs = self._needs(row, scope)
        step.labels = [values.replaced(label, scope.bound) for label in _labels(row)]
        tables = ("gate", "retry", "check", "ralph", "metadata", "expand_vars")
        step.data = {key: row[key] for key in tables if isinstance(row.get(key), dict)}
        step.data |= {key: row[key] for key in ("priority", "timeout", "expand") if key in row}
        if scope.bound:
            step.data = _replaced(step.data, scope.bound)
        step.children = self.steps(shape.tables(row, "children"), scope)
        return step


def ids(rows: list[Json]) -> Iterator[str]:
    """The ids of some steps and of their parts; not of the bodies of loops."""
    for row in rows:
        yield str(row.get("id", ""))
        yield from ids(shape.tables(row, "children"))


def description(filled: Mapping[str, str]) -> str:
    """A step's description, with its focus before it and notes and acceptance behind it."""
    parts = (
        f"Focus: {filled['focus']}" if filled.get("focus") else "",
        filled.get("description", "").strip(),
        filled.get("notes", "").strip(),
        f"Acceptance: {filled['acceptance'].strip()}" if filled.get("acceptance") else "",
    )
    return "\n\n".join(filter(None, parts))


def _replaced(value: object, bound: Mapping[str, str]) -> Json:
    """Tables with the values of a loop's variables."""
    if isinstance(value, str):
        return values.replaced(value, bound)  # type: ignore[return-value]
    if isinstance(value, dict):
        return {key: _replaced(each, bound) for key, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, bound) for each in value]  # type: ignore[return-value]
    return value  # type: ignore[return-value]


def _text(row: Json, key: str) -> str:
    value = row.get(key, "")
    return value if isinstance(value, str) else ""


def _needs(row: Json) -> list[str]:
    return shape.texts(row, "needs", "depends_on")


def _labels(row: Json) -> list[str]:
    return shape.texts(row, "labels", "tags")
