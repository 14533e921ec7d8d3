"""Event ids: a ULID whose time never goes back, made by a hybrid logical clock.

    event_id = 48-bit milliseconds ‖ 16-bit counter ‖ 64 random bits

in Crockford's base 32, 26 characters. The first 64 bits are the *stamp*. (Kulkarni et al., "Logical
Physical Clocks", 2014; the text form is that of the ULID specification. The monotonic ULID of that
specification increments the random part: two replicas that saw the same id would then mint the same
next id. Here the random part is always fresh.)
"""

from __future__ import annotations

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_DIGIT = {c: i for i, c in enumerate(CROCKFORD)}
LONGEST_KEY = 256
"""Characters of an idempotency key."""
AHEAD_MS = 5 * 60 * 1000
"""How far ahead of the wall clock a stamp may be for our clock to follow it."""


def tick(last: int, now_ms: int) -> int:
    """The stamp after `last`: the wall clock with counter 0 if that is later, else `last` + 1.

    The counter overflows into the milliseconds: after 65,536 ids in one, time runs ahead.
    """
    return max(now_ms << 16, last + 1)


def ahead(stamp: int, now_ms: int) -> bool:
    """Is this stamp over five minutes in the future? Then it is accepted, but not followed."""
    return (stamp >> 16) > now_ms + AHEAD_MS


def mint(stamp: int, randomness: bytes) -> str:
    """The id of a stamp and 8 random bytes."""
    number = stamp << 64 | int.from_bytes(randomness, "big")
    return "".join([CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5)])


def short(kind: str, event_id: str) -> str:
    """The short id for people, `wk-k3f9x2ab`: the last 8 characters, which are random."""
    return f"{kind}-{event_id[-8:].lower()}"


def key(text: str) -> str:
    """An idempotency key for this text: itself, or of a text that is too long its begin and digest.

    A key that is only cut is that of another text, too.
    """
    if len(text) <= LONGEST_KEY:
        return text
    import hashlib  # 2 ms, for few

    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]
    return f"{text[: LONGEST_KEY - 41]}:{digest}"


def stamp_of(event_id: str) -> int:
    """The stamp inside a valid id."""
    number = 0
    for character in event_id[:14]:
        number = number << 5 | _DIGIT[character]
    return number >> 4  # 14 characters are 2 bits of padding, 64 of stamp, 4 of randomness


def valid(text: object) -> bool:
    """Is this an event id? 26 upper-case Crockford characters, at most 128 bits."""
    return (
        isinstance(text, str) and len(text) == 26 and text[0] <= "7" and not text.strip(CROCKFORD)
    )
