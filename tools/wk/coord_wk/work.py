"""The items of a call's store, and the transaction in which one is looked at and changed."""

from __future__ import annotations

from coord_envelope import Event, codec, world
from coord_envelope.platform import contextmanager
from coord_kernel.cli import values
from coord_kernel.views.view import View
from coord_wk import fold
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.journal.transaction import Transaction
    from coord_kernel.rules.claims import Claim, Owner

WORK = ("work_id", "refs.work_id")
"""The fields of a line on stdin that may hold an item's id."""
SILENT_MS = 30 * 60 * 1000
"""A claim may be stolen when its owner has written no event for this long."""


class Work:
    """The work items of one store."""

    def __init__(self, call: Call, allow_secret: bool = False) -> None:
        self._call, self._allow_secret = call, allow_secret
        self._view = View(call.journal.store, fold)
        call.out.id_ref = "work_id"

    def items(self, at: str | None = None) -> Items:
        """The items now, or as they were at a time."""
        if at is None:
            return Items.current(self._view)
        then = values.moment(at)
        return Items.at(self._call.journal.replay(until=then), then)

    @contextmanager
    def transaction(self) -> Iterator[tuple[Transaction, Items]]:
        """A transaction, and the items as they are under its lock."""
        self._view.refresh()  # a long way to go is gone before the lock is taken
        with self._call.transaction(self._allow_secret) as t:
            yield t, self.items()

    def mine(self, claim: Claim | Owner) -> bool:
        """Is this claim this session's, in this store, whatever replica id the store had then?"""
        actor = self._call.actor()
        ours = (claim["agent"], claim["session"]) == (actor["agent_id"], actor.get("session_id"))
        return ours and claim["replica"] in self._call.journal.store.replicas()

    def again(self, event_id: str, draft: Json) -> Event | None:
        """The event, if this agent wrote it and it says what the draft says, about any claim."""
        event = self._call.event(event_id)
        agent = self._call.actor()["agent_id"]
        if not event or (event["type"], event["actor"]["agent_id"]) != (draft["type"], agent):
            return None
        before, now = (
            {name: value for name, value in body.items() if name != "claim"}
            for body in (event["body"], draft["body"])
        )
        return event if codec.same(before, now) else None

    def silent(self, agent: str) -> bool:
        """Has the agent written no event for 30 minutes?"""
        since = world.format_ts(world.now_ms() - SILENT_MS)
        return (self._call.journal.last_seen(agent) or "") <= since
