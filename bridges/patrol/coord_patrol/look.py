"""What a patrol sees: the sessions that hold work or have started, and whether they live.

Only sessions of this store's own replicas: those of another store beat there, and a patrol there
sees it. Of them nothing is known here, so nothing is done about them.
"""

from __future__ import annotations

from coord_kernel.rules import claims as rule
from coord_kernel.rules import presence
from coord_kernel.store import pins
from coord_kernel.views.presence import Sessions, Stops
from coord_kernel.views.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_kernel import Store
    from coord_kernel.rules.control import Control
    from coord_kernel.rules.health import Held, Row
    from coord_kernel.rules.presence import Session


class Look:
    """The views of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sessions, self._stops = Sessions(store), Stops(store)
        self._claims = View(store, rule)
        self._work: View | None = None

    def control(self) -> Control:
        """What stops whom, now."""
        return self._stops.control()

    def rows(self, state: Control) -> list[Row]:
        """The sessions as they are now, those of one agent together."""
        own = set(self._store.replicas())
        held = self._held(
            own, any(s["scope"].startswith("label:") for s in state["stops"].values())
        )
        self._sessions.refresh()
        names = {*held, *(name for name in self._sessions.started() if name.split(" ")[0] in own)}
        doors: dict[str, list[Session]] = {}
        rows: list[Row] = []
        for name in sorted(names):
            replica, agent, text = name.split(" ", 2)
            if agent not in doors:
                doors[agent] = list(self._sessions.of(agent))
            alone: Session = {
                "replica": replica,
                "agent": agent,
                "session": text,
                "signs": {},
                "told": {},
            }
            session = self._sessions.get(name) or alone
            rows.append(
                {
                    "name": name,
                    "session": presence.joined(session, doors[agent]),
                    "claims": held.get(name, []),
                    "lock": self._lock(session, doors[agent]),
                }
            )
        return rows

    def pins(self, rows: list[Row]) -> list[tuple[str, ...]]:
        """The locks that these sessions hold."""
        return [path for row in rows if row["lock"] for path in _pins(row["session"])]

    def _lock(self, session: Session, doors: list[Session]) -> bool | None:
        """Does a process live that runs the session? None: that cannot be known."""
        if not session["session"]:  # any of the agent's sessions may have made the claim
            return any(self._lock(each, []) for each in doors if each["session"]) or None
        for path in _pins(session):
            return not pins.dropped(self._store, *path)
        return None

    def _held(self, own: set[str], labelled: bool) -> dict[str, list[Held]]:
        """Claims on work items, by the session that has them, oldest first."""
        held: dict[str, list[Held]] = {}
        for claim in sorted(self._open_claims(own), key=lambda each: each["id"]):
            if labelled:
                claim["labels"] = self._labels(claim["work_id"])
            name = presence.session_name(claim["replica"], claim["agent"], claim["session"])
            held.setdefault(name, []).append(claim)
        return held

    def _open_claims(self, own: set[str]) -> Iterator[Held]:
        view = self._claims.refresh()
        found = [entity for _, entity in view.find("owner") if entity.startswith("work ")]
        for entity, state in zip(found, view.states(found), strict=True):
            owner = rule.owner(state)
            if owner and owner["replica"] in own:
                yield {
                    "id": owner["id"],
                    "work_id": entity.partition(" ")[2],
                    "agent": owner["agent"],
                    "session": owner["session"] or "",
                    "replica": owner["replica"],
                    "ts": owner["ts"],
                    "labels": [],
                }

    def _labels(self, work: str) -> list[str]:
        from coord_wk.items import Items  # only while a stop is about labels

        if self._work is None:
            self._work = View(self._store, Items.fold)
        items = Items.current(self._work)
        return list(items.row(work).get("labels", ())) if items.state(work) else []


def _pins(session: Session) -> Iterator[tuple[str, ...]]:
    """The path of its lock, if its start names one and it has not ended since."""
    if presence.is_open(session):
        path = session["started"][2].get("pin")
        if isinstance(path, str) and path.startswith("local/"):
            yield tuple(path.split("/"))
