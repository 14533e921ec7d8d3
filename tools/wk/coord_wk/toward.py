"""The drafts that bring an item to what another program says of it. Pure.

Other programs have status and assignee as plain fields; here they are claims and closings.

    open         nobody holds it, it is neither closed nor on hold
    in_progress  its assignee holds it; without one, the caller
    closed       it is closed, also if somebody holds it
    held         it is on hold, with the `hold` in `set`, or deferred; nobody holds it

Without a status an item that somebody holds follows its assignee. Whose claim ends has mail.
"""

from __future__ import annotations

from coord_envelope import codec
from coord_kernel.rules import claims
from coord_wk import draft as drafts
from coord_wk import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypedDict

    from coord_envelope.codec import Json
    from coord_wk.items import Items
    from coord_wk.registers import State

    class Wish(TypedDict, total=False):
        """What an item is to be. What is not named stays."""

        status: str
        """open, in_progress, closed or held"""
        set: Json
        """Registers and `fields.NAME`; None takes a value away."""
        add: dict[str, list[Any]]
        rm: dict[str, list[Any]]
        """Members of the sets `labels` and `deps` ({rel, to}). One in both is removed."""
        closing: Json
        """The body of its `work.closed`."""


def steps(
    items: Items, item: str, wish: Wish, actor: Json, mine: Callable[[claims.Owner], bool]
) -> list[Json]:
    """Drafts in the order in which they are to be added; none if the item is so already.

    `mine`: is this claim the caller's? Raises BadData (a bad value, a dependency
    cycle), No (of a question: it is answered, or would be another's to answer).
    """
    state = items.known(item)
    holder, closed = claims.owner(state), bool(fold.value(state, "closed"))
    status = wish.get("status")
    steps: list[Json] = []
    if closed and status not in (None, "closed"):
        drafts.refuse_answered(item, state)
        steps.append(drafts.change("reopened", item, state, {}))
    body = _changed(state, wish, status)
    if body:
        items.refuse_cycle(item, *drafts.waits(body))
        update = drafts.change("updated", item, state, body)
        steps.append(drafts.assigning(update, state, actor))
    if status == "closed":
        return steps if closed else [*steps, _closed(item, state, wish, holder, actor)]
    wanted = _wanted(state, wish, holder, actor)
    if holder and wanted != holder["agent"]:
        how = "released" if mine(holder) else "forced"
        end = drafts.given_back(item, state, holder["id"], how)
        steps.append(drafts.told(end, holder["agent"], actor))
    if wanted and (not holder or wanted != holder["agent"]):
        behalf = None if wanted == actor["agent_id"] else {"agent_id": wanted}
        steps.append(drafts.claimed(item, state, behalf=behalf))
    return steps


def _changed(state: State, wish: Wish, status: str | None) -> Json:
    """The body of the update: what differs from the state."""
    words = dict(wish.get("set", {}))
    if status in ("open", "in_progress"):
        words = {"hold": None, "defer_until": None, **words}
    plain = {name: value for name, value in words.items() if value is not None}
    drafts.check(plain)
    new = {
        name: value
        for name, value in words.items()
        if not codec.same(value, fold.value(state, name))
    }
    body: Json = {"set": new} if new else {}
    for how in ("add", "rm"):
        parts = {}
        for which, members in wish.get(how, {}).items():  # type: ignore[attr-defined]
            here = fold.present(state, which)
            gone = wish.get("rm", {}).get(which, []) if how == "add" else []
            parts[which] = [
                each
                for each in members
                if (_member(each) in here) == (how == "rm") and each not in gone
            ]
        drafts.check({"labels": parts.get("labels", [])})
        if any(parts.values()):
            body[how] = {which: members for which, members in parts.items() if members}
    return body


def _member(entry: Any) -> str:
    return entry if isinstance(entry, str) else f"{entry['rel']} {entry['to']}"


def _wanted(state: State, wish: Wish, holder: claims.Owner | None, actor: Json) -> str | None:
    """The agent that is to hold the item."""
    status, words = wish.get("status"), wish.get("set", {})
    if status in ("open", "held") or not (holder or status == "in_progress"):
        return None
    if "assignee" in words:
        default = actor["agent_id"] if status == "in_progress" else None
        return words["assignee"] or default
    held = holder["agent"] if holder else None
    return held or fold.text(state, "assignee") or str(actor["agent_id"])


def _closed(item: str, state: State, wish: Wish, holder: claims.Owner | None, actor: Json) -> Json:
    body = {"resolution": "done", **wish.get("closing", {})}
    cited = {"claim": holder["id"]} if holder else {}
    closed = drafts.change("closed", item, state, body | cited)
    return drafts.told(closed, holder["agent"], actor) if holder else closed
