"""`run exec`: request, claim and start in one write, so that no worker is faster; then follow the output."""

from __future__ import annotations

import os

from coord_kernel.store import pins
from coord_run import attach
from coord_run.attempt import ORPHANED
from coord_run.hands import Hands
from coord_run.jobs import passed_on
from coord_run.logs import place
from coord_run.mine import witness
from coord_run.store import Runs
from coord_run.substrate import chosen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.views.index import Index


def run(call: Call, request: Json, where: str, allow_secret: bool) -> int:
    """Run it, or follow the job that has its key already; its exit status."""
    chosen(where)
    runs, hands, key = Runs(call), Hands(call, where), request.get("idempotency_key")

    def decide(index: Index) -> list[Json]:
        if key is not None and index.refresh().by_key("run.requested", key):
            return [request]
        return [request | {"$as": "request"}, *hands.first_claim()]

    if key is not None:
        call.journal.index.refresh()  # a long way to go is gone before the lock is taken
    asked, *claimed = call.journal.append(
        call.actor(), decide, allow_secret, witness(call.journal.store)
    )
    if claimed:
        pin = pins.take(call.journal.store, *place(asked.id, "1", "pin"))
        assert pin is not None, "it is new"
        runs.close()
        call.journal.index.close()
        hands.begin(
            {"id": asked.id, "by": asked["actor"]["agent_id"], "body": asked["body"]},
            claimed[0],
            pin,
        )

    def heed(news: list[Event]) -> None:
        if hands.reap() and claimed:
            runs.give_back(
                asked.id, claimed[0].id, ORPHANED
            )  # it was killed, else it has said how it ended
        if any(one["type"] == "run.cancelled" for one in news):
            hands.look(asked.id)

    state = attach.follow(call, runs, asked.id, heed=heed)
    for pid in hands.running:
        os.waitpid(pid, 0)
    return passed_on(runs.jobs(), state)
