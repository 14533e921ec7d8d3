"""On real git, every subset of culprits of up to five: they leave, the others land, within so many tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from land.town import Town
from support import Shell

MOST = {0: 1, 1: 9, 2: 14}
"""Tests with so many culprits, at most."""
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
            runs = town.runs()
            assert runs <= MOST.get(mask.bit_count(), 20), f"{mask:0{count}b}: {runs} tests"
            total += runs
            shutil.rmtree(path)
    assert total <= TOTAL
