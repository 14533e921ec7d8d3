"""JSON as the journal means it: UTF-8, no NaN, no infinity, no lone surrogate, at most 128 deep.

Integers keep every digit, a float its IEEE double. There are two parsers with one answer: the
standard library's, and orjson (32 ms to import, three times as fast) once `bulk()` was called.
Where they would differ (integers over 64 bits, lone surrogates) a line goes to the standard
library's; a test compares the two.
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
"""Bytes of events from which orjson repays its import: some 5,000 events."""


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{digits} is not a finite number")
    return value


class _Rules:
    """The attributes of a json.JSONDecoder that its scanner reads."""

    strict, object_hook, object_pairs_hook, memo = True, None, None, dict[str, str]()
    parse_float, parse_int, parse_constant = staticmethod(_finite), int, staticmethod(_constant)


_scan, _encode, _sorted = scanner(_Rules()), encoder(), encoder(sort=True)


_SPACE = " \t\r\n"


def _decode(text: str) -> Any:
    # SystemError: until 3.12 the scanner reports errors only if json.decoder is loaded.
    with suppress(StopIteration, SystemError):
        value, end = _scan(text, len(text) - len(text.lstrip(_SPACE)))
        if end == len(text.rstrip(_SPACE)):
            return value
    import json  # it says what is wrong, and where

    return json.loads(text, parse_constant=_constant, parse_float=_finite)


_fast: Callable[[bytes], Any] | None = None


def bulk() -> None:
    """Parse with orjson from here on: worth its import from `MANY` bytes on."""
    global _fast
    import orjson

    def fast(raw: bytes) -> Any:
        shape = raw.translate(_SHAPE)
        if shape.count(b"[") > DEPTH:
            refuse_depth(raw)
        if not _doubtful(raw, shape):
            with suppress(ValueError):  # the reason is the other parser's, always the same one
                return orjson.loads(raw)
        return _strict(raw)

    _fast = fast


def is_bulk() -> bool:
    """Was `bulk` called?"""
    return _fast is not None


# One pass for both: a digit becomes 1, an opening bracket [. (0.4 µs a line; a pattern takes 5.)
_SHAPE = bytes.maketrans(b"023456789{", b"111111111[")
_FLAT = bytes(set(range(256)) - set(b"[\n"))
_LONG = b"1" * 19


def _doubtful(raw: bytes, shape: bytes) -> bool:
    # orjson makes floats of long integers, and refuses a lone surrogate that a duplicate key drops.
    return _LONG in shape or (b"\\" in raw and (b"\\ud" in raw or b"\\uD" in raw))


def many(block: bytes) -> list[Any] | None:
    """The value of each line of the block, in a third of the time of `loads`.

    None if a line needs a look of its own. A random number is put before each line, which nobody
    knew when the line was written: so two lines that are JSON only if joined are not accepted, nor
    a line with more than one value.
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
        dumps(value)  # raises on a lone surrogate
    return value


def loads(raw: bytes) -> Any:
    """The value of one JSON text. Raises ValueError with a reason; nothing else, on any bytes."""
    if _fast:
        return _fast(raw)
    refuse_depth(raw)
    return _strict(raw)


def dumps(value: object) -> bytes:
    """Compact UTF-8, keys in order. Raises ValueError on what JSON or UTF-8 cannot express."""
    return _encode(value).encode()


def pack(value: object) -> bytes:
    """As `dumps`, for `unpack` alone to read: a folded state may nest deeper than a line."""
    if _fast:
        import orjson

        with suppress(TypeError):  # an integer over 64 bits, or deeper than it goes
            return orjson.dumps(value)
    return dumps(value)


def unpack(raw: bytes) -> Any:
    """The value that `pack` wrote."""
    if _fast:
        with suppress(ValueError):  # deeper than a line may be
            return _fast(raw)
    return _decode(raw.decode())


def same(left: object, right: object) -> bool:
    """Are these the same JSON, in any order of keys? (In Python 1, 1.0 and True are equal.)"""
    return _sorted(left) == _sorted(right)


def refuse_depth(raw: bytes) -> None:
    """Raise ValueError if the text nests deeper than `DEPTH`.

    It looks at the text, not at the value: before a parser recurses, and at what a duplicate key
    drops.
    """
    if raw.count(b"{") + raw.count(b"[") <= DEPTH:
        return
    import re

    depth = 0
    # Possessive, and an unclosed string extends to the end: linear on any bytes.
    for byte in re.sub(rb'"(?:[^"\\]|\\.)*+(?:"|\Z)', b"", raw, flags=re.DOTALL):
        depth += (byte in b"[{") - (byte in b"]}")
        if depth > DEPTH:
            raise ValueError(f"nested more than {DEPTH} deep")
