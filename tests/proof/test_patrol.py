"""A patrol never takes work from who lives, gives back the work of every dead session, and does nothing twice."""

from __future__ import annotations

from collections.abc import Callable

from proof.patrol_world import schedules

SHORT, LONG = 300, 10_000


def test_random_schedules_of_agents_clocks_stops_and_two_stores(
    long: bool, say: Callable[..., None]
) -> None:
    looks = acts = released = 0
    for town in schedules(range(LONG if long else SHORT)):
        looks, acts, released = looks + town.looks, acts + town.acts, released + len(town.released)
    assert released > 0
    count = LONG if long else SHORT
    say(
        f"patrol: {count:,} schedules: {looks:,} looks, {acts:,} acts, {released:,} claims given back, none of the living"
    )
