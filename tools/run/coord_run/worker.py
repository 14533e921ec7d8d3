"""The worker: claims free jobs and makes an attempt at each, as many at once as it has slots.

It stays in the foreground. On SIGTERM or SIGINT it takes no more jobs, waits for those that run,
and exits. On a second signal it ends those that run, and their jobs are released.

The loop:

    1. watch the journal, then read what is new: what comes later wakes the poll in 5
    2. print the events of attempts of this worker; wake the attempts whose jobs changed
    3. if there is news, a job became due, or the pin of an attempt was dropped:
       a. release the jobs of dead attempts, after killing what they left behind
       b. note which jobs expired; of those that wait for others, which may begin or never will
       c. while a slot is free, claim a job and fork its attempt
    4. work out when to look again: the next job that becomes free by itself
    5. sleep until a signal, a change of the journal, or that time

Claiming a job (3c), so that no two workers of a store make one attempt, and a dead one is seen:

    1. take a slot: a lock that all workers of this agent share, or all of a pool (--slots-of)
    2. in a transaction: of the free jobs, the first whose attempt's pin can be locked; those before
       it that no worker may run are cancelled
    3. append the claim
    4. fork: the attempt inherits both locks, and the kernel frees them when it is gone
    5. if nothing was written, close both
"""

from __future__ import annotations

import os
import select
from itertools import islice

from coord_envelope import BadData, Event, Fault, Filter, ids, world
from coord_envelope.errors import DiskFault
from coord_envelope.event import file_form
from coord_envelope.platform import signal, suppress
from coord_kernel.proc import child
from coord_kernel.proc.notify import Notify
from coord_kernel.store import machine, pins
from coord_kernel.store.disk import fault_of
from coord_kernel.streams.follow import Watcher
from coord_run import draft, fold
from coord_run.admission import Admission
from coord_run.attempt import LOOK, ORPHANED, STOPPED
from coord_run.logs import place
from coord_run.pool import AttemptPool
from coord_run.prepare import drop_tree
from coord_run.process import NEVER, kill_remains
from coord_run.store import Runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.cli.call import Call
    from coord_kernel.journal.transaction import Transaction
    from coord_run.groups import Capacity
    from coord_run.jobs import Jobs
    from coord_run.types import Job

AGAIN_NS = 15_000_000_000
"""Pause before a worker tries again after a failure: a job that was released, a full disk."""
FIRST_PAUSE_NS = 1_000_000_000
"""Pause after the first attempt at a job that died alone. It doubles with each."""
BATCH = 500
"""Most jobs that are ended in one transaction without an attempt."""
_WAKING = ("run.*", "control.*", "provider.limited", "usage.reported", "patrol.freed")
"""What may change which jobs may be begun."""
_ENDS = ("run.completed", "run.released", "run.conceded")
_NEWS = ("run.cancelled", "run.claimed", "run.conceded", "run.completed", "run.signalled")
"""What may end a running attempt."""


class Worker:
    """The attempts of this worker, and what it may take."""

    def __init__(self, call: Call, capacity: Capacity) -> None:
        self._call, self._store = call, call.journal.store
        self._slots, self._left = capacity.slots, capacity.max_
        self._slots_of = capacity.slots_of
        self._admission = Admission(call, capacity.slots_of)
        self._capabilities, self._only = frozenset(capacity.cap or ()), capacity.only
        self._runs, self._pool = Runs(call), AttemptPool(call, capacity.substrate)
        self._claims = set[str]()
        self._watched: list[tuple[str, str, int]] = []
        self._not_before: dict[str, int] = {}
        self._reported = set[str]()
        self._changed: set[str] | None = None
        """Jobs that may let others begin; None: any."""
        self._stops, self._due, self._unstarted = 0, 0, 0
        self._locked = False
        """Is the pin of a free job locked? Perhaps by a process that only tests it: look again."""
        self._notify = Notify()
        self._signals = child.Signals(signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, LOOK)

    def work(self, once: bool) -> None:
        """Run jobs until a signal ends it; with `once` until none is free."""
        journal = self._call.journal
        follower = journal.follow(journal.end(live=False), live=False)
        watcher, wanted = Watcher(self._store.path), Filter(types=list(_WAKING))
        poll = select.poll()
        poll.register(1, 0)  # POLLERR and POLLHUP need no asking: stdout's reader is gone
        for fd in (watcher.fd, self._signals.fd):
            if fd is not None:
                poll.register(fd, select.POLLIN)
        self._notify.say("READY=1")
        while True:
            pause = watcher.watch(follower.directories())
            # In this order: what an attempt wrote before it ended decides what is next.
            ended = self._pool.reap()
            news = self._take_in(list(follower.batch(wanted))) + ended
            if machine.boot_ns() >= self._due:
                self._changed = None  # time alone may have ended a job
            if news or machine.boot_ns() >= self._due or self._dead():
                self._try(pause, once)
            if not self._pool.running and (once or self._stops or self._left == 0):
                self._take_in(list(follower.batch(wanted)))
                return
            left = max(0.0, (self._due - machine.boot_ns()) / 1e6)
            ready = dict(poll.poll(min(pause, left, self._notify.alive())))
            if ready.get(1, 0) & (select.POLLERR | select.POLLHUP):
                self._pool.stop()
                self._stops += 1
            watcher.drain()
            self._obey()

    def _take_in(self, events: list[Event]) -> int:
        """Print the events of attempts of this worker, and wake attempts.

        Returns how many events there are that may change what can be begun.
        """
        ours = [
            event
            for event in events
            if event.id in self._claims or _text(event["body"], "claim") in self._claims
        ]
        self._call.put(ours)
        if ours:
            self._seen()
        ended = [event["body"] for event in ours if event["type"] in _ENDS]
        self._claims.difference_update(_text(body, "claim") or "" for body in ended)
        if any(event["type"] == "run.started" for event in ours):
            self._unstarted = 0
        if self._changed is not None:
            self._changed.update(run for event in events if (run := _changed(event)))
        for event in events:
            run, reason = _text(event.get("refs"), "run_id"), _text(event["body"], "reason")
            released = event["type"] == "run.released" and event in ours
            if run and released and reason not in (STOPPED, ORPHANED):
                self._not_before[run] = machine.boot_ns() + AGAIN_NS
            if event["type"] in _NEWS and event.id not in self._claims:
                self._pool.wake(run)
        own = sum(event["type"] in ("run.claimed", "run.started") for event in ours)
        return len(events) - own

    def _seen(self) -> None:
        """Write that the session lives which runs this worker, while its attempts do."""
        actor = self._call.actor()
        if "session_id" in actor:
            from coord_kernel.journal.beat import beat

            with suppress(Fault, OSError):
                beat(self._call.journal, actor, "busy", tool="run worker")

    def _obey(self) -> None:
        for number in self._signals.take():
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stops += 1
                self._notify.say("STOPPING=1")
                if self._stops > 1:
                    self._pool.stop()

    # ---- taking jobs

    def _try(self, pause: float, once: bool) -> None:
        """Look; a full disk, or a lock that another process keeps, does not end what runs."""
        try:
            self._look(pause)
        except (Fault, OSError) as error:
            fault = error if isinstance(error, Fault) else fault_of(error)
            self._fail(fault, final=once)
            self._due = machine.boot_ns() + AGAIN_NS

    def _fail(self, fault: Fault, final: bool) -> None:
        if final:
            self._call.fail(fault)
            self._stops += 1
        else:
            self._call.warn(str(fault))

    def _look(self, pause: float) -> None:
        """Release the jobs of dead attempts, and take free ones."""
        self._watch(self._runs.jobs())
        for dead in self._dead():
            self._bury(*dead)
        while self._expire():
            pass
        while self._changed is None or self._changed:
            self._decide()
        no_slot = self._locked = False
        self._admission.look()
        self._admission.ask_labels(self._runs.known().free())
        while self._may_take() and not no_slot:
            slot = self._slot()
            no_slot = slot is None
            if slot is not None and not self._take(slot):
                break
        wait = min(self._runs.known().next_ms(), pause if no_slot or self._locked else 86_400_000.0)
        now = machine.boot_ns()
        later = min((due for due in self._not_before.values() if due > now), default=NEVER)
        opens = self._admission.due_ms
        if opens is not None:
            later = min(later, now + max(0, opens - world.now_ms() + 1) * 1_000_000)
        self._due = min(now + int(wait * 1_000_000), later)
        self._watch(self._runs.known())

    def _may_take(self) -> bool:
        stopped = self._stops or self._admission.stopped()
        return not stopped and self._left != 0 and len(self._pool.running) < self._slots

    def _slot(self) -> int | None:
        """A slot that no attempt of this agent, or pool, holds on any worker of this store."""
        agent = file_form(self._call.actor()["agent_id"])
        place = ("pools", self._slots_of) if self._slots_of else ("slots", agent)
        names = (("local", *place, str(number)) for number in range(self._slots))
        slots = (pins.take(self._store, *path) for path in names)
        return next((slot for slot in slots if slot is not None), None)

    def _take(self, slot: int) -> bool:
        """Claim the first job that is free for this worker, and begin it. Was there any?"""
        locks, claim, refused = [slot], None, list[Event]()
        try:
            if next(filter(self._eligible, self._runs.known().free()), None):
                with self._runs.change() as (t, jobs):
                    state = self._first_free(t, jobs, locks)
                    refused = list(t.events)
                    about = self._admission.about(state["request"]) if state else {}
                    claimed = self._pool.claim(t, state, about) if state else None
                claim = claimed
        finally:
            if claim is None:  # also if it could not be written
                for fd in locks:
                    os.close(fd)
        self._call.put(refused)
        if claim is None or state is None:
            return bool(refused)
        self._claims.add(claim.id)
        self._left = None if self._left is None else self._left - 1
        self._runs.close()
        self._admission.close()
        _, pin = locks
        self._pool.begin(state["request"], claim, pin, slot)
        return True

    def _first_free(self, t: Transaction, jobs: Jobs, locks: list[int]) -> Job | None:
        """The first free job whose pin can be locked; the pin joins the locks.

        Those before it that no worker may run are cancelled.
        """
        self._admission.look()
        for state in filter(self._eligible, jobs.free()):
            if jobs.elsewhere(state):
                continue
            try:
                draft.check({**state["request"]["body"]})
            except BadData as fault:
                t.add(draft.cancelled(state, draft.reason(f"not a valid request: {fault}")))
                if len(t.events) == BATCH:
                    break
                continue
            attempt = place(state["request"]["id"], str(fold.used(state) + 1))
            pin = pins.take(self._store, *attempt, "pin")
            if pin is not None:
                locks.append(pin)
                return state
            self._locked = True
        return None

    def _eligible(self, state: Job) -> bool:
        """Does the job need only what this worker has, is it its time, and may it run here?"""
        request = state["request"]
        needs = request["body"].get("needs", ())
        if not self._capabilities.issuperset(needs) or not (needs or not self._only):
            return False
        if self._not_before.get(request["id"], 0) > machine.boot_ns():
            return False
        if not self._admission.allows(state):
            return False
        allowed = self._pool.may_run(request)
        if not allowed and request["id"] not in self._reported:
            self._reported.add(request["id"])
            name = ids.short("run", request["id"])
            self._call.warn(
                f"{name}: came from another store, and no policy allows it; see run(1), POLICY"
            )
        return allowed

    def _expire(self) -> bool:
        """Note which jobs were not started in time. May there be more of them?"""
        if next(filter(self._concerned, self._runs.known().late()), None) is None:
            return False
        with self._runs.change() as (t, jobs):
            for state in islice(filter(self._concerned, jobs.late()), BATCH):
                t.add(draft.expired(state))
        self._call.put(event for event in t.events if "$dup" not in event)
        return len(t.events) == BATCH

    def _decide(self) -> None:
        """Queue the jobs whose predecessors succeeded; cancel those of which one did not."""
        jobs, changed, self._changed = self._runs.known(), self._changed, None
        waiting = filter(self._concerned, jobs.waiting(changed))
        ready = [state["request"]["id"] for state in waiting if draft.decided(state, jobs)]
        cancelled = set[str]()
        for begin in range(0, len(ready), BATCH):
            with self._runs.change() as (t, jobs):
                for state in map(jobs.state, ready[begin : begin + BATCH]):
                    decided = draft.decided(state, jobs) if fold.waits(state) else None
                    if decided:
                        t.add(decided)
            self._call.put(event for event in t.events if "$dup" not in event)
            cancelled |= {run for event in t.events if (run := _changed(event))}
        self._changed = cancelled  # who waits for them is next

    def _concerned(self, state: Job) -> bool:
        return self._pool.may_run(state["request"])

    # ---- dead attempts

    def _bury(self, run: str, claim: str, n: int) -> None:
        """Release the job of a dead attempt. If its command was never started it does not count."""
        kill_remains(run, n)
        drop_tree(self._store, self._pool.root, run, n)
        state = self._runs.jobs().state(run)
        ours, started = claim in self._claims, state["attempts"][claim]["started"]
        self._runs.release(run, claim, ORPHANED)
        if ours:  # it may be the job that kills its attempts
            self._not_before[run] = machine.boot_ns() + (FIRST_PAUSE_NS << min(n - 1, 10))
        if ours and not started:
            self._unstarted += 1
            fault = DiskFault(
                "died before its command was started",
                where=f"{ids.short('run', run)}: attempt {n}",
                todo="see the lines before this one",
            )
            self._fail(fault, final=self._unstarted > 1)

    def _watch(self, jobs: Jobs) -> None:
        """Note the attempts that were begun in this store: their pins say whether they live."""
        replicas, watched = self._store.replicas(), []
        for state in jobs.held():
            for claim in fold.open_claims(state):
                attempt = state["attempts"].get(claim)
                if attempt and state["claims"][claim]["replica"] in replicas:
                    watched.append((state["request"]["id"], claim, attempt["n"]))
        self._watched = watched

    def _dead(self) -> list[tuple[str, str, int]]:
        """The attempts whose pins nobody holds any more: (job, claim, number)."""
        return [
            (run, claim, n)
            for run, claim, n in self._watched
            if pins.dropped(self._store, *place(run, str(n), "pin"))
        ]


def _changed(event: Event) -> str | None:
    """The job that an event may have ended, or that may begin at once."""
    if event["type"] == "run.requested":
        return event.id if "after" in event["body"] else None
    ends = (*_ENDS, "run.cancelled", "run.expired")
    return _text(event.get("refs"), "run_id") if event["type"] in ends else None


def _text(fields: object, name: str) -> str | None:
    """A field that is a string, else None: with push access anything can be written there."""
    value = fields.get(name) if isinstance(fields, dict) else None
    return value if isinstance(value, str) else None
