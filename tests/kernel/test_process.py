"""Where a command's process ends: with one line and a status, whatever Python has buffered."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from support import Shell

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
WHEEL = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
COMMANDS = sorted([*PROJECT["project"]["scripts"], *WHEEL["shared-scripts"].values()])


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("option", ["--version", "--help"])
def test_what_a_full_disk_refuses_is_one_line_and_74(shell: Shell, name: str, option: str) -> None:
    """History: Python tried again at its end, complained in its own words, and exited 120."""
    line = f"env -u PYTHONUNBUFFERED {name} {option} >/dev/full"
    done = shell(line, expect=74)
    assert done.err.startswith(f"{name}: ") and done.err.count("\n") == 1
    assert "no space left on device" in done.err
