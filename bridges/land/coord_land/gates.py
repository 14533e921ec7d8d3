"""The tests of commits: a command as a job of its own, or a hosted check that an event reports.

A job is apart from the queue: it goes on if that ends, and any copy in the store finds it by its
key. Its outcome is read when it is over, so a copy that was killed meanwhile changes nothing.
"""

from __future__ import annotations

import os
import re
import subprocess

from coord_envelope import world
from coord_kernel.cli import link
from coord_kernel.proc import beside
from coord_kernel.store import pins
from coord_kernel.views.view import View
from coord_land import draft, fold
from coord_land.decide import ERROR, FAIL, PASS
from coord_land.plan import Outcome, Running
from coord_land.policy import Command, Hosted
from coord_land.repository import CHECKED
from coord_run.jobs import OVER, Jobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Journal
    from coord_kernel.views.view import Source
    from coord_land.fold import Base
    from coord_land.repository import Repository

NOT_RUN = (125, 126, 127)
"""Exit statuses of a command that could not be started."""
LINE = 4_096
"""Characters of a line of output that are looked at for the proof."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Gates:
    """The tests of a queue, on this store."""

    def __init__(self, journal: Journal, repository: Repository, agent: str, root: str) -> None:
        self._journal, self._repository = journal, repository
        self._agent, self._root = agent, root
        self._jobs = View(journal.store, Jobs.fold)
        self.running: dict[str, tuple[str, ...]] = {}
        """Jobs that were seen to run, each with its pin."""
        self.asked = set[str]()
        """Jobs that the plan in the making asked about."""
        self.awaited: set[str] = set()
        """Commits whose hosted check is waited for."""

    def progress(
        self, gate: Command | Hosted, commit: str, attempt: int, seen: tuple[Source, Base]
    ) -> Running | Outcome | None:
        """How a test is, given the view and what was done on the base; None: it was not begun."""
        if isinstance(gate, Hosted):
            return self._hosted(gate, commit, attempt, seen)
        return self._command(gate, commit, attempt)

    def begin(self, target: str, about: Json) -> list[Event]:
        """Begin a test, if it was not begun. The events that were written, but a job's."""
        gate = about["gate"]
        if isinstance(gate, Hosted):
            return self._ask(target, about)
        commit = about["commit"]
        if gate.paths:
            commit = self._repository.varied(commit, about["base"], gate.paths)
        key = self._key(gate, about["commit"], about["attempt"])
        words = ("--detach", f"--key={key}", f"--timeout={gate.timeout}", f"--repo={commit}")
        line = ("run", "exec", *words, "-o", "id", "--", *gate.argv)
        link.tool(*line, agent=self._agent, cwd=self._root)
        return []

    def stale(self) -> list[str]:
        """Jobs that run, and that nobody asks about any more: since the last call."""
        unasked = [run for run in self.running if run not in self.asked]
        self.asked.clear()
        return unasked

    def cancel(self, run: str) -> None:
        """Cancel a job. Raises No if it is over."""
        self.running.pop(run, None)
        link.tool("run", "cancel", run, "--reason=no longer needed", agent=self._agent)

    # ---- commands

    def _key(self, gate: Command, commit: str, attempt: int) -> str:
        # Of this store: a job of another one may never end, and nobody here would know.
        replica = self._journal.store.replicas()[-1]
        return f"gate:{replica}:{gate.id}:{commit}:{attempt}"

    def _command(self, gate: Command, commit: str, attempt: int) -> Running | Outcome | None:
        if not self._journal.store.replicas():
            return None
        key = self._key(gate, commit, attempt)
        stored = self._journal.index.refresh().by_key("run.requested", key)
        if stored is None:
            return None
        run = stored.event.id
        self.asked.add(run)
        pin = ("local", "runs", run, "1", "pin")
        dead = pins.dropped(self._journal.store, *pin)  # before its events are read
        jobs = Jobs.current(self._jobs)
        state = jobs.state(run)
        status = jobs.status(state) if state else "requested"
        if state is None or (status not in OVER and not dead):
            self.running[run] = pin
            return Running(None)
        self.running.pop(run, None)
        row = jobs.shown(state)
        if status not in OVER:
            row |= {"status": "lost", "reason": "its process died"}
        return outcome(row, lambda: self._proof(gate, run))

    def _proof(self, gate: Command, run: str) -> bool:
        """Does the output of a job prove that the gate ran?"""
        argv, nothing = ["run", "logs", run], subprocess.DEVNULL
        env = {**os.environ, "PATH": beside.path()}
        with subprocess.Popen(
            argv, env=env, stdin=nothing, stdout=subprocess.PIPE, stderr=nothing
        ) as logs:
            assert logs.stdout is not None
            return any(proves(gate.proof, line[:LINE]) for line in logs.stdout)

    # ---- hosted checks

    def _hosted(
        self, gate: Hosted, commit: str, attempt: int, seen: tuple[Source, Base]
    ) -> Running | Outcome | None:
        source, base = seen
        wanted = (gate.id, commit, attempt)
        names = ("gate", "commit", "attempt")
        asks = [
            each
            for each in base["asked"].values()
            if tuple(each.get(name) for name in names) == wanted
        ]
        if not asks:
            return None
        ask = min(asks, key=lambda each: str(each["id"]))
        event = answer(gate, fold.checks(source, commit), ask["id"], attempt)
        until = _ms(ask.get("until"))
        if event is None and until > world.now_ms():
            self.awaited.add(commit)
            return Running(until)
        self.awaited.discard(commit)
        if event is None:
            return Outcome(ERROR, {"why": "no event reported the check in time"})
        at, body = event
        passed = all(body.get(name) == value for name, value in gate.passes.items())
        return Outcome(PASS if passed else FAIL, {"event": at})

    def _ask(self, target: str, about: Json) -> list[Event]:
        """Push the commit to where the check finds it; then ask: who sees that can look at once."""
        gate, commit, repository = about["gate"], about["commit"], self._repository
        ref = f"{CHECKED}{target}/{commit}"
        if ref not in repository.refs():
            repository.change(ref, "", commit)
        until = world.later(gate.timeout_ms)
        event = draft.asked(target, about, repository.remote, ref, until)
        with self._journal.transaction({"agent_id": self._agent}) as t:
            key = event["idempotency_key"]
            if self._journal.index.refresh().by_key("land.asked", key) is None:
                t.add(event)
        return t.events


def outcome(row: Json, proved: object) -> Outcome:
    """What a job that is over says; `proved()`: does its output prove that the gate ran?"""
    run, code = row["run_id"], row.get("code")
    about: Json = {"run": run, **({"code": code} if type(code) is int else {})}
    how = row.get("outcome", row["status"])
    if how == "exit" and code == 0:
        if proved():  # type: ignore[operator]
            return Outcome(PASS, about)
        return Outcome(ERROR, about | {"why": "its output does not prove that it ran"})
    if how == "exit" and code not in NOT_RUN:
        return Outcome(FAIL, about)
    if how in ("signal", "timeout"):
        return Outcome(FAIL, about | {"why": how})
    why = "it could not be started" if how == "exit" else row.get("reason", how)
    return Outcome(ERROR, about | {"why": str(why)[:500]})


def proves(proof: re.Pattern[str], line: bytes) -> bool:
    """Does a line of output prove it? If the expression has a group, that is a count over 0."""
    text = _COLOUR.sub("", line.decode("utf-8", "replace").rstrip("\r\n"))
    for match in proof.finditer(text):
        count = match[1] if proof.groups else "1"
        if count and (not count.isdecimal() or int(count) > 0):
            return True
    return False


def answer(
    gate: Hosted, checks: dict[str, Json], ask: str, attempt: int
) -> tuple[str, Json] | None:
    """The event that answers: its id and body.

    The first after it was asked; for the first attempt else the last before.
    """
    fitting = {
        at: check["body"]
        for at, check in checks.items()
        if (check["type"], check["by"]) == (gate.event, gate.by)
        and all(check["body"].get(name) == value for name, value in gate.where.items())
    }
    after = sorted(at for at in fitting if at > ask)
    before = sorted(at for at in fitting if at < ask)
    chosen = after[:1] or (before[-1:] if attempt == 1 else [])
    return (chosen[0], fitting[chosen[0]]) if chosen else None


def _ms(ts: object) -> int:
    try:
        return world.parse_ts(str(ts))
    except ValueError:
        return 0
