"""What coord-cron is to do. Pure.

1. A schedule that is not armed as it is written is armed: its times count from then on.
2. The last time of a schedule that is due, and was not fired, is fired: once, however many came
   before it that were missed. They are counted.
3. The key of a firing is that of the schedule and the time: however many of these run, in
   however many stores, a time is fired once.
4. By a clock far ahead a schedule was armed, or a time fired: that hides no time before it, and is
   not fired again.
5. Under a stop of everything nothing is fired; afterwards the last time is.
"""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from coord_cron import draft
from coord_cron.schedule import MOST_MISSED
from coord_kernel.controller import Act, Plan
from coord_kernel.rules import control

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from coord_cron.fold import Schedule as State
    from coord_cron.schedule import Schedule
    from coord_kernel.rules.control import Control

_AHEAD_MS = 300_000
"""A time that was fired by a clock so far ahead is not the last."""


class Known(NamedTuple):
    """What the journal has."""

    state: Callable[[str], State | None]
    """Of a schedule, by its name."""
    fired: Callable[[str], bool]
    """Is there a `cron.fired` with this key?"""


def plan(
    schedules: Sequence[Schedule],
    known: Known,
    stops: Control,
    now: int,
) -> Plan:
    """The acts that are due at `now` (Unix milliseconds), and when the next may be."""
    if control.stopped(stops):
        return Plan([])
    acts, wakes = list[Act](), list[int]()
    for schedule in schedules:
        for act, due in _steps(schedule, known, now):
            if due <= now:
                acts.append(act)
            else:
                wakes.append(due)
    return Plan(acts, min(wakes, default=None))


def _steps(schedule: Schedule, known: Known, now: int) -> Iterator[tuple[Act, int]]:
    state = known.state(schedule.name)
    armed = state["armed"].get(schedule.spec) if state else None
    if armed is None or state is None or armed > now + _AHEAD_MS:
        wrong = armed or 0
        yield Act("arm", draft.arm_key(schedule, wrong), schedule=schedule, wrong=wrong), now
        return
    since = max(armed, state["at"] if state["at"] <= now + _AHEAD_MS else 0)

    def is_due(at: int) -> bool:
        return at > since and not known.fired(draft.fire_key(schedule, at))

    last = schedule.last(now)
    if schedule.due(last) > now:  # its jitter is not over: is one before it due?
        if is_due(last):
            yield _fire(schedule, last), schedule.due(last)
        last = schedule.last(last - 1)
    if is_due(last):
        missed = _missed(schedule, last, is_due)
        yield _fire(schedule, last, missed=missed), schedule.due(last)
    following = next(filter(is_due, islice(schedule.times(max(now, since)), MOST_MISSED)), 0)
    if following:
        yield _fire(schedule, following), schedule.due(following)


def _fire(schedule: Schedule, at: int, **about: Any) -> Act:
    return Act("fire", draft.fire_key(schedule, at), schedule=schedule, at=at, **about)


def _missed(schedule: Schedule, at: int, is_due: Callable[[int], bool]) -> int:
    """How many times right before `at` were not fired."""
    for count in range(MOST_MISSED):
        at = schedule.last(at - 1)
        if not is_due(at):
            return count
    return MOST_MISSED
