"""Fixtures of the proofs: how hard to try, and the line that says what was found."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Was the long form asked for?"""
    return bool(request.config.getoption("--long"))


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Have a line printed at the end, whether or not the test passes, and numbers added to the last line."""

    def told(text: str, **counted: int) -> None:
        record_property("said", text)
        record_property(
            "counted", {name.replace("_", " "): number for name, number in counted.items()}
        )

    return told
