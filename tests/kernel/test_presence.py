"""Sessions as a fold: what is before and after an end, and a store that changed its replica id."""

from __future__ import annotations

from typing import Any

from coord_envelope import Event, ids, world
from coord_kernel.rules import claims, control, health, presence
from coord_kernel.views.look import Look
from coord_kernel.views.past import Snapshot

BEGIN = world.parse_ts("2026-06-01T09:00:00Z")
MINUTE = 60_000
OLD, NEW = "aaaaaaaa", "bbbbbbbb"
WORK = "01KF4QBCFS000DHT52RH6PKMCY"


def event(kind: str, at: int, writer: str, seq: int, **fields: Any) -> Event:
    ms = BEGIN + at * MINUTE
    actor = {"agent_id": "agent:ada", "session_id": "s1"}
    name = f"agent.ada~{writer}"
    own = (len(name) * 997 + seq * 31 + at).to_bytes(8)
    new = {"event_id": ids.mint(ids.tick(0, ms), own), "type": kind, "ts": world.format_ts(ms)}
    return Event(b"", {**new, "writer": name, "seq": seq, "actor": actor, "body": {}, **fields})


def judged(events: list[Event], at: int, own: list[str]) -> list[tuple[str, int]]:
    """State and number of claims of each session, so many minutes after the beginning."""
    ordered = sorted(events, key=lambda each: each.id)
    look = Look(*(Snapshot(fold, ordered) for fold in (presence, claims, control)))
    rows = look.rows(own, lambda _: False, lambda _: [])
    now = BEGIN + at * MINUTE
    states = [health.judge(row, look.control, now)["state"] for row in rows]
    return [(state, len(row["claims"])) for state, row in zip(states, rows, strict=True)]


def claimed(at: int = 0, writer: str = OLD, seq: int = 1) -> Event:
    return event("work.claimed", at, writer, seq, refs={"work_id": WORK}, body={"gen": 1})


def test_an_end_without_its_start_ends_the_signs_before_it_whatever_their_time() -> None:
    """The clock was set back by twenty minutes between its last comment and its end."""
    ended = event("session.ended", -20, OLD, 3, body={"how": "exit"})
    comment = event("work.commented", 0, OLD, 2, refs={"work_id": WORK})
    assert judged([claimed(), comment, ended], 1, [OLD]) == [("dead", 1)]
    later = event("work.commented", -19, OLD, 4, refs={"work_id": WORK})
    assert judged([claimed(), comment, ended, later], 1, [OLD]) == [("working", 1)]


def test_a_session_goes_on_when_its_store_takes_another_replica_id() -> None:
    """As it does when its clock is set back: the claim has the old id, the beats the new one."""
    beat = event("agent.seen", -50, f"{NEW}+live", 1, body={"status": "busy"})
    events = [claimed(-90), beat]
    assert judged(events, -48, [OLD, NEW]) == [("working", 1)]
    assert judged(events, -48, [OLD]) == [("lost", 1)]  # in a store that never had the new one


def test_of_two_replica_ids_the_later_one_has_the_last_beat() -> None:
    """The old one has more of them."""
    busy = [event("agent.seen", n, f"{OLD}+live", n + 1, body={"status": "busy"}) for n in range(5)]
    waits = event("agent.seen", 6, f"{NEW}+live", 1, body={"status": "waiting", "why": "may I?"})
    assert judged([claimed(), *busy, waits], 7, [OLD, NEW]) == [("waiting", 1)]
