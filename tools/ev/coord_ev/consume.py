"""ev consume: run a command for each matching event, and emit an event with the result.

    1. read the events after the consumer's cursor; what matches is open
    2. per open event: request its job, wait for the end, check the answer, request the gate's
       job, emit the result (see `reaction`); each step is an event with a key
    3. an event whose result is in the journal is closed
    4. the cursor moves past the closed events only, so a restart continues with the open ones

The loop wakes for new events and when its worker prints; it asks about every job once a minute,
because no event says that a job is lost.
"""

from __future__ import annotations

import errno
import os
import time

from coord_envelope import Fault
from coord_envelope.errors import TryAgain
from coord_ev.consumer import Consumer
from coord_ev.jobs import Jobs
from coord_ev.reaction import Reaction, ref
from coord_kernel import Journal, Store
from coord_kernel.store import cursors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event
    from coord_kernel.cli.call import Call

LOOK_S = 60.0
"""Seconds between two looks at all jobs."""
BEGUN = 32
"""Events begun before the next look at signals and at finished jobs."""
ENDS = ("run.completed", "run.cancelled")


def consume(call: Call, path: str, once: bool, most: int | None, dry_run: bool) -> None:
    """React to the events after the consumer's cursor; `once`: to those that are there.

    The cursor moves past an event only when nothing is left to do for it, so a restart continues
    unfinished work. Raises Fault.
    """
    store = call.journal.store
    consumer = Consumer(path, ReadOnly(store.path, store.project) if dry_run else store)
    for mistake in consumer.mistakes:
        call.fail(mistake)
    if consumer.mistakes:
        return
    if dry_run:
        _rehearse(call, Journal(ReadOnly(store.path, store.project)), consumer, most)
    else:
        Consuming(call, consumer, most).run(once)


class ReadOnly(Store):
    """A store that cannot be written, as on a read-only disk."""

    def save(self, data: bytes, *names: str, durable: bool = True) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def open(self, *names: str, flags: int = os.O_RDONLY) -> int:
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return super().open(*names, flags=flags)


def _rehearse(call: Call, journal: Journal, consumer: Consumer, most: int | None) -> None:
    """Print the jobs that would be requested now. Writes nothing."""
    reaction = Reaction(call, journal, consumer, Jobs(journal.store, consumer.name))
    reaction.refresh()
    begin = cursors.load(journal.store, consumer.cursor)
    for event in journal.replay(consumer.wanted, after=begin):
        if most == 0:
            break
        redacted = event.id in journal.redactions.targets
        if redacted or reaction.own(event) or reaction.result(event) or reaction.job(event):
            continue
        most = most and most - 1
        try:
            (argv, stdin), env = consumer.command(event)
        except Fault as fault:
            call.fail(fault, f"{event.id}: {fault.where}")
            continue
        row = {
            "event_id": event.id,
            "consumer": consumer.name,
            "argv": argv,
            "stdin": stdin.decode("utf-8", "replace"),
        }
        call.put([row | {"env": env} if env else row])


class Consuming:
    """A running consumer."""

    def __init__(self, call: Call, consumer: Consumer, most: int | None) -> None:
        self._call, self._consumer, self._left = call, consumer, most
        self._store, self._jobs = call.journal.store, Jobs(call.journal.store, consumer.name)
        self._reaction = Reaction(call, call.journal, consumer, self._jobs)
        self._open: dict[str, Event] = {}
        self._fresh: list[Event] = []
        """Open events for which nothing was done yet."""
        self._beyond: dict[str, Event] = {}
        """By stream, the first matching event beyond the maximum."""
        self._looked = time.monotonic()

    def run(self, once: bool) -> None:
        """Take new events and finish open ones; `once`, or at the maximum, until none is open."""
        name = self._consumer.cursor
        saved = cursors.load(self._store, name)
        follower = self._call.journal.follow(saved, live=False)
        with self._jobs.worker(self._consumer.concurrency) as worker:
            for batch in follower.batches(
                also=worker.fd, within=lambda: 0 if self._fresh else LOOK_S * 1_000
            ):
                worker.drain()
                events = self._next(self._take(list(filter(self._concerns, batch))))
                self._reaction.prepare(events)
                for event in events:
                    if self._reaction.go_on(event):
                        del self._open[event.id]
                behind = follower.reached.without([*self._open.values(), *self._beyond.values()])
                if behind != saved:
                    follower.make_durable(saved)
                    cursors.save(self._store, name, saved := behind)
                if (once or self._left == 0) and self._open.keys() <= self._reaction.elsewhere:
                    self._leave_the_rest()
                    return

    def _leave_the_rest(self) -> None:
        """Report the events that are still open: another store has to finish them."""
        for event_id in self._open:
            what = "its job belongs to another store"
            self._call.fail(TryAgain(what, event_id, todo="sync, and start again"))

    def _concerns(self, event: Event) -> bool:
        return event["type"] in ENDS or self._consumer.wanted(event)

    def _take(self, events: list[Event]) -> set[str]:
        """Open the matching events. Returns the ids of jobs to ask about."""
        self._reaction.refresh()
        for event in filter(self._consumer.wanted, events):
            if self._reaction.own(event) or event.id in self._call.journal.redactions.targets:
                continue
            if self._left == 0:
                self._beyond.setdefault(event.stream, event)
                continue
            self._left = self._left and self._left - 1
            self._open[event.id] = event
            self._fresh.append(event)
        ended = {ref(event, "run_id") for event in events if event["type"] in ENDS}
        if time.monotonic() >= self._looked + LOOK_S:
            self._looked, ended = time.monotonic(), set(self._reaction.waits)
        return ended & self._reaction.waits.keys()

    def _next(self, runs: set[str]) -> list[Event]:
        """The events to go on with: those of these jobs, and some that were not begun."""
        self._jobs.look(runs)
        begun, self._fresh = self._fresh[:BEGUN], self._fresh[BEGUN:]
        ready = [self._reaction.waits[run] for run in runs] + [event.id for event in begun]
        return [self._open[event_id] for event_id in dict.fromkeys(ready) if event_id in self._open]
