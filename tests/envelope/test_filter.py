"""One filter for every reader."""

from __future__ import annotations

from typing import Any

import pytest

from coord_envelope import Event, Filter

ID = "01KAJ3Q8ZK0001V7M2C4D9T6RX"
EVENT = Event(
    b"",
    {
        "event_id": ID,
        "type": "audit.status_changed",
        "ts": "2026-01-17T00:58:12.345Z",
        "actor": {"agent_id": "agent:a"},
        "refs": {"work_id": "w1"},
    },
)


@pytest.mark.parametrize(
    ("passes", "options"),
    [
        (True, {}),
        (True, {"types": ["audit.status_changed"]}),
        (True, {"types": ["x.y", "audit.*"]}),
        (True, {"types": ["*"]}),
        (False, {"types": ["audit"]}),
        (False, {"types": ["AUDIT.*"]}),
        (False, {"not_types": ["audit.*"]}),
        (False, {"types": ["audit.*"], "not_types": ["*.status_changed"]}),
        (True, {"agents": ["agent:b", "agent:a"]}),
        (False, {"agents": ["agent:b"]}),
        (False, {"not_agents": ["agent:a"]}),
        (True, {"work": "w1"}),
        (True, {"work": ID}),
        (False, {"work": "w2"}),
        (False, {"thread": "w1"}),
        (True, {"since": "2026-01-17T00:58:12.345Z"}),
        (False, {"since": "2026-01-17T00:58:12.346Z"}),
    ],
)
def test_a_filter_is_a_conjunction(passes: bool, options: dict[str, Any]) -> None:
    assert bool(Filter(**options)(EVENT)) is passes


def test_hostile_refs_do_not_raise() -> None:
    assert not Filter(work="w1")(Event(b"", {**EVENT, "refs": ["w1"]}))


def test_the_first_event_of_a_thread_needs_no_refs() -> None:
    bare = {name: value for name, value in EVENT.items() if name != "refs"}
    assert Filter(thread=ID)(Event(b"", bare))
