"""The reaction of a consumer to one event, in steps. Each step is an event, and leads to the next.

event ── job 1 ──▶ fits the schema? ── no ──▶ job 2, with the error … ──▶ gate's job ──▶ result
           └ failed: the result is a failure               └ rejected, inconclusive: likewise

1. a step is found by its idempotency key (consumer, event, step), never by memory; so after a
   kill between two steps the next one follows, and each step is done once
2. an answer that does not fit the schema is a new job with the error in its input, until the
   attempts of all jobs together reach the maximum
3. only a gate that exits 0 passes the answer; a gate's other statuses are final
4. a job requested by another store is that store's to finish
5. the result has the key (consumer, event); of two processes the first one's result stands
"""

from __future__ import annotations

import functools

from coord_envelope import BadData, No, ids
from coord_envelope.errors import Fault, Refused
from coord_envelope.platform import suppress
from coord_ev.bounded import bounded
from coord_ev.jobs import Command
from coord_ev.payload import text_or_blob
from coord_ev.template import LONGEST, rendered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Literal

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_ev.consumer import Consumer
    from coord_ev.jobs import Jobs, Row
    from coord_kernel import Journal
    from coord_kernel.cli.call import Call

    Answer = tuple[Json, str]
    """Fields for the body of the result, and the id of the job that gave it."""

VERDICTS = {0: "pass", 1: "reject"}
"""By exit status of the gate. Any other end is inconclusive, which approves nothing."""
KEPT_REFS = ("work_id", "thread_id")
ANCESTORS = 64
QUOTED, REASON = 2_000, 4_000
"""Most characters of a refused answer in the next input, and of a reason."""
AGAIN = (
    "\n\nThe last answer was refused: {wrong}\nIt was:\n{answer}\nAnswer again, whole and right.\n"
)


class FailedError(Exception):
    """No good result is possible, and why. `more` has fields for the event of the failure."""

    def __init__(self, reason: str, **more: str) -> None:
        super().__init__(reason)
        self.more = more


class Reaction:
    """One consumer's reactions to events of a journal, as of the last `refresh`."""

    def __init__(self, call: Call, journal: Journal, consumer: Consumer, jobs: Jobs) -> None:
        self._call, self._journal, self._consumer, self._jobs = call, journal, consumer, jobs
        self._actor = {"agent_id": f"agent:{consumer.name}"}
        self._runs: dict[str, set[str]] = {}
        """By event, its jobs."""
        self.waits: dict[str, str] = {}
        """By job, the event that waits for it."""
        self.elsewhere: set[str] = set()
        """Events whose job another store, known from a sync, has to finish."""

    def refresh(self) -> None:
        """Read what is new in the journal."""
        self._journal.index.refresh()

    def own(self, event: Event) -> bool:
        """Is the event, a cause of it or its job the consumer's own? Such must never feed it."""
        ancestor: Json | None = event
        for _ in range(ANCESTORS):
            if ancestor is None or ancestor["actor"].get("agent_id") == self._actor["agent_id"]:
                break
            ancestor = self._parent(ancestor)
        return ancestor is not None

    def _parent(self, event: Json) -> Json | None:
        parent = event.get("cause") or ref(event, "run_id")
        if not isinstance(parent, str) or parent == event["event_id"]:
            return None
        place = self._journal.index.by_id(parent)
        return place.event if place else None

    def key(self, event: Event, step: str = "") -> str:
        """The idempotency key of a step; without a step, of the result."""
        return f"{self._consumer.name} {event.id} {step}".rstrip()

    def result(self, event: Event) -> Event | None:
        """The event with the result."""
        kinds = filter(None, (self._consumer.emit, self._consumer.failed))
        places = (self._journal.index.by_key(kind, self.key(event)) for kind in kinds)
        return next((place.event for place in places if place), None)

    def job(self, event: Event, step: str = "1") -> Event | None:
        """The request of a step's job."""
        place = self._journal.index.by_key("run.requested", self.key(event, step))
        return place.event if place else None

    def go_on(self, event: Event) -> bool:
        """Do every step that can be done now. Returns True if nothing is left to do."""
        done = bool(self.result(event)) or self._done(event)
        if done:
            self.elsewhere.discard(event.id)
            for run in self._runs.pop(event.id, ()):
                self.waits.pop(run, None)
                self._jobs.forget(run)
        return done

    def _done(self, event: Event) -> bool:
        try:
            answer = self._answer(event)
            if answer and self._consumer.emit:
                self._emit(event, self._consumer.emit, *answer)
            return answer is not None
        except (FailedError, BadData, Refused) as reason:
            self.refresh()
            # Another process of this consumer may have emitted the result, in other words.
            if not self.result(event):
                self._fail(event, str(reason), getattr(reason, "more", {}))
            return True

    def _answer(self, event: Event) -> Answer | None:
        """The good answer; None while there is none. Raises FailedError, BadData, Refused."""
        more, used, most, step = "", 0, self._consumer.max_attempts, 0
        while True:
            step += 1
            row = self._ran(
                event, str(step), functools.partial(self._command, event, more, most - used)
            )
            if row is None:
                return None
            run, used = row["run_id"], used + max(1, row.get("attempt", 0))
            if row["status_code"]:
                raise FailedError(_ended(row), run_id=run)
            output = self._jobs.output(row, LONGEST)
            if output is None and self._is_elsewhere(event, str(step)):
                return None
            if output is None:
                raise FailedError("its output is not in this store any more", run_id=run)
            value, wrong = bounded(
                functools.partial(self._consumer.checked, output), "[run] schema"
            )
            if not wrong:
                return self._judged(event, f"{step} gate", output, value, run)
            if used >= most:
                raise FailedError(f"its output does not fit the schema: {wrong}", run_id=run)
            more = AGAIN.format(wrong=wrong, answer=output.decode("utf-8", "replace")[:QUOTED])

    def _judged(
        self, event: Event, step: str, output: bytes, value: object, run: str
    ) -> Answer | None:
        """The answer, if the gate passes it; None while it has not ended.

        Raises FailedError, BadData.
        """
        verdict = {}
        if self._consumer.gate:
            row = self._ran(event, step, functools.partial(self._gate_command, event, output))
            if row is None:
                return None
            status = row["status_code"] if row.get("outcome") == "exit" else 2
            verdict = {"verdict": VERDICTS.get(status, "inconclusive")}
            if verdict["verdict"] != "pass":
                why = _tail(row, "stdout")
                reason = f"the gate says {verdict['verdict']}" + (f": {why}" if why else "")
                raise FailedError(reason, **verdict, run_id=run)
        values = self._consumer.values(
            event, stdout=output.decode("utf-8", "replace"), answer=value
        )
        where = "[emit] text"
        text = bounded(lambda: rendered(self._consumer.text, values, where).encode(), where)
        fits = {} if value is None else {"answer": value}
        return {**text_or_blob(self._journal.store, "text", text), **fits, **verdict}, run

    def _command(self, event: Event, more: str, attempts: int) -> Command:
        consumer = self._consumer
        (argv, stdin), env = consumer.command(event)
        fields = {
            "timeout_ms": self._call.span(consumer.timeout, "timeout"),
            "retry": "any",
            "max_attempts": attempts,
            "backoff_ms": self._call.span(consumer.backoff, "backoff", least=0),
            **({"secrets": consumer.secrets} if consumer.secrets else {}),
        }
        again = more.encode("utf-8", "replace")
        return Command(argv, stdin + again, env, fields | _about(event))

    def _gate_command(self, event: Event, output: bytes) -> Command:
        consumer = self._consumer
        assert consumer.gate
        gate, fields = consumer.gate, consumer.values(event)
        argv, env = bounded(lambda: (gate.render(fields), consumer.environment(event)), "[gate]")
        fields = {"timeout_ms": self._call.span(consumer.gate_timeout, "timeout")}
        return Command(argv, output, env, fields | _about(event))

    def _ran(self, event: Event, step: str, make: Callable[[], Command]) -> Row | None:
        """The row of the step's job if it is over; else None. Requests the job if there is none."""
        request = self.job(event, step)
        if request:
            self._wait(event, request.id)
            row = self._jobs.over(request.id)
            if row is None:
                self._is_elsewhere(event, step)
            return row
        try:
            run = self._jobs.request(self.key(event, step), event, make())
        except BadData:
            self.refresh()
            if not self.job(event, step):
                raise
            # Another process of this consumer has requested it, in other words.
            return self._ran(event, step, make)
        self._wait(event, run)
        return None

    def prepare(self, events: Sequence[Event]) -> None:
        """Request the first jobs of events for which nothing was done, in one process."""
        wanted = []
        for event in events:
            if not self.result(event) and not self.job(event):
                with suppress(Fault, OSError):  # `go_on` meets it, too, and tells
                    command = self._command(event, "", self._consumer.max_attempts)
                    wanted.append((self.key(event, "1"), event, command))
        if len(wanted) > 1:
            self._jobs.request_all(wanted)
            self.refresh()

    def _is_elsewhere(self, event: Event, step: str) -> bool:
        """Has another store to finish this step? Remembers it, too."""
        request, ours = self.job(event, step), self._journal.store.all_replicas()
        theirs = request and request["writer"].partition("!")[0].rpartition("~")[2] not in ours
        if theirs:
            self.elsewhere.add(event.id)
        return bool(theirs)

    def _wait(self, event: Event, run: str) -> None:
        self.waits[run] = event.id
        self._runs.setdefault(event.id, set()).add(run)

    def _emit(self, event: Event, kind: str, body: Json, run: str | None) -> None:
        """Append and print the event with the result."""
        values = {name: ref(event, name) for name in KEPT_REFS} | {"run_id": run}
        refs = {name: value for name, value in values.items() if value}
        hops = event.get("hops", 0)
        draft = {
            "type": kind,
            "idempotency_key": self.key(event),
            "cause": event.id,
            "hops": max(0, hops) + 1 if isinstance(hops, int) else 1,
            "body": {"consumer": self._consumer.name, **body},
            **({"refs": refs} if refs else {}),
            **({"to": self._consumer.to} if self._consumer.to else {}),
        }
        self._call.put(self._journal.append(self._actor, [draft]))

    def _fail(self, event: Event, reason: str, more: Json) -> None:
        """Report the failure, as an event and on stderr; over 32 hops on stderr only."""
        run, reason = more.get("run_id"), reason.encode("utf-8", "replace").decode()
        fields = {name: value for name, value in more.items() if name != "run_id"}
        kind = self._consumer.failed
        with suppress(BadData):
            try:
                self._emit(event, kind, {"reason": reason[:REASON], **fields}, run)
            except Refused as refusal:
                self._emit(event, kind, {"reason": f"what it said {refusal.what}", **fields}, run)
        self._call.fail(No(reason.partition("\n")[0]), event.id)


def _about(event: Event) -> Json:
    work = ref(event, "work_id")
    return {"work": work} if ids.valid(work) else {}


def ref(event: Json, name: str) -> str:
    """The event's reference of this name; "" if there is no valid one."""
    refs = event.get("refs")
    value = refs.get(name) if isinstance(refs, dict) else None
    return value if isinstance(value, str) and len(value) <= 256 else ""


def _ended(row: Row) -> str:
    """How a failed job ended, in words."""
    if row["status"] != "completed":
        return f"its job is {row['status']}"
    why, outcome = _tail(row, "stderr"), row.get("outcome", "")
    how = f"status {row['status_code']}" if outcome == "exit" else outcome
    return f"its command ended with {how}" + (f": {why}" if why else "")


def _tail(row: Row, stream: Literal["stdout", "stderr"]) -> str:
    """The last text that a job printed."""
    output = row.get(stream)
    return str(output.get("tail", "")).strip() if output else ""
