"""What is left to do for an agent's session, as far as the store tells."""

from __future__ import annotations

from coord_envelope import ids
from coord_kernel.rules import claims
from coord_kernel.views.view import View
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from coord_kernel import Store


class Duties:
    """What the agents of a store hold, are assigned, and ask."""

    def __init__(self, store: Store) -> None:
        self._claims, self._work = View(store, claims), View(store, Items.fold)

    def left(self, agent: str, sessions: Collection[str]) -> str | None:
        """Why an agent with these sessions is not done, as `holds wk-…`; None if it is.

        A claim without a session counts for each. An item that is assigned to the agent counts
        unless another holds it, and a question that it asks until it is closed.
        """
        return next(self._left(agent, sessions), None)

    def _left(self, agent: str, sessions: Collection[str]) -> Iterator[str]:
        view = self._claims.refresh()
        for _, entity in view.find("owner", f"{agent} ", f"{agent}!"):
            owner = claims.owner(view.get(entity)) if entity.startswith("work ") else None
            if owner and (not owner["session"] or owner["session"] in sessions):
                yield f"holds {ids.short('wk', entity[5:])}"
        items = Items.current(self._work)
        for item in items.urgent([f"assignee {agent}"]):
            row = items.row(item)
            if row.get("assignee") == agent and row.get("owner") in (None, agent):
                yield f"is assigned {ids.short('wk', item)}"
        for item in items.urgent(["kind question"]):
            if items.known(item)["created"]["by"] == agent:
                yield f"asks {ids.short('wk', item)}"
