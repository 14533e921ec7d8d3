"""What every controller must keep to, to be tried on its plan: a function of a set of events and a time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from coord_envelope.event import Event
from coord_kernel.controller import Act, Plan

Planned = Callable[[Sequence[Event], int], Plan]
"""The plan that these events give at a time in Unix milliseconds; they may come in any order, twice."""


def keys(plan: Plan) -> list[str]:
    return sorted(act.key for act in plan.acts)


def check(
    planned: Planned,
    events: Sequence[Event],
    now: int,
    apply: Callable[[Act], Sequence[Event]],
    chance: random.Random,
) -> tuple[list[Act], list[Event]]:
    """The acts planned now, and the events with those of the acts. They keep these rules:

    the order of the events is irrelevant and copies count for nothing; no two acts have one key;
    after the acts nothing is planned; and before the time that the last plan names, nothing is.
    """
    plan = planned(events, now)
    shuffled = [*events, *chance.choices(events, k=min(5, len(events)))] if events else []
    chance.shuffle(shuffled)
    again = planned(shuffled, now)
    assert (keys(again), again.wake) == (keys(plan), plan.wake), "the order of events counts"
    assert len(set(keys(plan))) == len(plan.acts), "two acts have one key"
    after = list(events)
    for act in plan.acts:
        after += apply(act)
    settled = planned(after, now)
    assert settled.acts == [], f"still planned after acting: {settled.acts}"
    latest = now + 86_400_000 if settled.wake is None else settled.wake - 1
    for moment in (latest, *(chance.randint(now, latest) for _ in range(3) if latest > now)):
        if moment >= now:
            early = planned(after, moment).acts
            assert early == [], f"planned {latest - moment} ms before its time: {early}"
    return plan.acts, after
