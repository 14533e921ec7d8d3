"""When each schedule began to count, and what it fired last, as a fold. Pure and total.

    cron.armed {name, spec}   from its time on the schedule counts, as it is written there
    cron.fired {name, at}     the schedule's time `at` has been fired

1. The first `cron.armed` of a name and spec counts. A schedule that is written differently is
   armed again: times that it had before that are not missed.
2. Of several `cron.fired` the latest `at` counts. It may be of a wrong clock: see the plan.
"""

from __future__ import annotations

from coord_envelope import world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypedDict

    from coord_envelope.event import Event

    class Schedule(TypedDict):
        """A name."""

        armed: dict[str, int]
        """Spec → Unix milliseconds."""
        at: int


name, version = "cron", "1"
_TYPES = ("cron.armed", "cron.fired")


def entities(event: Event) -> Iterable[str]:
    named = event["body"].get("name")
    return (named,) if event["type"] in _TYPES and isinstance(named, str) and named else ()


def indexed(_: Schedule) -> Iterable[tuple[str, str]]:
    return ()


def step(state: Schedule | None, event: Event) -> Schedule:
    """The state after one event more, in any order."""
    state = state or {"armed": {}, "at": 0}
    body = event["body"]
    if event["type"] == "cron.fired":
        state["at"] = max(state["at"], _ms(body.get("at")))
    elif isinstance(body.get("spec"), str):
        then = _ms(event["ts"])
        state["armed"][body["spec"]] = min(state["armed"].get(body["spec"], then), then)
    return state


def _ms(text: object) -> int:
    try:
        return world.parse_ts(text) if isinstance(text, str) else 0
    except (ValueError, OverflowError):
        return 0
