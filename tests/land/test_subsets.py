"""On real git, every subset of culprits of up to five: they leave, the others land, within so many tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from land.town import Town
from support import Shell

TOTAL = 630
"""Tests of all subsets together."""


def test_every_subset_of_up_to_five_on_real_git(
    shell: Shell, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--long"):
        pytest.skip("takes minutes: --long")
    total = 0
    first = Town(shell)
    for count in range(1, 6):
        for mask in range(1 << count):
            path = tmp_path / f"{count}-{mask}"
            shutil.copytree(shell.cwd, path, symlinks=True)
            town = Town.at(Shell(path), first)
            town.land_subset(count, mask)
            total += town.runs()
            shutil.rmtree(path)
    assert total <= TOTAL
