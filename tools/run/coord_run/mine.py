"""Which requests were made in this store: those of which it has a note, which no sync can bring.

The name of a writer proves nothing: everybody with push access can add lines to any stream, also to
those of this store.
"""

from __future__ import annotations

import os

from coord_envelope import No, codec, event, ids
from coord_kernel.store.disk import write_all
from coord_run.logs import place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Store
    from coord_kernel.cli.call import Call
    from coord_kernel.journal.transaction import Transaction
    from coord_run.jobs import Jobs
    from coord_run.store import Runs
    from coord_run.types import Request

NOTE = "request"


def add(store: Store, t: Transaction, draft: Json) -> Event:
    """Add a request to a transaction. Its note is there before anybody can read the event."""
    request = t.add(draft)
    if "$dup" not in request:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        fd = store.open(*place(request.id, NOTE), flags=flags)
        try:
            write_all(fd, request.raw)
        finally:
            os.close(fd)
    return request


def refuse_taken(call: Call, runs: Runs, t: Transaction, draft: Json) -> None:
    """Raise No if another job of the request's name is not over; under the lock.

    A request that was made before, by its key, is not refused: it is answered.
    """
    key, name = draft.get("idempotency_key"), draft["body"].get("name")
    if name is None:
        return
    for other in t.events:  # the view does not have these yet
        repeated = key is not None and other.get("idempotency_key") == key
        if other["body"].get("name") == name and not repeated:
            raise _taken(name, "requested", other.id)
    if key is None or not call.journal.index.refresh().by_key("run.requested", key):
        refuse_open(runs.jobs(), draft)


def refuse_open(jobs: Jobs, draft: Json) -> None:
    """As `refuse_taken`, of a request that is not a repetition."""
    name = draft["body"].get("name")
    for state in jobs.open_as(name) if name else ():
        raise _taken(name, jobs.status(state), state["request"]["id"])


def _taken(name: str, status: str, run: str) -> No:
    short = ids.short("run", run)
    todo = f"`run attach {short}` waits for it"
    return No(f"a job named {name} is {status}: {short}", todo=todo, code="held")


def is_mine(store: Store, request: Request) -> bool:
    """Was this requested in this store, by the same agent, with an equal body?"""
    raw = store.load(*place(request["id"], NOTE))
    try:
        note = event.parse(raw or b"")
    except ValueError:
        return False
    return note["actor"]["agent_id"] == request["by"] and codec.same(note["body"], request["body"])
