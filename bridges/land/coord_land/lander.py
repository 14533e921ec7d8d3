"""A merge queue as a controller: what it sees, plans and does.

    look   the requests, verdicts and holds of the journal; the target and its history in git
    act    an event with a key, a job with a key, or a push that names the base

The world is asked before the journal: whether something landed is read off the target. So a queue
that is killed between the push and the events says afterwards what it did.
"""

from __future__ import annotations

import fcntl
import os

from coord_envelope import world
from coord_envelope.errors import BadData, No, TryAgain, Unreachable
from coord_envelope.platform import suppress
from coord_kernel.cli import link
from coord_kernel.cli.complaints import complain
from coord_kernel.cli.person import person
from coord_kernel.controller import Act, Plan
from coord_kernel.controller.deaths import Deaths
from coord_kernel.rules import control
from coord_kernel.store import locate, pins
from coord_kernel.views.presence import Stops
from coord_kernel.views.view import View
from coord_land import draft, fold, policy
from coord_land.decide import PASS
from coord_land.gates import Gates
from coord_land.plan import AGAIN_MS, Seen, plan
from coord_land.policy import Command
from coord_land.repository import CHECKED, KEPT, Conflict, Repository, target_of
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Store
    from coord_kernel.cli.call import Call
    from coord_kernel.views.view import Source
    from coord_land.fold import Request
    from coord_land.plan import Outcome, Running
    from coord_land.policy import Hosted, Policy

AGENT = "bridge:land"
LEAVES = ("withdraw", "reject")
"""Acts by which a request leaves."""


class Requests(View):
    """Requests, verdicts and holds."""

    commutes = True

    def __init__(self, store: Store) -> None:
        super().__init__(store, fold)


class Lander:
    """It acts as one agent, whoever started it."""

    def __init__(
        self, call: Call, agent: str, place: tuple[str, str], given: Policy | None
    ) -> None:
        """`place`: remote and target; `given`: the policy, if it is not that of the base."""
        self._call, self._journal, self._agent = call, call.journal, agent
        self._store = store = call.journal.store
        remote, self.target = place
        self._root = os.path.realpath(locate.root(store.path))
        self.repository = Repository(self._root, remote, self.target)
        self._view, self._stops = Requests(store), Stops(store)
        self.gates = Gates(call.journal, self.repository, agent, self._root)
        self._given, self._policies = given, dict[str, "Policy"]()
        self._judged: dict[str, Conflict | None] = {}
        self._deaths: Deaths | None = None

    def deaths(self) -> Deaths:
        """What wakes it when the process of a test is gone."""
        self._deaths = self._deaths or Deaths(self._store)
        return self._deaths

    def wakes(self, event: Event) -> bool:
        """Can the event change the plan?"""
        kind, refs = event["type"], event.get("refs")
        if kind == "run.completed":
            return isinstance(refs, dict) and refs.get("run_id") in self.gates.running
        ours = kind.startswith(("land.", "control."))
        return ours or event["body"].get("commit") in self.gates.awaited

    def plan(self) -> Plan:
        source, stops = self._view.refresh(), self._stops.control()
        if control.stopped(stops) or control.stopped(stops, self._agent):
            return Plan([])
        requests = list(fold.opened(source, self.target))
        try:
            look = _Look(self, source, requests)
            planned = plan(look, world.now_ms()) if look.worth else Plan([])
            if look.fault and requests and not planned.acts:
                raise look.fault  # what has landed is written before
        except (Unreachable, TryAgain) as fault:
            if self._deaths is None:
                raise
            complain(fault)  # it stays up, and looks again
            return Plan([], world.now_ms() + AGAIN_MS)
        planned.acts += [Act("cancel", f"cancel:{run}", run=run) for run in self.gates.stale()]
        if self._deaths:
            self._deaths.watch(self.gates.running.values())
        return planned

    def wait(self) -> bool:
        """Wait for a job of this queue that runs; False without one."""
        for run, pin in self.gates.running.items():
            fd = pins.opened(self._store, *pin)
            if fd is not None:
                # Shared, so that others who wait are not taken for the holder.
                fcntl.flock(fd, fcntl.LOCK_SH)
                os.close(fd)
                del self.gates.running[run]
                return True
        return False

    def rows(self) -> Iterator[Json]:
        """What it would do now."""
        for act in self.plan().acts:
            about = act.about
            row: Json = {"act": act.kind}
            row |= {"request": about["request"]["id"]} if "request" in about else {}
            row |= {"gate": about["gate"].name} if about.get("gate") else {}
            row |= {name: about[name] for name in ("commit", "why", "ref", "run") if name in about}
            yield row | {"key": act.key}

    # ---- acts

    def act(self, act: Act) -> None:
        """Do it, unless it was done. Raises Fault."""
        about = act.about
        if act.kind == "begin":
            self._call.put(self.gates.begin(self.target, about))
        elif act.kind == "land":
            self.repository.change(self.repository.target, about["base"], about["commit"])
        elif act.kind == "tidy":
            self.repository.change(about["ref"], about["commit"], "")
        elif act.kind == "cancel":
            with suppress(No):  # it is over by now
                self.gates.cancel(about["run"])
        else:
            if act.kind == "landed":
                self._close(about["request"], about["commit"])
            self._write(draft.draft(act, self.target, person(self._store)), act.kind in LEAVES)

    def _write(self, event: Json, leaves: bool) -> None:
        """Write an event with its key, unless it is there; a request leaves once."""
        kinds = fold.ENDS if leaves else (event["type"],)
        with self._journal.transaction({"agent_id": self._agent}) as t:
            index, key = self._journal.index.refresh(), event["idempotency_key"]
            if not any(index.by_key(kind, key) for kind in kinds):
                t.add(event)
        self._call.put(t.events)

    def _close(self, request: Request, commit: str) -> None:
        """Link the commit with the item, and close that if it was asked: before the event."""
        items, work = Items.current(View(self._store, Items.fold)), request.get("work", "")
        if not work or items.state(work) is None:
            return
        linked = {each.get("uri") for each in items.detail(work).get("artifacts", ())}
        if commit not in linked:
            name = f"--name={request['target']}"
            link.tool(
                "wk", "artifact", work, "--kind=commit", f"--uri={commit}", name, agent=self._agent
            )
        if request["close"] and items.is_open(work):
            note = f"--note=landed on {request['target']} as {commit[:12]}"
            link.tool("wk", "close", work, "--force", note, agent=self._agent)

    # ---- for a look

    def policy(self, base: str) -> Policy:
        """What is demanded of what lands on a base. Raises BadData."""
        if self._given:
            return self._given
        if base not in self._policies:
            text = self.repository.text(base, policy.FILE)
            self._policies = {base: policy.committed(text, base)}
        return self._policies[base]

    def judge(self, commit: str) -> None:
        """Raise Conflict if nothing could land on a commit: its policy is not valid."""
        if commit not in self._judged:
            self._judged[commit] = None
            try:
                if not self._given:
                    policy.committed(self.repository.text(commit, policy.FILE), commit)
            except BadData as fault:
                self._judged[commit] = Conflict((), str(fault), "policy")
        if conflict := self._judged[commit]:
            raise conflict


class _Look(Seen):
    """A queue at one moment."""

    def __init__(self, lander: Lander, source: Source, requests: Sequence[Request]) -> None:
        self._lander, self._source, self.requests = lander, source, requests
        self._repository = repository = lander.repository
        self.fault: BadData | None = None
        self.policy = policy.Policy()
        refs, ours = repository.refs(), f"{CHECKED}{lander.target}/"
        kept = {ref: at for ref, at in refs.items() if ref.startswith(KEPT)}
        self.stray = {ref: at for ref, at in kept.items() if self._is_over(ref)}
        self.checked = {ref: at for ref, at in refs.items() if ref.startswith(ours)}
        self.left = self._left()
        self.worth = bool(requests or self.left or self.stray or self.checked)
        """Is there anything to plan?"""
        if not self.worth:
            return
        self.base = target_of(refs, repository.target, lander.target)
        known = [*self.left, *requests]
        commits = {each["sha"]: each["ref"] for each in known}
        self.missing = repository.missing({self.base, *commits})
        wanted = [commits.get(each, repository.target) for each in self.missing]
        if wanted := [ref for ref in wanted if ref in refs]:
            repository.fetch(wanted)
            self.missing = repository.missing(self.missing)
        here = [each for each in known if each["sha"] not in self.missing]
        self.landed = repository.landed(self.base, here)
        try:
            self.policy = lander.policy(self.base) if known else self.policy
        except BadData as fault:
            self.fault = fault
        self.done = fold.base_of(source, lander.target, self.base)
        self.queue = fold.queue_of(source, lander.target)

    def _left(self) -> list[Request]:
        base = fold.last_base(self._source, self._lander.target)
        batches = base["batches"].values() if base else ()
        members = (fold.named(self._source, each) for batch in batches for each in batch)
        return [each for each in members if each and fold.has_left(each)]

    def _is_over(self, ref: str) -> bool:
        """Did it keep the commit of a request that is over?"""
        found = self._source.find("ref", f"{ref} ", f"{ref}!")
        return next(iter(found), None) is not None

    def merged(self, below: str, request: Request) -> str:
        commit = self._repository.merged(below, request, self.policy.squash)
        self._lander.judge(commit)
        return commit

    def proven(self, request: Request, commit: str) -> bool:
        batched = fold.bases(self._source, request["id"])
        return any(self._has_passed(done, commit) for done in (*batched, self.done))

    def _has_passed(self, done: fold.Base, landed: str) -> bool:
        """Has a commit passed on a base that is in the target now, and contains this one?"""
        passed: dict[str, set[str]] = {}
        for each in done["tested"].values():
            if each.get("outcome") == PASS and fold.is_commit(each.get("commit")):
                passed.setdefault(each["commit"], set()).add(str(each.get("gate")))
        absent = self._repository.missing({done["base"], *passed})
        if done["base"] in absent:
            return False
        try:
            demanded = self._lander.policy(done["base"])
        except BadData:
            return False
        contains = self._repository.contains
        return any(
            commit not in absent
            and contains(self.base, commit)
            and contains(commit, landed)
            and {gate.id for gate in self._demanded(demanded, commit, done["base"])} <= gates
            for commit, gates in passed.items()
        )

    def gates(self, commit: str) -> list[Command | Hosted]:
        """The gates; a variation of one only if the commit has other files there."""
        return self._demanded(self.policy, commit, self.base)

    def _demanded(self, policy: Policy, commit: str, base: str) -> list[Command | Hosted]:
        def applies(gate: Command | Hosted) -> bool:
            paths = gate.paths if isinstance(gate, Command) else ()
            return not paths or self._repository.varied(commit, base, paths) != commit

        return [gate for gate in policy.gates if applies(gate)]

    def progress(
        self, gate: Command | Hosted, commit: str, attempt: int
    ) -> Running | Outcome | None:
        return self._lander.gates.progress(gate, commit, attempt, (self._source, self.done))
