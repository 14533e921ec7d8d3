"""Budgets: what may be spent in a sliding window, and when the next start is allowed. Pure.

    level   of a budget: what is spent of it, and if that is all, until when
    gate    of a start: open, or closed until a time, and why

1. What was spent counts from its report until it is as old as the window, to the end of its five
   minutes. A report from a clock that is over five minutes ahead counts when its time comes.
2. At 80 % and at 100 % of a budget a person gets mail, once a window. At 100 % nothing that it
   concerns is begun until enough has left the window. What runs goes on, so a budget may be
   exceeded by what was running.
3. After that, and after a limit of a provider, one start a minute is allowed, for an hour: what has
   waited does not come back at once, to be limited again.
"""

from __future__ import annotations

from coord_envelope import ids
from coord_kernel.rules.usage import BUCKET_MS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NotRequired, TypedDict

    class Budget(TypedDict):
        """A budget of coord.toml. `scope` may end with `*`: of each agent, item or pool its own."""

        scope: str
        measure: str
        """`tokens`, or `micros`: millionths of a US dollar."""
        limit: int
        window_ms: int

    class Level(TypedDict):
        """What is spent of a budget, of one scope. Times are Unix milliseconds."""

        scope: str
        measure: str
        limit: int
        window_ms: int
        spent: int
        state: str
        """ok, warned (80 %), paused (100 %)."""
        until_ms: NotRequired[int]
        """When enough will have left the window, if it is paused."""
        freed_ms: NotRequired[int]
        """When it was paused last, if it is not."""
        next_ms: NotRequired[int]
        """When a report counts that is from a clock that is ahead."""


MEASURES = ("tokens", "micros")
WARN_PERCENT = 80
PACE_MS = 60_000
"""Between two starts after a pause."""
RAMP_MS = 3_600_000
"""How long after a pause."""


def level(budget: Budget, scope: str, spent: Iterable[tuple[int, int]], now: int) -> Level:
    """The level of a budget, for what was spent in a scope: (start of the bucket in Unix
    milliseconds, amount)."""
    limit, window = budget["limit"], budget["window_ms"]
    changes = sorted(
        change
        for begin, amount in spent
        for change in ((begin - ids.AHEAD_MS, amount), (begin + BUCKET_MS + window, -amount))
    )
    total, freed, was_full = 0, None, False
    for at, amounts in _by_time(change for change in changes if change[0] <= now):
        total += amounts
        full = total >= limit
        freed = at if was_full and not full else freed
        was_full = full
    found: Level = {
        "scope": scope,
        "measure": budget["measure"],
        "limit": limit,
        "window_ms": window,
        "spent": total,
        "state": _state(total, limit),
    }
    if was_full:
        found["until_ms"] = _until(total, limit, (c for c in changes if c[0] > now and c[1] < 0))
    elif freed is not None:
        found["freed_ms"] = freed
    later = [at for at, amount in changes if at > now and amount > 0]
    return found | {"next_ms": min(later)} if later else found


def _by_time(changes: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    """(time, sum of the changes at it), in order of time."""
    sums: dict[int, int] = {}
    for at, amount in changes:
        sums[at] = sums.get(at, 0) + amount
    return sums.items()


def _state(total: int, limit: int) -> str:
    if total >= limit:
        return "paused"
    return "warned" if total * 100 >= limit * WARN_PERCENT else "ok"


def _until(total: int, limit: int, leaving: Iterable[tuple[int, int]]) -> int:
    """When less than the limit is left."""
    until = 0
    for at, amount in leaving:
        total, until = total + amount, at
        if total < limit:
            break
    return until


class Check:
    """What a start depends on: one level of a budget, or the limits of one provider's pool."""

    __slots__ = ("freed", "last", "until", "why")

    def __init__(self, why: str, until: int | None, freed: int | None, last: int | None) -> None:
        """`until`: when the pause ends, if there is one. `freed`: when the last one ended. `last`:
        when something that it concerns was begun last."""
        self.why, self.until, self.freed, self.last = why, until, freed, last


def gate(checks: Iterable[Check], now: int) -> tuple[int, str] | None:
    """None if something may be begun at `now`; else when it may, and why not yet."""
    closed: tuple[int, str] | None = None
    for check in checks:
        if check.until is not None and check.until > now:
            at, why = check.until, check.why
        elif check.freed is not None and now < check.freed + RAMP_MS and check.last is not None:
            at, why = min(check.last, now) + PACE_MS, f"one a minute after: {check.why}"
        else:
            continue
        if at > now and (closed is None or at > closed[0]):
            closed = at, why
    return closed


def checked(level: Level, last: int | None) -> Check:
    """The check of a level; `last`: the last start in its scope."""
    return Check(described(level), level.get("until_ms"), level.get("freed_ms"), last)


def covers(budget: Budget, scope: str) -> bool:
    """Does a budget concern a scope?"""
    wanted = budget["scope"]
    return scope == wanted or (wanted.endswith(":*") and scope.startswith(wanted[:-1]))


def described(level: Level) -> str:
    """`agent:ada: spent 12 usd of 10 usd per 1d`, for a person."""
    spent, limit = (amount(level["measure"], n) for n in (level["spent"], level["limit"]))
    return f"{level['scope']}: spent {spent} of {limit} per {span(level['window_ms'])}"


def amount(measure: str, number: int) -> str:
    """An amount with its unit."""
    return f"{number / 1e6:.6g} usd" if measure == "micros" else f"{number} tokens"


def span(ms: int) -> str:
    """A length of time as coord.toml has it."""
    units = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000))
    unit, length = next(((u, n) for u, n in units if ms % n == 0), ("ms", 1))
    return f"{ms // length}{unit}"
