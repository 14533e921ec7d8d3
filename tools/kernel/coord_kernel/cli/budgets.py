"""Budgets as coord.toml has them, and whether something may be begun now.

[budgets]
all = "100 usd per 30d"
"agent:*" = ["20 usd per 1d", "5000000 tokens per 5h"]
"pool:max" = "…"          also agent:NAME, item:*, pool:*
"""

from __future__ import annotations

from coord_envelope import world
from coord_envelope.errors import BadData, Usage
from coord_envelope.event import address, name_ok
from coord_envelope.platform import suppress
from coord_kernel.cli import values
from coord_kernel.rules import budget, control, usage
from coord_kernel.store import locate
from coord_kernel.views.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from coord_kernel.rules.budget import Budget, Check, Level
    from coord_kernel.rules.control import Control
    from coord_kernel.store.directory import Store
    from coord_kernel.views.view import Source

SECTION = "budgets"
LONGEST_MS = 366 * 86_400_000
_UNITS = {"tokens": ("tokens", 1), "usd": ("micros", 1_000_000)}
_SHAPE = 'use "20 usd per 1d" or "5000000 tokens per 5h"'


class Usages(View):
    """What was spent, and begun."""

    commutes = True

    def __init__(self, store: Store) -> None:
        super().__init__(store, usage)


class Budgets:
    """The budgets of a project over one look at what was spent.

    >>> Budgets(configured(store), Usages(store).refresh(), Stops(store).control(), world.now_ms())
    """

    def __init__(self, budgets: Sequence[Budget], usages: Source, stops: Control, now: int) -> None:
        """`stops` has the limits of providers; `now` is in Unix milliseconds."""
        self.budgets, self._usages, self._stops, self.now = budgets, usages, stops, now

    def gate(
        self, agent: str | None = None, item: str | None = None, pool: str | None = None
    ) -> tuple[int, str] | None:
        """None if something may be begun for these; else when it may, in Unix milliseconds, and
        why not yet.

        Whoever begins it asks within the transaction that records that as a `run.claimed` with
        `agent` and `pool`: so two that begin things keep the pace together.
        """
        scopes = usage.scopes(agent, item, pool)
        return budget.gate(self._checks(scopes, pool), self.now)

    def _checks(self, scopes: list[str], pool: str | None) -> Iterator[Check]:
        for scope in scopes:
            for each in self.budgets:
                if budget.covers(each, scope):
                    level = self._level(each, scope)
                    yield budget.checked(level, self._last(scope) if "freed_ms" in level else None)
        for limit in control.limits(self._stops, pool) if pool else ():
            why, until = f"pool:{pool}: limited by its provider", limit["until_ms"]
            yield budget.Check(why, until, until, self._last(f"pool:{pool}"))

    def levels(self) -> Iterator[Level]:
        """The levels of all budgets, of each scope in which something was spent."""
        recent: set[str] | None = None
        for each in self.budgets:
            if not each["scope"].endswith("*"):
                yield self._level(each, each["scope"])
                continue
            recent = self._recent() if recent is None else recent
            for scope in sorted(recent):
                if budget.covers(each, scope):
                    yield self._level(each, scope)

    def told(self, level: Level) -> int | None:
        """When a person got mail about the level last, in Unix milliseconds."""
        states = {level["state"], "paused"}  # what was spent falls to what was nearly spent
        times = (self._newest("told", usage.saying(state, level)) for state in states)
        return max((time for time in times if time is not None), default=None)

    def _level(self, each: Budget, scope: str) -> Level:
        begin = usage.bucket(self.now - each["window_ms"] - budget.RAMP_MS - usage.BUCKET_MS)
        column = 1 if each["measure"] == "tokens" else 2
        rows = (value.rsplit(" ", 3) for value, _ in self._find("spent", scope, begin))
        spent = ((int(row[1]) * usage.BUCKET_MS, int(row[1 + column])) for row in rows)
        return budget.level(each, scope, spent, self.now)

    def _recent(self) -> set[str]:
        """The scopes in which something was spent within the longest window."""
        longest = max(each["window_ms"] for each in self.budgets)
        begin = usage.bucket(self.now - longest - budget.RAMP_MS - usage.BUCKET_MS)
        return {value.partition(" ")[2] for value, _ in self._usages.find("at", begin)}

    def _last(self, scope: str) -> int | None:
        """When something was begun in a scope last."""
        return self._newest("start", scope)

    def _newest(self, name: str, of: str) -> int | None:
        for value, _ in self._usages.newest(name, f"{of} ", f"{of}!"):
            with suppress(ValueError):
                return world.parse_ts(value.rpartition(" ")[2])
        return None

    def _find(self, name: str, scope: str, begin: str) -> Iterable[tuple[str, str]]:
        return self._usages.find(name, f"{scope} {begin}", f"{scope}!")


def configured(store: Store) -> list[Budget]:
    """The budgets of the store's project. Raises BadData."""
    return [
        _budget(scope, text)
        for scope, texts in locate.section(store, SECTION).items()
        for text in (texts if isinstance(texts, list) else [texts])
    ]


def _budget(scope: str, text: object) -> Budget:
    words = text.split() if isinstance(text, str) else []
    where = f"{SECTION}.{scope}"
    if len(words) != 4 or words[1] not in _UNITS or words[2] != "per":
        raise BadData(f"{where} is not a budget", "coord.toml", todo=_SHAPE)
    measure, unit = _UNITS[words[1]]
    try:
        limit = int(float(words[0].replace("_", "")) * unit)
        window = values.span(words[3], where, least=usage.BUCKET_MS, most=LONGEST_MS)
    except Usage as fault:
        raise BadData(fault.what, "coord.toml", todo=fault.todo) from None
    except (ValueError, OverflowError):
        limit = 0
    if limit <= 0:
        raise BadData(f"{where}: not an amount: {words[0]}", "coord.toml", todo=_SHAPE)
    return {"scope": _scope(scope), "measure": measure, "limit": limit, "window_ms": window}


def _scope(text: str) -> str:
    kind, _, rest = text.partition(":")
    if text == "all" or (kind in ("agent", "item", "pool") and rest == "*"):
        return text
    if kind == "pool" and name_ok(rest):
        return text
    if kind in ("agent", "human", "bridge"):
        with suppress(ValueError):
            return address(text)
    todo = 'use all, "agent:NAME", "pool:NAME", "agent:*", "item:*" or "pool:*"'
    raise BadData(f"not the scope of a budget: {text}", "coord.toml", todo=todo)
