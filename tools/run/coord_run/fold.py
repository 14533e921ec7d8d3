"""A job as a fold of its events. Pure and total: what makes no sense is passed over.

    requested              what is to be run
    claimed, started       an attempt: who runs it; from `started` on the command may have run
    heartbeat              the attempt lives
    released, conceded     the attempt is over, without a result
    completed              how the attempt ended
    cancelled              it shall run no more

Who holds it is the rule of all claims (`coord_kernel.rules.claims`), and time: an attempt without a sign of life lapses.
"""

from __future__ import annotations

from binascii import crc32

from coord_envelope import ids, world
from coord_kernel.rules import causality, claims

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coord_envelope import Event
    from coord_envelope.codec import Json

name, version = "run", "2"
TIMEOUT_MS, ATTEMPTS, BACKOFF_MS, GRACE_MS = 3_600_000, 3, 10_000, 10_000
"""What a request has that says nothing else."""
LONGEST_BACKOFF_MS = 15 * 60_000
SKEW_MS = 60_000
"""By so much clocks may differ: an attempt lapses that much later than it says."""
LEASE_MS = 120_000
MOST_ATTEMPTS = 999_999
LONGEST_MS = 366 * 86_400_000
BAD_DATA = 65
"""The exit status of a command whose input is bad: to run it again would not help."""


def entities(event: Event) -> Iterable[str]:
    """The job an event is about."""
    kind, refs = event["type"], event.get("refs")
    if kind == "run.requested":
        return (event.id,)
    found = refs.get("run_id") if isinstance(refs, dict) and kind.startswith("run.") else None
    return (found,) if found and isinstance(found, str) else ()


def step(state: Json | None, event: Event) -> Json:
    """The state after one event more, taken in order of event_id."""
    if state is None:
        state = {**claims.nothing(), "request": None, "attempts": {}, "results": {}, "cancels": {}}
    causality.know(state, event)
    claims.take(state, event)
    change = _CHANGES.get(event["type"])
    if change:
        change(state, event, event["body"])
    return state


def _requested(state: Json, event: Event, body: Json) -> None:
    refs, key = event.get("refs"), event.get("idempotency_key")
    if not all(_sound(body, name, kind) for name, kind in _KINDS.items()) or not body.get("argv"):
        return
    work = refs.get("work_id") if isinstance(refs, dict) else None
    state["request"] = {
        "id": event.id,
        "by": event["actor"]["agent_id"],
        "ts": event["ts"],
        "body": body,
        **({"work": work} if isinstance(work, str) else {}),
        **({"key": key} if isinstance(key, str) else {}),
    }


_KINDS: dict[str, type] = {
    **dict.fromkeys(("argv", "needs", "secrets"), list),
    **dict.fromkeys(("env", "stdin", "repo"), dict),
    "cwd": str,
}
"""What a worker takes for granted of a request: one that has it otherwise is none."""


def _sound(body: Json, name: str, kind: type) -> bool:
    found = body.get(name, kind())
    texts = (
        found.values()
        if name == "env" and isinstance(found, dict)
        else found
        if isinstance(found, list)
        else ()
    )
    return isinstance(found, kind) and all(isinstance(one, str) for one in texts)


def _claimed(state: Json, event: Event, body: Json) -> None:
    state["attempts"][event.id] = {
        "n": max(1, min(number(body.get("n"), 1), MOST_ATTEMPTS)),
        "lease_ms": number(body.get("lease_ms"), LEASE_MS),
        "at": event["ts"],
        "started": None,
    }


def _started(state: Json, event: Event, body: Json) -> None:
    attempt = _of(state, body)
    if attempt and not attempt["started"]:
        host = {"host": body["host"]} if isinstance(body.get("host"), str) else {}
        attempt |= {"started": event["ts"], "at": max(attempt["at"], event["ts"]), **host}


def _heartbeat(state: Json, event: Event, body: Json) -> None:
    attempt = _of(state, body)
    if attempt:
        attempt["lease_ms"] = number(body.get("lease_ms"), attempt["lease_ms"])
        attempt["at"] = max(attempt["at"], event["ts"])


def _completed(state: Json, event: Event, body: Json) -> None:
    claim = body.get("claim")
    if isinstance(claim, str) and body.get("outcome") in OUTCOMES:
        state["results"][event.id] = {**body, "ts": event["ts"], "by": event["actor"]["agent_id"]}


def _released(state: Json, event: Event, body: Json) -> None:
    attempt = _of(state, body)
    if attempt and isinstance(body.get("reason"), str):
        attempt.setdefault("why", body["reason"])


def _cancelled(state: Json, event: Event, body: Json) -> None:
    reason = body.get("reason")
    said = {"by": event["actor"]["agent_id"], "ts": event["ts"]}
    state["cancels"][event.id] = said | {"reason": reason if isinstance(reason, str) else ""}


OUTCOMES = ("exit", "signal", "timeout", "cancelled", "error")
_CHANGES: dict[str, Callable[[Json, Event, Json], None]] = {
    "run.requested": _requested,
    "run.claimed": _claimed,
    "run.started": _started,
    "run.heartbeat": _heartbeat,
    "run.completed": _completed,
    "run.released": _released,
    "run.cancelled": _cancelled,
}


def _of(state: Json, body: Json) -> Json | None:
    claim = body.get("claim")
    found: Json | None = state["attempts"].get(claim) if isinstance(claim, str) else None
    return found


def number(found: object, default: int) -> int:
    """A whole number from 0 that an event says, bounded; else the default."""
    return min(found, LONGEST_MS) if type(found) is int and found >= 0 else default


def united(states: list[Json]) -> Json:
    """The state of jobs that are one: requested with one key in stores that had not met. The oldest first."""
    parts = ("attempts", "results", "cancels")
    merged = {part: {k: v for one in states for k, v in one[part].items()} for part in parts}
    return {**states[0], **claims.united(states), **merged}


def asked(state: Json, part: str, default: int) -> int:
    """A number of the request."""
    return number(state["request"]["body"].get(part), default)


def most(state: Json) -> int:
    """How many attempts it may have."""
    return max(1, min(asked(state, "max_attempts", ATTEMPTS), MOST_ATTEMPTS))


def used(state: Json) -> int:
    """How many attempts it had: those in which the command may have run."""
    return max((one["n"] for one in state["attempts"].values() if one["started"]), default=0)


def _attempt(state: Json, result: Json) -> int:
    found = state["attempts"].get(result["claim"])
    return int(found["n"]) if found else 1


def results(state: Json) -> list[tuple[str, Json]]:
    """What counts, oldest first: not the result of one who knew that the job was taken from it."""
    found = sorted(state["results"].items())
    return [(at, one) for at, one in found if not claims.outlived(state, one["claim"], at)]


def _again(state: Json, result: Json) -> bool:
    """Is the job to be tried again after this result?"""
    outcome, code = result["outcome"], result.get("code")
    if state["cancels"] or outcome == "cancelled" or _attempt(state, result) >= most(state):
        return False
    hopeless = state["request"]["body"].get("retry") != "any" or (
        outcome == "exit" and code in (0, BAD_DATA)
    )
    return bool(outcome == "error" or not hopeless)


def result(state: Json) -> Json | None:
    """The result, with its event's id; None while there is none that stands."""
    final = ({**one, "id": at} for at, one in results(state) if not _again(state, one))
    return next(final, None)


def open_claims(state: Json) -> list[str]:
    """The claims that may hold it, the one that does first, if none has lapsed."""
    firm = [one for one in state["confirmed"] if not claims.over(state, one)]
    rest = sorted(
        one
        for one in state["claims"]
        if one not in state["confirmed"] and not claims.over(state, one)
    )
    return firm[::-1] + rest


def lapses(state: Json, claim: str) -> int:
    """When a claim lapses if nothing more is heard of it. Unix milliseconds; 0 if that is no time."""
    unheard = {"at": state["confirmed"].get(claim, {}).get("ts", ""), "lease_ms": LEASE_MS}
    attempt = state["attempts"].get(claim, unheard)
    try:
        return world.parse_ts(attempt["at"]) + int(attempt["lease_ms"]) + SKEW_MS
    except (ValueError, OverflowError):
        return 0


def alive(state: Json, claim: str, now: int) -> bool:
    """Does a claim that is open hold now? One from a clock that runs far ahead does not."""
    end = lapses(state, claim)
    attempt = state["attempts"].get(claim, {"lease_ms": LEASE_MS})
    furthest: int = now + attempt["lease_ms"] + SKEW_MS + ids.AHEAD_MS
    return now < end <= furthest


def holder(state: Json, now: int) -> str | None:
    """The claim that holds it now."""
    return next((one for one in open_claims(state) if alive(state, one, now)), None)


def due(state: Json) -> int:
    """When it may be run, if nobody holds it: at any time (0), but later after a result. Unix milliseconds."""
    try:
        tried = [one for _, one in results(state) if _attempt(state, one) == used(state)]
        if not tried:
            return 0
        last = tried[-1]
        n = _attempt(state, last)
        pause = min(asked(state, "backoff_ms", BACKOFF_MS) << min(n - 1, 20), LONGEST_BACKOFF_MS)
        share = (
            crc32(f"{state['request']['id']} {n}".encode()) / 0xFFFFFFFF
        )  # the same wherever it is worked out
        return world.parse_ts(last["ts"]) + int(pause * (1 + share) / 2)
    except (ValueError, OverflowError):
        return 0


def settled(state: Json) -> bool:
    """Will no time and no worker change it any more?"""
    if result(state):
        return True
    return not open_claims(state) and bool(state["cancels"] or used(state) >= most(state))


def status(state: Json, now: int) -> str:
    """completed | running | claimed | cancelled | lost | expired | requested, the first that is so."""
    if result(state):
        return "completed"
    held = holder(state, now)
    if held:
        return "running" if state["attempts"].get(held, {}).get("started") else "claimed"
    if state["cancels"]:
        return "cancelled"
    if used(state) >= most(state):
        return "lost"
    start_by = state["request"]["body"].get("start_by")
    late = isinstance(start_by, str) and not used(state) and start_by <= world.format_ts(now)
    return "expired" if late else "requested"


def indexed(state: Json) -> Iterable[tuple[str, str]]:
    """By what a job is found: all, those not settled, of a work item, its key; held until, or free from when on."""
    request = state["request"]
    if not request:
        return
    at = request["id"]
    yield "id", at
    if "work" in request:
        yield "work", f"{request['work']} {at}"
    if "key" in request:
        yield "key", request["key"]
    if settled(state):
        return
    yield "open", at
    held = open_claims(state)
    if held:
        yield "held", f"{moment(max(lapses(state, one) for one in held))} {at}"
    else:
        yield "free", f"{moment(due(state))} {at}"


def moment(ms: int) -> str:
    """A time as indexed have it: as text it sorts as the number does."""
    return f"{max(0, ms):016d}"
