"""JSON as the journal means it: UTF-8, no NaN, no infinity, no lone surrogate, at most 128 deep.

Integers keep every digit, a float its IEEE double. Two parsers, one answer: the standard library's, and
orjson (32 ms to import, three times as fast) once `bulk()` was called. Where they would differ (integers
over 64 bits, lone surrogates) the line goes to the standard library's. tests/test_codec.py
holds the two together.
"""

from __future__ import annotations

from coord_envelope import world
from coord_envelope.platform import encoder, scanner, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Json = dict[str, Any]
else:
    Json = dict

DEPTH = 128
MANY = 1 << 21
"""Bytes of events from which orjson wins back its import: some 5,000 of them."""


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{digits} is no finite number")
    return value


class _Rules:
    """What json.JSONDecoder gives its scanner."""

    strict, object_hook, object_pairs_hook, memo = True, None, None, dict[str, str]()
    parse_float, parse_int, parse_constant = staticmethod(_finite), int, staticmethod(_constant)


_scan, _encode = scanner(_Rules()), encoder()


def _decode(text: str) -> Any:
    with suppress(
        StopIteration, SystemError
    ):  # until 3.12 it complains only if json.decoder is loaded
        value, end = _scan(text, 0)
        if end == len(text):
            return value
    import json  # blanks around it, or no JSON

    return json.loads(text, parse_constant=_constant, parse_float=_finite)


_fast: Callable[[bytes], Any] | None = None


def bulk() -> None:
    """Parse with orjson from here on. Worth its import from `MANY` bytes on."""
    global _fast
    import orjson

    def fast(raw: bytes) -> Any:
        shape = raw.translate(_SHAPE)
        if shape.count(b"[") > DEPTH:
            refuse_depth(raw)
        return _strict(raw) if _doubtful(raw, shape) else orjson.loads(raw)

    _fast = fast


# One pass for both: a digit is a 1, what opens is a [. (0.4 µs a line where a pattern takes 5)
_SHAPE = bytes.maketrans(b"023456789{", b"111111111[")
_FLAT = bytes(set(range(256)) - set(b"[\n"))
_LONG = b"1" * 19


def _doubtful(raw: bytes, shape: bytes) -> bool:
    # Long integers become floats there, and it refuses a lone surrogate even where a duplicate key drops it.
    return _LONG in shape or (b"\\" in raw and (b"\\ud" in raw or b"\\uD" in raw))


def many(block: bytes) -> list[Any] | None:
    """What `loads` says of each line of the block, in a third of the time; None where a line needs a look of its own.

    Before each stands a number that nobody knew when it was written: so two lines that are no JSON, but would be if
    they were joined, do not pass, nor one that is more than one value.
    """
    shape = block.translate(_SHAPE)
    if (
        not _fast
        or _doubtful(block, shape)
        or max(map(len, shape.translate(None, _FLAT).split(b"\n"))) > DEPTH
    ):
        return None
    import orjson

    number = int.from_bytes(world.entropy(6), "big")
    try:
        pairs = orjson.loads(b"[[%d,%b]]" % (number, block.replace(b"\n", b"],[%d," % number)))
        numbers, values = zip(*pairs, strict=True)
    except (ValueError, TypeError):
        return None
    return (
        list(values)
        if set(numbers) == {number} and len(numbers) == block.count(b"\n") + 1
        else None
    )


def _strict(raw: bytes) -> Any:
    value = _decode(raw.decode())
    if b"\\ud" in raw or b"\\uD" in raw:
        dumps(value)  # refuses a lone surrogate
    return value


def loads(raw: bytes) -> Any:
    """The value of one JSON text. Raises ValueError with a reason; never anything else, on any bytes."""
    if _fast:
        return _fast(raw)
    refuse_depth(raw)
    return _strict(raw)


def dumps(value: object) -> bytes:
    """Compact UTF-8 in the given key order. Raises ValueError on what JSON or UTF-8 cannot say."""
    return _encode(value).encode()


def pack(value: object) -> bytes:
    """As `dumps`, of what is made of events and may hold them some levels deeper, for `unpack` alone to read."""
    if _fast:
        import orjson

        with suppress(TypeError):  # an integer over 64 bits, or deeper than it goes
            return orjson.dumps(value)
    return dumps(value)


def unpack(raw: bytes) -> Any:
    """The value that `pack` packed."""
    if _fast:
        with suppress(ValueError):  # deeper than a line may be
            return _fast(raw)
    return _decode(raw.decode())


def same(one: object, other: object) -> bool:
    """Are these the same JSON, whatever the order of keys? (To Python 1, 1.0 and True are equal.)"""
    import json

    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def refuse_depth(raw: bytes) -> None:
    """Raise ValueError if the text nests deeper than `loads` takes it.

    Of the text, not of the value: before either parser recurses, and with what a duplicate key drops.
    """
    if raw.count(b"{") + raw.count(b"[") <= DEPTH:
        return
    import re

    depth = 0
    # Possessive, and an unclosed string runs to the end: linear on any bytes.
    for byte in re.sub(rb'"(?:[^"\\]|\\.)*+(?:"|\Z)', b"", raw, flags=re.DOTALL):
        depth += (byte in b"[{") - (byte in b"]}")
        if depth > DEPTH:
            raise ValueError(f"nested more than {DEPTH} deep")
