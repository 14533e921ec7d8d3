"""What a consumer makes of one event, step by step. Each step is an event, and what comes next follows from those.

    event ──job 1──▶ fits the schema? ──no──▶ job 2, told why … ──▶ the gate's job ──▶ the result
              └ failed: the result says so                            └ rejected, inconclusive: likewise

A step is found again by its key (consumer, event, step), so whoever is killed between two steps goes on with the
next, and each is done once. Nothing is kept in memory that is not in the journal.
"""

from __future__ import annotations

import contextlib
import functools
import itertools

from coord_envelope import BadData, No
from coord_envelope.errors import Refused
from coord_ev.template import LONGEST, rendered
from coord_ev.watch import told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_envelope import Event, Journal
    from coord_envelope.codec import Json
    from coord_envelope.tool import Call
    from coord_ev.consumer import Consumer
    from coord_ev.jobs import Asked, Jobs

VERDICTS = {0: "pass", 1: "reject"}
"""What the gate's statuses say. Any other end of it is inconclusive, which approves nothing."""
KEPT_REFS = ("work_id", "thread_id")
ANCESTORS = 64
QUOTED, REASON = 2_000, 4_000
"""Characters of an answer that is refused, and of a reason."""
AGAIN = "\n\nThe last answer was refused: {wrong}\nIt was:\n{answer}\nAnswer again, whole and right.\n"


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
        self.waits: dict[str, str] = {}
        """Of each job that is waited for, the event it is for."""

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
        refs = event.get("refs")
        above = event.get("cause") or (refs.get("run_id") if isinstance(refs, dict) else None)
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
        if self.result(event):
            return True
        try:
            good = self._good(event)
            if good is None:
                return False
            if self._consumer.emit:
                self._tell(event, self._consumer.emit, *good)
        except (FailedError, BadData, Refused) as reason:
            self._fail(event, str(reason), getattr(reason, "more", {}))
        return True

    def _good(self, event: Event) -> tuple[Json, str] | None:
        """The good result's body, and the job it is of. None: not there yet. Raises FailedError, BadData, Refused."""
        more, used, most = "", 0, self._consumer.max_attempts
        for step in itertools.count(1):
            row = self._ran(event, str(step), functools.partial(self._asked, event, more, most - used))
            if row is None:
                return None
            run, used = row["run_id"], used + max(1, row.get("attempt", 0))
            if row["status_code"]:
                raise FailedError(_ended(row), run_id=run)
            output = self._jobs.output(row, LONGEST)
            answer, wrong = self._consumer.checked(output)
            if not wrong:
                break
            if used >= most:
                raise FailedError(f"its output does not fit the schema: {wrong}", run_id=run)
            more = AGAIN.format(wrong=wrong, answer=output.decode("utf-8", "replace")[:QUOTED])
        said = self._judged(event, f"{step} gate", output, run)
        if said is None:
            return None
        values = self._consumer.values(event, stdout=output.decode("utf-8", "replace"), answer=answer)
        text = rendered(self._consumer.text, values, "[emit] text").encode()
        fits = {} if answer is None else {"answer": answer}
        return {**told(self._journal.store, "text", text), **fits, **said}, run

    def _judged(self, event: Event, step: str, output: bytes, run: str) -> Json | None:
        """What the gate says, if there is one; None: nothing yet. Raises FailedError unless it lets it pass."""
        if not self._consumer.gate:
            return {}
        row = self._ran(event, step, functools.partial(self._asked_gate, event, output))
        if row is None:
            return None
        said = row["status_code"] if row.get("outcome") == "exit" else 2
        verdict = VERDICTS.get(said, "inconclusive")
        if verdict != "pass":
            why = self._tail(row).strip()
            raise FailedError(f"the gate says {verdict}" + (f": {why}" if why else ""), verdict=verdict, run_id=run)
        return {"verdict": verdict}

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
            self.waits[request.id] = event.id
            return self._jobs.over(request.id)
        argv, stdin, env, options = make()
        work = (event.get("refs") or {}).get("work_id")
        options += ["--work", work] if isinstance(work, str) else []
        try:
            run = self._jobs.request(self.key(event, step), event, argv, stdin, env, options)
        except BadData:
            self.refresh()
            if not self.job(event, step):
                raise
            return self._ran(event, step, make)  # another process of this consumer has requested it, in other words
        self.waits[run] = event.id
        return None

    def _tell(self, event: Event, kind: str, body: Json, run: str | None) -> None:
        refs = event.get("refs")
        kept = {name: refs[name] for name in KEPT_REFS if name in refs} if isinstance(refs, dict) else {}
        hops = event.get("hops", 0)
        refs = kept | ({"run_id": run} if run else {})
        draft = {
            "type": kind,
            "idempotency_key": self.key(event),
            "cause": event.id,
            "hops": hops + 1 if isinstance(hops, int) else 1,
            "body": {"consumer": self._consumer.name, **body},
        }
        some = {name: value for name, value in (("refs", refs), ("to", self._consumer.to)) if value}
        self._call.put(self._journal.append(self._actor, [draft | some]))

    def _fail(self, event: Event, reason: str, more: Json) -> None:
        """Tell of the failure, in an event and on stderr; on stderr alone where no event can (over 32 hops)."""
        run, said = more.get("run_id"), {name: value for name, value in more.items() if name != "run_id"}
        with contextlib.suppress(BadData):
            try:
                self._tell(event, self._consumer.failed, {"reason": reason[:REASON], **said}, run)
            except Refused as refusal:
                self._tell(event, self._consumer.failed, {"reason": f"what it said {refusal.what}", **said}, run)
        self._call.fail(No(reason.partition("\n")[0]), event.id)

    def _tail(self, row: Json) -> str:
        return str((row.get("stdout") or {}).get("tail", ""))


def _ended(row: Json) -> str:
    """How a job ended that did not end well, in words."""
    if row["status"] != "completed":
        return f"its job is {row['status']}"
    said = str((row.get("stderr") or {}).get("tail", "")).strip()
    how = f"status {row['status_code']}" if row["outcome"] == "exit" else row["outcome"]
    return f"its command ended with {how}" + (f": {said}" if said else "")
