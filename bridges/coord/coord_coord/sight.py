"""What the store itself knows: when agents were last seen, how they are, what is stopped."""

from __future__ import annotations

from itertools import islice

from coord_kernel.journal.journal import LOOKED
from coord_kernel.streams.stream import backwards, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store


def seen(store: Store, until: str) -> dict[str, str]:
    """Each agent that is not retired, with the time of its newest event up to `until`.

    Costs the streams, not their events. A later event is of a clock that is ahead, and is passed
    over, as far as the newest events of a stream go.
    """
    newest: dict[str, str] = {}
    retired: dict[str, str] = {}
    for stream in streams(store, live=True):
        events = islice(backwards(stream), LOOKED)
        last = next((event for event in events if event["ts"] <= until), None)
        if last:
            agent, ts = last["actor"]["agent_id"], last["ts"]
            newest[agent] = max(ts, newest.get(agent, ""))
            if last["type"] == "agent.retired":
                retired[agent] = ts
    return {agent: ts for agent, ts in newest.items() if retired.get(agent) != ts}


def sessions(store: Store) -> dict[str, list[Json]]:
    """How the sessions of each agent are that work in this store. Raises BadData, Usage."""
    from coord_envelope import ids
    from coord_kernel.cli import health

    found: dict[str, list[Json]] = {}
    for row, judged in health.of_sessions(store):
        agent = row["session"]["agent"]
        session = {
            "agent_id": agent,
            "session": row["session"]["session"],
            "state": judged["state"],
            "why": judged["why"],
            "age_ms": judged["age_ms"],
            "items": [ids.short("wk", claim["work_id"]) for claim in row["claims"]],
        }
        found.setdefault(agent, []).append(session)
    return found


def stopped(store: Store) -> list[Json]:
    """What stops controllers and workers, as problems."""
    from coord_coord.status import problem
    from coord_kernel.rules.control import open_stops
    from coord_kernel.views.presence import Stops

    return [
        problem(
            f"{stop['by']} stopped {stop['scope']} at {stop['ts']}: {stop['reason'] or '?'}",
            "`coord-patrol resume` ends it",
        )
        for stop in open_stops(Stops(store).control())
    ]
