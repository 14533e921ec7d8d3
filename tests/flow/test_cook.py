"""What a formula is cooked into: a vector for each thing that a step may have, and for each fault."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import DATA, Json

from coord_envelope import BadData, ids, world
from coord_envelope import event as envelope
from coord_flow import cook as cooking
from coord_flow import draw
from coord_flow.operations import operations
from coord_flow.shape import Problems
from coord_flow.source import Source
from coord_wk.items import Items

HEAD = 'formula = "f"\nversion = 1\n'


def reader(others: dict[str, str]) -> Callable[[str], Json]:
    def read(name: str) -> Json:
        if name not in others:
            raise ValueError(f"no formula {name!r}")
        return tomllib.loads(others[name])

    return read


def faults(text: str, others: dict[str, str] | None = None, **given: str) -> list[str]:
    problems = Problems()
    cooking.cooked(tomllib.loads(text), cooking.Order(given), reader(others or {}), problems)
    return [": ".join(filter(None, fault[:2])) for fault in problems]


def cook(text: str, others: dict[str, str] | None = None, **given: str) -> dict[str, Json]:
    """The operations by the id of their step; the root's is empty."""
    order, problems = cooking.Order(given), Problems()
    made = cooking.cooked(tomllib.loads(text), order, reader(others or {}), problems)
    assert list(problems) == []
    return {operation["as"][1:]: operation for operation in operations(made, order)}


def graph(text: str, others: dict[str, str] | None = None, **given: str) -> dict[str, list[str]]:
    """Step → what it needs."""
    made = cook(text, others, **given)
    return {
        step: sorted(dep["to"][1:] for dep in operation.get("deps", ()))
        for step, operation in made.items()
        if step
    }


def steps(*lines: str) -> str:
    """Steps `id < need need`, each with its id for a title."""
    text = HEAD
    for line in lines:
        name, _, needs = line.partition(" <")
        text += f'[[steps]]\nid = "{name}"\ntitle = "{name}"\nneeds = {needs.split()!r}\n'
    return text


def test_a_formula_is_a_root_and_an_item_for_each_step() -> None:
    text = """
formula = "release"
description = "Ship {{version}}."
version = 3
[vars.version]
required = true
[vars]
channel = "stable"
[[steps]]
id = "tag"
title = "Tag {{version}}"
description = "git tag v{{ version }} on {{branch}}"
acceptance = "the tag is there"
priority = 1
labels = ["git"]
assignee = "ada"
[[steps]]
id = "publish"
title = "Publish to {{channel}}"
needs = ["tag"]
type = "chore"
"""
    made = cook(text, version="1.2")
    root, tag, publish = made.values()
    assert (root["title"], root["kind"], root["labels"]) == ("release", "molecule", ["mol"])
    assert root["fields"] == {
        "formula": "release",
        "version": 3,
        "var.version": "1.2",
        "var.channel": "stable",
    }
    assert root["desc"] == "Ship 1.2."
    assert tag["title"] == "Tag 1.2"
    assert tag["desc"] == "git tag v1.2 on {{branch}}\n\nAcceptance: the tag is there"
    assert (tag["priority"], tag["labels"], tag["assignee"]) == (1, ["git"], "agent:ada")
    assert (publish["title"], publish["kind"], publish["parent"]) == (
        *("Publish to stable", "chore", "$"),
    )
    assert publish["deps"] == [{"rel": "blocked_by", "to": "$tag"}]
    assert len({operation["idempotency_key"] for operation in made.values()}) == 3


def test_the_same_pour_has_the_same_keys_and_another_has_others() -> None:
    text = f'{HEAD}[vars]\nx = "1"\n[[steps]]\nid = "a"\ntitle = "A {{{{x}}}}"\n'

    def keys(order: cooking.Order) -> list[str]:
        made = cooking.cooked(tomllib.loads(text), order, reader({}), Problems())
        return [operation["idempotency_key"] for operation in operations(made, order)]

    assert keys(cooking.Order()) == keys(cooking.Order({"x": "1"}))
    assert not set(keys(cooking.Order())) & set(keys(cooking.Order({"x": "2"})))
    assert keys(cooking.Order({}, "k")) == ["cook:k:", "cook:k:a"]
    long = keys(cooking.Order({}, "k" * 300))
    assert all(len(key) <= 256 for key in long)
    assert len(set(long)) == 2


CONDITIONS = {
    "{{x}}": "yes 1 on anything",
    "!{{x}}": "no false off 0 OFF",
    "{{x}} == staging": "staging",
    "{{x}} == 'a b'": "a b",
    '{{x}} != "prod"': "dev",
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_decides_whether_a_step_is_there(condition: str) -> None:
    text = f"""{HEAD}[vars.x]\ndefault = ""
[[steps]]\nid = "a"\ntitle = "A"
[[steps]]\nid = "b"\ntitle = "B"\nneeds = ["a"]\ncondition = {condition!r}
[[steps.children]]\nid = "part"\ntitle = "P"
[[steps]]\nid = "c"\ntitle = "C"\nneeds = ["b"]
[[steps]]\nid = "d"\ntitle = "D"\nneeds = ["part"]
"""
    wanted = CONDITIONS[condition]
    for value in [wanted] if "==" in condition else wanted.split():
        assert graph(text, x=value)["b"] == ["a"]
    other = {"{{x}}": "no", "!{{x}}": "yes", '{{x}} != "prod"': "prod"}.get(condition, "other")
    # What needed the step that is left out needs what that one needed.
    assert graph(text, x=other) == {"a": [], "c": ["a"], "d": ["a"]}


def test_a_loop_by_count_does_its_rounds_one_after_the_other() -> None:
    text = f"""{steps("first")}
[[steps]]
id = "again"
title = "Again"
needs = ["first"]
[steps.loop]
count = 2
var = "i"
[[steps.loop.body]]
id = "x"
title = "X {{i}}"
[[steps.loop.body]]
id = "y"
title = "Y"
[[steps.loop.body]]
id = "z"
title = "Z"
needs = ["x", "first"]
[[steps]]
id = "last"
title = "Last"
needs = ["again"]
"""
    assert graph(text) == {
        "first": [],
        "again.iter1.x": ["first"],
        "again.iter1.y": ["first"],
        "again.iter1.z": ["again.iter1.x", "first"],
        "again.iter2.x": ["again.iter1.y", "again.iter1.z"],
        "again.iter2.y": ["again.iter1.y", "again.iter1.z"],
        "again.iter2.z": ["again.iter2.x", "first"],
        "last": ["again.iter2.y", "again.iter2.z"],
    }
    assert cook(text)["again.iter2.x"]["title"] == "X 2"


def test_loops_by_range_nest_and_count_with_variables() -> None:
    text = f"""{HEAD}[vars]\nn = "2"
[[steps]]
id = "o"
title = "o"
[steps.loop]
range = "1..2^{{n}}-2"
var = "i"
[[steps.loop.body]]
id = "p"
title = "p"
[steps.loop.body.loop]
range = "{{i}}..{{i}}+1"
var = "j"
[[steps.loop.body.loop.body]]
id = "q"
title = "{{i}}/{{j}}"
"""
    made = cook(text)
    titles = [operation["title"] for step, operation in made.items() if step]
    assert titles == ["1/1", "1/2", "2/2", "2/3"]
    chain = graph(text)
    assert list(chain.values()) == [[], *([step] for step in list(chain)[:-1])]


def _step(name: str, table: str = "steps") -> str:
    return f'[[{table}]]\nid = "{name}"\ntitle = "{name}"\n'


def test_parts_wait_below_their_step_and_it_is_done_after_them() -> None:
    parts = _step("one", "steps.children") + _step("two", "steps.children") + 'needs = ["one"]\n'
    steps = f'{_step("all")}type = "parallel"\n{parts}{_step("end")}needs = ["all"]\n'
    made = cook(HEAD + steps)
    assert made["all"]["kind"] == "epic"
    assert [made[part]["parent"] for part in ("one", "two")] == ["$all", "$all"]
    assert list(made) == ["", "all", "one", "two", "end"]


GATES = {
    'type = "human"\nto = "human:eve"\noptions = ["ship", "no"]': {
        "gate": "human",
        "gate.to": "human:eve",
        "gate.options": "ship\nno",
    },
    'type = "timer"\ntimeout = "1h30m"': {"gate": "timer", "gate.timeout": "1h30m"},
    'type = "event"\nid = "ci.passed"\nwhere = { branch = "{{b}}" }': {
        "gate": "event",
        "gate.id": "ci.passed",
        "gate.where.branch": "main",
    },
    'type = "command"\nid = "green"\nevery = "5m"': {
        "gate": "command",
        "gate.id": "green",
        "gate.every": "5m",
    },
    'type = "gh:run"\nid = "release.yml"\ntimeout = "30m"': {
        "gate": "gh:run",
        "gate.id": "release.yml",
        "gate.timeout": "30m",
    },
}


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_is_an_item_before_its_step(gate: str) -> None:
    text = f'{steps("a", "b <a")}[steps.gate]\n{gate}\n[vars]\nb = "main"\n'
    made, needs = cook(text), graph(text)
    assert needs == {"a": [], "b.gate": ["a"], "b": ["a", "b.gate"]}
    assert made["b.gate"]["kind"] == "gate"
    assert made["b.gate"]["fields"] == {"step": "b.gate", **GATES[gate]}


def test_a_step_of_type_human_is_a_question_itself() -> None:
    made = cook(f'{steps("a")}[[steps]]\nid = "b"\ntitle = "Is it good?"\ntype = "human"\n')
    assert made["b"]["kind"] == "gate"
    assert made["b"]["fields"] == {"step": "b", "gate": "human"}


def test_what_repeats_a_step_stands_behind_it() -> None:
    """Others wait for it in the place of the step."""
    text = """
formula = "f"
version = 1
[[steps]]
id = "fetch"
title = "Fetch"
[steps.retry]
max_attempts = 3
on_exhausted = "soft_fail"
[[steps]]
id = "build"
title = "Build"
needs = ["fetch"]
timeout = "10m"
[steps.check]
max_attempts = 2
[steps.check.check]
mode = "exec"
path = "scripts/verify.sh"
timeout = "2m"
[[steps]]
id = "ship"
title = "Ship"
needs = ["build", "fetch"]
"""
    assert graph(text) == {
        "fetch": [],
        "fetch.retry": ["fetch"],
        "build": ["fetch.retry"],
        "build.check": ["build"],
        "ship": ["build.check", "fetch.retry"],
    }
    made = cook(text)
    assert made["fetch.retry"]["fields"] == {
        "step": "fetch.retry",
        "gate": "retry",
        "gate.of": "fetch",
        "gate.most": 3,
        "gate.on_exhausted": "soft_fail",
    }
    assert made["build.check"]["fields"] == {
        "step": "build.check",
        "gate": "check",
        "gate.of": "build",
        "gate.most": 2,
        "gate.id": "scripts/verify.sh",
        "gate.limit": "2m",
    }
    assert made["build"]["fields"] == {"step": "build", "timeout": "10m"}


EXPANSION = """
formula = "twice"
type = "expansion"
version = 1
[vars.what]
default = "draft"
[[template]]
id = "{target}.a"
title = "{{what}} of {target.title}"
description = "{target.description}"
[[template]]
id = "{target}.b"
title = "again"
[[template]]
id = "{target}.c"
title = "end"
needs = ["{target}.a"]
"""


def test_an_expansion_replaces_a_step() -> None:
    """What comes first of it needs what the step needed; all that ends it is needed in its place."""
    text = steps("x", "y <x", "z <y") + '[[compose.expand]]\ntarget = "y"\nwith = "twice"\n'
    assert graph(text, {"twice": EXPANSION}) == {
        "x": [],
        "y.a": ["x"],
        "y.b": ["x"],
        "y.c": ["y.a"],
        "z": ["y.b", "y.c"],
    }
    named = steps("x", "y <x", "z <y").replace('id = "y"', 'id = "y"\nexpand = "twice"')
    assert graph(named, {"twice": EXPANSION})["z"] == ["y.b", "y.c"]
    with_vars = text + "[compose.expand.vars]\nwhat = 'plan'\n"
    assert cook(with_vars, {"twice": EXPANSION})["y.a"]["title"] == "plan of y"


def test_a_map_replaces_all_that_a_pattern_names() -> None:
    text = steps("w.do", "v.do <w.do", "z <v.do")
    text += '[[compose.map]]\nselect = "*.do"\nwith = "twice"\n'
    found = graph(text, {"twice": EXPANSION})
    assert found["v.do.a"] == ["w.do.b", "w.do.c"]
    assert "w.do" not in found


ASPECT = """
formula = "audit"
type = "aspect"
version = 1
[[pointcuts]]
glob = "im*"
[[advice]]
target = "*"
[advice.around]
[[advice.around.before]]
id = "{step.id}-before"
title = "Before {step.title}"
[[advice.around.after]]
id = "{step.id}-after"
[[advice]]
target = "implement"
[advice.after]
id = "{step.id}-scan"
"""


def test_an_aspect_stands_around_the_steps_that_it_names() -> None:
    text = steps("design", "implement <design", "ship <implement")
    text += '[compose]\naspects = ["audit"]\n'
    assert graph(text, {"audit": ASPECT}) == {
        "design": [],
        "implement-before": ["design"],
        "implement": ["implement-before"],
        "implement-after": ["implement"],
        "implement-scan": ["implement-after"],
        "ship": ["implement-scan"],
    }


def test_an_aspect_and_a_check_of_one_step() -> None:
    text = steps("implement", "ship <implement") + '[compose]\naspects = ["audit"]\n'
    check = "[steps.check]\nmax_attempts = 2\n[steps.check.check]\npath = 'x'\n"
    text = text.replace("needs = []\n", f"needs = []\n{check}", 1)
    found = graph(text, {"audit": ASPECT})
    assert found["implement.check"] == ["implement", "implement-scan"]
    assert found["ship"] == ["implement.check"]


def test_a_formula_extends_others() -> None:
    parent = steps("a", "b <a").replace('"f"', '"p"') + '[vars]\nx = "1"\n'
    child = 'formula = "c"\nversion = 1\nextends = ["p"]\n'
    child += (
        '[[steps]]\nid = "b"\ntitle = "B {{x}}"\n[[steps]]\nid = "d"\ntitle = "d"\nneeds = ["b"]\n'
    )
    made = cook(child, {"p": parent})
    assert list(made) == ["", "a", "b", "d"]
    assert made["b"]["title"] == "B 1"
    assert made[""]["title"] == "c"


def test_a_branch_and_a_gate_of_compose() -> None:
    text = steps("a", "x", "y", "end")
    text += '[[compose.branch]]\nfrom = "a"\nsteps = ["x", "y"]\njoin = "end"\n'
    text += '[[compose.gate]]\nbefore = "end"\ncondition = "tests.status == \'complete\'"\n'
    found = graph(text)
    assert found["x"] == found["y"] == ["a"]
    assert found["end"] == ["end.gate", "x", "y"]


CONVOY = """
formula = "review"
type = "convoy"
version = 1
[inputs.pr]
type = "number"
required_unless = ["branch"]
[inputs.branch]
required_unless = ["pr"]
[prompts]
base = "You review {{.leg.focus}}"
[output]
directory = "out"
[[legs]]
id = "one"
title = "One"
focus = "bugs"
description = "Look."
[[legs]]
id = "two"
title = "Two"
[presets.light]
legs = ["two"]
[synthesis]
title = "Together"
depends_on = ["one", "two"]
"""


def test_a_convoy_has_legs_and_a_synthesis_of_them() -> None:
    made = cook(CONVOY, branch="x")
    assert (made[""]["kind"], made[""]["labels"]) == ("epic", ["mol", "convoy"])
    assert made["one"]["desc"] == "Focus: bugs\n\nLook."
    assert graph(CONVOY, pr="7") == {"one": [], "two": [], "synthesis": ["one", "two"]}
    assert faults(CONVOY) == ["inputs: is unbound, and one of them is required"]
    order = cooking.Order({"pr": "7"})
    order.preset = "light"
    light = cooking.cooked(tomllib.loads(CONVOY), order, reader({}), Problems())
    assert light.needs == {"two": [], "synthesis": ["two"]}


BAD = {
    "unknown need": (steps("a <b"), "a: needs unknown step 'b'"),
    "cycle": (steps("a <c", "b <a", "c <b"), "a: cycle: a needs c needs b needs a"),
    "of itself": (steps("a <a"), "a: cycle: a needs a"),
    "need of a part": (
        steps("a") + '[[steps.children]]\nid = "p"\ntitle = "p"\nneeds = ["a"]\n',
        "a: cycle: a needs p needs a",
    ),
    "two of an id": (steps("a", "a"), "a: two steps have this id"),
    "no title": (f'{HEAD}[[steps]]\nid = "a"\n', "a: title is missing"),
    "no id": (f'{HEAD}[[steps]]\ntitle = "a"\n', "steps[0]: id is missing"),
    "no steps": (HEAD, "has no steps"),
    "no name": ('[[steps]]\nid = "a"\ntitle = "a"\n', "formula is missing"),
    "key": (steps("a") + "colour = 'red'\n", "a: unsupported key 'colour'"),
    "bond": (steps("a") + "[steps.on_complete]\n", "a: unsupported key 'on_complete'"),
    "until": (
        steps("a") + '[steps.loop]\nuntil = "x"\nmax = 3\nbody = []\n',
        "a.loop: unsupported key 'until'",
    ),
    "top": (f"hooks = 1\n{steps('a')}", "unsupported key 'hooks'"),
    "type of value": (steps("a") + "labels = 'x'\n", "a: labels is not a list of texts"),
    "priority": (steps("a") + "priority = 7\n", "a: not a valid priority: 7"),
    "variable": (
        f'{steps("a")}condition = "{{{{y}}}}"\n',
        "a: condition: unbound variable 'y'",
    ),
    "condition": (steps("a") + 'condition = "maybe"\n', "a: condition: not a condition: 'maybe'"),
    "assignee": (steps("a") + 'assignee = "{{who}}"\n', "a: unbound variable 'who'"),
    "range": (
        steps("a") + '[steps.loop]\nrange = "1..{n}"\n[[steps.loop.body]]\nid="b"\ntitle="b"\n',
        "a: loop: unbound variable 'n'",
    ),
    "long": (
        steps("a").replace('"a"\nneeds', f'"{"x" * 201}"\nneeds'),
        "a: title exceeds 200 bytes: 201",
    ),
    "both": (
        steps("a")
        + "retry = {max_attempts = 2}\ncheck = {max_attempts = 2, check = {path = 'x'}}\n",
        "a: has both retry and check",
    ),
    "timer": (steps("a") + "gate = {type = 'timer'}\n", "a: gate: a timer without timeout"),
    "whom": (
        steps("a") + "gate = {type = 'human', to = 'No One'}\n",
        "a: gate: not the address of an agent or a person: 'No One'",
    ),
    "span": (steps("a") + "timeout = 'soon'\n", "a: timeout: not a valid time: 'soon'"),
    "expansion": (EXPANSION, "is an expansion: it has no steps of its own"),
    "aspect": (ASPECT, "is an aspect: it has no steps of its own"),
    "required": (steps("a") + "[vars.v]\nrequired = true\n", "vars.v: is unbound, and required"),
    "missing one": (
        steps("a") + '[compose]\naspects = ["nowhere"]\n',
        "compose.aspects: no formula 'nowhere'",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_each_fault_is_named_with_its_step(what: str) -> None:
    text, fault = BAD[what]
    assert fault in faults(text)


def test_all_faults_are_named_at_once() -> None:
    text = steps("a <nowhere", "a", "b <c", "c <b") + "priority = 9\n"
    assert len(faults(text)) == 4


def test_values_are_checked() -> None:
    text = steps("a") + "[vars.v]\nenum = ['x', 'y']\n[vars.n]\ntype = 'int'\n"
    text += "[vars.s]\npattern = '^v[0-9]+$'\n"
    assert faults(text, v="z", n="many", s="1", other="1") == [
        "--var other: is not a variable of the formula",
        "--var v: not a valid value: 'z'",
        "--var n: not a number: 'many'",
        "--var s: '1' does not match ^v[0-9]+$",
    ]
    assert faults(text, v="x", n="3", s="v12") == []
    slow = steps("a") + "[vars.v]\npattern = '^(a+)+$'\n"
    (fault,) = faults(slow, v="a" * 40 + "!")
    assert "takes more than 2 s of CPU time" in fault
    for pattern in ("a{99999999999999}", "(", "a" * 1_001):
        assert any("pattern" in f for f in faults(slow.replace("^(a+)+$", pattern), v="a"))


def test_a_default_may_name_what_is_given() -> None:
    text = f'{steps("a")}description = "{{{{z}}}}"\n[vars]\nx = "1"\nz = "{{{{x}}}} {{{{y}}}}"\n[vars.y]\n'
    assert cook(text, y="2")["a"]["desc"] == "{{x}} 2"


def test_a_value_is_not_looked_at_again() -> None:
    text = f'{steps("a")}description = "{{{{x}}}} {{{{y}}}}"\n[vars.x]\n[vars.y]\ndefault = "why"\n'
    assert cook(text, x="{{y}}")["a"]["desc"] == "{{y}} why"


HUGE = ("2^9999999", "9^9^9^9", "1" * 150, "(" * 150, "1..2", "x", "1/0", "__import__('os')")


@pytest.mark.parametrize("end", HUGE)
def test_no_range_costs_more_than_it_may(end: str) -> None:
    body = '[[steps.loop.body]]\nid = "b"\ntitle = "b"\n'
    (fault,) = faults(f'{steps("a")}[steps.loop]\nrange = "1..{end}"\n{body}')
    assert fault.startswith("a: loop: ")


def test_loops_in_loops_end_at_a_bound() -> None:
    body = '[[steps.loop.body]]\nid = "b"\ntitle = "b"\n[steps.loop.body.loop]\ncount = 1000\n'
    body += '[[steps.loop.body.loop.body]]\nid = "c"\ntitle = "c"\n'
    text = f"{steps('a')}[steps.loop]\ncount = 1000\n{body}"
    assert faults(text) == ["has more than 20,000 steps"]


def test_what_is_printed_has_a_bound() -> None:
    body = f'[[steps.loop.body]]\nid = "b"\ntitle = "b"\ndescription = "{"x" * 200_000}%s"\n'
    text = f"{steps('a')}[steps.loop]\ncount = 5000\nvar = 'i'\n{body}"
    assert (
        faults(text % "") == faults(text % "{i}") == ["has more than 64 MiB of text in its steps"]
    )
    woven = steps(*(f"s{n}" for n in range(400))) + "[[advice]]\ntarget = 's*'\n"
    woven += f'[advice.before]\nid = "{{step.id}}-b"\ndescription = "{"x" * 200_000}"\n'
    assert "has more than 64 MiB of text in its steps" in faults(woven)
    map_ = f"{steps(*(f's{n}' for n in range(400)))}[[compose.map]]\nselect = 's*'\nwith = 'e'\n"
    each = f"[[template]]\nid = '{{target}}.x'\ntitle = 'x'\ndescription = '{'x' * 200_000}'\n"
    other = {"e": f"formula = 'e'\ntype = 'expansion'\n{each}"}
    assert "has more than 64 MiB of text in its steps" in faults(map_, other)
    many = f'{steps("a")}description = "{"{{v}}" * 10_000}"\n[vars.v]\n'
    with pytest.raises(BadData, match="exceeds 1,048,576 characters"):
        faults(many, v="x" * 10_000)


JUNK: list[Any] = [
    None,
    0,
    -1,
    True,
    "",
    "x",
    "{{x}}",
    [],
    [1],
    [{}],
    {},
    {"x": 1},
    1.5,
    "\x1b[31m\n",
]


def mutated(value: Any, chance: random.Random) -> Any:
    """The same with some junk in it."""
    if chance.random() < 0.04:
        return chance.choice(JUNK)
    if isinstance(value, dict):
        return {key: mutated(each, chance) for key, each in value.items()}
    if isinstance(value, list):
        return [mutated(each, chance) for each in value]
    return value


@pytest.mark.parametrize("seed", range(200))
def test_whatever_a_file_says_is_cooked_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    whole = steps("a", "b <a") + '[[compose.map]]\nselect = "b"\nwith = "twice"\n'
    text = chance.choice((whole, CONVOY, random_formula(chance), ASPECT, EXPANSION))
    data = {key: mutated(value, chance) for key, value in tomllib.loads(text).items()}
    others = {"twice": EXPANSION, "audit": ASPECT}
    problems, order = Problems(), cooking.Order()
    made = cooking.cooked(data, order, reader(others), problems)
    if not problems:
        assert list(operations(made, order))
    cooking.checked(data, reader(others), Problems())


# ---- the order in which items are ready, against an oracle


class Board:
    """The items that operations make, in memory."""

    def __init__(self, made: list[Json]) -> None:
        self.events: list[envelope.Event] = []
        self.stamp, self.names = 0, {"$": ""}
        for operation in made:
            body: Json = {"title": operation["title"], "kind": operation["kind"]}
            if "parent" in operation:
                body["parent"] = self.names[operation["parent"]]
            deps = operation.get("deps", [])
            body["deps"] = [{"rel": dep["rel"], "to": self.names[dep["to"]]} for dep in deps]
            created = self._add("work.created", envelope.SELF, body)
            self.names[operation["as"]] = created
        self.ids = {item: name[1:] for name, item in self.names.items()}

    def _add(self, kind: str, item: Any, body: Json) -> str:
        self.stamp = ids.tick(self.stamp, world.parse_ts("2026-06-01T09:00:00Z"))
        event_id = ids.mint(self.stamp, b"\0" * 8)
        fields = {"type": kind, "refs": {"work_id": item}, "body": body}
        made = envelope.filled(fields, event_id)
        head = ("acme", "agent.boss~3f9k2m8q", len(self.events) + 1)
        built = envelope.build(made, event_id, 0, head, {"agent_id": "agent:boss"})
        self.events.append(built)
        return event_id

    def ready(self) -> set[str]:
        items = Items.at(self.events, "2026-06-01T10:00:00Z")
        return {self.ids[item] for item in items.ranked("open") if items.status(item) == "ready"}

    def close(self, name: str) -> None:
        self._add("work.closed", self.names[f"${name}"], {"resolution": "done"})


def oracle(needs: dict[str, list[str]], parent: dict[str, str], done: set[str]) -> set[str]:
    """The steps whose needs, parts and ancestors' needs are done."""
    found = set[str]()
    for step in needs.keys() - done:
        waits = [child for child, above in parent.items() if above == step]
        at: str | None = step
        while at:
            waits += needs[at]
            at = parent.get(at)
        if all(each in done for each in waits):
            found.add(step)
    return found


def play(made: list[Json], chance: random.Random) -> int:
    """Close what is ready, some at a time, until all is; the rounds that it took."""
    board = Board(made)
    needs = {op["as"][1:]: [d["to"][1:] for d in op.get("deps", ())] for op in made[1:]}
    parent = {op["as"][1:]: op["parent"][1:] for op in made[1:] if op["parent"] != "$"}
    done, rounds = set[str](), 0
    while len(done) < len(needs):
        ready = board.ready()
        assert ready == oracle(needs, parent, done)
        assert ready, "nothing is ready, and not all is done"
        for step in chance.sample(sorted(ready), k=chance.randint(1, len(ready))):
            board.close(step)
            done.add(step)
        rounds += 1
    assert board.ready() == {""}
    return rounds


def random_formula(chance: random.Random) -> str:
    """Steps with needs, parts, loops, conditions, gates and checks."""
    lines = [HEAD, '[vars]\nyes = "1"\nno = "0"\n']
    names: list[str] = []
    for number in range(chance.randint(3, 14)):
        name = f"s{number}"
        needs = chance.sample(names, k=min(len(names), chance.choice((0, 1, 1, 2))))
        lines.append(f'[[steps]]\nid = "{name}"\ntitle = "{name}"\nneeds = {needs!r}\n')
        if chance.random() < 0.2:
            lines.append(f'condition = "{chance.choice(("{{yes}}", "{{no}}", "!{{no}}"))}"\n')
        what = chance.random()
        if what < 0.2:
            lines.append("[steps.loop]\ncount = 2\n")
            lines += [f'[[steps.loop.body]]\nid = "b{n}"\ntitle = "b"\n' for n in range(2)]
            lines.append('needs = ["b0"]\n' if chance.random() < 0.5 else "")
        elif what < 0.4:
            lines += [f'[[steps.children]]\nid = "{name}c{n}"\ntitle = "c"\n' for n in range(2)]
            names.append(f"{name}c1")
        elif what < 0.5:
            lines.append('[steps.gate]\ntype = "gh:run"\n')
        elif what < 0.6:
            lines.append("[steps.retry]\nmax_attempts = 2\n")
        names.append(name)
    return "".join(lines)


@pytest.mark.parametrize("seed", range(25))
def test_what_is_ready_is_what_the_graph_says(seed: int) -> None:
    chance = random.Random(seed)
    play(list(cook(random_formula(chance)).values()), chance)


@pytest.mark.parametrize("seed", range(5))
def test_a_drawing_has_the_rounds_of_the_play(seed: int) -> None:
    problems, order = Problems(), cooking.Order()
    data = tomllib.loads(random_formula(random.Random(seed)))
    made = cooking.cooked(data, order, reader({}), problems)
    board, rounds = Board(list(operations(made, order))), draw.rounds(made)
    for number in range(1, max(rounds.values()) + 1):
        ready = board.ready()
        assert ready == {step for step, when in rounds.items() if when == number}
        for step in ready:
            board.close(step)


# ---- files that others wrote

FILES = sorted((DATA / "formulas").glob("*.formula.toml")) if DATA.is_dir() else []


def given(data: Json) -> dict[str, str]:
    tables = [*data.get("vars", {}).items(), *data.get("inputs", {}).items()]
    needy = [
        name
        for name, about in tables
        if isinstance(about, dict) and (about.get("required") or about.get("required_unless"))
    ]
    return {name: "1" for name in needy if name != "files"} | (
        {"feature": "login"} if "extends" in data else {}
    )


@pytest.mark.skipif(not FILES, reason="no ../shared/data/formulas")
def test_real_formulas_are_cooked_checked_and_played(tmp_path: Path) -> None:
    """Expansions and aspects are refused alone; the others are played to their end."""
    (tmp_path / "security-audit.formula.toml").write_text(ASPECT.replace("audit", "security-audit"))
    for path in FILES:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    refused, played = [], 0
    for path in sorted(tmp_path.iterdir()):
        source, problems = Source(str(path)), Problems()
        cooking.checked(source.data, source.read, problems)
        assert not problems, (path.name, list(problems))
        order = cooking.Order(given(source.data))
        made = cooking.cooked(source.data, order, source.read, problems)
        if problems:
            refused.append(path.name.partition(".")[0])
            continue
        played += 1
        play(list(operations(made, order)), random.Random(path.name))
    assert refused == ["rule-of-five", "security-audit", "tdd-cycle"]
    assert played == len(FILES) - 2


@pytest.mark.skipif(not FILES, reason="no ../shared/data/formulas")
@pytest.mark.parametrize("name", ["rule-of-five", "tdd-cycle"])
def test_real_expansions_are_applied_through_compose(name: str) -> None:
    expansion = (DATA / f"formulas/{name}.formula.toml").read_text()
    text = steps("a", "b <a", "c <b") + f'[[compose.expand]]\ntarget = "b"\nwith = "{name}"\n'
    found = graph(text, {name: expansion})
    inner = [step for step in found if step.startswith("b.")]
    assert len(inner) == 5
    assert found[inner[0]] == ["a"]
    assert found["c"] == [inner[-1]]
