"""contrib/coming-from.md: each line of its right columns runs, in order, a section in a store."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Shell, git

PAGE = (Path(__file__).parent.parent / "contrib/coming-from.md").read_text()
SECTIONS = {
    section.partition("\n")[0]: section.partition("\n")[2] for section in PAGE.split("\n## ")[1:]
}
CONSUMER = """
name = "reviewer"
[match]
types = ["review.requested"]
[run]
argv = ["true"]
[emit]
type = "review.done"
"""
"""What `reviewer.toml` is here: the one of contrib needs a language model."""


def cells(section: str) -> Iterator[str]:
    """The last cell of each row of its tables."""
    for line in section.splitlines():
        if line.startswith("| ") and not line.startswith("| there"):
            yield re.split(r"(?<!\\)\|", line.rstrip().removesuffix("|"))[-1].replace("\\|", "|")


def commands(section: str) -> list[str]:
    """The first command of each row; what follows it in the cell is an explanation."""
    found = [re.search(r"`([^`]+)`", cell) for cell in cells(section)]
    assert all(found), "each row has a command"
    return [match[1] for match in found if match]


@pytest.mark.parametrize("name", SECTIONS)
def test_each_line_runs(name: str, shell: Shell) -> None:
    git("config", "user.name", "Ada", cwd=shell.cwd)
    git("config", "user.email", "ada@example.org", cwd=shell.cwd)
    git("commit", "-q", "--allow-empty", "-m", "first", cwd=shell.cwd)
    for file, text in (
        ("README.md", "Acme\n"),
        ("payload.json", "{}"),
        ("reviewer.toml", CONSUMER),
    ):
        (shell.cwd / file).write_text(text)
    shell("msg join --as bob")
    lines = commands(SECTIONS[name])
    assert lines
    trace = "trap 'echo \"line $n of the section: $BASH_COMMAND\" >&2' ERR\n"
    script = "set -Eeuo pipefail\n" + trace
    script += "".join(f"n={n}\n{line}\n" for n, line in enumerate(lines, 1))
    (shell.cwd.parent / "script").write_text(script)
    shell(f"bash {shell.cwd.parent / 'script'} </dev/null >{os.devnull}", COORD_AGENT="ada")


def test_every_line_has_what_it_is_called_there() -> None:
    for name, section in SECTIONS.items():
        rows = [line for line in section.splitlines() if line.startswith("|")]
        assert rows[0] == "| there | here |", name
        assert all(len(re.split(r"(?<!\\)\|", row)) == 4 for row in rows), name
