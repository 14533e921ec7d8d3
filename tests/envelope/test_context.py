"""Our `suppress`, `contextmanager` and `NamedTuple` do what the standard library's do."""

from __future__ import annotations

import contextlib
import pickle
import typing
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


class Ours(platform.NamedTuple):
    name: str
    size: int = 5
    parts: tuple[str, ...] = ()


class Theirs(typing.NamedTuple):
    name: str
    size: int = 5
    parts: tuple[str, ...] = ()


GIVEN: list[tuple[tuple[object, ...], dict[str, object]]] = [
    (("a",), {}),
    (("a", 3), {"parts": ("x",)}),
    ((), {"size": 1, "name": "b"}),
    ((), {"size": 1}),
    (("a", 1, (), 4), {}),
    (("a",), {"name": "b"}),
    (("a",), {"other": 1}),
    ((), {}),
]


@pytest.mark.parametrize(("values", "named"), GIVEN)
def test_a_named_tuple_is_that_of_typing(
    values: tuple[object, ...], named: dict[str, object]
) -> None:
    def made(kind: typing.Any) -> typing.Any:
        try:
            return kind(*values, **named)
        except TypeError:
            return None

    ours, theirs = made(Ours), made(Theirs)
    assert ours == theirs
    if ours is None:
        return
    assert (ours.name, ours.size, ours.parts) == (theirs.name, theirs.size, theirs.parts)
    assert repr(ours).removeprefix("Ours") == repr(theirs).removeprefix("Theirs")
    assert ours._replace(size=9) == theirs._replace(size=9)
    assert type(ours._replace()) is type(pickle.loads(pickle.dumps(ours))) is Ours
    assert hash(ours) == hash(theirs)
    with pytest.raises(AttributeError):
        ours.size = 1
