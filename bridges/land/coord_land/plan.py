"""What a merge queue does next. Pure: of what a look has seen, and a time.

    1. what is in the target has landed, if a commit of the target that has it has passed; what a
       later request of the same agent for the same branch replaces leaves
    2. a hold of this base and of one of its gates: nothing more. If somebody else moved the target
       to what was not tested, with requests in it, the base is tested
    3. the batch: the first requests, in order, that merge on the base. It stays until the target
       moves or each has an end, whatever comes meanwhile
    4. the decision about it: a test, a hold, or culprits that leave, one after the other; then the
       good stack lands

An act is about this base, this commit, this attempt: its key says so.
"""

from __future__ import annotations

from coord_envelope import world
from coord_kernel.controller import Act, Plan
from coord_land import fold
from coord_land.decide import Held, Needed, Verdict, decide, demand_base
from coord_land.repository import Conflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import NamedTuple

    from coord_envelope.codec import Json
    from coord_land.decide import Decision, Stack
    from coord_land.fold import Base, Queue, Request
    from coord_land.policy import Command, Hosted, Policy

    class Outcome(NamedTuple):
        """What came of a test."""

        outcome: str
        about: Json
        """More of the body of its `land.tested`, and `run`."""

    class Running(NamedTuple):
        """A test that is not over."""

        until: int | None
        """When it is over at the latest, in Unix milliseconds; None: an event says so."""

else:
    from collections import namedtuple

    Outcome = namedtuple("Outcome", "outcome about")
    Running = namedtuple("Running", "until")


class Seen:
    """What a look has seen."""

    base: str
    requests: Sequence[Request]
    """Those that are open, in order."""
    left: Sequence[Request]
    """Those of the last batch that left: they may have been withdrawn while being pushed."""
    landed: Mapping[str, str]
    """Request → the commit of the target that landed it."""
    missing: Collection[str]
    """Commits of requests that are not here."""
    done: Base
    queue: Queue
    policy: Policy
    stray: Mapping[str, str]
    """Refs that kept the commits of requests that are over: ref → commit."""
    checked: Mapping[str, str]
    """Refs for hosted checks: ref → commit."""

    def merged(self, below: str, request: Request) -> str:
        """The commit of a request on top of another. Raises Conflict."""
        raise NotImplementedError

    def proven(self, request: Request, commit: str) -> bool:
        """Has a commit that the target was passed, with the commit that landed the request?"""
        raise NotImplementedError

    def gates(self, commit: str) -> Sequence[Command | Hosted]:
        """What a commit has to pass."""
        raise NotImplementedError

    def progress(
        self, gate: Command | Hosted, commit: str, attempt: int
    ) -> Running | Outcome | None:
        """How a test is; None: it was not begun."""
        raise NotImplementedError


GRACE_MS = 10 * 60_000
"""How long a commit may be missing after its request: it may come with a later fetch."""
AGAIN_MS = 60_000
"""How often the target is looked at while requests wait for it to change: no event says that."""


def plan(seen: Seen, now: int) -> Plan:
    """The acts that are due at `now` (Unix milliseconds), and when the next may be."""
    return _Planning(seen, now).plan()


class _Planning:
    """One plan in the making; and what `decide` decides about."""

    def __init__(self, seen: Seen, now: int) -> None:
        self._seen, self._now = seen, now
        self._acts: list[Act] = []
        self._wakes: list[int] = []
        self._alive: dict[str, Request] = {}
        self._culprits: dict[str, Request] = {}
        """Those that the decision has rejected: it stays what it is until all of them have left."""
        self._unproven = False
        """Is something in the target that no test has passed?"""
        self._tested = ""
        self.base, self.gates = seen.base, seen.gates
        self._epochs = {
            gate.id: fold.epoch(seen.queue, seen.base, gate.control) for gate in seen.policy.gates
        }
        verdicts = sorted(seen.done["tested"].values(), key=lambda each: str(each["id"]))
        self._verdicts = [
            each
            for each in verdicts
            if each.get("epoch", "") == self._epochs.get(str(each.get("gate")))
        ]
        self.verdicts = [
            Verdict(*(str(each.get(field)) for field in ("gate", "commit", "outcome")))
            for each in self._verdicts
        ]

    def plan(self) -> Plan:
        self._ends()
        hold = self._hold()
        if hold:
            self._wakes += [self._now + AGAIN_MS] if self._alive or self._unproven else []
        elif self._unproven and self._epochs:
            self._tried(lambda: demand_base(self))
        elif self._alive and self._epochs:
            self._decide()
        over = {ref: at for ref, at in self._seen.checked.items() if at != self._tested}
        for ref, commit in {**self._seen.stray, **over}.items():
            self._act("tidy", f"{ref}:{commit}", ref=ref, commit=commit)
        return Plan(self._acts, min((at for at in self._wakes if at > self._now), default=None))

    def _act(self, kind: str, key: str, **about: object) -> None:
        self._acts.append(Act(kind, f"{kind}:{key}", **about))

    # ---- 1. who is over

    def _ends(self) -> None:
        newest: dict[tuple[str, str], str] = {}
        for request in self._seen.requests:
            branch = (request["branch"], request["by"])
            newest[branch] = max(newest.get(branch, ""), request["id"])
        for request in (*self._seen.left, *self._seen.requests):
            name, branch = request["id"], (request["branch"], request["by"])
            later = newest.get(branch, name)
            commit = self._seen.landed.get(name)
            if commit and not self._seen.proven(request, commit):
                self._unproven = True
            elif commit:
                self._act("landed", name, request=request, commit=commit)
            elif request in self._seen.left:
                if self._is_culprit(request):
                    self._culprits[name] = request
            elif later != name:
                self._act("withdraw", name, request=request, by=later)
            else:
                self._alive[name] = request

    def _is_culprit(self, request: Request) -> bool:
        at, _, _, body = fold.ended(request) or ("", "", "", {})
        by = (body.get("why"), body.get("base"))
        return by == ("gate", self.base) and at > max(self._epochs.values(), default="")

    # ---- 2. holds

    def _hold(self) -> str | None:
        """The open hold of this base and one of its gates."""
        for at, hold in fold.holds(self._seen.queue).items():
            if hold.get("base") == self.base and hold.get("gate") in self._epochs:
                return at
        return None

    # ---- 3. the batch

    def _batch(self) -> list[str]:
        """The members of the batch, with its culprits; a batch is planned if there is none."""
        for _, requests in sorted(self._seen.done["batches"].items()):
            if any(each in self._alive for each in requests):
                return [
                    each
                    for each in requests
                    if each in self._culprits
                    or (each in self._alive and self._fits(self._alive[each]))
                ]
        chosen = list[str]()
        for request in self._alive.values():
            if len(chosen) < self._seen.policy.batch and self._fits(request):
                chosen.append(request["id"])
        if chosen:
            self._act("batch", f"{self.base}:{chosen[0]}", base=self.base, requests=chosen)
        return []

    def _fits(self, request: Request) -> bool:
        """Does it merge on the base? If that cannot be, it is planned to leave."""
        if request["sha"] in self._seen.missing:
            until = _ms(request["ts"]) + GRACE_MS
            if until > self._now:
                self._wakes += [until, self._now + AGAIN_MS]
            else:
                self._reject(request, "gone")
            return False
        try:
            self._seen.merged(self.base, request)
        except Conflict as conflict:
            about = {"files": list(conflict.files), "note": conflict.note}
            self._reject(request, conflict.why, **about)
            return False
        return True

    def _reject(self, request: Request, why: str, **about: object) -> None:
        key = f"{request['id']}:{self.base}:{why}"
        self._act("reject", key, request=request, base=self.base, why=why, **about)

    # ---- 4. the decision

    def _decide(self) -> None:
        members = self._batch()
        alive = [each for each in members if each in self._alive]
        # Those that fit only without a culprit come when all culprits have left.
        if alive and not self._decided(members):
            self._decided(alive)

    def _decided(self, members: Sequence[str]) -> bool:
        """Plan what the decision about these asks for; False if that is nothing."""
        decision = self._tried(lambda: decide(members, self))
        if decision is None:
            return True
        left = {at: gate for at, gate in decision.culprits.items() if at in self._alive}
        for name, failed in left.items():
            runs = self._runs(name, failed)
            self._reject(self._alive[name], "gate", gate=self._gate(failed), runs=runs)
        if decision.stack and not left:
            self._land(decision.stack)
        return bool(left or decision.stack)

    def _tried(self, decided: Callable[[], Decision | None]) -> Decision | None:
        """The decision; None if a test or a hold comes first, which is planned then."""
        try:
            return decided()
        except Needed as needed:
            self._test(needed)
        except Held as held:
            gate, epoch = self._gate(held.gate), self._epochs[held.gate]
            about = {"gate": gate, "outcomes": held.outcomes, "epoch": epoch}
            self._act("hold", f"{self.base}:{gate.id}:{epoch}", base=self.base, **about)
        return None

    def _runs(self, request: str, gate: str) -> list[str]:
        """The last jobs in which a gate tested a stack that ends with a request."""
        tests = [each for each in self._verdicts if (each.get("requests") or [""])[-1] == request]
        return [each["run"] for each in tests if each.get("gate") == gate and each.get("run")][-2:]

    def _land(self, stack: Stack) -> None:
        commit = self.commit(stack)
        self._act("land", f"{self.base}:{commit}", base=self.base, commit=commit, stack=stack)

    def _test(self, needed: Needed) -> None:
        gate, commit = self._gate(needed.gate), needed.commit
        tests = self._seen.done["tested"].values()
        before = [each for each in tests if (each.get("gate"), each.get("commit")) == needed.of]
        attempts = [each["attempt"] for each in before if type(each.get("attempt")) is int]
        attempt = 1 + max(attempts, default=0)
        key = f"{self.base}:{gate.id}:{commit}:{attempt}"
        about: Json = {"gate": gate, "commit": commit, "attempt": attempt, "base": self.base}
        progress = self._seen.progress(gate, commit, attempt)
        self._tested = commit
        if progress is None:
            self._act("begin", key, **about)
        elif isinstance(progress, Running):
            self._wakes += [] if progress.until is None else [progress.until]
        else:
            about |= {"epoch": self._epochs[gate.id], "requests": list(needed.stack)}
            self._act("tested", key, outcome=progress.outcome, more=progress.about, **about)

    def _gate(self, name: str) -> Command | Hosted:
        return next(gate for gate in self._seen.policy.gates if gate.id == name)

    def commit(self, stack: Stack) -> str | None:
        """The commit of a stack; None if its last request does not merge on the others."""
        commit = self.base
        for name in stack:
            try:
                request = self._alive.get(name) or self._culprits[name]
                commit = self._seen.merged(commit, request)
            except Conflict:
                return None
        return commit


def _ms(ts: str) -> int:
    try:
        return world.parse_ts(ts)
    except ValueError:
        return 0
