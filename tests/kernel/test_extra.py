"""A bridge without the packages of its extra says which one and how to install it."""

from __future__ import annotations

import pytest

from coord_envelope import Unreachable
from coord_kernel.cli.extra import extra


def test_a_missing_package_is_named_with_its_extra() -> None:
    with pytest.raises(Unreachable) as fault, extra("lsp", "no_such_package"):
        __import__("no_such_package.part")
    assert str(fault.value.what) == "the package no_such_package is not installed"
    assert fault.value.todo == "pip install 'coord-kernel[lsp]'"


def test_another_module_that_is_missing_is_a_fault_of_ours() -> None:
    with pytest.raises(ModuleNotFoundError), extra("lsp", "pygls"):
        __import__("no_such_package")
