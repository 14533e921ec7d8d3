"""The items of this call's store, and the one way to change one: look, decide and append under one lock."""

from __future__ import annotations

from coord_envelope import Event, No, Usage, codec, world
from coord_kernel.cli import values
from coord_kernel.views.view import Snapshot, View
from coord_wk import fold
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call


WORK = ("work_id", "refs.work_id")
"""Where a line on stdin has an item's id."""
SILENT_MS = 30 * 60 * 1000
"""After this long without an event of its owner a claim may be stolen."""


class Work:
    """Work items of one store."""

    def __init__(self, call: Call, allow_secret: bool = False) -> None:
        self._call, self._allow_secret = call, allow_secret
        self._view = View(call.journal.store, fold)
        call.out.id_ref = "work_id"

    def items(self, at: str | None = None) -> Items:
        """The items as they are, or as they were at a time."""
        if at is None:
            return Items(self._view.refresh(), world.format_ts(world.now_ms()))
        then = values.moment(at)
        return Items(Snapshot(fold, self._call.journal.replay(until=then)), then)

    @contextmanager
    def transaction(self) -> Iterator[tuple[Transaction, Items]]:
        """A transaction, and the items as they are under its lock."""
        self._view.refresh()  # a long way to go is gone before the lock is taken
        with self._call.transaction(self._allow_secret) as t:
            yield t, self.items()

    def resolve(self, text: str, items: Items) -> str:
        """The item's full id, for a full or short one or a foreign alias. Raises No, Usage: never a guess.

        An id is that item's, whatever is another's alias; an alias stands over the bare ending of an id.
        """
        if items.state(text):
            return items.name(text)
        short = text.startswith("wk-")
        found = items.ending(text) if short else items.aliased(text)
        found = found or (items.aliased(text) if short else items.ending(text))
        if len(found) > 1:
            raise Usage(f"{text} is ambiguous: {' '.join(sorted(found))}", todo="give the full id")
        if not found:
            raise No("no such work item", where=text)
        return found[0]

    def mine(self, claim: Json) -> bool:
        """Is this claim this session's, in this store, whatever its replica was called then?"""
        actor = self._call.actor()
        ours = (claim["agent"], claim["session"]) == (actor["agent_id"], actor.get("session_id"))
        return ours and claim["replica"] in self._call.journal.store.replicas()

    def again(self, event_id: str, draft: Json) -> Event | None:
        """The event, if this agent said with it what the draft says, whatever claim it was about."""
        found = self._call.event(event_id)
        by = self._call.actor()["agent_id"]
        if not found or (found["type"], found["actor"]["agent_id"]) != (draft["type"], by):
            return None
        there, here = (
            {name: value for name, value in body.items() if name != "claim"}
            for body in (found["body"], draft["body"])
        )
        return found if codec.same(there, here) else None

    def silent(self, agent: str) -> bool:
        """Was nothing heard of the agent for 30 minutes?"""
        since = world.format_ts(world.now_ms() - SILENT_MS)
        return (self._call.journal.last_seen(agent) or "") <= since
