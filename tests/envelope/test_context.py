"""Our `suppress` and `contextmanager` do what contextlib's do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType

import pytest

from coord_envelope import platform

RAISED = (
    None,
    KeyError("k"),
    ValueError("v"),
    OSError(5, "o"),
    FileNotFoundError(2, "f"),
    SystemExit(3),
)
Said = list[str]


def trace(module: ModuleType, answer: str, raised: BaseException | None) -> Said:
    """What is done in which order, and what comes out."""
    said: Said = []

    @module.contextmanager  # type: ignore[untyped-decorator]  # of either module
    def block(name: str, *, other: str) -> Iterator[str]:
        said.append(f"begin {name} {other}")
        try:
            yield name
        except OSError:
            if answer == "pass on":
                raise
            if answer == "replace":
                raise LookupError("instead") from None
        finally:
            said.append("end")

    try:
        with block("a", other="b") as given:
            said.append(given)
            if raised:
                raise raised
            said.append("done")
    except BaseException as error:
        said.append(repr(error))
    return said


@pytest.mark.parametrize("raised", RAISED, ids=repr)
@pytest.mark.parametrize("answer", ["pass on", "swallow", "replace"])
def test_a_block_begins_and_ends_as_with_contextlib(
    answer: str, raised: BaseException | None
) -> None:
    assert trace(platform, answer, raised) == trace(contextlib, answer, raised)


@pytest.mark.parametrize("raised", RAISED, ids=repr)
def test_what_is_suppressed_is_what_contextlib_suppresses(raised: BaseException | None) -> None:
    def ends(module: ModuleType) -> str:
        try:
            with module.suppress(OSError, KeyError):
                if raised:
                    raise raised
        except BaseException as error:
            return repr(error)
        return ""

    assert ends(platform) == ends(contextlib)
