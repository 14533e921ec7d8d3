"""The items of a call's store, and the transaction in which one is looked at and changed."""

from __future__ import annotations

from coord_envelope import BadData, Event, No, codec, ids, world
from coord_envelope.platform import contextmanager
from coord_kernel.rules import claims
from coord_kernel.rules import holder as holders
from coord_kernel.views import resolve
from coord_kernel.views.view import View
from coord_wk import draft, fold
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.journal.transaction import Transaction
    from coord_wk.items import Detail
    from coord_wk.registers import State

WORK = ("work_id", "refs.work_id")
"""The fields of a line on stdin that may hold an item's id."""
SILENT_MS = 30 * 60 * 1000
"""A claim may be stolen when its owner has written no event for this long."""


class Work:
    """The work items of one store."""

    refused: Mapping[str, str] | None = None
    """Fields that a line on stdin must not have, since they are not read, and what to do."""

    def __init__(self, call: Call, allow_secret: bool = False) -> None:
        self._call, self._allow_secret = call, allow_secret
        self._view = View(call.journal.store, fold)
        call.out.id_ref = "work_id"
        call.out.title, call.out.short = self._title, self._short  # type: ignore[method-assign]

    def _short(self, prefix: str, entity: str) -> str:
        return resolve.short(prefix, entity, resolve.among(self._view))

    def _title(self, entity: str) -> str:
        state = self._view.get(entity)
        return (state and fold.text(state, "title")) or ""

    def items(self, at: str | None = None) -> Items:
        """The items now, or as they were at a time."""
        then = None if at is None else self._call.moment(at)
        items = Items.past(self._view, then) if then else Items.current(self._view)
        items.fetch = self._fetched
        return items

    def shortened(self, words: Json, name: str) -> Json:
        """Take a text that is too long for an event out of the words, into a blob.

        Returns the fields of a body that stand for it. Raises BadData, Refused (it holds a
        credential), OSError.
        """
        text = words.get(name)
        if not isinstance(text, str) or len(text) * 4 <= draft.INLINE:
            return {}
        from coord_kernel.store.blobs import Blobs

        draft.check({name: text})
        store = self._call.journal.store
        stored = Blobs(store, self._allow_secret).text(name, text, draft.INLINE)
        if name in stored:
            return {}
        del words[name]
        return stored

    def _fetched(self, blob: Json) -> str:
        from coord_kernel.store.blobs import Blobs

        try:
            return Blobs(self._call.journal.store).fetch(blob).decode("utf-8", "replace")
        except (No, BadData) as fault:
            return f"({fault})"

    @contextmanager
    def transaction(self) -> Iterator[tuple[Transaction, Items]]:
        """A transaction, and the items as they are under its lock."""
        self._view.refresh()  # a long way to go is gone before the lock is taken
        with self.adding() as t:
            yield t, self.items()

    def adding(self) -> Transaction:
        """A transaction that looks at no item."""
        return self._call.transaction(self._allow_secret)

    def actor(self) -> Json:
        """The caller."""
        return self._call.actor()

    def event(self, event_id: str) -> Event | None:
        """The event with this id."""
        return self._call.event(event_id)

    def mine(self, claim: claims.Claim | claims.Owner, actor: Json | None = None) -> bool:
        """Does the caller hold this claim, in this store, whatever replica id it had then?"""
        actor = actor or self._call.actor()
        same = holders.same(actor, claim["agent"], claim["session"])
        return same and claim["replica"] in self._call.journal.store.replicas()

    def robbed(self, state: State) -> bool:
        """Was a claim of the caller stolen by somebody else?"""
        mine = [at for at, claim in state["claims"].items() if self.mine(claim)]
        last = max(state["claims"], default="")
        return last not in mine and any(claims.stolen(state, at) for at in mine)

    def named(self, holder: claims.Owner, actor: Json | None = None) -> str:
        """The holder, as it is named to a caller that does not hold the claim."""
        actor = actor or self._call.actor()
        name = holders.named(actor, holder["agent"], holder["session"])
        return "you in another copy of the store" if name == "you" else name

    def refusal(self, holder: claims.Owner) -> No:
        """Why an item cannot be changed: another agent holds it, or another session of this one."""
        ours = holder["agent"] == self._call.actor()["agent_id"]
        todo = "`wk claim --resume` takes it over" if ours else "--force overrides its claim"
        return No(f"is held by {self.named(holder)}", todo=todo, code="held")

    def refuse_second(self, items: Items, agent: str | None = None) -> None:
        """Raise No if the agent, or the caller, holds an item, and the project allows one each."""
        from coord_kernel.store import locate

        allowed = locate.section(self._call.journal.store, "wk").get("one_claim", False)
        if not isinstance(allowed, bool):
            raise BadData("wk.one_claim is not true or false", "coord.toml")
        agent = agent or str(self._call.actor()["agent_id"])
        held = next(items.owned(agent), None) if allowed else None
        if held:
            named = ids.short("wk", held)
            todo = "close or release it first; --force claims a second"
            raise No(f"{agent} holds {named} already", todo=todo, code="held")

    def leveled(self, detail: Detail) -> Detail:
        """The detail, with how strong the claim on the item is."""
        if "claim" in detail:
            from coord_kernel.store import locate

            remote = locate.remote(self._call.journal.store) is not None
            weak = "tentative" if remote else "local"
            detail["level"] = weak if detail["claim"]["n"] is None else "confirmed"
        return detail

    @staticmethod
    def described(claim: Event, items: Items, item: str) -> Event:
        """The claim with the item's `$title` and `$desc`, so that its holder need not ask."""
        row = items.row(item)
        desc = items.description(item)
        return claim.annotated(title=row["title"], **({"desc": desc} if desc else {}))

    def again(self, event_id: str, repeated: Json) -> Event | None:
        """The event, if this agent wrote it and it says what the draft says, about any claim."""
        event = self._call.event(event_id)
        agent = self._call.actor()["agent_id"]
        if not event or (event["type"], event["actor"]["agent_id"]) != (repeated["type"], agent):
            return None
        before, now = (
            {name: value for name, value in body.items() if name != "claim"}
            for body in (event["body"], repeated["body"])
        )
        return event if codec.same(before, now) else None

    def silent(self, agent: str) -> bool:
        """Has the agent written no event for 30 minutes? Clocks that are ahead say nothing."""
        now = world.now_ms()
        since, until = world.format_ts(now - SILENT_MS), world.format_ts(now + ids.AHEAD_MS)
        return (self._call.journal.last_seen(agent, until) or "") <= since
