"""The items of this call's store, and the one way to change one: look, decide and append under one lock."""

from __future__ import annotations

from coord_envelope import BadData, Fault, No, Usage, tool, world
from coord_envelope.view import Snapshot, View
from coord_wk import fold
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_envelope.index import Index
    from coord_envelope.tool import Call

    Decide = Callable[["Items"], list[Json]]

WORK = ("work_id", "refs.work_id")
"""Where a line on stdin has an item's id."""
SILENT_MS = 30 * 60 * 1000
"""After this long without an event of its owner a claim may be stolen."""


class Work:
    """Work items of one store."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._view = View(call.journal.store, fold)
        call.out.id_ref = "work_id"

    def items(self, at: str | None = None) -> Items:
        """The items as they are, or as they were at a time."""
        if at is None:
            return Items(self._view.refresh(), world.format_ts(world.now_ms()))
        then = tool.moment(at)
        events = (event for event in self._call.journal.replay() if event["ts"] <= then)
        return Items(Snapshot(fold, events), then)

    def change(self, decide: Decide) -> list[Event]:
        """Append what `decide` says of the items as they are under the lock. What it raises, nothing is written."""

        def under_lock(_: Index) -> list[Json]:
            return decide(self.items())

        return self._call.journal.append(self._call.actor(), under_lock)

    def change_each(self, decide: Callable[[Items], list[tuple[str, Json | Fault]]]) -> None:
        """As `change`, but each draft for itself: print what was written, complain of the rest."""
        found: list[tuple[str, Json | Fault]] = []

        def under_lock(_: Index) -> list[Json]:
            found.extend(decide(self.items()))
            return [one for _, one in found if not isinstance(one, Fault)]

        answers = iter(self._call.journal.append_each(self._call.actor(), under_lock))
        for where, one in found:
            self._call.tell(where, one if isinstance(one, Fault) else next(answers))
        self._call.out.flush()

    def resolve(self, text: str, items: Items) -> str:
        """The item's full id, for a full or short one or a foreign alias. Raises No, Usage."""
        aliased = items.aliased(text)
        if len(aliased) > 1:
            raise Usage(f"{text} is ambiguous: {' '.join(aliased)}", todo="give the id")
        full = aliased[0] if aliased else self._call.resolve(text)
        if items.state(full) is None:
            raise No("no such work item", where=text)
        return full

    def mine(self, claim: Json) -> bool:
        """Is this claim this session's, on this replica?"""
        actor = self._call.actor()
        ours = (actor["agent_id"], actor.get("session_id"), self._call.journal.store.replica())
        return (claim["agent"], claim["session"], claim["replica"]) == ours

    def silent(self, agent: str) -> bool:
        """Was nothing heard of the agent for 30 minutes?"""
        since = world.format_ts(world.now_ms() - SILENT_MS)
        return (self._call.journal.last_seen(agent) or "") <= since

    def each(self, texts: Iterable[list[str]], act: Callable[[str], Iterable[Json]]) -> None:
        """Do it for each id, print what it gives, and go on after a failure."""
        for group in texts:
            for text in group:
                try:
                    self._call.put(act(text))
                except (No, Usage, BadData) as fault:
                    self._call.fail(fault, fault.where or text)
