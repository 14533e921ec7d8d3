"""Work items for programs that are not wk: looked at and changed in their own process.

    desk = Desk(Call(agent))
    with desk.transaction() as (t, items):
        item = desk.resolve(items, "ax-k3f")
        desk.bring(t, items, item, {"status": "in_progress"})

What another program keeps of an item and wk does not know is in fields of the item. A text too long
for a field goes on in `NAME~1`, `NAME~2`, …
"""

from __future__ import annotations

from coord_envelope import SELF, No, ids, world
from coord_kernel.cli.call import Call
from coord_kernel.rules import claims
from coord_wk import draft, fold
from coord_wk.selection import select
from coord_wk.toward import steps
from coord_wk.work import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.journal.transaction import Transaction
    from coord_wk.items import Items
    from coord_wk.registers import State
    from coord_wk.toward import Wish as Wish

__all__ = [
    "NOT_WORK",
    "Desk",
    "agent_of",
    "fields_of",
    "owner_of",
    "present",
    "shown",
    "spread",
    "status_of",
    "value",
]
NOT_WORK = draft.NOT_WORK
PIECE = 4_000
"""Characters of a field. The schema's bound is 4,096."""
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
owner_of, present, value = claims.owner, fold.present, fold.value


class Desk(Work):
    """The work items of a call's store."""

    def __init__(self, call: Call, prefix: str = "") -> None:
        """`prefix` of the ids that new items get; without one they have only those of wk."""
        super().__init__(call)
        self.call, self.prefix = call, prefix

    def resolve(self, items: Items, text: str) -> str:
        """The item that an id names, also without the prefix. Raises No, Usage."""
        if self.prefix and "-" not in text:
            for alias, item in items.aliases(f"{self.prefix}-{text}"):
                if alias == f"{self.prefix}-{text}":
                    return item
        return items.resolve(text)

    @staticmethod
    def selected(
        items: Items, wanted: list[list[str]], closed: bool = False, rest: str = "open"
    ) -> Iterator[str]:
        """The items that have a trait of each group; see `selection`."""
        return select(items, wanted, closed, rest)

    def create(self, t: Transaction, items: Items, words: Json, alias: str = "") -> Event:
        """Add a new item, of what `wk new` takes on stdin. Raises BadData.

        It gets this alias, or one with the desk's prefix.
        """
        alias = alias or (self.fresh(items) if self.prefix else "")
        fields = words.get("fields", {}) | ({"alias": alias} if alias else {})
        words = words | ({"fields": fields} if fields else {})
        created = draft.created(words, self.shortened(words, "desc"))
        items.refuse_cycle(SELF, *draft.waits(created["body"]))
        return t.add(created)

    def fresh(self, items: Items) -> str:
        """A new alias: PREFIX-xxxx. Two stores that have not met may rarely make the same one."""
        for size in (4, 4, 4, 5, 5, 6, 7, 8):
            number = int.from_bytes(world.entropy(8), "big")
            digits = "".join(_BASE36[number // 36**at % 36] for at in range(size))
            if not any(items.aliases(f"{self.prefix}-{digits}")):
                break
        return f"{self.prefix}-{digits}"

    def fresh_part(self, items: Items, parent: str) -> str:
        """The alias of a new part of this item: PARENT.N."""
        before = f"{shown(items, parent)}."
        numbers = (alias[len(before) :] for alias, _ in items.aliases(before))
        used = [int(number) for number in numbers if number.isdecimal()]
        return f"{before}{max(used, default=0) + 1}"

    def bring(
        self,
        t: Transaction,
        items: Items,
        item: str,
        wish: Wish,
        base: Sequence[str] = (),
    ) -> list[Event]:
        """Add the changes that bring an item to what is wished (see `toward`). Raises BadData.

        `base`: the events about the item that these changes follow, in place of all that are here:
        to what came after them they are concurrent.
        """
        words = dict(wish.get("set", {}))
        blob = self.shortened(words, "desc")
        drafts = steps(items, item, {**wish, "set": words}, self.actor(), self.mine)
        if blob:
            body: Json = {"set": {}, **blob}
            drafts.append(draft.change("updated", item, items.known(item), body))
        done: list[Event] = []
        for step in drafts:
            after = [done[-1].id] if done else list(base)
            done.append(t.add(step | ({"base": after} if after else {})))
        return done

    def comment(self, t: Transaction, items: Items, item: str, text: str) -> Event:
        """Add a comment."""
        body: Json = {"text": text}
        body |= self.shortened(body, "text")
        return t.add(draft.change("commented", item, items.known(item), body))

    def imported(self, items: Items, item: str) -> Json:
        """What the record of an imported item says beyond the fields of the item."""
        from coord_wk.transfer import imported

        return imported(self.call, items, item)

    def secure(self, claim: Event) -> None:
        """Have the remote's arbiter confirm a new claim, if there is one. Raises No: it lost."""
        from coord_kernel.store import locate

        if locate.remote(self.call.journal.store) is None:
            return
        from coord_wk import groups as g
        from coord_wk.confirm import Confirm

        Confirm(self.call, self, g.Strength()).settle(claim, claim["refs"]["work_id"])


def shown(items: Items, item: str) -> str:
    """How an item is named to another program: its alias, else its short id; else its full id."""
    state = items.state(item)
    if state is None:
        return item
    return fold.text(state, "fields.alias") or ids.short("wk", items.name(item))


def status_of(state: State, holds: Collection[str]) -> str:
    """closed, in_progress, open, or what holds it: one of `holds`, else deferred."""
    if value(state, "closed"):
        return "closed"
    if owner_of(state):
        return "in_progress"
    hold = value(state, "hold")
    if isinstance(hold, str):
        word = hold.partition(" ")[0]
        return word if word in holds else "deferred"
    return "open"


def agent_of(name: str) -> str:
    """The agent with this name in another program: spelled so that it is valid here.

    Raises No if nothing of it is left.
    """
    kind, colon, rest = name.strip().rpartition(":")
    if kind not in ("agent", "human", "bridge"):
        kind, colon, rest = "agent", ":", name.strip()
    plain = "".join(
        char if char.isascii() and (char.isalnum() or char in "._-/") else "-"
        for char in rest.lower()
    )
    plain = plain.replace("//", "/").lstrip("._-/")
    if not plain:
        raise No(f"not a valid name: {name!r}")
    return Call.agent_id(f"{kind}{colon}{plain}", "name")


def spread(name: str, text: str) -> Json:
    """The fields that keep a text; those that it does not need are taken away."""
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)] or [""]
    fields: Json = {f"{name}~{number}": piece for number, piece in enumerate(pieces) if number}
    return {name: pieces[0] or None, **fields, f"{name}~{len(pieces)}": None}


def fields_of(state: State) -> Json:
    """The fields of an item, long texts whole."""
    raw = {
        register[7:]: fold.value(state, register)
        for register in state["registers"]
        if register.startswith("fields.")
    }
    whole: Json = {}
    for name, content in raw.items():
        _, tilde, number = name.rpartition("~")
        if content is None or (tilde and number.isdecimal()):
            continue
        at = 1
        while isinstance(content, str) and isinstance(more := raw.get(f"{name}~{at}"), str):
            content, at = content + more, at + 1
        whole[name] = content
    return whole
