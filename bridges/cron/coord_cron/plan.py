"""What coord-cron is to do. Pure.

1. A schedule that is not armed as it is written is armed: its times count from then on.
2. The last time of a schedule that is due, and was not fired, is fired: once, however many came
   before it that were missed. They are counted.
3. The key of a firing is that of the schedule and the time: however many of these run, in
   however many stores, a time is fired once.
4. Under a stop of everything nothing is fired; afterwards the last time is.
"""

from __future__ import annotations

from itertools import islice

from coord_cron.schedule import MOST_MISSED
from coord_envelope import ids, world
from coord_kernel.controller import Act, Plan
from coord_kernel.rules import control

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from coord_cron.fold import Schedule as State
    from coord_cron.schedule import Schedule
    from coord_kernel.rules.control import Control

_AHEAD_MS = 300_000
"""A time that was fired by a clock so far ahead does not count."""


def plan(
    schedules: Sequence[Schedule],
    state: Callable[[str], State | None],
    stops: Control,
    now: int,
) -> Plan:
    """The acts that are due at `now` (Unix milliseconds), and when the next may be."""
    if control.stopped(stops):
        return Plan([])
    acts, wakes = list[Act](), list[int]()
    for schedule in schedules:
        for act, due in _steps(schedule, state(schedule.name), now):
            if due <= now:
                acts.append(act)
            else:
                wakes.append(due)
    return Plan(acts, min(wakes, default=None))


def _steps(schedule: Schedule, state: State | None, now: int) -> Iterator[tuple[Act, int]]:
    armed = state["armed"].get(schedule.spec) if state else None
    if armed is None or state is None:
        key = ids.key(f"arm:{schedule.name}:{schedule.spec}")
        yield Act("arm", key, schedule=schedule), now
        return
    fired = state["at"] if state["at"] <= now + _AHEAD_MS else 0
    since = max(armed, fired)
    last = schedule.last(now)
    if last > since and schedule.due(last) > now:  # its jitter is not over: is one before it due?
        earlier = schedule.last(last - 1)
        yield _fire(schedule, last, since), schedule.due(last)
        last = earlier if earlier > since else 0
    if last > since:
        yield _fire(schedule, last, since), schedule.due(last)
    following = schedule.after(max(now, since))
    if following:
        yield _fire(schedule, following, since), schedule.due(following)


def _fire(schedule: Schedule, at: int, since: int) -> Act:
    times = islice(schedule.times(since), MOST_MISSED)
    missed = sum(1 for _ in _until(times, at))
    key = f"cron:{schedule.name}:{world.format_ts(at)}"
    return Act("fire", key, schedule=schedule, at=at, missed=missed)


def _until(times: Iterator[int], end: int) -> Iterator[int]:
    for at in times:
        if at >= end:
            return
        yield at
