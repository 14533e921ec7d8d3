"""From what a person types to the id that it names: by a secondary index, and never a guess.

An id is named in full, in short (`wk-k3f9x2ab`: the tool's prefix and the last 8 characters), or by
any ending of at least 4 characters, in either case, if no other id ends so.

A fold whose `indexed` yields `("end", id[::-1])` has what `candidates` searches.
"""

from __future__ import annotations

from itertools import islice

from coord_envelope import ids
from coord_envelope.errors import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from coord_kernel.views.view import Source

PREFIX = {"work": "wk", "msg": "msg", "run": "run", "lease": "ls"}
"""Namespace of a type → how the short ids of its entities begin."""
PREFIXES = (*PREFIX.values(), "ev")
SHORT = 8
"""Characters of a short id, if they are enough."""
LEAST = 4
"""Characters that an ending must have."""
MOST = 9
"""Candidates that an ambiguous ending names."""


def ending(text: str, prefixes: Collection[str] = PREFIXES) -> str | None:
    """The end of the ids that this text may name; None if it cannot name any."""
    prefix, dash, rest = text.rpartition("-")
    end = rest.upper()
    if dash and prefix not in prefixes:
        return None
    if len(end) < LEAST or not rest.isascii() or end.strip(ids.CROCKFORD):
        return None
    return end


def short(prefix: str, full: str, count: Callable[[str], int]) -> str:
    """The short id of an entity: 8 characters, or as many as no other id ends with.

    `count` says how many ids end so, up to 2.
    """
    for most in range(SHORT, len(full)):
        if count(full[-most:]) < 2:
            return f"{prefix}-{full[-most:].lower()}"
    return full


def among(source: Source) -> Callable[[str], int]:
    """What `short` asks of a fold that has what `candidates` searches."""

    def count(end: str) -> int:
        return len(list(islice(source.find("end", end[::-1], end[::-1] + "~"), 2)))

    return count


def candidates(source: Source, text: str, prefixes: Collection[str] = PREFIXES) -> list[str]:
    """The entities that this text may name, oldest first, at most MOST."""
    end = ending(text, prefixes)
    if end is None:
        return []
    found = source.find("end", end[::-1], end[::-1] + "~")
    return sorted(entity for _, entity in islice(found, MOST))


def only(text: str, found: Iterable[str]) -> str | None:
    """The one candidate; None if there is none. Raises Usage with all if there are several."""
    several = sorted(set(found))
    if len(several) > 1:
        what = f"is ambiguous: {' '.join(several)}"
        raise Usage(what, where=text, todo="give more characters", code="ambiguous")
    return several[0] if several else None
