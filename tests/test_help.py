"""Every --help has examples that parse, and names the manual page."""

from __future__ import annotations

import importlib
import re
import shlex

import pytest
from support import Shell

from coord_kernel.cli import argv

TOOLS = ("ev", "lease", "msg", "run", "wk")


def commands(line: str) -> list[list[str]]:
    """The commands of our tools in a shell line, as words."""
    parts: list[list[str]] = [[]]
    for word in shlex.split(re.sub(r"[<>]\S+|2>&1", "", line)):
        if word == "|":
            parts.append([])
        else:
            parts[-1].append(word)
    return [part for part in parts if part[0] in TOOLS]


@pytest.mark.parametrize("tool", TOOLS)
def test_each_command_has_examples_that_parse(tool: str) -> None:
    examples = importlib.import_module(f"coord_{tool}.examples").EXAMPLES
    table = importlib.import_module(f"coord_{tool}.argv").TABLE
    assert list(examples) == list(table)
    wrong = []
    for command, lines in examples.items():
        assert 1 <= len(lines) <= 3
        for line in lines:
            assert len(line) <= 76
            found = commands(line)
            assert [tool, command] in [words[:2] for words in found], line
            for other, *words in found:
                its = importlib.import_module(f"coord_{other}.argv").TABLE
                if argv.parse(its, words) is None:
                    wrong.append(line)
    assert not wrong


@pytest.mark.parametrize("tool", TOOLS)
def test_help_shows_them_and_names_the_manual(shell: Shell, tool: str) -> None:
    examples = importlib.import_module(f"coord_{tool}.examples").EXAMPLES
    command, lines = next(iter(examples.items()))
    for line in (f"{tool} {command} --help", f"{tool} help {command}"):
        said = shell(line).out
        assert all(f"  {example}\n" in said for example in lines)
        assert f"See {tool}(1)" in said
    assert f"See {tool}(1)" in shell(f"{tool} --help").out
