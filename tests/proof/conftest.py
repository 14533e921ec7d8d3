"""Fixtures of the proofs: how hard to try, and the line that says what was found."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Was the long form asked for?"""
    return bool(request.config.getoption("--long"))


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Have a line printed at the end, whether or not the test passes."""
    return lambda text: record_property("said", text)
