"""ev consume: a command for each event that matches, run by `run`, and an event of what came of it."""

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
"""After so long all jobs are asked after: that one is lost is said by no event."""
BEGUN = 8
"""Events begun before the next look at signals and at what is finished."""
ENDS = ("run.completed", "run.cancelled")


def consume(call: Call, path: str, once: bool, most: int | None, dry_run: bool) -> None:
    """React to what comes after the consumer's cursor; `once`: to what is there. Raises Fault.

    The cursor passes an event only when nothing is left to do for it, so a restart takes up what was not finished.
    """
    store = call.journal.store
    consumer = Consumer(path, Untouched(store.path, store.project) if dry_run else store)
    for mistake in consumer.mistakes:
        call.fail(mistake)
    if consumer.mistakes:
        return
    if dry_run:
        _rehearse(call, Journal(Untouched(store.path, store.project)), consumer, most)
    else:
        Consuming(call, consumer, most).run(once)


class Untouched(Store):
    """A store to which nothing is written: everything behaves as on a disk that cannot be written."""

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
    for event in journal.replay(
        consumer.wanted, after=cursors.load(journal.store, _cursor(consumer))
    ):
        if most == 0:
            break
        redacted = event.id in journal.redactions.by
        if redacted or reaction.own(event) or reaction.result(event) or reaction.job(event):
            continue
        most = most and most - 1
        try:
            (argv, stdin), env = consumer.job(event), consumer.environment(event)
        except Fault as fault:
            call.fail(fault, f"{event.id}: {fault.where}")
            continue
        said = {
            "argv": argv,
            "stdin": stdin.decode("utf-8", "replace"),
            **({"env": env} if env else {}),
        }
        call.put([{"event_id": event.id, "consumer": consumer.name, **said}])


def _cursor(consumer: Consumer) -> str:
    return f"consume.{consumer.name}"


class Consuming:
    """A consumer at work."""

    def __init__(self, call: Call, consumer: Consumer, most: int | None) -> None:
        self._call, self._consumer, self._left = call, consumer, most
        self._store, self._jobs = call.journal.store, Jobs(call.journal.store, consumer.name)
        self._reaction = Reaction(call, call.journal, consumer, self._jobs)
        self._open: dict[str, Event] = {}
        self._fresh: list[Event] = []
        self._beyond: dict[str, Event] = {}
        """Of each stream the first event that is one too many."""
        self._looked = time.monotonic()

    def run(self, once: bool) -> None:
        """Take what comes and finish what is open; `once`, or with so many taken, until nothing is open."""
        saved = cursors.load(self._store, _cursor(self._consumer))
        follower = self._call.journal.follow(saved, live=False)
        with self._jobs.worker(self._consumer.concurrency) as worker:
            for batch in follower.batches(
                also=worker.fd, within=lambda: 0 if self._fresh else LOOK_S * 1_000
            ):
                worker.hear()
                for event in self._next(self._take(list(filter(self._concerns, batch)))):
                    if self._reaction.go_on(event):
                        del self._open[event.id]
                behind = follower.reached.without([*self._open.values(), *self._beyond.values()])
                if behind != saved:
                    follower.vouch(saved)
                    cursors.save(self._store, _cursor(self._consumer), saved := behind)
                if (once or self._left == 0) and self._open.keys() <= self._reaction.elsewhere:
                    for event_id in self._open:
                        self._call.fail(
                            TryAgain(
                                "its job is another store's", event_id, todo="sync, and start again"
                            )
                        )
                    return

    def _concerns(self, event: Event) -> bool:
        return event["type"] in ENDS or self._consumer.wanted(event)

    def _take(self, events: list[Event]) -> set[str]:
        """Open those that match. Returns the jobs of which there is news."""
        self._reaction.refresh()
        for event in filter(self._consumer.wanted, events):
            if self._reaction.own(event) or event.id in self._call.journal.redactions.by:
                continue
            if self._left == 0:
                self._beyond.setdefault(event.stream, event)
                continue
            self._left = self._left and self._left - 1
            self._open[event.id] = event
            self._fresh.append(event)
        news = {ref(event, "run_id") for event in events if event["type"] in ENDS}
        if time.monotonic() >= self._looked + LOOK_S:
            self._looked, news = time.monotonic(), set(self._reaction.waits)
        return news & self._reaction.waits.keys()

    def _next(self, news: set[str]) -> list[Event]:
        """The events with which to go on: of whose jobs there is news, and some that were not begun."""
        self._jobs.look(news)
        begun, self._fresh = self._fresh[:BEGUN], self._fresh[BEGUN:]
        named = dict.fromkeys(
            [*(self._reaction.waits[run] for run in news), *(event.id for event in begun)]
        )
        return [self._open[one] for one in named if one in self._open]
