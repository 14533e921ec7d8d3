"""The fold of a lease's events: any order, any number of times, any nonsense."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from support import Json

from coord_envelope import Event
from coord_lease import fold

if TYPE_CHECKING:
    from coord_lease.fold import Lease

S = 1_000_000_000


def event(kind: str, at: int, event_id: str = "", **body: object) -> Event:
    said: Json = {"token": 1, "boot": "b", "boot_ns": at * S, **body}
    actor = {"agent_id": "agent:a"}
    refs = {"lease_id": "L"}
    fields = {
        "event_id": event_id or f"{kind}{at}",
        "type": f"lease.{kind}",
        "ts": "",
        "actor": actor,
        "seq": 1,
    }
    return Event(b"", {**fields, "refs": refs, "body": said}, "agent.a~r+live")


def acquired(at: int, ttl: int) -> Event:
    body = {
        "resources": ["env:x"],
        "mode": "x",
        "holder": "agent:a",
        "scope": "local",
        "ttl_ms": ttl * 1000,
    }
    return event("acquired", at, "L", **body)


def renewed(at: int, ttl: int) -> Event:
    return event("renewed", at, ttl_ms=ttl * 1000)


@pytest.mark.parametrize(
    ("events", "over"),
    [
        ([acquired(10, 5)], 15),
        ([acquired(10, 5), renewed(12, 5)], 17),
        ([acquired(10, 9), renewed(12, 1)], 13),
        ([acquired(10, 5), renewed(12, 5), renewed(14, 5)], 19),
        ([acquired(10, 5), event("released", 13, reason="done")], 13),
        ([acquired(10, 5), event("expired", 20)], 20),
        ([acquired(10, 5), event("lost", 12), event("released", 13, reason="x")], 12),
        ([acquired(10, 5), event("released", 13, reason="x"), renewed(13, 5)], 13),
    ],
)
def test_when_a_lease_is_over_whatever_the_order_of_its_events(
    events: list[Event], over: int
) -> None:
    for order in itertools.permutations(events):
        state: Lease | None = None
        for one in order + order:
            assert fold.about(one) == "L"
            state = fold.step(state, one)
        assert state is not None
        assert fold.over_at(state) == over * S
        ended = any(one["type"] in fold.ENDS for one in events)
        assert fold.open_(state) != ended
        assert fold.held(state, over * S - 1) != ended
        assert not fold.held(state, over * S)


def test_a_lease_from_the_future_is_not_held() -> None:
    """Of another boot, where the system does not say which."""
    assert not fold.held(fold.step(None, acquired(10, 5)), 9 * S)


def test_what_came_without_its_beginning_is_not_held() -> None:
    assert not fold.held(fold.step(None, renewed(10, 5)), 11 * S)


@pytest.mark.parametrize(
    "change",
    [{"boot_ns": None}, {"boot_ns": -1}, {"boot_ns": 1 << 62}, {"boot_ns": True}, {"boot": None}, {"ttl_ms": "60s"},
     {"ttl_ms": 1 << 40}, {"resources": "env:x"}, {"resources": [7]}, {"token": None}, {"scope": "git"},
     {"scope": None}, {"holder": 7}, {"pin": 7}],
)  # fmt: skip
def test_nonsense_is_about_no_lease(change: Json) -> None:
    one = acquired(10, 5)
    one["body"] |= change
    assert fold.about(one) is None


@pytest.mark.parametrize("refs", [None, [], {}, {"lease_id": 7}])
def test_nonsense_in_refs_is_about_no_lease(refs: object) -> None:
    one = renewed(10, 5)
    one["refs"] = refs
    assert fold.about(one) is None
