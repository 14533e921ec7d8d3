"""What a formula may have: its tables, their keys, the type of each value. Pure.

A key that is not here is refused by name: a formula that says more than would be done is not done.
"""

from __future__ import annotations

import re
from copy import deepcopy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json

TEXT, NUMBER, FLAG, TEXTS, TABLE, TABLES, ANY = (
    "text",
    "number",
    "flag",
    "texts",
    "table",
    "tables",
    "",
)

TYPES = ("workflow", "convoy", "expansion", "aspect")
STEP = {
    **dict.fromkeys(("id", "title", "description", "description_file", "notes"), TEXT),
    **dict.fromkeys(("acceptance", "type", "assignee", "expand", "condition", "focus"), TEXT),
    **dict.fromkeys(("timeout", "waits_for"), TEXT),
    **dict.fromkeys(("labels", "tags", "needs", "depends_on"), TEXTS),
    **dict.fromkeys(("children",), TABLES),
    **dict.fromkeys(("gate", "loop", "retry", "check", "ralph", "metadata", "expand_vars"), TABLE),
    "priority": NUMBER,
}
FORMULA = {
    **dict.fromkeys(("formula", "description", "type", "phase", "contract", "source"), TEXT),
    **dict.fromkeys(("vars", "inputs", "compose", "prompts", "output", "presets"), TABLE),
    **dict.fromkeys(("synthesis", "squash", "requires"), TABLE),
    **dict.fromkeys(("steps", "template", "legs", "advice", "pointcuts", "aspects"), TABLES),
    **dict.fromkeys(("review_only", "pour"), FLAG),
    "extends": ANY,
    "version": NUMBER,
}
COMPOSE = {
    **dict.fromkeys(("expand", "map", "branch", "gate", "bond_points"), TABLES),
    "aspects": TEXTS,
}
TABLES_OF = {
    "gate": {
        **dict.fromkeys(("type", "id", "timeout", "every", "text", "to", "on_timeout"), TEXT),
        "options": TEXTS,
        "where": TABLE,
    },
    "loop": {"count": NUMBER, "range": TEXT, "var": TEXT, "body": TABLES},
    "retry": {"max_attempts": NUMBER, "on_exhausted": TEXT},
    "check": {"max_attempts": NUMBER, "check": TABLE},
    "check.check": {"mode": TEXT, "path": TEXT, "timeout": TEXT},
    "variable": {
        **dict.fromkeys(("description", "pattern", "type"), TEXT),
        "default": ANY,
        "required": FLAG,
        **dict.fromkeys(("enum", "required_unless"), TEXTS),
    },
    "synthesis": {key: kind for key, kind in STEP.items() if key != "children"},
    "squash": {"trigger": TEXT, "template_type": TEXT, "include_metrics": FLAG},
    "requires": {"formula_compiler": TEXT},
    "output": {"directory": TEXT, "leg_pattern": TEXT, "synthesis": TEXT},
    "preset": {"description": TEXT, "legs": TEXTS},
    "expand": {"target": TEXT, "with": TEXT, "vars": TABLE},
    "map": {"select": TEXT, "with": TEXT, "vars": TABLE},
    "branch": {"from": TEXT, "steps": TEXTS, "join": TEXT},
    "gate before": {"before": TEXT, "condition": TEXT},
    "advice": {"target": TEXT, "before": TABLE, "after": TABLE, "around": TABLE},
    "around": {"before": ANY, "after": ANY},
    "advised": {
        **dict.fromkeys(("id", "title", "description", "type"), TEXT),
        **dict.fromkeys(("args", "output"), TABLE),
    },
    "pointcut": {"glob": TEXT, "type": TEXT, "label": TEXT},
}
TODO = {
    "on_complete": "pour what it bonds with another `coord-flow cook`",
    "drain": "cook a formula for each member",
    "until": "use check: it repeats a step until a program exits 0",
    "max": "use check: it repeats a step until a program exits 0",
    "hooks": "name them under compose.aspects",
    "tally": "use a step that needs the others",
}
"""What to use in place of keys that other programs know."""
LONGEST_PATTERN = 1_000
MODES = ("exec",)
EXHAUSTED = ("hard_fail", "soft_fail")


class Problems:
    """The faults of a formula, each with its step. A fault is in it once."""

    def __init__(self, where: str = "") -> None:
        self.where = where
        self._all: dict[tuple[str, str, str], None] = {}

    def add(self, step: str, what: str, todo: str = "") -> None:
        """`step`: the id of a step or the name of a table; empty: the whole formula."""
        self._all[step, what, todo] = None

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._all)

    def __bool__(self) -> bool:
        return bool(self._all)


def sound(data: Json, problems: Problems) -> Json:
    """The formula without what has another type than it must; what is wrong is added."""
    data = deepcopy(data)
    check(data, problems)
    return data


def check(data: Json, problems: Problems) -> None:
    """Add what is wrong with the shape of a formula. Takes away values of a wrong type."""
    _keys(data, FORMULA, "", problems)
    kind = data.get("type", "workflow")
    if isinstance(kind, str) and kind not in TYPES:
        problems.add("", f"not a valid type: {kind!r}", f"use {', '.join(TYPES)}")
    name = data.get("formula")
    if not isinstance(name, str) or not name.strip():
        problems.add("", "formula is missing", 'give it a name: formula = "NAME"')
    for table in ("vars", "inputs"):
        for name, value in list(_table(data, table).items()):
            if isinstance(value, dict):
                _keys(value, TABLES_OF["variable"], f"{table}.{name}", problems)
                _pattern(value.get("pattern"), f"{table}.{name}", problems)
            elif not isinstance(value, (str, int, float)):
                problems.add(f"{table}.{name}", "is neither a text nor a table")
                del data[table][name]
    for table in ("synthesis", "squash", "requires", "output"):
        if table in data:
            _keys(_table(data, table), TABLES_OF[table], table, problems)
    for name, preset in _table(data, "presets").items():
        if isinstance(preset, dict):
            _keys(preset, TABLES_OF["preset"], f"presets.{name}", problems)
        else:
            problems.add(f"presets.{name}", "is not a table")
    for name in ("steps", "template", "legs"):
        steps(tables(data, name), name, problems)
    _compose(_table(data, "compose"), problems)
    _advice(data, problems)


def _pattern(text: object, name: str, problems: Problems) -> None:
    text = text if isinstance(text, str) else ""
    if len(text) > LONGEST_PATTERN:
        problems.add(name, f"pattern exceeds {LONGEST_PATTERN:,} characters")
        return
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as reason:
        problems.add(name, f"not a valid pattern: {reason}")


def steps(rows: list[Json], place: str, problems: Problems) -> None:
    """Add what is wrong with the shape of steps. `place`: the name of their table."""
    for number, step in enumerate(rows):
        given = step.get("id")
        name = given if isinstance(given, str) and given else f"{place}[{number}]"
        if name != given:
            problems.add(name, "id is missing")
        _keys(step, STEP, name, problems)
        if not step.get("title") and not step.get("expand") and not step.get("loop"):
            problems.add(name, "title is missing")
        level = step.get("priority", 2)
        if type(level) is int and not 0 <= level <= 4:
            problems.add(name, f"not a valid priority: {level}", "use 0 to 4")
        _tables(step, name, problems)
        steps(tables(step, "children"), f"{name}.children", problems)


def _tables(step: Json, name: str, problems: Problems) -> None:
    """The tables of one step."""
    for key in ("gate", "loop", "retry"):
        if isinstance(step.get(key), dict):
            _keys(step[key], TABLES_OF[key], f"{name}.{key}", problems)
    if "gate" in step and not _table(step, "gate").get("type"):
        problems.add(f"{name}.gate", "type is missing", "use human, timer, event or command")
    for key in ("metadata", "expand_vars"):
        for field, value in list(_table(step, key).items()):
            if not isinstance(value, (str, int, bool)):
                problems.add(f"{name}.{key}", f"{field} is not a text")
                del step[key][field]
    if "loop" in step:
        _loop(_table(step, "loop"), name, problems)
    _attempts(step, name, problems)
    if step.get("waits_for", "all-children") == "any-children":
        problems.add(name, "unsupported value of waits_for: any-children", "use all-children")


def _loop(loop: Json, name: str, problems: Problems) -> None:
    known = [key for key in ("count", "range") if key in loop]
    if not {"until", "max"} & loop.keys() and len(known) != 1:
        problems.add(f"{name}.loop", "needs one of count and range")
    if type(loop.get("count", 1)) is int and loop.get("count", 1) < 1:
        problems.add(f"{name}.loop", f"not a valid count: {loop['count']}", "use 1 or more")
    if not tables(loop, "body"):
        problems.add(f"{name}.loop", "body is missing")
    steps(tables(loop, "body"), f"{name}.loop.body", problems)


def _attempts(step: Json, name: str, problems: Problems) -> None:
    """Retry and check."""
    checks = [key for key in ("check", "ralph") if isinstance(step.get(key), dict)]
    if len(checks) + ("retry" in step) > 1:
        problems.add(name, "has both retry and check", "check repeats it, too: drop retry")
    for key in checks:
        check, inner = step[key], _table(step[key], "check")
        _keys(check, TABLES_OF["check"], f"{name}.{key}", problems)
        _keys(inner, TABLES_OF["check.check"], f"{name}.{key}.check", problems)
        if not inner.get("path"):
            problems.add(f"{name}.{key}.check", "path is missing", "name a program")
        if inner.get("mode", "exec") not in MODES:
            problems.add(f"{name}.{key}.check", f"unsupported mode: {inner['mode']!r}", "use exec")
    for key in (*checks, *(["retry"] if isinstance(step.get("retry"), dict) else [])):
        most = step[key].get("max_attempts", 1)
        if type(most) is not int or not 1 <= most <= 1_000:
            problems.add(f"{name}.{key}", f"not a valid max_attempts: {most!r}", "use 1 to 1000")
    how = _table(step, "retry").get("on_exhausted", "hard_fail")
    if how not in EXHAUSTED:
        what = f"not a valid on_exhausted: {how!r}"
        problems.add(f"{name}.retry", what, f"use {' or '.join(EXHAUSTED)}")


def _compose(compose: Json, problems: Problems) -> None:
    _keys(compose, COMPOSE, "compose", problems)
    for key, shape in (("expand", "expand"), ("map", "map"), ("branch", "branch")):
        for row in tables(compose, key):
            _keys(row, TABLES_OF[shape], f"compose.{key}", problems)
            for needed in [name for name in TABLES_OF[shape] if name not in ("vars",)]:
                if not row.get(needed):
                    problems.add(f"compose.{key}", f"{needed} is missing")
    for row in tables(compose, "gate"):
        _keys(row, TABLES_OF["gate before"], "compose.gate", problems)
        for needed in ("before", "condition"):
            if not row.get(needed):
                problems.add("compose.gate", f"{needed} is missing")


def _advice(data: Json, problems: Problems) -> None:
    for number, rule in enumerate(tables(data, "advice")):
        name = f"advice[{number}]"
        _keys(rule, TABLES_OF["advice"], name, problems)
        if not rule.get("target"):
            problems.add(name, "target is missing")
        _keys(_table(rule, "around"), TABLES_OF["around"], f"{name}.around", problems)
        for step in (step for how in ("before", "after") for step in advised(rule, how)):
            _keys(step, TABLES_OF["advised"], name, problems)
            if not step.get("id"):
                problems.add(name, "a step without an id")
    for number, cut in enumerate(tables(data, "pointcuts")):
        _keys(cut, TABLES_OF["pointcut"], f"pointcuts[{number}]", problems)


def advised(rule: Json, how: str) -> list[Json]:
    """The steps that a rule of advice puts `before` or `after` its target, in order."""
    found: list[Json] = []
    for given in (rule.get(how), _table(rule, "around").get(how)):
        rows = given if isinstance(given, list) else [given]
        found += [row for row in rows if isinstance(row, dict)]
    return found


def _keys(table: Json, known: dict[str, str], name: str, problems: Problems) -> None:
    for key, value in list(table.items()):
        if key not in known:
            valid = f"valid keys: {', '.join(known)}" if len(known) <= 8 else ""
            problems.add(name, f"unsupported key {key!r}", TODO.get(key, valid))
        elif not _is(value, known[key]):
            problems.add(name, f"{key} is not {_NAMED[known[key]]}")
            del table[key]


_NAMED = {
    TEXT: "a text",
    NUMBER: "a whole number",
    FLAG: "true or false",
    TEXTS: "a list of texts",
    TABLE: "a table",
    TABLES: "a list of tables",
}


def _is(value: object, kind: str) -> bool:
    if kind == TEXT:
        return isinstance(value, str)
    if kind == NUMBER:
        return type(value) is int
    if kind == FLAG:
        return isinstance(value, bool)
    if kind == TABLE:
        return isinstance(value, dict)
    if kind in (TEXTS, TABLES):
        each = str if kind == TEXTS else dict
        return isinstance(value, list) and all(isinstance(item, each) for item in value)
    return True


def _table(data: Json, name: str) -> Json:
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def tables(data: Json, name: str) -> list[Json]:
    """The tables of a list; those of its values that are tables."""
    value = data.get(name)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def texts(data: Json, *names: str) -> list[str]:
    """The texts of several lists, each once."""
    found: dict[str, None] = {}
    for name in names:
        value = data.get(name)
        found |= (
            dict.fromkeys(each for each in value if isinstance(each, str))
            if isinstance(value, list)
            else {}
        )
    return list(found)
