"""One attempt of a job, in a process of its own: it starts the command, keeps its output, and says how it ended.

    run worker ──▶ the attempt ──▶ the command, in a session and process group of its own
                       └── is the parent of whoever the command leaves behind, and ends them

If the worker dies, the attempt ends the command and gives the job back. If the attempt dies, the worker does. If both
die at once the kernel ends the command, and the next worker finds that nobody holds the attempt's pin.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys

from coord_envelope import Fault
from coord_kernel.cli import complaints
from coord_kernel.proc import child
from coord_kernel.proc.child import Signals
from coord_kernel.rules import claims
from coord_kernel.store import machine
from coord_kernel.store.disk import fault_of
from coord_run import draft, fold
from coord_run.failure import CannotRun
from coord_run.logs import STREAMS, Log
from coord_run.prepare import Preparation
from coord_run.process import NEVER, Process, sweep
from coord_run.store import Runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_run.jobs import Jobs
    from coord_run.prepare import Plan
    from coord_run.substrate import Command

RETRY_NS = 1_000_000_000
BUDGET_S = 10.0
"""As long as a claim may wait for the remote."""
STOPPED, ORPHANED = "its worker was stopped", "its worker died"
LOOK = signal.SIGUSR1
"""What the worker sends when something was said of the job: it may be cancelled, or another's now."""


class Ended:
    """How the command ended: by itself, or why it was made to."""

    def __init__(self, outcome: str, code: int | None = None, why: str | None = None) -> None:
        self.outcome, self.code, self.why = outcome, code, why

    def told(self, ns: int) -> Json:
        said: Json = {
            "outcome": self.outcome,
            "code": self.code,
            "dur_ms": ns // 1_000_000,
            "reason": self.why,
        }
        if self.outcome == "signal" and self.code:
            with contextlib.suppress(ValueError):
                said["signal"] = signal.Signals(self.code - 128).name
        return said


def supervise(call: Call, plan: Plan, slot: int | None, alive: int) -> NoReturn:
    """Be the attempt; ends with the process. The slot is freed before the end is said; `alive` is readable when the
    worker is gone.
    """
    try:
        os.setsid()
        child.adopt_orphans()
        caught = Signals(signal.SIGCHLD, signal.SIGTERM, LOOK)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, LOOK))
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1):
            os.dup2(null, fd)
        Attempt(call, plan, caught, alive).go(slot)
        os._exit(0)
    except Exception:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(Fault.status)


class Attempt:
    """The command, its output and its time."""

    def __init__(self, call: Call, plan: Plan, caught: Signals, alive: int) -> None:
        self._call, self._plan, self._caught, self._alive = call, plan, caught, alive
        self._runs = Runs(call)
        self._logs: list[Log] = []
        self._process: Process | None = None
        self._why: str | None = None
        self._kill_at = self._beat_at = self._end_at = NEVER
        self._orphaned = False
        self._preparation = Preparation(plan, call.journal.store)

    def go(self, slot: int | None) -> None:
        """Run it to its end, and say that."""
        begin = machine.boot_ns()
        try:
            ended = self._ran()
        except CannotRun as failure:
            ended = Ended("error", why=draft.reason(str(failure)))
        except OSError as error:
            ended = Ended("error", why=draft.reason(str(fault_of(error))))
        sweep()
        for log in self._logs:
            log.drain()
        self._preparation.tidy()
        if slot is not None:
            os.close(slot)
        self._finish(ended, machine.boot_ns() - begin)

    # ---- the command

    def _ran(self) -> Ended:
        if self._plan.firm:
            self._confirm()
        self._look()
        if self._why:
            return Ended(self._why)
        command = self._preparation.command()
        begin, limit = (
            machine.boot_ns(),
            fold.number(self._plan.body.get("timeout_ms"), fold.TIMEOUT_MS),
        )
        self._end_at, self._beat_at = (
            begin + limit * 1_000_000,
            begin + self._plan.lease_ms * 1_000_000 // 2,
        )
        self._process = process = Process(command)
        for stream, pipe in zip(STREAMS, process.pipes, strict=True):
            self._logs.append(
                Log(
                    self._call.journal.store,
                    self._plan.run,
                    self._plan.n,
                    stream,
                    pipe,
                    self._preparation.mask,
                )
            )
        self._act(machine.boot_ns())
        # Signals are taken before it is asked whether it ended: the other way round its end could go unheard.
        while not process.over(any(log.open for log in self._logs) and self._why is None):
            self._wait()
            self._act(machine.boot_ns())
        return self._outcome(command, process.reap())

    def _wait(self) -> None:
        poll = select.poll()
        fds = {log.pipe: log for log in self._logs if log.open}
        for fd in (*fds, self._caught.fd, *(() if self._orphaned else (self._alive,))):
            poll.register(fd, select.POLLIN)
        linger = self._process.linger_until if self._process else NEVER
        next_ns = min(self._kill_at, self._beat_at, self._end_at, linger)
        for fd, _ in poll.poll(min(max(0.0, (next_ns - machine.boot_ns()) / 1e6 + 1), 86_400_000)):
            if fd in fds:
                fds[fd].copy()
            elif fd == self._alive:
                self._orphaned = True
                self._end(ORPHANED, grace_ns=0)

    def _act(self, now: int) -> None:
        for number in self._caught.take():
            if number == signal.SIGTERM:
                self._end(STOPPED, grace_ns=0)
            elif number == LOOK:
                self._look()
        if now >= self._end_at:
            self._end_at = NEVER
            self._end("timeout")
        if now >= self._beat_at:
            self._beat(now)
        if now >= self._kill_at:
            self._kill_at = NEVER
            self._signal(signal.SIGKILL)

    def _end(self, why: str, grace_ns: int | None = None) -> None:
        """TERM it now, KILL it after its grace; unless it ended by itself."""
        if self._process and self._process.ended:
            return
        if grace_ns is None:
            grace_ns = fold.number(self._plan.body.get("grace_ms"), fold.GRACE_MS) * 1_000_000
        self._why = self._why or why
        self._kill_at = min(self._kill_at, machine.boot_ns() + grace_ns)
        if grace_ns:
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process:
            self._process.signal(number)

    def _outcome(self, command: Command, code: int) -> Ended:
        status = 128 - code if code < 0 else code
        if self._why in ("timeout", "cancelled"):
            return Ended(self._why, status)
        if code == command.failed:
            return Ended("error", code, why=f"{command.argv[0]} ended with {code}: see its output")
        return Ended("signal" if code < 0 else "exit", status)

    # ---- the journal

    def _look(self) -> None:
        try:
            state = self._runs.jobs().state(self._plan.run)
        except (Fault, OSError):  # the next news, or the end, will tell
            return
        if state and state["cancels"]:
            self._end("cancelled")
        elif state and claims.over(state, self._plan.claim):
            self._end(STOPPED, grace_ns=0)

    def _confirm(self) -> None:
        """Of a job that came by sync: ask the arbiter for it, and say only then that the command may have run."""
        from coord_kernel.sync.exchange import sync

        plan, why = self._plan, "its claim was not confirmed"
        try:
            sync(self._call.journal, seconds=BUDGET_S)
        except Fault as fault:
            why = f"{why}: {fault}"
        state = self._runs.jobs().state(plan.run)
        confirmed = state and state["confirmed"].get(plan.claim)
        if not confirmed:
            self._why = draft.reason(why)
        elif not self._say(
            lambda state: draft.said("started", state, plan.claim, host=machine.host())
        ):
            self._why = STOPPED
        else:
            plan.token = confirmed["n"]

    def _beat(self, now: int) -> None:
        plan = self._plan
        self._beat_at = now + plan.lease_ms * 1_000_000 // 2
        try:
            self._say(
                lambda state: draft.said("heartbeat", state, plan.claim, lease_ms=plan.lease_ms)
            )
        except (Fault, OSError):
            self._beat_at = now + plan.lease_ms * 1_000_000 // 8

    def _finish(self, ended: Ended, ns: int) -> None:
        """Say how it ended, however long that takes: else the command would be run again."""
        publish = self._call.journal.store if self._plan.body.get("publish_log") is True else None
        logs = {log.stream: log.told(publish) for log in self._logs}

        def last(state: Json) -> Json:
            if self._why not in (None, "timeout", "cancelled"):
                return draft.said("released", state, self._plan.claim, reason=self._why)
            return draft.said("completed", state, self._plan.claim, **ended.told(ns), **logs)

        while True:
            try:
                self._say(last)
                return
            except (Fault, OSError) as trouble:
                complaints.warn(f"{self._plan.run}: its end is not written: {trouble}")
            if self._orphaned:
                return
            self._orphaned = bool(select.select([self._alive], [], [], RETRY_NS / 1e9)[0])

    def _say(self, drafted: Callable[[Json], Json]) -> bool:
        """Write it, unless the job is another's meanwhile: who knows that says nothing more. Was it written?"""

        def decide(jobs: Jobs) -> list[Json]:
            state = jobs.state(self._plan.run)
            return [drafted(state)] if state and not claims.over(state, self._plan.claim) else []

        return bool(self._runs.change(decide))
