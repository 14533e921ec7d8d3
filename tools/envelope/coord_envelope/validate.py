"""JSON Schema (2020-12) for the keywords that spec/schema/bodies.schema.json uses.

The library for all of JSON Schema takes 84 ms to import, eight times a bare Python. It is the
oracle of the tests: both name the same first fault, of the vectors and of bodies made at random.
"""

from __future__ import annotations

from coord_envelope import ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Schema = dict[str, Any]
    Fault = tuple[tuple[str | int, ...], str]
    """Where in the value, from the outside in; and what is wrong there."""
    Keyword = Callable[[Any, Any, Schema, Schema], Iterator[Fault]]
    """Of (argument, value, schema around it, definitions)."""


def faults(schema: Schema, value: Any, definitions: Schema) -> Iterator[Fault]:
    """What is wrong with a value, in the order of the schema.

    `$ref` refers to `definitions`, by `#/$defs/NAME`. A keyword that is not in `KEYWORDS` says
    nothing.
    """
    for name, argument in schema.items():
        if check := KEYWORDS.get(name):
            yield from check(argument, value, schema, definitions)


def _below(step: str | int, schema: Schema, value: Any, definitions: Schema) -> Iterator[Fault]:
    for path, what in faults(schema, value, definitions):
        yield (step, *path), what


def _fits(schema: Schema, value: Any, definitions: Schema) -> bool:
    return next(faults(schema, value, definitions), None) is None


def _ref(to: str, value: Any, _around: Schema, definitions: Schema) -> Iterator[Fault]:
    return faults(definitions[to.removeprefix("#/$defs/")], value, definitions)


def _type(kinds: Any, value: Any, *_: Schema) -> Iterator[Fault]:
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not any(_TYPES[kind](value) for kind in kinds):
        yield (), f"{value!r} is not of type {', '.join(map(repr, kinds))}"


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool))
        or (isinstance(value, float) and value.is_integer())
    ),
}


def _enum(values: list[Any], value: Any, *_: Schema) -> Iterator[Fault]:
    # In Python 1, 1.0 and True are equal; in JSON the last is another.
    if not any(value == one and (value is True) == (one is True) for one in values):
        yield (), f"{value!r} is not one of {values!r}"


def _pattern(pattern: str, value: Any, *_: Schema) -> Iterator[Fault]:
    if isinstance(value, str) and not _matches(pattern, value):
        yield (), f"{value!r} does not match {pattern!r}"


def _matches(pattern: str, text: str) -> bool:
    if pattern == r"\n":
        return "\n" in text
    if pattern == _ID and ids.valid(text):
        return True
    import re  # 5 ms

    return re.search(pattern, text) is not None


_ID = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$"
"""The pattern that most bodies meet."""


def _max_length(most: int, value: Any, *_: Schema) -> Iterator[Fault]:
    if isinstance(value, str) and len(value) > most:
        yield (), f"{value!r} is longer than {most} characters"


def _min_length(least: int, value: Any, *_: Schema) -> Iterator[Fault]:
    if isinstance(value, str) and len(value) < least:
        yield (), f"{value!r} is shorter than {least} characters"


def _max_items(most: int, value: Any, *_: Schema) -> Iterator[Fault]:
    if isinstance(value, list) and len(value) > most:
        yield (), f"more than {most} items"


def _min_items(least: int, value: Any, *_: Schema) -> Iterator[Fault]:
    if isinstance(value, list) and len(value) < least:
        yield (), f"fewer than {least} items"


def _maximum(most: int, value: Any, *_: Schema) -> Iterator[Fault]:
    if _TYPES["number"](value) and value > most:
        yield (), f"{value!r} is greater than the maximum of {most}"


def _minimum(least: int, value: Any, *_: Schema) -> Iterator[Fault]:
    if _TYPES["number"](value) and value < least:
        yield (), f"{value!r} is less than the minimum of {least}"


def _required(names: list[str], value: Any, *_: Schema) -> Iterator[Fault]:
    for name in names:
        if isinstance(value, dict) and name not in value:
            yield (), f"{name!r} is a required property"


def _properties(known: Schema, value: Any, _around: Schema, definitions: Schema) -> Iterator[Fault]:
    for name, schema in known.items():
        if isinstance(value, dict) and name in value:
            yield from _below(name, schema, value[name], definitions)


def _by_pattern(
    patterns: Schema, value: Any, _around: Schema, definitions: Schema
) -> Iterator[Fault]:
    for pattern, schema in patterns.items():
        for name in value if isinstance(value, dict) else ():
            if _matches(pattern, name):
                yield from _below(name, schema, value[name], definitions)


def _additional(schema: Any, value: Any, around: Schema, definitions: Schema) -> Iterator[Fault]:
    if schema is True or not isinstance(value, dict):
        return
    for name in value:
        patterns = around.get("patternProperties", ())
        if name not in around.get("properties", ()) and not any(
            _matches(pattern, name) for pattern in patterns
        ):
            yield from _below(name, schema, value[name], definitions)


def _items(schema: Schema, value: Any, _around: Schema, definitions: Schema) -> Iterator[Fault]:
    for number, item in enumerate(value if isinstance(value, list) else ()):
        yield from _below(number, schema, item, definitions)


def _any_of(
    schemas: list[Schema], value: Any, _around: Schema, definitions: Schema
) -> Iterator[Fault]:
    if not any(_fits(schema, value, definitions) for schema in schemas):
        yield (), f"{value!r} is not valid under any of the given schemas"


def _not(schema: Schema, value: Any, _around: Schema, definitions: Schema) -> Iterator[Fault]:
    if _fits(schema, value, definitions):
        yield (), f"{value!r} is of a form that is not allowed"


KEYWORDS: dict[str, Keyword] = {
    "$ref": _ref,
    "type": _type,
    "enum": _enum,
    "pattern": _pattern,
    "maxLength": _max_length,
    "minLength": _min_length,
    "maxItems": _max_items,
    "minItems": _min_items,
    "maximum": _maximum,
    "minimum": _minimum,
    "required": _required,
    "properties": _properties,
    "patternProperties": _by_pattern,
    "additionalProperties": _additional,
    "items": _items,
    "anyOf": _any_of,
    "not": _not,
}
ANNOTATIONS = {"$schema", "$defs", "title", "description", "default"}
"""Keywords that only describe."""
