"""One attempt at a job, in its own process: run the command, keep its output, record the end.

    run worker ──▶ the attempt ──▶ the command, in a session and process group of its own
                       └── becomes the parent of what the command leaves behind, and kills it

From the fork to the last event:

    1. leave the worker's session; become the parent of orphaned descendants; take signals as notes
    2. if the job came by sync and there is a remote, have the arbiter confirm the claim
    3. prepare directory, input, variables and secrets, append `run.started`, and start the command:
       it may have run from that event on, and an attempt that died before it is none
    4. copy its output to the logs, and meanwhile
       - append a heartbeat each half of the lease
       - on SIGUSR1 look at the job: is it cancelled, the claim over, or a signal to be passed on?
       - at the time limit, or if cancelled, send TERM, and KILL after the grace
       - if the worker stops or dies, send KILL at once
    5. when the command has ended, give what it left behind a second for its output; kill that
    6. free the slot
    7. append the result, or the release if this attempt may not give one; retry until written,
       because without it the command would be run again

If the worker dies, the attempt kills the command and releases the job. If the attempt dies, the
worker does both. If both die at once, the kernel kills the command, and the next worker finds that
nobody holds the attempt's pin.
"""

from __future__ import annotations

import os
import select
import sys

from coord_envelope import Fault
from coord_envelope.platform import signal, suppress
from coord_kernel.proc import child
from coord_kernel.rules import claims
from coord_kernel.store import machine
from coord_kernel.store.disk import fault_of
from coord_run import draft, fold, session
from coord_run.failure import CannotRun
from coord_run.logs import BOTH, STREAMS, Both, Log, opened
from coord_run.prepare import Preparation
from coord_run.process import NEVER, Process, kill_orphans
from coord_run.store import Runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_run.prepare import Plan
    from coord_run.substrate import Command
    from coord_run.types import Job

WRITES = 16
"""Times to look for output before anything else is seen to."""
RETRY_S = 1.0
"""Pause before an end that could not be written is tried again."""
STOPPED, ORPHANED = "its worker was stopped", "its worker died"
LOOK = signal.SIGUSR1
"""The worker's signal that the job changed: it may be cancelled, or another's now."""


class End:
    """How the command ended: by itself, or for which reason it was ended."""

    def __init__(self, outcome: str, code: int | None = None, reason: str | None = None) -> None:
        self.outcome, self.code, self.reason = outcome, code, reason

    def body(self, duration_ns: int) -> Json:
        """What `run.completed` says of it."""
        fields: Json = {
            "outcome": self.outcome,
            "code": self.code,
            "dur_ms": duration_ns // 1_000_000,
            "reason": self.reason,
        }
        if self.outcome == "signal" and self.code:
            with suppress(ValueError):
                from signal import Signals  # the names: 3 ms

                fields["signal"] = Signals(self.code - 128).name
        return fields


def supervise(call: Call, plan: Plan, slot: int | None, alive: int) -> NoReturn:
    """Be the attempt, in a fork of the worker; never returns.

    `alive` becomes readable when the worker is gone.
    """
    try:
        os.setsid()
        child.adopt_orphans()
        signals = child.Signals(signal.SIGCHLD, signal.SIGTERM, LOOK)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, LOOK))
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1):
            os.dup2(null, fd)
        Attempt(call, plan, signals, alive).run(slot)
        os._exit(0)
    except Exception:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(Fault.status)


class Attempt:
    """The command, its output and its time."""

    def __init__(self, call: Call, plan: Plan, signals: child.Signals, alive: int) -> None:
        self._call, self._plan, self._signals, self._alive = call, plan, signals, alive
        self._runs = Runs(call)
        self._logs: list[Log] = []
        self._process: Process | None = None
        self._why: str | None = None
        self._begins: Json | None = None
        self._session: Event | None = None
        """The start of the session that the command is, if it is one."""
        self._kill_at = self._beat_at = self._end_at = NEVER
        self._orphaned = self._started = False
        self._unsent: Job | None = None
        """The job as it was looked at before the command was started."""
        self._passed_on = set[str]()
        """The events of signals that were passed on."""
        self._preparation = Preparation(plan, call.journal.store)

    def run(self, slot: int | None) -> None:
        """Run the command to its end, free the slot, and append the end."""
        begin = machine.boot_ns()
        try:
            end = self._ran()
        except CannotRun as failure:
            end = End("error", reason=draft.reason(str(failure)))
        except OSError as error:
            end = End("error", reason=draft.reason(str(fault_of(error))))
        kill_orphans()
        for log in self._logs:
            log.drain()
        self._preparation.tidy(over=not self._given_back())
        if slot is not None:
            os.close(slot)
        self._finish(end, machine.boot_ns() - begin)

    # ---- the command

    def _ran(self) -> End:
        plan = self._plan
        if plan.unconfirmed:
            self._confirm()
        self._look()
        if self._why:
            return End(self._why)
        command = self._preparation.command(self._resumes())
        self._begins = session.started(plan.run, plan.n, command)
        self._begin()
        if self._why:
            return End(self._why)
        now = machine.boot_ns()
        timeout_ms = fold.number(plan.body.get("timeout_ms"), fold.TIMEOUT_MS)
        self._end_at = now + timeout_ms * 1_000_000
        self._beat_at = now + plan.lease_ms * 1_000_000 // 2
        self._process = process = Process(command)
        names = (self._call.journal.store, plan.run, plan.n)
        both, masks = Both(opened(*names, BOTH)), self._preparation.masks
        for stream, pipe, mask in zip(STREAMS, process.pipes, masks, strict=True):
            self._logs.append(Log(opened(*names, stream), pipe, mask, both))
        if self._unsent:
            self._pass_on(self._unsent)
        self._act(machine.boot_ns())
        # Signals first, then the question whether it ended: the other way round a SIGCHLD between
        # the two would wake nobody.
        while not process.over(any(log.open for log in self._logs) and self._why is None):
            self._wait()
            self._act(machine.boot_ns())
        return self._end_of(command, process.reap())

    def _resumes(self) -> bool:
        """Was the attempt before this one started, and has no result?"""
        state, before = self._unsent, self._plan.n - 1
        if state is None:
            return False
        ended = {result["claim"] for result in state["results"].values()}
        return any(
            each["n"] == before and each["started"] and claim not in ended
            for claim, each in state["attempts"].items()
        )

    def _given_back(self) -> bool:
        """Does the job go on by another attempt, and not end with this one?"""
        return self._why not in (None, "timeout", "cancelled")

    def _wait(self) -> None:
        """Copy output until there is a signal, a deadline, or none to copy."""
        assert self._process
        poll, ready = select.poll(), self._process.ready
        alive = () if self._orphaned else (self._alive,)
        for fd in (ready.fileno(), self._signals.fd, *alive):
            poll.register(fd, select.POLLIN)
        linger = self._process.linger_until
        deadline = min(self._kill_at, self._beat_at, self._end_at, linger)
        left_ms = max(0.0, (deadline - machine.boot_ns()) / 1e6 + 1)
        for fd, _ in poll.poll(min(left_ms, 86_400_000)):
            if fd == ready.fileno():
                self._copy(ready)
            elif fd == self._alive:
                self._orphaned = True
                self._stop(ORPHANED, grace_ns=0)

    def _copy(self, ready: select.epoll) -> None:
        """Copy what was written, in that order: one write of a stream, unless no more will come."""
        logs = {log.pipe: log for log in self._logs if log.open}
        for _ in range(WRITES):
            for fd, mask in ready.poll(0):
                if fd in logs:
                    logs[fd].copy(*(() if mask & select.EPOLLHUP else (1,)))

    def _act(self, now: int) -> None:
        """Act on the signals that came and the deadlines that passed."""
        for number in self._signals.take():
            if number == signal.SIGTERM:
                self._stop(STOPPED, grace_ns=0)
            elif number == LOOK:
                self._look()
        if now >= self._end_at:
            self._end_at = NEVER
            self._stop("timeout")
        if now >= self._beat_at:
            self._beat(now)
        if now >= self._kill_at:
            self._kill_at = NEVER
            self._signal(signal.SIGKILL)

    def _stop(self, why: str, grace_ns: int | None = None) -> None:
        """Send TERM now and KILL after the grace, unless the command ended by itself."""
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

    def _end_of(self, command: Command, code: int) -> End:
        status = 128 - code if code < 0 else code
        if self._why in ("timeout", "cancelled"):
            return End(self._why, status)
        if code == command.failed:
            kind = self._plan.where.partition(":")[0]
            reason = f"{kind} ended with {code}: see its output"
            return End("error", code, reason)
        return End("signal" if code < 0 else "exit", status)

    # ---- the journal

    def _look(self) -> None:
        """Stop if the job is cancelled, or the claim over."""
        try:
            state = self._runs.jobs().state(self._plan.run)
        except (Fault, OSError):  # the next signal, or the end, will find out
            return
        if state and state["cancels"]:
            self._stop("cancelled")
        elif state and claims.over(state, self._plan.claim.id):
            self._stop(STOPPED, grace_ns=0)
        elif state and self._process:
            self._pass_on(state)
        else:
            self._unsent = state

    def _pass_on(self, state: Job) -> None:
        """Send the command each signal that somebody has sent to this attempt."""
        for at, sent in sorted(state["signals"].items()):
            if sent["claim"] == self._plan.claim.id and at not in self._passed_on:
                self._passed_on.add(at)
                with suppress(KeyError):  # a name that no system here has
                    from signal import Signals

                    self._signal(Signals[f"SIG{sent['signal']}"])

    def _confirm(self) -> None:
        """Have the arbiter confirm the claim."""
        from coord_kernel.sync.ask import ask

        (verdict,), warnings = ask(self._call.journal, [self._plan.claim])
        for warning in warnings:
            self._call.warn(warning)
        if verdict.token is None:
            cause = f": {verdict.why}" if verdict.why else ""
            self._why = draft.reason(f"its claim was not confirmed{cause}")
        else:
            self._plan.token = verdict.token

    def _begin(self) -> None:
        """Append the start, or note why the command must not be started."""
        try:
            if not self._append("started", host=machine.host()):
                self._why = STOPPED
        except (Fault, OSError) as error:
            self._why = draft.reason(f"cannot record its start: {error}")
        else:
            self._started = True
            self._seen()

    def _beat(self, now: int) -> None:
        lease_ns = self._plan.lease_ms * 1_000_000
        self._beat_at = now + lease_ns // 2
        try:
            self._append("heartbeat", lease_ms=self._plan.lease_ms)
            self._seen()
        except (Fault, OSError):
            self._beat_at = now + lease_ns // 8

    def _seen(self) -> None:
        """Write that the session lives, which waits for the command (`run exec`).

        Only a session with an id, and not if the command is an agent, whose silence is to be seen.
        """
        actor = self._call.actor()
        if self._plan.only and self._begins is None and "session_id" in actor:
            from coord_kernel.journal.beat import beat

            with suppress(Fault, OSError):
                tool = f"run exec -- {self._plan.body['argv'][0]}"[:200]
                beat(self._call.journal, actor, "busy", tool=tool)

    def _finish(self, end: End, duration_ns: int) -> None:
        """Append how it ended, however long that takes: without it the command would run again."""
        publish = self._call.journal.store if self._plan.body.get("publish_log") is True else None
        logs = zip(STREAMS, self._logs, strict=False)  # none, if it could not be started
        outputs = {stream: log.summary(publish) for stream, log in logs}
        kind, fields = "completed", {**end.body(duration_ns), **outputs}
        if self._given_back():
            kind, fields = "released", {"reason": self._why}
            if self._plan.only and not self._started:  # released, a worker would take it
                kind, fields = "completed", End("error", reason=self._why).body(duration_ns)
        while True:
            try:
                self._append(kind, **fields)
                return
            except (Fault, OSError) as error:
                self._call.warn(f"{self._plan.run}: cannot record its end: {error}")
            if self._orphaned:
                return
            self._orphaned = bool(select.select([self._alive], [], [], RETRY_S)[0])

    def _append(self, kind: str, **fields: object) -> bool:
        """Append it, unless the claim is over: then this attempt has no more to say. Was it?"""
        claim = self._plan.claim.id
        with self._runs.change() as (t, jobs):
            state = jobs.state(self._plan.run)
            if state and not claims.over(state, claim):
                t.add(draft.progress(kind, state, claim, **fields))
            written = bool(t.events)
            if kind == "started" and written and self._begins:
                self._session = t.add(self._begins)
            elif kind in ("completed", "released") and self._session:
                outcome = str(fields.get("outcome", kind))
                t.add(session.ended(self._session, outcome, fields.get("code")))
        return written
