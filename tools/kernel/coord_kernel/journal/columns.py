"""Many drafts at once: checked column by column, their bodies copied, not encoded again.

A block of lines becomes events by columns only if nothing about it needs a look: each line is an
object of `type`, `body` and perhaps `idempotency_key`, the type is a user's, and the text is what
our encoder would write. Whatever is in doubt is left to `Transaction.add`, line by line, which has
the rules; a test compares the two.

The text is ours in two steps. orjson reads and writes a line without changing a byte, so the line
is one value in compact form, without a doubled key. And where the two encoders may differ, which is
a float that has an exponent or is below 0.0001, it has none. (A body may be laid out otherwise:
then `codec.many` reads the block, and what orjson writes is looked at for such floats.)
"""

from __future__ import annotations

import itertools
from operator import itemgetter
from struct import iter_unpack

from coord_envelope import codec, event, ids, world
from coord_envelope.secrets import PATTERNS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from coord_envelope.codec import Json

BLOCK = 500
"""Lines at a time: of more, each step would have left the processor's cache."""
MOST_BODY = 48 << 10
"""A longer body is kept in a blob."""
_TYPE, _BODY = itemgetter("type"), itemgetter("body")
_KEYED = frozenset(("type", "body", "idempotency_key"))
_ALLOWED = {_KEYED - {"idempotency_key"}, _KEYED}
_DIGITS = bytes.maketrans(b"023456789{", b"111111111[")
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[\n"))
_BASE32 = bytes(ord(ids.CROCKFORD[byte & 31]) for byte in range(256))
_PAIRS = [(a + b).encode() for a in ids.CROCKFORD for b in ids.CROCKFORD]


class Drafts:
    """A block of drafts that passed all checks but those that need the store."""

    __slots__ = ("bodies", "keys", "types")

    def __init__(self, types: list[str], keys: list[str] | None, bodies: list[bytes]) -> None:
        """`keys`: one for each, or none for all."""
        self.types, self.keys, self.bodies = types, keys, bodies


def read(rows: Sequence[bytes]) -> Drafts | None:
    """The drafts on these lines; None if anything is in doubt. After `codec.bulk()`."""
    import orjson

    block = b"\n".join(rows)
    shape = block.translate(_DIGITS)
    brackets = shape.translate(None, _ALL_BUT_BRACKETS)
    long = max(map(len, rows)) >= event.LIMIT
    if long or max(map(len, brackets.split(b"\n"))) > codec.DEPTH or b'"gen"' in block:
        return None
    try:
        values: list[Any] | None = orjson.loads(b"[%b]" % block.replace(b"\n", b","))
        canonical = list(map(orjson.dumps, values)) == rows  # type: ignore[arg-type]
        if not canonical:
            values = codec.many(block)
        if not values or set(map(type, values)) != {dict}:
            return None
        orders = set(map(tuple, values))
        names = set(map(frozenset, orders))
        if len(names) > 1 or not names <= _ALLOWED:
            return None
        types, bodies = list(map(_TYPE, values)), list(map(_BODY, values))
        if set(map(type, types)) != {str} or set(map(type, bodies)) != {dict}:
            return None
        keys = [value["idempotency_key"] for value in values] if names == {_KEYED} else None
        if canonical and orders == {("type", "body")}:
            packed = [row[18 + len(kind) : -1] for row, kind in zip(rows, types, strict=True)]
        elif canonical and keys and orders == {("type", "idempotency_key", "body")}:
            heads = map(len, map(orjson.dumps, keys))
            packed = [
                row[37 + len(kind) + head : -1]
                for row, kind, head in zip(rows, types, heads, strict=True)
            ]
        else:
            packed = list(map(orjson.dumps, bodies))
            shape, block = b"", b"\n".join(packed)
    except (ValueError, TypeError):
        return None
    fits = (
        max(map(len, packed)) <= MOST_BODY
        and all(map(_type_fits, set(types)))
        and not _odd_float(block, shape)
        and (not keys or _keys_fit(keys))
    )
    return Drafts(types, keys, packed) if fits else None


def lines(
    drafts: Drafts, stamp: int, now_ms: int, head: tuple[str, str, int], actor: Json
) -> list[bytes] | None:
    """The events of these drafts, with stamps from `stamp` on; None if one is too long.

    As `event.build`: `head` is project, writer, and the first seq.
    """
    project, writer, seq = head
    count = len(drafts.types)
    fixed = {"ts": world.format_ts(now_ms), "project": project, "writer": writer}
    middle = codec.dumps(fixed)[1:-1]
    starts = {
        kind: b'","type":%b,%b,"seq":' % (codec.dumps(kind), middle) for kind in set(drafts.types)
    }
    end = b',"actor":%b,' % codec.dumps(actor)
    ends: Iterable[bytes] = itertools.repeat(end + b'"body":')
    if drafts.keys:
        import orjson

        encoded = map(orjson.dumps, drafts.keys)  # a text: as our encoder does
        ends = [b'%b"idempotency_key":%b,"body":' % (end, key) for key in encoded]
    parts = zip(
        itertools.repeat(b'{"event_id":"'),
        *event_ids(stamp, count),
        map(starts.__getitem__, drafts.types),
        map(b"%d".__mod__, range(seq, seq + count)),
        ends,
        drafts.bodies,
        itertools.repeat(b"}\n"),
    )
    # All in one: to make each line by itself takes four times as long.
    rows = b"".join(itertools.chain.from_iterable(parts)).split(b"\n")[:-1]
    return rows if max(map(len, rows)) < event.LIMIT else None


def suspicious(drafts: Drafts, rows: Sequence[bytes]) -> bool:
    """May one of these lines hold a credential? What they have in common is in the first."""
    texts = "\n".join([*(drafts.keys or ()), *set(drafts.types)]).encode()
    block = b"\n".join([rows[0], texts, *drafts.bodies])
    return any(mark in block for mark in PATTERNS)


def event_ids(stamp: int, count: int) -> tuple[Iterable[bytes], Iterable[bytes], Iterable[bytes]]:
    """As `ids.mint` of so many stamps in a row, with 64 random bits each: three parts of each."""
    # The first 12 characters are the same for up to 64 stamps in a row. The next two depend on 6
    # bits of the stamp and 4 random bits, the last 12 have 5 random bits each.
    begins = {
        high: ids.mint(high << 6, b"\0" * 8)[:12].encode()
        for high in range(stamp >> 6, (stamp + count >> 6) + 1)
    }
    numbers, nibbles = range(stamp, stamp + count), world.entropy(count)
    return (
        [begins[number >> 6] for number in numbers],
        [
            _PAIRS[(number & 63) << 4 | nibble & 15]
            for number, nibble in zip(numbers, nibbles, strict=True)
        ],
        [tail for (tail,) in iter_unpack("12s", world.entropy(12 * count).translate(_BASE32))],
    )


def _type_fits(kind: str) -> bool:
    return event.type_fault(kind) is None and kind.partition(".")[0] not in event.KERNEL


def _keys_fit(keys: list[Any]) -> bool:
    if set(map(type, keys)) != {str}:
        return False
    return min(map(len, keys)) > 0 and max(map(len, keys)) <= 256 and "\0" not in "".join(keys)


def _odd_float(block: bytes, shape: bytes) -> bool:
    """May a number in these lines be written otherwise? `shape`: translated already, or b""."""
    if b"0.0000" in block:
        return True
    if b"1e" not in (shape or block.translate(_DIGITS)):
        return False
    import re

    # Also true of a text that looks like it, such as "a":1e5 in quotation marks.
    return re.search(rb"[:\[,]-?[0-9.]+e", block) is not None
