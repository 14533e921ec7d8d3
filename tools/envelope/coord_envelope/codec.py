"""JSON as the journal means it: UTF-8, no NaN, no infinity, no lone surrogate, at most 128 deep.

Integers keep every digit, a float its IEEE double. Two parsers, one answer: the standard library's, and
orjson (32 ms to import, three times as fast) once `bulk()` was called. Where they would differ (integers
over 64 bits, which orjson turns into floats) the line goes to the standard library's. tests/test_codec.py
holds the two together.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Json = dict[str, Any]
else:
    Json = dict

DEPTH = 128


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{digits} is no finite number")
    return value


_decode = json.JSONDecoder(parse_constant=_constant, parse_float=_finite).decode
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_fast: Callable[[bytes], Any] | None = None


def bulk() -> None:
    """Parse with orjson from here on. Worth its import from some 5,000 events on."""
    global _fast
    import re

    import orjson

    long_integer = re.compile(rb"\d{19}").search

    def fast(raw: bytes) -> Any:
        return _strict(raw) if long_integer(raw) else orjson.loads(raw)

    _fast = fast


def _strict(raw: bytes) -> Any:
    try:
        value = _decode(raw.decode())
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if b"\\ud" in raw or b"\\uD" in raw:
        dumps(value)  # refuses a lone surrogate
    return value


def loads(raw: bytes) -> Any:
    """The value of one JSON text. Raises ValueError with a reason; never anything else, on any bytes."""
    value = _fast(raw) if _fast else _strict(raw)
    if raw.count(b"{") + raw.count(b"[") > DEPTH and _depth(value) > DEPTH:
        raise ValueError(f"nested more than {DEPTH} deep")
    return value


def dumps(value: object) -> bytes:
    """Compact UTF-8 in the given key order. Raises ValueError on what JSON or UTF-8 cannot say."""
    return _encode(value).encode()


def _depth(value: Any) -> int:
    deepest, todo = 0, [(value, 0)]
    while todo:
        item, above = todo.pop()
        if isinstance(item, (dict, list)):
            deepest = max(deepest, above + 1)
            todo += [(child, above + 1) for child in (item.values() if isinstance(item, dict) else item)]
    return deepest
