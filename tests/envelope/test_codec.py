"""Two parsers, one answer; and what is written can be read again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord_envelope import codec

NUMBERS = (
    st.integers()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats(allow_nan=False, allow_infinity=False)
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)
CORPUS = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"',
    b"\xef\xbb\xbf1", b"\xff", b'"\xed\xa0\x80"', b"[1,]", b"{,}", b"", b" ", b"1 2", b"01", b"+1", b".5", b"1.",
    b"'a'", b'"\t"', b'"\x00"', b"\x00", b"1\r", b"-0", b"-0.0", b"1E5", b"5e-324", b"1e-7", b"0.1",
    b"9" * 19, b"9" * 30, b"-" + b"9" * 25, b"9" * 4300, b"9" * 4301, b"1" + b"0" * 400 + b".0", b"1" * 20,
    b"[" * 128 + b"]" * 128, b"[" * 129 + b"]" * 129, b"[" * 5000 + b"]" * 5000, b"[" * 5000, b'{"a":1,"a":2}',
    b'"' + b"[" * 500 + b'"', "\"\u2028\u0085\"".encode(), b'{"a":[{"b":{}}]}', b"true", b"nul", b"[1] x", b'"\\x"',
]  # fmt: skip


@pytest.fixture
def fast() -> Iterator[None]:
    codec.bulk()
    yield
    codec._fast = None


def outcome(raw: bytes) -> str:
    try:
        return repr(codec.loads(raw))
    except ValueError:
        return "refused"


def test_both_parsers_give_the_same_on_the_corpus() -> None:
    plain = {raw: outcome(raw) for raw in CORPUS}
    codec.bulk()
    try:
        assert {raw: outcome(raw) for raw in CORPUS} == plain
    finally:
        codec._fast = None


@given(VALUES)
def test_both_parsers_give_the_same_on_any_value(value: object) -> None:
    raw = codec.dumps(value)
    codec._fast = None
    plain = outcome(raw)
    codec.bulk()
    assert outcome(raw) == plain
    codec._fast = None


@given(st.binary())
def test_neither_parser_raises_anything_but_value_error(raw: bytes) -> None:
    codec._fast = None
    plain = outcome(raw)
    codec.bulk()
    assert outcome(raw) == plain
    codec._fast = None


@given(VALUES)
def test_what_is_written_is_read_again(value: object) -> None:
    assert codec.loads(codec.dumps(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {"a": ["\udfff"]}])
def test_what_json_cannot_say_is_not_written(value: object) -> None:
    with pytest.raises(ValueError):
        codec.dumps(value)


def test_integers_keep_every_digit(fast: None) -> None:
    digits = "1234567890" * 10
    assert codec.loads(digits.encode()) == int(digits)
    assert json.loads(codec.dumps({"n": int(digits)}))["n"] == int(digits)


@pytest.mark.parametrize(
    "raw", [b"[" * 129 + b'"' + b'\\"' * 32_000, b"[" * 65_000, b'"' * 65_000, b'"\\' * 32_000]
)
def test_hostile_depth_is_refused(raw: bytes) -> None:
    # A pattern that backtracks took 8 s on the first.
    assert outcome(raw) == "refused"


def test_what_is_too_deep_to_read_is_not_written() -> None:
    value: object = 0
    for _ in range(codec.DEPTH):
        value = [value]
    assert codec.loads(codec.dumps(value)) == value
    with pytest.raises(ValueError, match="nested"):
        codec.refuse_depth(codec.dumps([value]))


def test_sameness_is_that_of_json_and_not_of_python() -> None:
    assert codec.same({"a": 1, "b": [2.5]}, {"b": [2.5], "a": 1})
    assert not codec.same({"a": 1}, {"a": True})
    assert not codec.same({"a": 1}, {"a": 1.0})
