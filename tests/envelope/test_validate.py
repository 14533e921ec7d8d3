"""The checker of bodies names the same first fault as jsonschema, which is complete and slow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support import SPEC

from coord_envelope import validate

DEFINITIONS: dict[str, Any] = json.loads((SPEC / "schema/bodies.schema.json").read_text())["$defs"]
KINDS = sorted(name for name in DEFINITIONS if "." in name)
VECTORS = [
    json.loads(line) for line in (SPEC / "vectors/bodies.jsonl").read_text().split("\n") if line
]
ORACLES = {
    name: Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": DEFINITIONS})
    for name in DEFINITIONS
}


def same(name: str, value: Any) -> None:
    theirs = [tuple(fault.absolute_path) for fault in ORACLES[name].iter_errors(value)]
    ours = [path for path, _ in validate.faults(DEFINITIONS[name], value, DEFINITIONS)]
    assert ours == theirs, (name, value)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["type"])
def test_a_vector_has_the_same_faults(vector: dict[str, Any]) -> None:
    if vector["type"] in DEFINITIONS:
        same(vector["type"], vector["body"])


def keywords(schema: Any) -> Iterator[str]:
    """The keywords of a schema and of those within it."""
    yield from schema
    for keyword, argument in schema.items():
        if keyword in ("properties", "patternProperties", "$defs"):
            inner = list(argument.values())
        elif keyword in ("items", "not", "additionalProperties"):
            inner = [argument]
        else:
            inner = argument if keyword == "anyOf" else []
        for one in inner:
            if isinstance(one, dict):
                yield from keywords(one)


def test_every_keyword_of_the_schema_is_known_and_every_reference_has_its_form() -> None:
    used = set(keywords({"$defs": DEFINITIONS}))
    assert used <= validate.KEYWORDS.keys() | validate.ANNOTATIONS
    assert validate.KEYWORDS.keys() <= used, "a keyword that no schema uses"


def words(schema: Any) -> Iterator[str]:
    """Names of fields and values of enums, from which a body is near to a good one."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        yield from (one for one in schema.get("enum", ()) if isinstance(one, str))
        schema = list(schema.values())
    for one in schema if isinstance(schema, list) else ():
        yield from words(one)


TEXTS = st.one_of(
    st.text(max_size=5),
    st.sampled_from(sorted(set(words(DEFINITIONS)))),
    st.sampled_from(
        ["01KF4QBCFS000DHT52RH6PKMCY", "81KF4QBCFS000DHT52RH6PKMCY", "0" * 26, "0" * 26 + "\n",
         "agent:x", "agent:a/b", "agent:a//b", "agent:x\n", "queue:q", "all", "file:a", "file:/a",
         "file:../a", "2026-01-17T12:00:00.000Z", "2026-13-17T12:00:00.000Z", "a" * 64, "a" * 201,
         "x" * 4097, " x", "x\n", "fields.a", "fields."]
    ),
)  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 6),
    st.integers(),
    st.sampled_from([0.0, 1.0, 1.5, -1.0, 1e300]),
    TEXTS,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def near(schema: Any, data: st.DataObject, depth: int = 4) -> Any:
    """A value that the schema wants, mostly."""
    schema = DEFINITIONS[schema["$ref"].removeprefix("#/$defs/")] if "$ref" in schema else schema
    if not depth or data.draw(st.integers(0, 9)) == 0:
        return data.draw(VALUES)
    if "enum" in schema:
        return data.draw(st.sampled_from(schema["enum"]))
    if "anyOf" in schema:
        return near(data.draw(st.sampled_from(schema["anyOf"])), data, depth - 1)
    kind = schema.get("type")
    kind = data.draw(st.sampled_from(kind)) if isinstance(kind, list) else kind
    if kind == "object":
        known = schema.get("properties", {})
        names = data.draw(st.sets(st.sampled_from(sorted(known)), max_size=4)) if known else set()
        names |= {name for name in schema.get("required", ()) if data.draw(st.integers(0, 9))}
        body = {name: near(known[name], data, depth - 1) for name in sorted(names)}
        return body | data.draw(st.dictionaries(TEXTS, SCALARS, max_size=1))
    if kind == "array":
        count = data.draw(st.integers(0, 2))
        return [near(schema.get("items", {}), data, depth - 1) for _ in range(count)]
    return data.draw({"string": TEXTS, "integer": st.integers(-1, 5)}.get(kind, SCALARS))


@given(st.data())
def test_bodies_made_at_random_have_the_same_faults(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(DEFINITIONS)))
    same(name, near(DEFINITIONS[name], data))


@given(st.sampled_from(KINDS), VALUES)
def test_any_json_at_all_has_the_same_faults(kind: str, value: Any) -> None:
    same(kind, value)
