"""The worker: takes jobs that are free and makes an attempt at each, as many at once as it has slots.

It stays in the foreground. SIGTERM or SIGINT: it takes no more, waits for what runs, and ends. A second one: what runs
is ended and given back.
"""

from __future__ import annotations

import os
import select
import signal

from coord_envelope import Event, Fault, Filter, ids
from coord_kernel.cli import complaints
from coord_kernel.proc.child import Signals
from coord_kernel.store import machine, pins
from coord_kernel.store.disk import fault_of
from coord_kernel.streams.follow import Watcher
from coord_run import fold
from coord_run.attempt import LOOK, ORPHANED, STOPPED
from coord_run.hands import Hands
from coord_run.logs import place
from coord_run.notify import Notify
from coord_run.prepare import drop_tree
from coord_run.process import hunt
from coord_run.store import Runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_run.jobs import Jobs

AGAIN_NS = 15_000_000_000
"""How long a worker leaves a job alone whose claim was not confirmed: the remote may be out of reach."""
_ENDS = ("run.completed", "run.released", "run.conceded")
_NEWS = ("run.cancelled", "run.claimed", "run.conceded", "run.completed")
"""What may end an attempt that runs."""


class Worker:
    """What runs for this worker, and what it may take."""

    def __init__(
        self, call: Call, slots: int, caps: Iterable[str], where: str, most: int | None, only: bool
    ) -> None:
        """At most `most` attempts in all; `where` is the substrate; `only`: of jobs that need one of the caps."""
        self._call, self._slots, self._caps, self._left = call, slots, frozenset(caps), most
        self._runs, self._store = Runs(call), call.journal.store
        self._hands = Hands(call, where)
        self._claims, self._only = set[str](), only
        self._watched: list[tuple[str, str, int]] = []
        self._later: dict[str, int] = {}
        self._refused = set[str]()
        self._stops, self._due = 0, 0
        self._doubtful = False
        """Is there a free job whose pin is held? Perhaps by who only asks; then it is to be looked at again."""
        self._notify = Notify()
        self._caught = Signals(signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, LOOK)

    def work(self, once: bool) -> None:
        """Run jobs until it is told to end; with `once` until none is free."""
        journal = self._call.journal
        follower = journal.follow(journal.end(live=False), live=False)
        watcher, wanted = Watcher(self._store.path), Filter(types=["run.*"])
        poll = select.poll()
        poll.register(1, 0)  # POLLERR and POLLHUP come unasked: stdout's reader is gone
        for fd in (watcher.fd, self._caught.fd):
            if fd is not None:
                poll.register(fd, select.POLLIN)
        self._notify.say("READY=1")
        while True:
            pause = watcher.watch(follower.directories())
            news = self._heed(list(follower.batch(wanted))) + self._hands.reap()
            if news or machine.boot_ns() >= self._due or self._lost():
                self._try(pause, once)
            if not self._hands.running and (once or self._stops or self._left == 0):
                self._heed(list(follower.batch(wanted)))
                return
            left = max(0.0, (self._due - machine.boot_ns()) / 1e6)
            if dict(poll.poll(min(pause, left, self._notify.alive()))).get(1, 0) & (
                select.POLLERR | select.POLLHUP
            ):
                self._hands.stop()
                self._stops += 1
            watcher.drain()
            self._obey()

    def _heed(self, events: list[Event]) -> int:
        """Print what concerns what runs here, and let it know; how many events there were."""
        mine = [
            one
            for one in events
            if one.id in self._claims or _text(one["body"], "claim") in self._claims
        ]
        self._call.put(mine)
        self._claims -= {_text(one["body"], "claim") or "" for one in mine if one["type"] in _ENDS}
        for one in events:
            run, reason = _text(one.get("refs"), "run_id"), _text(one["body"], "reason")
            if (
                run
                and one in mine
                and one["type"] == "run.released"
                and reason not in (STOPPED, ORPHANED)
            ):
                self._later[run] = machine.boot_ns() + AGAIN_NS
            if one["type"] in _NEWS and one.id not in self._claims:
                self._hands.look(run)
        return len(events)

    def _obey(self) -> None:
        for number in self._caught.take():
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stops += 1
                self._notify.say("STOPPING=1")
                if self._stops > 1:
                    self._hands.stop()

    # ---- taking jobs

    def _try(self, pause: float, once: bool) -> None:
        """Look; a full disk, or a lock that another holds for long, is no reason to end what runs."""
        try:
            self._look(pause)
        except (Fault, OSError) as trouble:
            fault = trouble if isinstance(trouble, Fault) else fault_of(trouble)
            if once:
                self._call.fail(fault)
                self._stops += 1
            else:
                complaints.warn(str(fault))
            self._due = machine.boot_ns() + AGAIN_NS

    def _look(self, pause: float) -> None:
        """Give back what the dead left, and take what is free."""
        self._watch()
        for run, claim, n in self._lost():
            hunt(run, n)
            drop_tree(self._store, self._hands.root, run, n)
            self._runs.give_back(run, claim, ORPHANED)
        blocked = self._doubtful = False
        while self._may_take() and not blocked:
            slot = self._slot()
            blocked = slot is None
            if slot is not None and not self._take(slot):
                break
        wait = min(
            self._runs.jobs().next_ms(), pause if blocked or self._doubtful else 86_400_000.0
        )
        later = min((at for at in self._later.values() if at > machine.boot_ns()), default=1 << 63)
        self._due = min(machine.boot_ns() + int(wait * 1_000_000), later)
        self._watch()

    def _may_take(self) -> bool:
        return not self._stops and self._left != 0 and len(self._hands.running) < self._slots

    def _slot(self) -> int | None:
        """A slot that no attempt of this agent holds, on any worker of this store."""
        agent = self._call.actor()["agent_id"].replace(":", ".", 1)
        taken = (
            pins.take(self._store, "local", "slots", agent, str(number))
            for number in range(self._slots)
        )
        return next((fd for fd in taken if fd is not None), None)

    def _take(self, slot: int) -> bool:
        """Claim the first job that is free for this worker and begin it. Is there one?"""
        begun: list[tuple[Json, int]] = []

        def decide(jobs: Jobs) -> list[Json]:
            for state in filter(self._eligible, jobs.free()):
                attempt = place(state["request"]["id"], str(fold.used(state) + 1))
                pin = pins.take(self._store, *attempt, "pin")
                if pin is not None:
                    begun.append((state, pin))
                    return self._hands.claim(state)
                self._doubtful = True
            return []

        events = list[Event]()
        try:
            if next(filter(self._eligible, self._runs.jobs().free()), None):
                events = self._runs.change(decide)
        finally:
            if not events:  # also if it could not be written
                for fd in (slot, *(pin for _, pin in begun)):
                    os.close(fd)
        if not events:
            return False
        ((state, pin),) = begun
        self._claims.add(events[0].id)
        self._left = None if self._left is None else self._left - 1
        self._runs.close()
        self._hands.begin(state["request"], events[0], pin, slot)
        return True

    def _eligible(self, state: Json) -> bool:
        needs = state["request"]["body"].get("needs", ())
        return (
            self._caps.issuperset(needs) and bool(needs or not self._only) and self._allowed(state)
        )

    def _allowed(self, state: Json) -> bool:
        """May it run here, and not before its time, if its claim was not confirmed just now?"""
        request = state["request"]
        if self._later.get(request["id"], 0) > machine.boot_ns():
            return False
        allowed = self._hands.may_run(state)
        if not allowed and request["id"] not in self._refused:
            self._refused.add(request["id"])
            name = ids.short("run", request["id"])
            complaints.warn(
                f"{name}: came from another store, and no policy allows it; see run(1), POLICY"
            )
        return allowed

    # ---- what the dead left

    def _watch(self) -> None:
        """Whose attempts, begun in this store, can be found dead by their pins."""
        here, found = self._store.replicas(), []
        for state in self._runs.jobs().held():
            for claim in fold.open_claims(state):
                attempt_ = state["attempts"].get(claim)
                if attempt_ and state["claims"][claim]["replica"] in here:
                    found.append((state["request"]["id"], claim, attempt_["n"]))
        self._watched = found

    def _lost(self) -> list[tuple[str, str, int]]:
        """The attempts that nobody makes any more."""
        return [
            one
            for one in self._watched
            if pins.dropped(self._store, *place(one[0], str(one[2]), "pin"))
        ]


def _text(said: object, name: str) -> str | None:
    """What an event says by that name, if it is text: whoever can push can write anything there."""
    found = said.get(name) if isinstance(said, dict) else None
    return found if isinstance(found, str) else None
