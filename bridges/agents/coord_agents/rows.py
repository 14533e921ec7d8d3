"""What is shown of sessions."""

from __future__ import annotations

from coord_agents import fold
from coord_agents.evidence import Evidence
from coord_envelope import No, Usage, ids, world
from coord_kernel.cli.health import configured
from coord_kernel.rules import claims, health, presence
from coord_kernel.store import pins
from coord_kernel.views.look import Look
from coord_kernel.views.presence import Sessions, Stops
from coord_kernel.views.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from coord_agents.record import Record
    from coord_envelope.codec import Json
    from coord_kernel import Store


class Rows:
    """The sessions of a store at one moment."""

    def __init__(self, store: Store, records: Mapping[str, Record]) -> None:
        self._store = store
        self.evidence = Evidence(store, records)
        self.source = self.evidence.sessions()

    def listed(self, everything: bool) -> Iterator[Json]:
        """A row for each session of an agent that was started here, the oldest first."""
        states = self._health()
        found = [self.source.get(entity) for _, entity in self.source.find("agent")]
        for state in sorted(found, key=fold.begun):
            if "preset" in fold.facts(state) and (everything or not fold.over(state)):
                yield self.row(state, states)

    def row(self, state: fold.Session, states: Mapping[str, str] | None = None) -> Json:
        """A session in a line."""
        known = fold.facts(state)
        row: Json = {"id": state["agent"].removeprefix("agent:")}
        if fold.over(state):
            end = self._end(state)
            row |= {"status": "ended", "how": end["how"], "since": fold.ended(state)}
            row |= {name: end[name] for name in ("code", "why", "by") if end.get(name) is not None}
        else:
            entity = presence.session_name(state["replica"], state["agent"], state["session"])
            judged = (self._health() if states is None else states).get(entity, "")
            row |= {"status": judged or "elsewhere", "since": fold.begun(state)[1]}
        row |= {"agent": state["agent"], "session_id": state["session"]}
        names = {"preset": "preset", "via": "via", "run": "run", "cwd": "cwd"}
        row |= {name: known[fact] for name, fact in names.items() if fact in known}
        return row | ({"work": ids.short("wk", known["work"])} if "work" in known else {})

    def detailed(self, state: fold.Session) -> Json:
        """All there is to know of a session."""
        known = fold.facts(state)
        provider = self.evidence.provider(state)
        children = list(self.evidence.children(state))
        records = (fold.facts(each).get("transcript") for each in (state, *children))
        nudges = [
            {"ts": ts, "result": body.get("result"), "mail": body.get("mail")}
            for ts, body in sorted(state["nudges"].values(), key=lambda each: str(each[0]))
        ]
        more: Json = {
            "started": fold.begun(state)[1],
            "by": fold.asked_by(state),
            "work_id": known.get("work"),
            "provider_session": provider,
            "transcript": next(filter(None, records), None),
            "children": [each["session"] for each in children],
            "nudges": nudges,
            "usage": self.evidence.used(state),
        }
        return self.row(state) | {name: value for name, value in more.items() if value}

    def named(self, text: str) -> fold.Session:
        """The last session of an agent, or the one whose id begins so. Raises No, Usage."""
        from coord_kernel.cli import values

        mine: dict[str, fold.Session] = {}
        for _, entity in self.source.find("id", text, f"{text}\U0010ffff"):
            if "preset" in fold.facts(self.source.get(entity)):
                mine[self.source.get(entity)["session"]] = self.source.get(entity)
        if len(mine) > 1:
            raise Usage("ambiguous", where=text, todo=f"it is one of {', '.join(sorted(mine))}")
        if mine:
            (only,) = mine.values()
            return only
        agent = values.agent_id(text, "NAME")
        for _, entity in self.source.newest("agent", f"{agent} ", f"{agent}!"):
            state: fold.Session = self.source.get(entity)
            if "preset" in fold.facts(state):
                return state
        raise No("no such session", where=text, todo="see `coord-agent ls --all`", code="not_found")

    def _end(self, state: fold.Session) -> Json:
        ends = sorted(state["ends"].items())
        merged: Json = {}
        for _, (_, body) in ends:
            merged |= body
        return merged

    def _health(self) -> dict[str, str]:
        """Session → how it is, of those in this store that are not over."""
        store, times = self._store, health.Times()
        configured(store, times)
        views = (Sessions(store), View(store, claims), Stops(store))
        look = Look(*(view.refresh() for view in views))
        now = world.now_ms()
        rows = look.rows(store.replicas(), lambda path: pins.dropped(store, *path), lambda _: [])
        return {row["name"]: health.judge(row, look.control, now, times)["state"] for row in rows}
