"""What a controller is to do, and one turn of doing it."""

from __future__ import annotations

from coord_envelope.errors import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from coord_envelope.event import Event

    class Waking(Protocol):
        """What wakes the loop besides events: `fd` is readable then."""

        fd: int

        def take(self) -> bool:
            """Did it wake since the last call?"""

    class Controller(Protocol):
        """What the loop runs."""

        def wakes(self, event: Event) -> bool:
            """Can this event change the plan?"""

        def plan(self) -> Plan:
            """Look, and plan."""

        def act(self, act: Act) -> None:
            """Do it. Done again, by this process or another, it changes nothing. Raises Fault."""


class Act:
    """One act. Two with the same key are the same act."""

    __slots__ = ("about", "key", "kind")

    def __init__(self, kind: str, key: str, **about: Any) -> None:
        self.kind, self.key, self.about = kind, key, about

    def __repr__(self) -> str:
        return f"{self.kind} {self.key}"


class Plan:
    """What to do now, and when to look again: Unix milliseconds, None if only after an event."""

    __slots__ = ("acts", "wake")

    def __init__(self, acts: list[Act], wake: int | None = None) -> None:
        self.acts, self.wake = acts, wake

    def has(self, act: Act) -> bool:
        return any(act.key == other.key for other in self.acts)


def turn(
    controller: Controller,
    report: Callable[[Fault, Act], None],
    ended: Callable[[], bool] = lambda: False,
) -> Plan:
    """Act until nothing new is planned. Returns the last plan: its acts are those that failed.

    Before each act the controller looks again: what was right a moment ago may be an answer to a
    question that has changed. An act is tried once a turn. None begins when the turn is `ended`:
    the next start finds what is left in the journal.
    """
    # A controller that can tell of one act without looking at everything has `still`.
    still = getattr(controller, "still", lambda act: controller.plan().has(act))
    tried = set[str]()
    while True:
        plan = controller.plan()
        new = [act for act in plan.acts if act.key not in tried]
        if not new:
            return plan
        for act in new:
            tried.add(act.key)
            if not still(act):
                continue
            if ended():
                return plan
            try:
                controller.act(act)
            except Fault as fault:
                report(fault, act)
