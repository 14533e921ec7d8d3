"""The items of this call's store, and the one way to change one: look, decide and append under one lock."""

from __future__ import annotations

from coord_envelope import Event, Fault, No, Usage, codec, tool, world
from coord_envelope.keys import make_durable
from coord_envelope.view import Snapshot, View
from coord_wk import fold
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_envelope.codec import Json
    from coord_envelope.index import Index
    from coord_envelope.tool import Call

    Decide = Callable[[Items], list[Json]]

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
        then = tool.moment(at)
        return Items(Snapshot(fold, self._call.journal.replay(until=then)), then)

    def change(self, decide: Decide) -> list[Event]:
        """Append what `decide` says of the items as they are under the lock. What it raises, nothing is written.

        Where it says an event that is there already, that comes back with `$dup`.
        """
        there: list[Event] = []

        def under_lock(index: Index) -> list[Json]:
            said = decide(self.items())
            there.extend(one for one in said if isinstance(one, Event))
            places = [index.refresh().by_id(one.id) for one in there]
            make_durable(self._call.journal.store, [place for place in places if place])
            return [one for one in said if not isinstance(one, Event)]

        self._view.refresh()  # a long way to go is gone before the lock is taken
        done = self._call.journal.append(self._call.actor(), under_lock, self._allow_secret)
        return done + [one.noted(dup=True) for one in there]

    def change_each(self, decide: Callable[[Items], list[tuple[str, Json | Fault]]]) -> None:
        """As `change`, but each draft for itself: print what was written, complain of the rest."""
        found: list[tuple[str, Json | Fault]] = []

        def under_lock(_: Index) -> list[Json]:
            found.extend(decide(self.items()))
            return [one for _, one in found if not isinstance(one, Fault)]

        self._view.refresh()
        answers = iter(self._call.journal.append_each(self._call.actor(), under_lock, self._allow_secret))
        for where, one in found:
            self._call.tell(where, one if isinstance(one, Fault) else next(answers))
        self._call.out.flush()

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

    def again(self, event_id: str, draft: Json) -> list[Json]:
        """The event, if this agent said with it what the draft says, whatever claim it was about."""
        found = self._call.event(event_id)
        by = self._call.actor()["agent_id"]
        if not found or (found["type"], found["actor"]["agent_id"]) != (draft["type"], by):
            return []
        one, other = ({k: v for k, v in body.items() if k != "claim"} for body in (found["body"], draft["body"]))
        return [found] if codec.same(one, other) else []

    def silent(self, agent: str) -> bool:
        """Was nothing heard of the agent for 30 minutes?"""
        since = world.format_ts(world.now_ms() - SILENT_MS)
        return (self._call.journal.last_seen(agent) or "") <= since
