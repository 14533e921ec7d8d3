"""The parser of plain command lines, and Typer: where the first answers, the second does the same."""

from __future__ import annotations

import importlib
import inspect
import runpy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Shell

from coord_envelope.errors import Fault
from coord_kernel.cli import application, argv, complaints
from coord_kernel.cli.call import Call
from coord_kernel.cli.command import name_of, perform

Values = dict[str, Any]
Command = Callable[..., int | None]
Lines = st.SearchStrategy[list[str]]
TOOLS = ("wk", "ev", "lease", "msg", "run")
MAKE = Path(__file__).parent.parent / "tools/table.py"
CLI: dict[str, Any] = {name: importlib.import_module(f"coord_{name}.cli") for name in TOOLS}
TABLE: dict[str, argv.Table] = {
    name: importlib.import_module(f"coord_{name}.argv").TABLE for name in TOOLS
}
HOT = {
    "wk": {"new", "ready", "show", "claim", "close"},
    "ev": {"emit", "tail"},
    "lease": {"acquire", "renew", "release", "ls"},
    "msg": {"send", "recv", "ack"},
    "run": {"request", "show"},
}
"""The commands that DESIGN 15 wants fast."""
NUMBERS = st.sampled_from(
    ["0", "4", "5", "007", "-1", "1_0", " 1", "+1", "9" * 9, "1" + "0" * 9, "9" * 30, "²", "٣", ""]
)
WORDS = st.text(max_size=5) | st.sampled_from(
    ["", "-", "--", "a.b", "--help", "-h", "--version", "--no", "--body=", "-n3", "-fn", "=", "--=", "-=", "\udc80"]
)  # fmt: skip


@pytest.mark.parametrize("name", TOOLS)
def test_the_table_is_what_the_application_says(name: str) -> None:
    assert TABLE[name] == runpy.run_path(str(MAKE))["table"](name), "make table"


@pytest.mark.parametrize("name", TOOLS)
def test_hot_commands_are_plain(name: str) -> None:
    assert TABLE[name].keys() >= HOT[name]


PLAIN: list[tuple[str, str, Values]] = [
    ("ev", "emit", {}),
    ("ev", "emit a.b --body {} --to=qa --ref x=y --to ada", {
        "type_": "a.b", "body": "{}", "to": ["qa", "ada"], "ref": ["x=y"]}),
    ("ev", "tail -n 3 -f --lines=4", {"lines": 4, "follow": True}),
    ("ev", "emit --body --key a.b --as=", {"body": "--key", "type_": "a.b", "as_": ""}),
    ("ev", "emit -", {"type_": "-"}),
    ("ev", "emit -- --body", {"type_": "--body"}),
    ("wk", "show x -o id -- -y --", {"ids": ["x", "-y", "--"], "output": "id"}),
    ("wk", "new x -p 4", {"title": "x", "priority": 4}),
    ("wk", "dep a b --rm", {"id_": "a", "to": "b", "rm": True}),
    ("run", "request --key k -- make -j -- x", {"key": "k", "argv": ["make", "-j", "--", "x"]}),
    ("lease", "acquire env:a --shared env:b", {"resources": ["env:a", "env:b"], "shared": True}),
]  # fmt: skip
UNUSUAL = {
    "wk": ("new x -p 5", "new x -p4", "new x -p -1", "new x -p", "new x y", "dep a", "import x", "new x -p 1_0"),
    "ev": ("", "--version", "emit --help", "emit -h", "emi a.b", "emit a.b --bod x", "tail -fn 3", "tail -n=3",
           "tail --follow=yes", "emit a.b --nope", "emit a.b --body", "-- emit", "tail -n ²", "tail -n 1234567890"),
    "lease": ("acquire", "acquire --shared", "acquire -- "),
    "msg": ("send --help", "send x"),
    "run": ("request make -j4", "exec", "worker --slots 0"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "line", "values"), PLAIN)
def test_a_plain_line_is_parsed(name: str, line: str, values: Values) -> None:
    words = line.split()
    assert argv.parse(TABLE[name], words) == (words[0], values)


@pytest.mark.parametrize(
    ("name", "line"), [(name, line) for name in TOOLS for line in UNUSUAL[name]]
)
def test_an_unusual_line_is_left_to_typer(name: str, line: str) -> None:
    assert argv.parse(TABLE[name], line.split()) is None


def test_what_a_shell_asks_for_completion_is_left_to_typer(shell: Shell) -> None:
    shell(
        "ev emit a.b",
        _EV_COMPLETE="complete_bash",
        COMP_WORDS="ev emi",
        COMP_CWORD="1",
        expect=None,
    )
    assert shell("ev replay").out == ""


def command_lines(
    options: argv.Options, arguments: argv.Arguments, required: Sequence[str]
) -> Lines:
    """What must be given, and other words, many of them options that are known; in any order."""
    options = {**argv.COMMON, **options}
    counts = [one for one, (_, kind) in options.items() if isinstance(kind, tuple)]
    spellings = st.sampled_from(sorted(options) + counts * 4)
    pairs = spellings.flatmap(
        lambda one: st.tuples(st.just(one), NUMBERS if one in counts else WORDS)
    )
    alone = (spellings | WORDS).map(lambda word: [word])
    least = [["x"] for _ in arguments] + [
        [one, "y"] for one in options if options[one][0] in required
    ]
    parts = st.lists(pairs.map(list) | pairs.map(lambda pair: ["=".join(pair)]) | alone, max_size=4)
    mixed = parts.flatmap(lambda found: st.permutations([*least, *found]))
    return mixed.map(lambda found: [word for part in found for word in part])


def heard(command: Command, act: Callable[[Command], object]) -> object:
    """What the command function is called with in place of which a listener is; or why it is not called."""
    calls: list[Values] = []

    def listener(call: Call, **values: Any) -> None:
        bound = inspect.signature(command).bind(call, **values)
        bound.apply_defaults()
        common = {"agent": call._agent, "form": call.out.form, "errors": complaints._errors}
        calls.append(bound.arguments | {"call": common})

    listener.__dict__.update(__signature__=inspect.signature(command))
    listener.__name__, listener.__annotations__ = command.__name__, command.__annotations__
    listener.__module__ = command.__module__
    try:
        act(listener)
    except Fault as fault:
        return fault.status, str(fault)
    return calls


COMMANDS = [
    (name, command)
    for name in TOOLS
    for command in CLI[name].COMMANDS
    if name_of(command) in TABLE[name]
]


@pytest.mark.parametrize(
    ("name", "command"), COMMANDS, ids=lambda one: one if isinstance(one, str) else one.__name__
)
def test_what_the_parser_takes_typer_takes_for_the_same(
    name: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Call, "filter", lambda _, options: options)
    word, taken = name_of(command), 0

    @settings(max_examples=200, deadline=None)
    @given(command_lines(*TABLE[name][word]))
    def check(words: list[str]) -> None:
        nonlocal taken
        plain = argv.parse(TABLE[name], [word, *words])
        if plain:
            taken += 1
            by_typer = heard(
                command,
                lambda one: application.run(
                    name, "", [one], f"coord_{name}.options", [word, *words]
                ),
            )
            assert heard(command, lambda one: perform(one, plain[1])) == by_typer

    check()
    assert taken
