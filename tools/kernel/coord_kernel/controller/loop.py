"""The loop of a controller: it sleeps until something can have changed.

    1. stand behind the journal's end, then look and act: what comes meanwhile wakes it
    2. sleep until the journal grows, a watched process dies, a signal, or the time of the plan
    3. read what is new; if it does not concern the controller, and the clock was not set, sleep on
    4. else wait a moment for the rest of the burst; then 1

It ends at SIGTERM or SIGINT before the next act, and between two turns when the reader of stdout is
gone. A restart misses nothing: all that the loop knows is in the journal.
"""

from __future__ import annotations

import select
import signal

from coord_envelope import world
from coord_kernel.controller.plan import turn
from coord_kernel.proc.child import Signals
from coord_kernel.proc.notify import Notify
from coord_kernel.store import machine
from coord_kernel.streams.follow import SWEEP_MS, Watcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_envelope.errors import Fault
    from coord_kernel.controller.plan import Act, Controller, Waking
    from coord_kernel.journal.journal import Journal

BURST_MS = 50
"""How long to wait for the rest of a burst of events."""
AGAIN_MS = 60_000
"""When to try an act again that failed."""
SET_MS = 5_000
"""From when on a change of the wall clock is noticed."""
CLOCK_MS = 60_000
"""How often the wall clock is looked at. A time that it was set past is noticed this late."""
LONGEST_MS = 300_000
"""Longest sleep. Where the file system sends no notification, an event is noticed this late."""


def run(
    controller: Controller,
    journal: Journal,
    report: Callable[[Fault, Act], None],
    deaths: Waking | None = None,
) -> None:
    """Run the controller until a signal ends it. `report` prints an act that failed."""
    signals, notify, watcher = (
        Signals(signal.SIGTERM, signal.SIGINT),
        Notify(),
        Watcher(journal.store.path),
    )
    follower = journal.follow(journal.end())
    poll = select.poll()
    poll.register(1, 0)  # POLLERR and POLLHUP come unasked
    for fd in (signals.fd, watcher.fd, deaths.fd if deaths else None):
        if fd is not None:
            poll.register(fd, select.POLLIN)
    due, drift = 0.0, _drift()
    first = True
    while True:
        pause = watcher.watch(follower.directories())
        # Read to its end, so that the next batch begins behind it.
        woken = [event for event in follower.batch() if controller.wakes(event)]
        died = deaths.take() if deaths else False
        is_set = abs(_drift() - drift) > SET_MS
        if first or woken or died or is_set or world.now_ms() >= due:
            drift = _drift()
            if woken and not signals.wait(BURST_MS):
                list(follower.batch())
            plan = turn(controller, report, signals.arrived)
            if signals.arrived():
                break
            due = min(
                float("inf") if plan.wake is None else plan.wake,
                world.now_ms() + AGAIN_MS if plan.acts else float("inf"),
            )
            notify.ready()
            first = False
            continue  # what was written meanwhile, by this turn, too
        longest = LONGEST_MS if pause == SWEEP_MS else pause
        until = machine.boot_ns() + longest * 1_000_000
        ready: dict[int, int] = {}
        # Nothing is read to find out that nothing came: 0.7 ms a time.
        while not ready and machine.boot_ns() < until:
            left = min(due - world.now_ms(), (until - machine.boot_ns()) / 1e6)
            ready = dict(poll.poll(max(0.0, min(CLOCK_MS, left, notify.alive()))))
            if world.now_ms() >= due or abs(_drift() - drift) > SET_MS:
                break
        if signals.take() or ready.get(1, 0) & (select.POLLERR | select.POLLHUP):
            break
        watcher.drain()
    notify.say("STOPPING=1")


def _drift() -> float:
    """How far the wall clock is from the boot clock: it changes when the wall clock is set."""
    return world.now_ms() - machine.boot_ns() / 1e6
