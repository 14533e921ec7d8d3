"""Two encoders of a view's states, one answer: what either packs, both read as the same.

Their bytes differ (1e-07, 1e-7), so only the standard library's writes events: `codec.dumps`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coord_envelope import codec

FLOATS = (
    0.1,
    -0.0,
    1.0,
    1e-7,
    5e-324,
    1e15,
    1e16,
    1e22,
    float(1 << 53),
    1.7976931348623157e308,
    123456789012345680.0,
)
INTEGERS = (
    0,
    -1,
    (1 << 53) + 1,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
    1 << 64,
    -(1 << 63),
    -(1 << 63) - 1,
    10**400,
)
TEXTS = ("", "/", '"\\', "\x00\x1f\x7f", "\u0085\u2028", "é", "\U0001f600", "\ufeff")
DEEP: list[object] = []
for _ in range(codec.DEPTH + 9):
    DEEP = [DEEP]
CORPUS: tuple[object, ...] = (
    *FLOATS,
    *INTEGERS,
    *TEXTS,
    None,
    True,
    [],
    {},
    {"b": 1, "a": {"": [1, 1.0, True]}},
    list(TEXTS),
    DEEP,
)


@pytest.fixture
def slow_again() -> Iterator[None]:
    yield
    codec._fast = None


@pytest.mark.parametrize("value", CORPUS, ids=lambda value: repr(value)[:24])
def test_what_either_packs_both_read_as_the_same(value: object, slow_again: None) -> None:
    packed = [codec.pack(value)]
    codec.bulk()
    packed.append(codec.pack(value))
    read = [codec.unpack(raw) for raw in packed]
    codec._fast = None
    read += [codec.unpack(raw) for raw in packed]
    assert {repr(one) for one in read} == {repr(value)}


def test_events_are_written_by_one_encoder(slow_again: None) -> None:
    plain = [codec.dumps(value) for value in CORPUS]
    codec.bulk()
    assert [codec.dumps(value) for value in CORPUS] == plain
