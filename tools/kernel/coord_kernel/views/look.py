"""The sessions that hold work or have started, and whether they live: what health is judged by.

Only sessions of this store's own replicas: those of another store beat there, and a patrol there
sees it. Here nothing is known of their life, so nothing is done about them.
"""

from __future__ import annotations

from coord_kernel.rules import claims as rule
from coord_kernel.rules import control, presence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from typing import Any

    from coord_kernel.rules.control import Control
    from coord_kernel.rules.health import Held, Row
    from coord_kernel.rules.presence import Session
    from coord_kernel.views.view import Source

    Path = tuple[str, ...]


class Look:
    """The sessions at one moment, by these sources: each the entities of a fold."""

    def __init__(self, sessions: Source, claims: Source, stops: Source) -> None:
        self._sessions, self._claims = sessions, claims
        self.control: Control = stops.get(control.ENTITY) or control.nothing()
        """What stops whom."""

    def rows(
        self,
        own: Sequence[str],
        dropped: Callable[[Path], bool],
        labels: Callable[[str], list[str]],
    ) -> list[Row]:
        """The sessions that hold work or have started, by name.

        `own`: the replica ids of the store, the current one last. `dropped`: does nobody hold this
        pin any more? `labels`: of an item; asked only if a stop is about labels.
        """
        held = self._held(own, labels)
        started = (name.split(" ", 2) for _, name in self._sessions.find("open"))
        names = {(agent, text) for replica, agent, text in started if replica in own}
        rows: list[Row] = []
        doors: dict[str, dict[str, Session]] = {}
        for agent, text in sorted({*held, *names}):
            if agent not in doors:
                doors[agent] = self._of(agent, own)
            claims = held.get((agent, text), [])
            session = doors[agent].get(text)
            if session is None:
                session = presence.nothing(claims[0]["replica"], agent, text)
            row: Row = {
                "name": presence.session_name(session["replica"], agent, text),
                "session": presence.joined(session, doors[agent].values(), own),
                "claims": claims,
                "lock": _lock(session, list(doors[agent].values()), dropped),
            }
            rows.append(row)
        return sorted(rows, key=lambda row: row["name"])

    def _of(self, agent: str, own: Sequence[str]) -> dict[str, Session]:
        """The sessions of an agent in this store, each of all its replica ids, by session."""
        found: dict[str, list[Session]] = {}
        for _, name in self._sessions.find("agent", f"{agent} ", f"{agent}!"):
            state: Session = self._sessions.get(name)
            if state["replica"] in own:
                found.setdefault(state["session"], []).append(state)
        return {text: presence.united(states, own) for text, states in found.items()}

    def _held(
        self, own: Collection[str], labels: Callable[[str], list[str]]
    ) -> dict[tuple[str, str], list[Held]]:
        """Claims on work items, by the session that has them, oldest first."""
        labelled = any(s["scope"].startswith("label:") for s in self.control["stops"].values())
        held: dict[tuple[str, str], list[Held]] = {}
        for claim in sorted(self._open(own), key=lambda each: each["id"]):
            if labelled:
                claim["labels"] = labels(claim["work_id"])
            held.setdefault((claim["agent"], claim["session"]), []).append(claim)
        return held

    def _open(self, own: Collection[str]) -> Iterator[Held]:
        for _, entity in self._claims.find("owner"):
            kind, _, work = entity.partition(" ")
            owner: Any = rule.owner(self._claims.get(entity)) if kind == "work" else None
            if owner and owner["replica"] in own:
                yield {
                    "id": owner["id"],
                    "work_id": work,
                    "agent": owner["agent"],
                    "session": owner["session"] or "",
                    "replica": owner["replica"],
                    "ts": owner["ts"],
                    "labels": [],
                }


def _lock(session: Session, doors: list[Session], dropped: Callable[[Path], bool]) -> bool | None:
    """Does the process live that runs the session? None: that cannot be known."""
    if not session["session"]:  # any of the agent's sessions may have made the claim
        alive = (_lock(each, [], dropped) for each in doors if each["session"])
        return True if any(alive) else None
    path = pin(session)
    return None if path is None else not dropped(path)


def pin(session: Session) -> Path | None:
    """The path of its lock in the store, if its start names one and it has not ended since."""
    path = session["started"][2].get("pin") if presence.is_open(session) else None
    if isinstance(path, str) and path.startswith("local/"):
        return tuple(path.split("/"))
    return None
