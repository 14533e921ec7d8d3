"""A merge queue lands what is good, drops what is not, and nobody else, whatever happens."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from proof import land_world
from proof.land_batches import Batch, poisoned

from coord_land import fold, screen
from coord_land.decide import Decision, Held
from coord_land.listing import Listing

SHORT, LONG = 1_000, 20_000
FEW, MANY = 60, 2_000
WORST = {1: 9, 2: 14}
"""Tests of a batch of five with so many culprits, at most."""


def test_every_subset_of_culprits_leaves_and_nobody_else(say: Callable[..., None]) -> None:
    tests, worst = dict.fromkeys(range(1, 9), 0), dict[tuple[int, int], int]()
    for count in range(1, 9):
        for mask in range(1 << count):
            culprits = {str(at) for at in range(count) if mask >> at & 1}
            took = Batch(count).demand(poisoned(culprits), culprits)
            tests[count] += took
            case = (count, len(culprits))
            worst[case] = max(worst.get(case, 0), took)
    assert all(worst[count, 0] == 1 for count in range(1, 9))
    assert (worst[5, 1], worst[5, 2]) == (WORST[1], WORST[2])
    total = sum(tests[count] for count in range(1, 6))
    assert total <= 630, "for all subsets of up to five"
    say(
        f"land: all {sum(1 << n for n in range(1, 9))} subsets of up to 8; of 5 at most {worst[5, 1]} tests with one"
        f" culprit, {worst[5, 2]} with two; {total} for all subsets of up to 5"
    )


def test_of_two_that_fail_only_together_the_later_leaves() -> None:
    pairs = [(n, a, b) for n in range(2, 9) for a, b in itertools.combinations(range(n), 2)]
    assert len(pairs) == 84
    for count, one, other in pairs:
        both = {str(one), str(other)}

        def test(stack: tuple[str, ...], _: int) -> str:
            return "fail" if both <= set(stack) else "pass"  # noqa: B023

        Batch(count).demand(test, {str(other)})


@pytest.mark.parametrize("flaky", [0.1, 0.3])
def test_a_gate_that_fails_at_first_costs_no_innocent(
    flaky: float, long: bool, say: Callable[..., None]
) -> None:
    count, tests = LONG if long else SHORT, 0
    for seed in range(count):
        chance = random.Random(f"{flaky} {seed}")
        size = chance.randint(1, 8)
        culprits = {str(at) for at in range(size) if chance.random() < 0.2}

        def test(stack: tuple[str, ...], times: int) -> str:
            if culprits & set(stack):  # noqa: B023
                return "fail"
            return "fail" if times == 0 and chance.random() < flaky else "pass"  # noqa: B023

        tests += Batch(size).demand(test, culprits)
    say(
        f"land: {count:,} batches, a first test fails {flaky:.0%} of the time: no innocent lost, {tests / count:.2f} tests each"
    )


def test_noise_costs_few_innocents(say: Callable[..., None]) -> None:
    """Any test fails one time in ten, in batches of five. One test a verdict loses ten times as many."""
    count, lost, tests, held = LONG // 5, 0, 0, 0
    for seed in range(count):
        chance, batch = random.Random(seed), Batch(5)
        decision = batch.run(lambda *_, c=chance: "fail" if c.random() < 0.1 else "pass")
        tests += len(batch.verdicts)
        held += isinstance(decision, Held)
        lost += len(decision.culprits) if isinstance(decision, Decision) else 0
    assert lost < 50 and tests <= 1.16 * count
    say(
        f"land: noise of 10 %: {lost} of {5 * count:,} innocents lost, {held} holds, {tests / count:.2f} tests a batch"
    )


def test_a_gate_that_breaks_in_between_costs_no_innocent() -> None:
    for count, broken, mended in itertools.product(range(1, 6), range(12), (3, 30)):
        for mask in range(1 << count):
            culprits, ran = {str(at) for at in range(count) if mask >> at & 1}, itertools.count()

            def test(stack: tuple[str, ...], _: int) -> str:
                fails = broken <= next(ran) < broken + mended  # noqa: B023
                return "fail" if fails or culprits & set(stack) else "pass"  # noqa: B023

            batch = Batch(count)
            decision = batch.run(test)
            if mended == 30 and isinstance(decision, Decision):
                assert set(decision.culprits) <= culprits
            if isinstance(decision, Decision) and decision.stack:
                assert not culprits & set(decision.stack)


def test_a_gate_that_cannot_start_holds_after_three_tests() -> None:
    for count in range(1, 9):
        batch = Batch(count)
        held = batch.run(lambda *_: "error")
        assert isinstance(held, Held) and held.outcomes == ["error", "error"]
        assert len(batch.verdicts) == 3


def test_a_red_base_holds_and_nobody_leaves() -> None:
    for count in range(1, 9):
        assert isinstance(Batch(count).run(lambda *_: "fail"), Held)


def test_a_restart_goes_on_where_it_was() -> None:
    """The decision is a function of the verdicts: asked with the first of them it asks for the next."""
    culprits = {"1", "4"}
    whole = Batch(6)
    whole.demand(poisoned(culprits), culprits)
    for cut in range(len(whole.verdicts)):
        batch = Batch(6)
        batch.verdicts = whole.verdicts[:cut]
        batch.passed = {verdict.commit for verdict in batch.verdicts if verdict.outcome == "pass"}
        batch.demand(poisoned(culprits), culprits)
        assert batch.verdicts == whole.verdicts


def test_random_days_of_requests_pushers_flakes_kills_and_two_copies(
    long: bool, say: Callable[..., None]
) -> None:
    count = MANY if long else FEW
    events = landed = held = 0
    for seed in range(count):
        town = land_world.schedule(seed)
        events, held = events + len(town.events), held + town.held
        landed += len(town.content[town.base])
    assert landed > count
    say(
        f"land: {count:,} random days with two copies: {events:,} events, {landed:,} landed, {held} holds"
    )


@pytest.mark.parametrize("load", [0.9, 1.0])
def test_no_class_starves_in_14_days_of_random_arrivals(
    load: float, say: Callable[..., None]
) -> None:
    """The queue lands five each half hour. By age and priority each class waits less than a day."""
    longest = [0.0] * 5
    for seed in range(5):
        for priority, waited in enumerate(_fortnight(random.Random(seed), load)):
            longest[priority] = max(longest[priority], waited)
    hours = [waited / 3_600_000 for waited in longest]
    assert hours == sorted(hours), "the more urgent, the shorter"
    assert hours[0] < 8 and hours[4] < 24
    say(
        f"land: 14 days at load {load}: priorities 0 to 4 waited at most {', '.join(f'{h:.1f}' for h in hours)} h"
    )


def _fortnight(chance: random.Random, load: float) -> list[float]:
    """The longest wait of each priority, in ms."""
    step, arrivals, at = 1_800_000, list[tuple[float, int]](), 0.0
    while at < 14 * 86_400_000:
        at += chance.expovariate(5 * load / step)
        arrivals.append((at, chance.randrange(5)))
    longest, waiting, now = [0.0] * 5, list[tuple[str, float, int]](), 0.0
    while arrivals or waiting:
        now += step
        while arrivals and arrivals[0][0] <= now:
            ts, priority = arrivals.pop(0)
            waiting.append((land_world.order(ts, priority), ts, priority))
        waiting.sort()
        for _, ts, priority in waiting[:5]:
            longest[priority] = max(longest[priority], now - ts)
        del waiting[:5]
    return longest


def test_what_waits_four_hours_is_worth_a_priority() -> None:
    assert land_world.order(0, 1) < land_world.order(fold.AGING_MS - 1, 1)
    assert land_world.order(fold.AGING_MS + 1, 0) > land_world.order(0, 1)
    assert land_world.order(fold.AGING_MS - 1, 0) < land_world.order(0, 1)


def test_no_event_of_a_stranger_stops_the_queue() -> None:
    """Bodies with anything in them: the plan is made, and what is there lands all the same."""
    anything: list[Any] = [
        None,
        5,
        -1,
        True,
        "",
        "x",
        "\0",
        [],
        [1, "x", None],
        {},
        {"a": [1]},
        1 << 80,
    ]
    kinds = (*fold.ENDS, "land.batched", "land.asked", "land.tested", "land.held", "land.resumed")
    for seed in range(40):
        town = land_world.Town(seed)
        for _ in range(3):
            town.arrive()
        chance, real = town.chance, [each["id"] for each in town.open()]
        fields = (
            "target",
            "base",
            "commit",
            "gate",
            "attempt",
            "outcome",
            "requests",
            "request",
            "holds",
        )
        for number in range(60):
            known = {
                "gate": land_world.POLICY.gates[0].id,
                "target": "main",
                "base": town.base,
                "request": real[0],
                "requests": real,
                "commit": town.base,
            }
            body = {
                field: chance.choice(
                    [*anything, known.get(field, "x"), "queue aaaaaaaaaaaaaaaaaaaa"]
                )
                for field in (*fields, "sha", "branch", "epoch", "until", "why", "outcomes")
            }
            kind = chance.choice([*kinds, "land.requested", "land.other", "ci.completed"])
            if kind not in fold.ENDS or body["request"] not in real:
                key = {"idempotency_key": f"k{number}"} if chance.random() < 0.5 else {}
                refs = {"refs": {"run_id": "x"}} if chance.random() < 0.3 else {}
                town.emit(kind, "agent:stranger", body=body, **key, **refs)
        land_world.settle(town)
        source = town.source(town.events)
        listing = Listing(source, "main", town.now)
        assert listing.status()["open"] == len(list(fold.opened(source, "main")))
        rows = list(listing.everything())
        shown = [
            listing.shown(found) for row in rows if (found := fold.named(source, row["request_id"]))
        ]
        assert len(shown) == len(rows) >= 3
        assert screen.rows(rows, town.now)


def test_a_base_with_very_many_verdicts_keeps_the_newest_and_its_own() -> None:
    town = land_world.Town(0)
    for number in range(2 * fold.MOST):
        commit = town.base if number % 100 == 0 else land_world.digest(str(number))
        body = {
            "target": "main",
            "base": town.base,
            "commit": commit,
            "gate": "g",
            "attempt": number,
            "outcome": "pass",
        }
        town.emit("land.tested", body=body, idempotency_key=f"t{number}")
    tested = fold.base_of(town.source(town.events), "main", town.base)["tested"]
    assert len(tested) == fold.MOST and f"t{2 * fold.MOST - 1}" in tested
    own = [each["attempt"] for each in tested.values() if each["commit"] == town.base]
    assert own == list(range(0, 2 * fold.MOST, 100))
