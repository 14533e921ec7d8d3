"""Fields inside a JSON value: paths to them, and conditions on them. Pure and total.

    .labels.severity      a field of a field
    .alerts[0].status     an element of a list
    .labels[].name        of each element of a list; the brackets may be left out
    ."commonLabels"."x y" a name in quotes, if it is not a plain word
    .                     the value itself

It is what jq has of paths, and nothing else: a value from outside costs no more than its size.
"""

from __future__ import annotations

from coord_envelope.filter import WILD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from coord_envelope.codec import Json

    Path = Sequence[str | int]

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-@:/~$")


def parsed(text: str) -> Path:
    """The steps of a path, which begins with a dot. Raises ValueError."""
    if not text.startswith("."):
        raise ValueError(f"not a path: {text[:80]!r} does not begin with a dot")
    path: list[str | int] = []
    at = 0
    while at < len(text):
        if text[at] == "." and text[at + 1 : at + 2] not in ("", "["):
            name, at = _name(text, at + 1)
            path.append(name)
        elif text[at] == "." and (at == 0 and text[1:2] in ("", "[")):
            at += 1
        elif text[at] == "[":
            number, bracket, _ = text[at + 1 :].partition("]")
            if not bracket or (number and (not number.isdecimal() or len(number) > 9)):
                raise ValueError(f"not a path: {text[:80]!r}: use [0], [1], … or []")
            if number:
                path.append(int(number))
            at += len(number) + 2
        else:
            raise ValueError(f"not a path: {text[:80]!r} at character {at + 1}")
    return path


def _name(text: str, at: int) -> tuple[str, int]:
    """The name that begins here, and where it ends."""
    if text[at] == '"':
        name, quote, _ = text[at + 1 :].partition('"')
        if not quote:
            raise ValueError(f"not a path: {text[:80]!r}: a quote is missing")
        return name, at + len(name) + 2
    end = at
    while end < len(text) and text[end] in _PLAIN:
        end += 1
    if end == at:
        raise ValueError(f"not a path: {text[:80]!r}: quote names other than a-z 0-9 _ -")
    return text[at:end], end


def found(value: Any, path: Path) -> Iterator[Any]:
    """The values at a path: none, one, or through a list several."""
    values: list[Any] = [value]
    for step in path:
        values = [inner for each in values for inner in _inside(each, step)]
    return iter(values)


def _inside(value: Any, step: str | int) -> Iterator[Any]:
    if isinstance(step, int):
        if isinstance(value, list) and step < len(value):
            yield value[step]
    elif isinstance(value, dict):
        if step in value:
            yield value[step]
    elif isinstance(value, list):
        for element in value:
            if isinstance(element, dict) and step in element:
                yield element[step]


class Where:
    """Conditions on the fields of a value, all of which must hold.

    `labels.severity = "critical"`: the value at the path is this one. A list is any of its values.
    A text may have wildcards, as the type of an event; `[*]` is a star itself. A field that is a
    list has the value if one of its elements does. A field that is missing has none.
    """

    def __init__(self, conditions: Mapping[str, Any]) -> None:
        """Raises ValueError for a path or a value that is not valid."""
        self._tests: list[tuple[Path, Callable[[Any], bool]]] = []
        for name, wanted in conditions.items():
            path = parsed(name if name.startswith(".") else f".{name}")
            if not path:
                raise ValueError(f"{name!r} names no field")
            values = wanted if isinstance(wanted, list) else [wanted]
            if not values or not all(isinstance(one, str | int | float) for one in values):
                raise ValueError(f"{name} is not a text, a number, true, false or a list of these")
            self._tests.append((path, _any_of(values)))

    def __call__(self, value: Json) -> bool:
        return all(
            any(test(each) for each in flat(found(value, path))) for path, test in self._tests
        )


def flat(values: Iterator[Any]) -> Iterator[Any]:
    """The values, and in place of a list its elements."""
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _any_of(wanted: Sequence[Any]) -> Callable[[Any], bool]:
    """Is a value one of these? true is not 1, and a text is not the number that it spells.

    3 is 3.0, as for JSON. A text with wildcards is also itself, so `[x]` has no need of an escape.
    """
    globs = [value for value in wanted if _is_wild(value)]

    def test(value: Any) -> bool:
        if not isinstance(value, str | int | float):
            return False
        if any(_equal(value, each) for each in wanted):
            return True
        if not globs or not isinstance(value, str):
            return False
        from fnmatch import fnmatchcase  # brings `re`: 8 ms, only for wildcards

        return any(fnmatchcase(value, glob) for glob in globs)

    return test


def _equal(left: object, right: object) -> bool:
    return left == right and _kind(left) is _kind(right)


def _kind(value: object) -> type:
    """Of numbers one kind; in Python true is 1."""
    return int if isinstance(value, float) else type(value)


def _is_wild(value: Any) -> bool:
    return isinstance(value, str) and any(character in value for character in WILD)
