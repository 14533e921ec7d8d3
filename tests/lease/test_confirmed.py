"""The fold of a lease of scope git: any order, any number of times, any nonsense."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from support import Json

from coord_envelope import Event
from coord_lease import confirmed

if TYPE_CHECKING:
    from coord_lease.fold import Lease


def event(kind: str, event_id: str, writer: str = "arbiter.main~a", **body: object) -> Event:
    fields = {
        "event_id": event_id,
        "type": f"lease.{kind}",
        "ts": "2026-01-17T12:00:00.000Z",
        "writer": writer,
    }
    said = {"scope": "git", **body}
    return Event(
        b"",
        {**fields, "actor": {"agent_id": "agent:a"}, "refs": {"lease_id": "L"}, "body": said},
        writer,
    )


WHAT: Json = {"resources": ["env:x"], "mode": "x", "ttl_ms": 600_000}
ACQUIRED = event("acquired", "L", "agent.a~r", **WHAT, token=0, holder="agent:a")


def firm(event_id: str, until: int, **other: object) -> Event:
    said = {**WHAT, "claim": "L", "n": 7, "agent_id": "agent:a", "until_ms": until, **other}
    made = event("confirmed", event_id)
    made["body"].update(said)
    return made


RELEASED = event("released", "M5", "agent.a~r", token=7, reason="done")
LOST = event("lost", "M5", token=7, reason="stolen")


@pytest.mark.parametrize(
    ("events", "status", "left"),
    [
        ([ACQUIRED], "tentative", 0),
        ([ACQUIRED, firm("M1", 90_000)], "held", 30_000),
        ([firm("M1", 90_000)], "held", 30_000),
        ([ACQUIRED, firm("M1", 60_000)], "expired", 0),
        ([ACQUIRED, firm("M1", 90_000), firm("M2", 95_000, claim="R")], "held", 35_000),
        ([ACQUIRED, firm("M1", 95_000), firm("M2", 90_000, claim="R")], "held", 35_000),
        ([ACQUIRED, firm("M1", 90_000), RELEASED], "released", 0),
        ([ACQUIRED, RELEASED], "released", 0),
        ([firm("M1", 90_000), LOST, firm("M6", 95_000, claim="R")], "lost", 0),
    ],
)
def test_what_events_come_to_whatever_their_order(
    events: list[Event], status: str, left: int
) -> None:
    for order in itertools.permutations(events):
        state: Lease | None = None
        for one in order + order:
            assert list(confirmed.entities(one)) == ["L"]
            state = confirmed.step(state, one)
        assert state is not None
        assert confirmed.status(state, confirmed.left_ms(state, 0, mine=True)) == status
        assert max(0, confirmed.left_ms(state, 0, mine=True)) == left
        assert state["resources"] == ["env:x"]
        opened = [name for name, _ in confirmed.indexed(state)]
        assert opened == (["end", "until"] if status in ("held", "expired") else ["end"])


@pytest.mark.parametrize(
    "nonsense",
    [
        firm("M1", 1, n="7"), firm("M1", 1, n=0), firm("M1", 1, n=1 << 60), firm("M1", 1, until_ms=None),
        firm("M1", 1, resources="env:x"), firm("M1", 1, resources=[7]), firm("M1", 1, mode="w"),
        firm("M1", 1, claim=None), firm("M1", 1, agent_id=3), firm("M1", 1, scope="local"), firm("M1", 1, ttl_ms=True),
        event("confirmed", "M1", "agent.mallory~x", **WHAT, claim="L", n=1, agent_id="agent:m", until_ms=1),
        event("acquired", "M1", resources=3), event("renewed", "M1"), event("bought", "M1"),
    ],
)  # fmt: skip
def test_what_cannot_be_true_is_about_no_lease(nonsense: Event) -> None:
    assert list(confirmed.entities(nonsense)) == []


TIMED: Json = {"clock": "arbiter", "boot": "b1", "boot_ns": 1_000_000_000, "ttl_ms": 10_000}
EXPIRED = event("expired", "M5", token=7, reason="its time was over")


@pytest.mark.parametrize(
    ("events", "boot", "ms", "counted"),
    [
        ([firm("M1", 1, **TIMED)], "b1", 1_000, 9_900),
        ([firm("M1", 1, **TIMED)], "b1", 10_899, 1),
        ([firm("M1", 1, **TIMED)], "b1", 10_900, 0),
        ([firm("M1", 1, **TIMED)], "b2", 1_000, 0),
        ([firm("M1", 1, **TIMED), EXPIRED], "b1", 1_000, 0),
        ([firm("M1", 1, **TIMED), firm("M2", 2, **TIMED | {"boot_ns": 2 * 10**9})], "b1", 2_000, 9_900),
        ([firm("M1", 1, **TIMED | {"boot_ns": -1})], "b1", 1_000, 0),
        ([firm("M1", 1, **TIMED | {"boot": None})], "b1", 1_000, 0),
        ([firm("M1", 1, **TIMED | {"clock": "moon"})], "b1", 1_000, 0),
        ([firm("M1", 1)], "b1", 1_000, 0),
        ([ACQUIRED], "b1", 1_000, 0),
    ],
)  # fmt: skip
def test_a_holder_counts_by_its_boot_clock_what_the_arbiters_clock_ends(
    events: list[Event], boot: str, ms: int, counted: int
) -> None:
    for order in itertools.permutations(events):
        state: Lease | None = None
        for line in order:
            state = confirmed.step(state, line)
        assert state is not None
        assert max(0, confirmed.counted_ms(state, boot, ms * 1_000_000)) == counted
        open_ = [name for name, _ in confirmed.indexed(state)].count("timed")
        assert open_ == bool(state.get("timed") and "ended" not in state)
