"""`run exec`: request, claim and start in one transaction, then follow the output.

No worker can come between: when the request can be read, it is claimed, and its pin is held.
"""

from __future__ import annotations

import os

from coord_kernel.rules import claims
from coord_kernel.store import pins
from coord_run import attach, draft, fold, mine, session
from coord_run.attempt import ORPHANED
from coord_run.logs import place
from coord_run.pool import AttemptPool
from coord_run.store import Runs
from coord_run.substrate import chosen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_run.groups import Here


def run(call: Call, request_draft: Json, here: Here, allow_secret: bool) -> int:
    """Run a request, or follow the job that has its key already. The exit status of the job.

    Detached, print the request and return 0.
    """
    chosen(here.substrate)
    if here.detach:
        from coord_run import detach

        return detach.apart(call, lambda tell: _run(call, request_draft, here, allow_secret, tell))
    return _run(call, request_draft, here, allow_secret)


def _run(
    call: Call,
    request_draft: Json,
    here: Here,
    allow_secret: bool,
    tell: Callable[[Event], None] | None = None,
) -> int:
    runs, pool, store = Runs(call), AttemptPool(call, here.substrate), call.journal.store
    if "idempotency_key" in request_draft:
        call.journal.index.refresh()  # the first time it may take long: not under the lock
    if "name" in request_draft["body"]:
        runs.jobs()
    claim = None
    with call.transaction(allow_secret) as t:
        mine.refuse_taken(call, runs, t, request_draft)
        request = mine.add(store, t, request_draft)
        if "$dup" not in request:
            state = fold.step(None, request)
            body = request["body"]
            about = session.about(body.get("env", {}), state["request"].get("work"))
            claim = pool.claim(t, state, about)
            pin = pins.take(store, *place(request.id, "1", "pin"))
    if tell:
        tell(request)
    if claim:
        assert pin is not None, "it is new"
        runs.close()
        pool.begin(state["request"], claim, pin)

    def on_events(events: list[Event]) -> None:
        if pool.reap() and claim:  # a killed attempt; any other has written how it ended
            _end(runs, request.id, claim.id)
        if any(event["type"] in ("run.cancelled", "run.signalled") for event in events):
            pool.wake(request.id)

    state = attach.follow(call, runs, request.id, on_events=on_events)
    for pid in pool.running:
        os.waitpid(pid, 0)
    return attach.passed_on(call, runs, state)


def _end(runs: Runs, run: str, claim: str) -> None:
    """The attempt is gone: end its claim if that is open. No worker is to make another attempt."""
    with runs.change() as (t, jobs):
        state = jobs.state(run)
        if state is None or claims.over(state, claim):
            return
        if state["attempts"][claim]["started"]:
            t.add(draft.progress("released", state, claim, reason=ORPHANED))
        else:
            why = "its attempt died before its command was started"
            t.add(draft.progress("completed", state, claim, outcome="error", reason=why, dur_ms=0))
