"""What is done to a job from outside: a retry, a signal, the removal of its files."""

from __future__ import annotations

import os
import signal as signals

from coord_envelope import No, Usage, ids
from coord_envelope.errors import Refused
from coord_run import draft, fold, mine
from coord_run.jobs import OVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.journal.transaction import Transaction
    from coord_run.jobs import Jobs
    from coord_run.types import Job


def retry(call: Call, t: Transaction, jobs: Jobs, state: Job) -> None:
    """Request a job again that is over; or answer with its retry that is not.

    Raises No if it is not over, Refused if it was not requested in this store.
    """
    first = state
    while following := _following(call, jobs, state):
        state = following
    run, status = state["request"]["id"], jobs.status(state)
    short = ids.short("run", run)
    if status not in OVER:
        event = None if state is first else call.event(run)
        if event is None:
            raise No(f"is {status}", where=short, code="wrong_state")
        t.repeat(event)
        return
    store = call.journal.store
    if not mine.is_mine(store, state["request"]):
        raise Refused("was not requested in this store, or pruned", short, todo="`run request` it")
    request = draft.again(state, [_newest(call, jobs, run) for run in fold.after(state)])
    mine.refuse_open(jobs, request)
    mine.add(store, t, request)


def _following(call: Call, jobs: Jobs, state: Job) -> Job | None:
    """The retry of a job, if it has one.

    It is younger: whoever can push can write requests that are retries of each other.
    """
    place = call.journal.index.refresh().by_key("run.requested", draft.retry_key(state))
    following: Job | None = jobs.state(place.event.id) if place else None
    younger = following and following["request"]["id"] > state["request"]["id"]
    return following if younger else None


def _newest(call: Call, jobs: Jobs, run: str) -> str:
    """The last retry of a job, or the job."""
    state = jobs.state(run)
    while state and (following := _following(call, jobs, state)):
        state, run = following, following["request"]["id"]
    return run


def signal_named(text: str) -> signals.Signals:
    """The signal of a name or number, as kill(1) has it. Raises Usage."""
    name = text.upper().removeprefix("SIG")
    try:
        return signals.Signals(int(text)) if text.isdecimal() else signals.Signals[f"SIG{name}"]
    except (KeyError, ValueError):
        raise Usage(f"not a valid signal: {text}", todo="see `kill -l`") from None


def pruned(call: Call, jobs: Jobs, before: str) -> list[Json]:
    """Remove the files of jobs that were over before a time: of each its id, and how many bytes."""
    import shutil  # 6 ms

    store, rows = call.journal.store, []
    for run in store.listdir("local", "runs"):
        state = jobs.state(run)
        if state and jobs.status(state) in OVER and fold.last_ts(state) < before:
            path = os.path.join(store.path, "local", "runs", run)
            size = sum(
                os.lstat(os.path.join(directory, name)).st_size
                for directory, _, names in os.walk(path)
                for name in names
            )
            shutil.rmtree(path)
            rows.append({"id": ids.short("run", run), "run_id": run, "bytes": size})
    return rows
