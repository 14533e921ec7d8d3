"""A job as a fold of its events. Pure and total: what makes no sense is passed over.

    requested              what to run
    claimed, started       an attempt: who makes it; from `started` on the command may have run
    heartbeat              the attempt lives
    released, conceded     the attempt is over, without a result
    completed              how the attempt ended
    cancelled, expired     no attempt may begin any more
    queued                 the jobs that it comes after have succeeded
    signalled              its running attempt is to pass on a signal

Who holds a job follows from the rule of all claims (`coord_kernel.rules.claims`) and from time: an
attempt without a sign of life lapses.
"""

from __future__ import annotations

from binascii import crc32

from coord_envelope import ids, world
from coord_kernel.rules import causality, claims

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_run.types import Attempt, Job, Result

name, version = "run", "6"
needles = (b'"type":"run.',)
TIMEOUT_MS, ATTEMPTS, BACKOFF_MS, GRACE_MS = 3_600_000, 3, 10_000, 10_000
"""The defaults of a request."""
LEAST_BACKOFF_MS, LONGEST_BACKOFF_MS = 1_000, 15 * 60_000
SKEW_MS = 60_000
"""How far clocks may differ: an attempt lapses this much later than its lease ends."""
LEASE_MS = 120_000
MOST_ATTEMPTS = 999_999
LONGEST_MS = 366 * 86_400_000
BAD_DATA = 65
"""The exit status of a command whose input is bad: running it again would not help."""
OUTCOMES = ("exit", "signal", "timeout", "cancelled", "error")


def entities(event: Event) -> Iterable[str]:
    """The job that an event is about."""
    kind, refs = event["type"], event.get("refs")
    if "run.requested" in (kind, event.get("$type")):
        return (event.id,)
    run = refs.get("run_id") if isinstance(refs, dict) and kind.startswith("run.") else None
    return (run,) if run and isinstance(run, str) else ()


def step(state: Job | None, event: Event) -> Job:
    """The state after one event more, taken in order of event_id."""
    state = _nothing() if state is None else state
    causality.know(state, event)
    claims.take(state, event)
    change = _CHANGES.get(event["type"])
    if event.get("$type") == "run.requested":  # nobody has signed it: it is shown, and never runs
        state["unsigned"], change = True, _requested
    if change:
        change(state, event, event["body"])
    return state


def _nothing() -> Job:
    return {
        **claims.nothing(),  # type: ignore[typeddict-item]
        "request": None,  # type: ignore[typeddict-item]
        "attempts": {},
        "results": {},
        "cancels": {},
        "expiries": {},
        "queued": {},
        "signals": {},
    }


def made(state: Job) -> bool:
    """Was it requested, by a request that a worker can use?"""
    return state["request"] is not None


def key(state: Job) -> str | None:
    """The idempotency key of the request, if it has one."""
    return state["request"].get("key") if made(state) and "unsigned" not in state else None


def united(states: Sequence[Job]) -> Job:
    """The state of jobs that are one, oldest first: of one key, in stores that had not met."""
    parts: Any = {
        part: {at: value for state in states for at, value in state[part].items()}
        for part in ("attempts", "results", "cancels", "expiries", "queued", "signals")
    }
    return {**states[0], **claims.united(states), **parts}


def _requested(state: Job, event: Event, body: Any) -> None:
    refs, key = event.get("refs"), event.get("idempotency_key")
    if not all(_sound(body, field, kind) for field, kind in _KINDS.items()) or not body.get("argv"):
        return
    by = event["actor"]["agent_id"]
    state["request"] = {"id": event.id, "by": by, "ts": event["ts"], "body": body}
    work = refs.get("work_id") if isinstance(refs, dict) else None
    if isinstance(work, str):
        state["request"]["work"] = work
    if isinstance(key, str):
        state["request"]["key"] = key
    if "traceparent" in event["actor"] or "cause" in event:
        from coord_kernel.rules import tracing  # only in a trace

        state["request"]["trace"] = tracing.context(event)[0]


_KINDS: dict[str, type] = {
    **dict.fromkeys(("argv", "needs", "secrets", "after"), list),
    **dict.fromkeys(("env", "stdin", "repo"), dict),
    **dict.fromkeys(("cwd", "name"), str),
}
"""What a worker takes for granted of a request: otherwise the request does not count."""


def _sound(body: Json, field: str, kind: Any) -> bool:
    value = body.get(field, kind())
    if not isinstance(value, kind):
        return False
    texts = value if kind is list else value.values() if field == "env" else ()
    return all(isinstance(text, str) for text in texts)


def _claimed(state: Job, event: Event, body: Json) -> None:
    state["attempts"][event.id] = {
        "n": max(1, min(number(body.get("n"), 1), MOST_ATTEMPTS)),
        "lease_ms": number(body.get("lease_ms"), LEASE_MS),
        "at": event["ts"],
        "started": None,
    }


def _started(state: Job, event: Event, body: Json) -> None:
    attempt = _attempt_of(state, body)
    if attempt and not attempt["started"]:
        attempt["started"], attempt["at"] = event["ts"], max(attempt["at"], event["ts"])
        if isinstance(body.get("host"), str):
            attempt["host"] = body["host"]


def _heartbeat(state: Job, event: Event, body: Json) -> None:
    attempt = _attempt_of(state, body)
    if attempt:
        attempt["lease_ms"] = number(body.get("lease_ms"), attempt["lease_ms"])
        attempt["at"] = max(attempt["at"], event["ts"])


def _completed(state: Job, event: Event, body: Json) -> None:
    if isinstance(body.get("claim"), str) and body.get("outcome") in OUTCOMES:
        result: Any = {**body, "ts": event["ts"], "by": event["actor"]["agent_id"]}
        state["results"][event.id] = result


def _released(state: Job, event: Event, body: Json) -> None:
    attempt = _attempt_of(state, body)
    if attempt and isinstance(body.get("reason"), str):
        attempt.setdefault("why", body["reason"])


def _cancelled(state: Job, event: Event, body: Json) -> None:
    reason = body.get("reason")
    state["cancels"][event.id] = {
        "by": event["actor"]["agent_id"],
        "ts": event["ts"],
        "reason": reason if isinstance(reason, str) else "",
    }


def _noted(state: Job, event: Event, body: Json) -> None:
    part = state["expiries"] if event["type"] == "run.expired" else state["queued"]
    part[event.id] = event["ts"]


def _signalled(state: Job, event: Event, body: Json) -> None:
    if isinstance(body.get("claim"), str) and isinstance(body.get("signal"), str):
        state["signals"][event.id] = {"claim": body["claim"], "signal": body["signal"]}


_CHANGES: dict[str, Callable[[Job, Event, Json], None]] = {
    "run.requested": _requested,
    "run.claimed": _claimed,
    "run.started": _started,
    "run.heartbeat": _heartbeat,
    "run.completed": _completed,
    "run.released": _released,
    "run.cancelled": _cancelled,
    **dict.fromkeys(("run.expired", "run.queued"), _noted),
    "run.signalled": _signalled,
}


def _attempt_of(state: Job, fields: Any) -> Attempt | None:
    """The attempt whose claim an event names."""
    claim = fields.get("claim")
    return state["attempts"].get(claim) if isinstance(claim, str) else None


def number(value: object, default: int) -> int:
    """A whole number from 0 up that an event has, bounded; else the default."""
    return min(value, LONGEST_MS) if type(value) is int and value >= 0 else default


def limit(state: Job) -> int:
    """How many attempts it may have."""
    asked = number(state["request"]["body"].get("max_attempts"), ATTEMPTS)
    return max(1, min(asked, MOST_ATTEMPTS))


def used(state: Job) -> int:
    """How many attempts it had: those in which the command may have run, or could not be run."""
    ended = {result["claim"] for result in state["results"].values()}
    attempts = state["attempts"].items()
    return max((each["n"] for at, each in attempts if each["started"] or at in ended), default=0)


def _number_of(state: Job, result: Result) -> int:
    """The number of the attempt that gave a result."""
    attempt = _attempt_of(state, result)
    return attempt["n"] if attempt else 1


def results(state: Job) -> list[tuple[str, Result]]:
    """The results that count, oldest first: not those whose writers knew that the job was lost."""
    return [
        (at, result)
        for at, result in sorted(state["results"].items())
        if not claims.outlived(state, result["claim"], at)
    ]


def _retried(state: Job, result: Result) -> bool:
    """Is there to be another attempt after this result?"""
    outcome, code = result["outcome"], result.get("code")
    if state["cancels"] or outcome == "cancelled" or _number_of(state, result) >= limit(state):
        return False
    hopeless = outcome == "exit" and code in (0, BAD_DATA)
    wanted = state["request"]["body"].get("retry") == "any"
    return outcome == "error" or (wanted and not hopeless)


def result(state: Job) -> Result | None:
    """The final result, with its event's id; None while there is none."""
    for at, result in results(state):
        if not _retried(state, result):
            return {**result, "id": at}
    return None


def open_claims(state: Job) -> list[str]:
    """The claims that may hold it; the first does, unless it lapsed."""
    confirmed = [claim for claim in state["confirmed"] if not claims.over(state, claim)]
    tentative = sorted(
        claim
        for claim in state["claims"]
        if claim not in state["confirmed"] and not claims.over(state, claim)
    )
    return confirmed[::-1] + tentative


def lapses(state: Job, claim: str) -> int:
    """When a claim lapses without further sign of life. Unix milliseconds; 0 if the time is bad."""
    attempt = state["attempts"].get(claim)
    try:
        if attempt:
            return world.parse_ts(attempt["at"]) + int(attempt["lease_ms"]) + SKEW_MS
        confirmation = state["confirmed"].get(claim)  # whose own event has not come yet
        return world.parse_ts(confirmation["ts"] if confirmation else "") + LEASE_MS + SKEW_MS
    except (ValueError, OverflowError):
        return 0


def alive(state: Job, claim: str, now: int) -> bool:
    """Does an open claim hold now? Not if it comes from a clock that is far ahead."""
    attempt = state["attempts"].get(claim)
    lease_ms = attempt["lease_ms"] if attempt else LEASE_MS
    return now < lapses(state, claim) <= now + lease_ms + SKEW_MS + ids.AHEAD_MS


def holder(state: Job, now: int) -> str | None:
    """The claim that holds it now."""
    return next((claim for claim in open_claims(state) if alive(state, claim, now)), None)


def due(state: Job) -> int:
    """When the next attempt may begin if nobody holds it. Unix milliseconds; 0: at any time.

    After a result there is a pause. It doubles with each attempt; its random share follows from
    the job's id and the attempt, so that it is the same in every store.
    """
    body = state["request"]["body"]
    try:
        tried = [each for _, each in results(state) if _number_of(state, each) == used(state)]
        if not tried:
            return 0
        n = _number_of(state, tried[-1])
        first_ms = max(number(body.get("backoff_ms"), BACKOFF_MS), LEAST_BACKOFF_MS)
        backoff_ms = first_ms << min(n - 1, 20)
        share = crc32(f"{state['request']['id']} {n}".encode()) / 0xFFFFFFFF
        pause = int(min(backoff_ms, LONGEST_BACKOFF_MS) * (1 + share) / 2)
        return world.parse_ts(tried[-1]["ts"]) + pause
    except (ValueError, OverflowError):
        return 0


def last_ts(state: Job) -> str:
    """The time of the last thing that is known to have happened to it."""
    ends = (*state["results"].values(), *state["cancels"].values(), state["request"])
    begun = (attempt["at"] for attempt in state["attempts"].values())
    return max(*begun, *(end["ts"] for end in ends), *state["expiries"].values(), "")


def settled(state: Job) -> bool:
    """Will no passage of time and no worker change it any more?"""
    if result(state) or "unsigned" in state:
        return True
    spent = state["cancels"] or used(state) >= limit(state) or late(state, "")
    return not open_claims(state) and bool(spent)


def status(state: Job, now: int) -> str:
    """In this order, what applies: result, holder, cancellation, no attempt left, time, `after`."""
    if "unsigned" in state:
        return "unsigned"
    if result(state):
        return "completed"
    claim = holder(state, now)
    if claim:
        attempt = state["attempts"].get(claim)
        return "running" if attempt and attempt["started"] else "claimed"
    if state["cancels"]:
        return "cancelled"
    if used(state) >= limit(state):
        return "lost"
    if late(state, world.format_ts(now)):
        return "expired"
    return "waiting" if waits(state) else "requested"


def waits(state: Job) -> bool:
    """Does it come after others, and has nothing said yet that they have succeeded?"""
    return bool(after(state)) and not (state["queued"] or state["attempts"])


def after(state: Job) -> list[str]:
    """The ids of the jobs that must have succeeded before it may begin."""
    return state["request"]["body"].get("after", [])


def late(state: Job, now: str) -> bool:
    """Has `start_by` passed without an attempt, before `now` or before an expiry was noted?"""
    start_by = state["request"]["body"].get("start_by")
    passed = isinstance(start_by, str) and start_by <= max((now, *state["expiries"].values()))
    return passed and not used(state)


def indexed(state: Job) -> Iterable[tuple[str, str]]:
    """By `id`, `work` item and idempotency `key`.

    If not settled also `open`, by `name`, `after` each job that it waits for, and by its times:
    `held`, until its claim lapses, or `free`, from when it may be claimed; `start_by`.
    """
    if not made(state):
        return
    request, run = state["request"], state["request"]["id"]
    yield "id", run
    if "work" in request:
        yield "work", f"{request['work']} {run}"
    if key(state):
        yield "key", request["key"]
    if settled(state):
        return
    yield "open", run
    holding = open_claims(state)
    if name := request["body"].get("name"):
        yield "name", f"{name} {run}"
    if waits(state):
        yield from (("after", f"{before} {run}") for before in after(state))
    elif holding:
        yield "held", f"{moment(max(lapses(state, claim) for claim in holding))} {run}"
    else:
        yield "free", f"{moment(due(state))} {run}"
    start_by = request["body"].get("start_by")
    if isinstance(start_by, str) and not used(state):
        yield "start_by", f"{start_by[:24]} {run}"


def moment(ms: int) -> str:
    """A time as text that sorts as the number does."""
    return f"{max(0, ms):016d}"
