"""What a consumer makes of one event, step by step. Each step is an event, and what comes next follows from those.

    event ──job 1──▶ fits the schema? ──no──▶ job 2, told why … ──▶ the gate's job ──▶ the result
              └ failed: the result says so                            └ rejected, inconclusive: likewise

A step is found again by its key (consumer, event, step), so whoever is killed between two steps goes on with the
next, and each is done once. Nothing is kept in memory that is not in the journal.
"""

from __future__ import annotations

import contextlib
import functools

from coord_envelope import BadData, No, ids
from coord_envelope.errors import Refused
from coord_ev.template import LONGEST, rendered
from coord_ev.watch import told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_ev.consumer import Consumer
    from coord_ev.jobs import Asked, Jobs
    from coord_kernel import Journal
    from coord_kernel.cli.call import Call

VERDICTS = {0: "pass", 1: "reject"}
"""What the gate's statuses say. Any other end of it is inconclusive, which approves nothing."""
KEPT_REFS = ("work_id", "thread_id")
ANCESTORS = 64
QUOTED, REASON = 2_000, 4_000
"""Characters of an answer that is refused, and of a reason."""
AGAIN = (
    "\n\nThe last answer was refused: {wrong}\nIt was:\n{answer}\nAnswer again, whole and right.\n"
)


class FailedError(Exception):
    """There will be no good result, and why. `more` goes into the event that tells of it."""

    def __init__(self, reason: str, **more: str) -> None:
        super().__init__(reason)
        self.more = more


class Reaction:
    """One consumer's reactions to events of a journal, as of the last `refresh`."""

    def __init__(self, call: Call, journal: Journal, consumer: Consumer, jobs: Jobs) -> None:
        self._call, self._journal, self._consumer, self._jobs = call, journal, consumer, jobs
        self._actor = {"agent_id": f"agent:{consumer.name}"}
        self._runs: dict[str, set[str]] = {}
        self.waits: dict[str, str] = {}
        """Of each job that is waited for, the event it is for."""
        self.elsewhere: set[str] = set()
        """The events of which another store, heard of by a sync, has begun the job. That is its to finish."""

    def refresh(self) -> None:
        """Know what is in the journal now."""
        self._journal.index.refresh()

    def own(self, event: Event) -> bool:
        """Did the consumer write the event, or what set it off, or the job it is of? Such must never feed it."""
        found: Json | None = event
        for _ in range(ANCESTORS):
            if found is None or found["actor"].get("agent_id") == self._actor["agent_id"]:
                break
            found = self._parent(found)
        return found is not None

    def _parent(self, event: Json) -> Json | None:
        above = event.get("cause") or ref(event, "run_id")
        if not isinstance(above, str) or above == event["event_id"]:
            return None
        place = self._journal.index.by_id(above)
        return place.event if place else None

    def key(self, event: Event, step: str = "") -> str:
        """The idempotency key of a step; without one, of the result."""
        return f"{self._consumer.name} {event.id} {step}".rstrip()

    def result(self, event: Event) -> Event | None:
        """The event that says what came of it."""
        kinds = filter(None, (self._consumer.emit, self._consumer.failed))
        places = (self._journal.index.by_key(kind, self.key(event)) for kind in kinds)
        return next((place.event for place in places if place), None)

    def job(self, event: Event, step: str = "1") -> Event | None:
        """The request of a step's job."""
        place = self._journal.index.by_key("run.requested", self.key(event, step))
        return place.event if place else None

    def go_on(self, event: Event) -> bool:
        """Do what can be done now. Is nothing left to do?"""
        done = bool(self.result(event)) or self._done(event)
        if done:
            self.elsewhere.discard(event.id)
            for run in self._runs.pop(event.id, ()):
                self.waits.pop(run, None)
                self._jobs.forget(run)
        return done

    def _done(self, event: Event) -> bool:
        try:
            good = self._good(event)
            if good and self._consumer.emit:
                self._tell(event, self._consumer.emit, *good)
            return good is not None
        except (FailedError, BadData, Refused) as reason:
            self.refresh()
            if not self.result(
                event
            ):  # else another process of this consumer told it meanwhile, in other words
                self._fail(event, str(reason), getattr(reason, "more", {}))
            return True

    def _good(self, event: Event) -> tuple[Json, str] | None:
        """The good result's body, and the job it is of. None: not there yet. Raises FailedError, BadData, Refused."""
        more, used, most, step = "", 0, self._consumer.max_attempts, 0
        while True:
            step += 1
            row = self._ran(
                event, str(step), functools.partial(self._asked, event, more, most - used)
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
            answer, wrong = self._consumer.checked(output)
            if not wrong:
                return self._judged(event, f"{step} gate", output, answer, run)
            if used >= most:
                raise FailedError(f"its output does not fit the schema: {wrong}", run_id=run)
            more = AGAIN.format(wrong=wrong, answer=output.decode("utf-8", "replace")[:QUOTED])

    def _judged(
        self, event: Event, step: str, output: bytes, answer: object, run: str
    ) -> tuple[Json, str] | None:
        """The body of an output that may pass, and its job. None: no word yet. Raises FailedError, BadData."""
        verdict = {}
        if self._consumer.gate:
            row = self._ran(event, step, functools.partial(self._asked_gate, event, output))
            if row is None:
                return None
            said = row["status_code"] if row.get("outcome") == "exit" else 2
            verdict = {"verdict": VERDICTS.get(said, "inconclusive")}
            if verdict["verdict"] != "pass":
                why = str((row.get("stdout") or {}).get("tail", "")).strip()
                reason = f"the gate says {verdict['verdict']}" + (f": {why}" if why else "")
                raise FailedError(reason, **verdict, run_id=run)
        values = self._consumer.values(
            event, stdout=output.decode("utf-8", "replace"), answer=answer
        )
        text = rendered(self._consumer.text, values, "[emit] text").encode()
        fits = {} if answer is None else {"answer": answer}
        return {**told(self._journal.store, "text", text), **fits, **verdict}, run

    def _asked(self, event: Event, more: str, attempts: int) -> Asked:
        consumer = self._consumer
        argv, stdin = consumer.job(event)
        options = ["--timeout", consumer.timeout, "--retry", "any", "--max-attempts", str(attempts)]
        options += ["--backoff", consumer.backoff]
        return argv, stdin + more.encode("utf-8", "replace"), consumer.environment(event), options

    def _asked_gate(self, event: Event, output: bytes) -> Asked:
        consumer = self._consumer
        assert consumer.gate
        argv = consumer.gate.render(consumer.values(event))
        return argv, output, consumer.environment(event), ["--timeout", consumer.gate_timeout]

    def _ran(self, event: Event, step: str, make: Callable[[], Asked]) -> Json | None:
        """How the step's job ended; None while it has not. Requests it if it is not there."""
        request = self.job(event, step)
        if request:
            self._wait(event, request.id)
            row = self._jobs.over(request.id)
            if row is None:
                self._is_elsewhere(event, step)
            return row
        argv, stdin, env, options = make()
        work = ref(event, "work_id")
        options += ["--work", work] if ids.valid(work) else []
        try:
            run = self._jobs.request(self.key(event, step), event, argv, stdin, env, options)
        except BadData:
            self.refresh()
            if not self.job(event, step):
                raise
            return self._ran(
                event, step, make
            )  # another process of this consumer has requested it, in other words
        self._wait(event, run)
        return None

    def _is_elsewhere(self, event: Event, step: str) -> bool:
        """Has another store to finish this step? Then it is remembered."""
        request, ours = self.job(event, step), self._journal.store.all_replicas()
        found = (
            request is not None
            and request["writer"].partition("!")[0].rpartition("~")[2] not in ours
        )
        if found:
            self.elsewhere.add(event.id)
        return found

    def _wait(self, event: Event, run: str) -> None:
        self.waits[run] = event.id
        self._runs.setdefault(event.id, set()).add(run)

    def _tell(self, event: Event, kind: str, body: Json, run: str | None) -> None:
        kept = {name: value for name in KEPT_REFS if (value := ref(event, name))}
        hops = event.get("hops", 0)
        refs = kept | ({"run_id": run} if run else {})
        draft = {
            "type": kind,
            "idempotency_key": self.key(event),
            "cause": event.id,
            "hops": max(0, hops) + 1 if isinstance(hops, int) else 1,
            "body": {"consumer": self._consumer.name, **body},
        }
        some = {name: value for name, value in (("refs", refs), ("to", self._consumer.to)) if value}
        self._call.put(self._journal.append(self._actor, [draft | some]))

    def _fail(self, event: Event, reason: str, more: Json) -> None:
        """Tell of the failure, in an event and on stderr; on stderr alone where no event can (over 32 hops)."""
        run, said = (
            more.get("run_id"),
            {name: value for name, value in more.items() if name != "run_id"},
        )
        with contextlib.suppress(BadData):
            try:
                self._tell(event, self._consumer.failed, {"reason": reason[:REASON], **said}, run)
            except Refused as refusal:
                self._tell(
                    event,
                    self._consumer.failed,
                    {"reason": f"what it said {refusal.what}", **said},
                    run,
                )
        self._call.fail(No(reason.partition("\n")[0]), event.id)


def ref(event: Json, name: str) -> str:
    """What an event refers to by this name; nothing where what it says is no reference."""
    refs = event.get("refs")
    found = refs.get(name) if isinstance(refs, dict) else None
    return found if isinstance(found, str) and len(found) <= 256 else ""


def _ended(row: Json) -> str:
    """How a job ended that did not end well, in words."""
    if row["status"] != "completed":
        return f"its job is {row['status']}"
    said = str((row.get("stderr") or {}).get("tail", "")).strip()
    how = f"status {row['status_code']}" if row["outcome"] == "exit" else row["outcome"]
    return f"its command ended with {how}" + (f": {said}" if said else "")
