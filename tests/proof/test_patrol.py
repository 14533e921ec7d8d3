"""A patrol never takes work from who lives, gives back the work of every dead session, and does nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from proof import patrol_processes
from proof.patrol_world import schedules
from support import Shell

SHORT, LONG = 300, 10_000
FEW, MANY = 1, 50


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


def test_random_schedules_of_real_processes_two_stores_and_two_patrols_in_each(
    shell: Shell, tmp_path: Path, long: bool, say: Callable[..., None]
) -> None:
    count = MANY if long else FEW
    acts = agents = dead = 0
    for town in patrol_processes.schedules(range(count), shell, tmp_path):
        acts, agents = acts + len(town.acts), agents + len(town.agents)
        dead += sum(agent.dead for agent in town.agents)
    say(f"patrol: {count} schedules of {agents} real agents, of whom {dead} died: {acts} acts")
