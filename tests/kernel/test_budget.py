"""Budgets: what a window holds, when a start is allowed, and that any order of events gives the same."""

from __future__ import annotations

import random
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from support import Shell, open_store

from coord_envelope import BadData, Event, ids, world
from coord_kernel.cli import budgets
from coord_kernel.cli.budgets import Budgets
from coord_kernel.cli.configured import Configured
from coord_kernel.rules import budget, control, usage
from coord_kernel.views.past import Snapshot

BEGIN = 1_767_225_600_000
MINUTE = 60_000
HOUR = 60 * MINUTE
WORK = "01KF4QBCFS000DHT52RH6PKMCY"


def event(kind: str, at: int, n: int = 0, **fields: Any) -> Event:
    """An event so many minutes after the beginning."""
    ms = BEGIN + at * MINUTE
    new = {"event_id": ids.mint(ids.tick(0, ms), n.to_bytes(8)), "type": kind, "body": {}}
    new |= {"ts": world.format_ts(ms), "actor": {"agent_id": "agent:ada"}, **fields}
    return Event(b"", new)


def spend(at: int, tokens: int, n: int = 0, **body: Any) -> Event:
    return event("usage.reported", at, n, body={"input": tokens, **body})


def of(text: str, scope: str = "all") -> budget.Budget:
    return budgets._budget(scope, text)


def seen(events: list[Event], at: int, *wanted: budget.Budget) -> Budgets:
    stops: Any = None
    for each in events:
        stops = control.step(stops, each) if list(control.entities(each)) else stops
    now = BEGIN + at * MINUTE
    return Budgets(wanted, Snapshot(usage, events), stops or control.nothing(), now)


def opens(found: tuple[int, str] | None) -> int | None:
    """Minutes from the beginning."""
    return (found[0] - BEGIN) // MINUTE if found else None


def test_a_window_holds_what_is_not_older_than_it() -> None:
    events, wanted = [spend(0, 50), spend(10, 40, 1), spend(20, 30, 2)], of("100 tokens per 1h")
    levels = [next(seen(events, at, wanted).levels()) for at in (0, 10, 20, 64, 65, 85)]
    assert [level["spent"] for level in levels] == [50, 90, 120, 120, 70, 0]
    assert [level["state"] for level in levels] == ["ok", "warned", "paused", "paused", "ok", "ok"]
    assert levels[2]["until_ms"] == BEGIN + 65 * MINUTE
    assert budget.described(levels[2]) == "all: spent 120 tokens of 100 tokens per 1h"


def test_what_counts_as_tokens_and_money_and_for_whom() -> None:
    body = {"input": 1, "output": 2, "cache_write": 4, "cache_read": 8, "micros": 16, "pool": "max"}
    events = [event("usage.reported", 0, body=body, refs={"work_id": WORK})]
    found = [
        (level["scope"], level["spent"])
        for scope in ("all", "agent:*", "item:*", "pool:*", "agent:bob")
        for level in seen(events, 0, of("9 tokens per 1h", scope)).levels()
    ]
    assert found == [
        *(("all", 7), ("agent:ada", 7), (f"item:{WORK}", 7), ("pool:max", 7), ("agent:bob", 0))
    ]
    assert next(seen(events, 0, of("1 usd per 1h")).levels())["spent"] == 16


def test_who_reports_for_another_spends_of_that_agents_budget() -> None:
    events = [spend(0, 10, agent="agent:bob")]
    assert seen(events, 1, of("10 tokens per 1h", "agent:bob")).gate("agent:bob") is not None
    assert seen(events, 1, of("10 tokens per 1h", "agent:*")).gate("agent:ada") is None


def test_after_a_pause_what_waited_comes_back_one_a_minute() -> None:
    """Eight wait; each tries every minute, and whoever finds the gate open begins."""
    wanted, events = of("100 tokens per 1h"), [spend(0, 150), event("run.claimed", 0, 1)]
    began = list[int]()
    for minute in range(80):
        for waiting in range(8 - len(began)):
            look = seen(events, minute, wanted)
            if look.gate("agent:bob") is None:
                began.append(minute)
                body = {"agent": "agent:bob"}
                events.append(event("run.claimed", minute, 9 + waiting, body=body))
    assert began == list(range(65, 73))


def test_a_limit_of_a_provider_closes_its_pool_alone_until_it_ends_or_is_resumed() -> None:
    until = world.format_ts(BEGIN + 60 * MINUTE)
    body = {"pool": "max", "kind": "quota", "until": until}
    limited = event("provider.limited", 0, body=body)
    began = event("run.claimed", 60, body={"pool": "max"})
    gates = [seen([limited], at).gate(pool="max") for at in (0, 59, 60)]
    assert [opens(found) for found in gates] == [60, 60, None]
    assert seen([limited], 5).gate(pool="other") is None
    assert seen([limited], 5).gate("agent:ada") is None
    assert opens(seen([limited, began], 60).gate(pool="max")) == 61
    assert seen([limited, began], 121).gate(pool="max") is None
    resumed = event("control.resumed", 1, body={"stops": [limited.id]})
    assert seen([limited, resumed], 2).gate(pool="max") is None
    assert seen([resumed, limited], 2).gate(pool="max") is None


def test_a_limit_that_would_never_end_ends_after_eight_days() -> None:
    body = {"pool": "max", "kind": "quota", "until": "9999-01-01T00:00:00.000Z"}
    found = seen([event("provider.limited", 0, body=body)], 1).gate(pool="max")
    assert opens(found) == 8 * 24 * 60


def test_a_report_of_a_clock_that_is_ahead_counts_when_its_time_comes() -> None:
    wanted, events = of("100 tokens per 1h"), [spend(60, 100)]
    (early,) = seen(events, 0, wanted).levels()
    assert (early["spent"], early["next_ms"]) == (0, BEGIN + 55 * MINUTE)
    assert next(seen(events, 55, wanted).levels())["state"] == "paused"


@pytest.mark.parametrize("body", [{}, {"input": "9"}, {"input": -1}, {"input": True}, {"pool": 5}])
def test_what_makes_no_sense_is_spent_by_nobody(body: dict[str, Any]) -> None:
    assert next(seen([event("usage.reported", 0, body=body)], 1, of("1 usd per 1h")).levels()) == {
        "scope": "all",
        "measure": "micros",
        "limit": 1_000_000,
        "window_ms": HOUR,
        "spent": 0,
        "state": "ok",
    }
    assert list(usage.entities(Event(b"", {"type": "usage.reported", "ts": "x", "body": {}}))) == []


def test_any_order_and_copies_give_the_same() -> None:
    events = [
        event("usage.reported", 0, 0, body={"input": 5}, idempotency_key="usage:s:1"),
        event("usage.reported", 0, 1, body={"input": 5}, idempotency_key="usage:s:1"),
        spend(1, 7, 2),
        event("run.claimed", 1, 3, body={"agent": "agent:ada", "pool": "max"}),
    ]
    expected = seen(events, 2, of("10 tokens per 1h"))
    for order in permutations(events):
        again = seen([*order, *order[:2]], 2, of("10 tokens per 1h"))
        assert list(again.levels()) == list(expected.levels())
        assert again._last("pool:max") == expected._last("pool:max")
    assert next(expected.levels())["spent"] == 12


def test_a_level_is_what_a_plain_sum_over_the_window_says() -> None:
    chance = random.Random(4)
    for _ in range(200):
        window, limit = chance.randint(1, 12) * 5, chance.randint(1, 60)
        spent = [(chance.randint(0, 100), chance.randint(0, 20)) for _ in range(8)]
        rows = [(BEGIN + 5 * MINUTE * (at // 5), amount) for at, amount in spent]
        now = chance.randint(0, 120)

        def total(time: int, window: int = window, spent: list[Any] = spent) -> int:
            return sum(n for at, n in spent if at // 5 * 5 <= time + 5 < at // 5 * 5 + window + 10)

        wanted = of(f"{limit} tokens per {window}m")
        level = budget.level(wanted, "all", rows, BEGIN + now * MINUTE)
        assert level["spent"] == total(now)
        if level["state"] == "paused":
            until = (level["until_ms"] - BEGIN) // MINUTE
            known = [each for each in spent if each[0] // 5 * 5 <= now + 5]
            assert total(until, spent=known) < limit <= total(until - 1, spent=known)


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        ("all", "5 usd"),
        ("all", "x usd per 1d"),
        ("all", "-5 usd per 1d"),
        ("all", "nan usd per 1d"),
        ("all", "inf usd per 1d"),
        ("all", "5 eur per 1d"),
        ("all", "5 usd per 1s"),
        ("all", "5 usd per 2y"),
        ("label:x", "5 usd per 1d"),
        ("pool:A b", "5 usd per 1d"),
        ("all", 5),
    ],
)
def test_a_budget_that_makes_no_sense_is_a_fault_of_the_file(scope: str, text: object) -> None:
    with pytest.raises(BadData, match=r"budget|amount|time"):
        budgets._budget(scope, text)


def test_budgets_are_read_from_the_file_of_the_project(repo: Path, shell: Shell) -> None:
    text = (
        '[budgets]\nall = "2.5 usd per 7d"\n"agent:*" = ["1_000 tokens per 5h", "1 usd per 1d"]\n'
    )
    (repo / "coord.toml").write_text(text)
    assert [(each["scope"], each["limit"]) for each in budgets.configured(open_store(repo))] == [
        *(("all", 2_500_000), ("agent:*", 1_000), ("agent:*", 1_000_000))
    ]


def test_who_stays_up_has_the_budgets_that_the_file_has_now(
    shell: Shell, capfd: pytest.CaptureFixture[str]
) -> None:
    path = shell.cwd / "coord.toml"
    known = Configured(open_store(shell.cwd))
    assert known.now() == []
    path.write_text('[budgets]\nall = "10 tokens per 1d"\n')
    assert [each["limit"] for each in known.now()] == [10]
    path.write_text('[budgets]\nall = "lots"\n')
    assert [each["limit"] for each in (*known.now(), *known.now())] == [10, 10]
    assert capfd.readouterr().err.count("budgets.all is not a budget") == 1
    path.write_text('[budgets]\nall = "20 tokens per 1d"\n')
    assert [each["limit"] for each in known.now()] == [20]
    path.unlink()
    assert known.now() == []
