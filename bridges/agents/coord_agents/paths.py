"""What is at a path such as `a.b` in JSON. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope.codec import Json


def named(lines: Iterable[Json], path: str) -> str | None:
    """The first text at a path such as `a.b` in these objects."""
    return next((text for line in lines if isinstance(text := at(line, path), str) and text), None)


def at(value: object, path: str) -> object:
    """What is at a path such as `a.b` in an object; None if nothing is."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
