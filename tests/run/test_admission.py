"""What a worker begins: never more than its pool's slots, nothing under a stop, a limit or a spent budget."""

from __future__ import annotations

import json

import pytest
from proof.witness import Watched
from run.jobs import Gate, requested, state, worker
from support import Json, Shell

from coord_envelope import world

BEGIN = "2026-06-01T09:00:00Z"
WAKES = 21_681
"""As often a real orchestrator woke in a night to find an empty queue (gascity #5727)."""


def at(minutes: int) -> str:
    return world.format_ts(world.parse_ts(BEGIN) + minutes * 60_000)


def emit(shell: Shell, kind: str, body: Json, minutes: int, *options: str) -> None:
    line = f"ev emit {kind} --body - {' '.join(options)} --as watcher"
    shell(line, json.dumps(body), COORD_NOW=at(minutes))


def begun(shell: Shell, minutes: int, options: str = "") -> int:
    """How many jobs a worker begins that looks once at this time."""
    lines = shell(f"run worker --once {options}", COORD_NOW=at(minutes)).lines
    return sum(event["type"] == "run.started" for event in lines)


def agents(shell: Shell, count: int, name: str = "ada", options: str = "") -> list[str]:
    env = f"--env COORD_AGENT={name} {options}"
    return [requested(shell, "true", env) for _ in range(count)]


def test_a_pool_has_its_slots_over_names_and_processes(shell: Shell) -> None:
    """Two workers with different names and different views of what is to be done: two run."""
    gates = [Gate(shell.cwd, f"gate{n}") for n in range(5)]
    jobs = [requested(shell, f"sh -c 'read x <gate{n}'") for n in range(2)]
    options = "--slots 2 --slots-of max"
    running = set[str]()
    with worker(shell, f"{options} --as one") as one:
        while len(running) < 2:
            event = json.loads(one.line())
            running |= {event["refs"]["run_id"]} if event["type"] == "run.started" else set()
        jobs += [requested(shell, f"sh -c 'read x <gate{n}'") for n in range(2, 5)]
        assert begun(shell, 0, f"{options} --as two") == 0
        assert {run for run in jobs if state(shell, run)["status"] == "running"} == running
        with worker(shell, "--slots 2 --slots-of other --as three") as three:
            assert json.loads(three.line())["body"]["pool"] == "other"
            for gate in gates:
                gate.open()
            for run in jobs:
                shell(f"run attach {run}")
    claims = shell("ev replay --type run.claimed").lines
    assert {event["body"]["pool"] for event in claims} == {"max", "other"}


def test_a_limit_of_a_provider_pauses_the_workers_of_its_pool_and_one_a_minute_come_back(
    shell: Shell,
) -> None:
    body = {"pool": "max", "kind": "quota", "until": at(60), "evidence": "429"}
    emit(shell, "provider.limited", body, 0)
    agents(shell, 4)
    pool = "--slots-of max --as one"
    paused = shell(f"run worker --once {pool}", COORD_NOW=at(59))
    assert (
        paused.out,
        "pool:max: limited by its provider; the next start is at" in paused.err,
    ) == (*("", True),)
    assert [begun(shell, minute, pool) for minute in (60, 60, 61)] == [1, 0, 1]
    assert begun(shell, 61, "--slots-of max --as two") == 0
    assert begun(shell, 61, "--slots-of other") == 2


def test_a_person_may_end_a_limit(shell: Shell) -> None:
    emit(shell, "provider.limited", {"pool": "max", "kind": "quota", "until": at(60)}, 0)
    agents(shell, 1)
    assert begun(shell, 1, "--slots-of max") == 0
    assert shell("coord-patrol resume --scope pool:max --as human:eve", COORD_NOW=at(2)).lines
    assert begun(shell, 3, "--slots-of max") == 1


@pytest.mark.parametrize("scope", ["item:*", "pool:max"])
def test_a_spent_budget_pauses_what_it_concerns_and_nothing_else(shell: Shell, scope: str) -> None:
    """At 100 % nothing is begun; when enough has left the window, one a minute is."""
    (shell.cwd / "coord.toml").write_text(f'[budgets]\n"{scope}" = "1000 tokens per 1h"\n')
    work = shell("wk new 'Fix the login' --as boss -o id", COORD_NOW=at(0)).out.strip()
    spent = {"agent": "agent:ada", "pool": "max", "input": 900, "output": 100, "cache_read": 10**6}
    emit(shell, "usage.reported", spent, 0, f"--ref work_id={work}")
    agents(shell, 2, "ada", f"--work {work}")
    plain = requested(shell, "true")
    pool = "--slots-of max" if scope == "pool:max" else ""
    first = shell(f"run worker --once {pool}", COORD_NOW=at(1))
    assert f"{scope.replace('*', work)}: spent 1000 tokens of 1000 tokens per 1h" in first.err
    assert state(shell, plain)["status"] == ("requested" if pool else "completed")
    assert [begun(shell, minute, pool) for minute in (64, 65, 65, 66)] == [0, 1, 0, 1]


def test_two_agents_have_a_budget_each(shell: Shell) -> None:
    (shell.cwd / "coord.toml").write_text('[budgets]\n"agent:*" = "1 usd per 1h"\n')
    emit(shell, "usage.reported", {"agent": "agent:ada", "micros": 1_000_000}, 0)
    agents(shell, 1, "ada")
    (other,) = agents(shell, 1, "bob")
    assert begun(shell, 1) == 1
    assert state(shell, other)["status"] == "completed"


def test_a_budget_that_makes_no_sense_stops_the_worker_before_it_begins_anything(
    shell: Shell,
) -> None:
    (shell.cwd / "coord.toml").write_text('[budgets]\nall = "much"\n')
    requested(shell, "true")
    done = shell("run worker --once", expect=65)
    assert done.err == (
        "run: coord.toml: budgets.all is not a budget; "
        'use "20 usd per 1d" or "5000000 tokens per 5h"\n'
    )
    done = shell("run worker --once --slots-of 'A b'", expect=65)
    assert "--slots-of: not a valid name of a pool: 'A b'" in done.err


def test_a_stop_of_a_label_or_a_pool_concerns_only_jobs_of_it(shell: Shell) -> None:
    works = [shell(f"wk new x --as boss -o id {label}").out.strip() for label in ("", "-l urgent")]
    plain, urgent = (requested(shell, "true", f"--work {work}") for work in works)
    shell("coord-patrol stop --scope label:urgent --as human:eve")
    assert shell("run worker --once").lines
    assert [state(shell, run)["status"] for run in (plain, urgent)] == ["completed", "requested"]
    shell("coord-patrol resume --as human:eve")
    shell("coord-patrol stop --scope pool:max --as human:eve")
    assert shell("run worker --once --slots-of max").out == ""
    assert shell("run worker --once").lines
    assert state(shell, urgent)["status"] == "completed"


def test_an_agent_in_quarantine_is_not_begun_until_it_is_freed(shell: Shell) -> None:
    body = {"kind": "agent", "name": "agent:ada", "why": "4 died", "causes": ["0" * 26]}
    emit(shell, "patrol.quarantined", body, 0)
    agents(shell, 1)
    done = shell("run worker --once")
    assert (done.out, "agent:ada is quarantined" in done.err) == ("", True)
    with Watched(shell, "run worker") as waiting:
        shell("coord-patrol free ada --as human:eve")
        assert json.loads(waiting.line())["type"] == "run.claimed"


def test_wakes_on_an_empty_queue_begin_nothing(shell: Shell) -> None:
    """A patrol and a worker in a pool are woken by as many events that concern them."""
    (shell.cwd / "coord.toml").write_text('[budgets]\nall = "1000000 usd per 1d"\n')
    bodies = {
        "usage.reported": {"input": 1},
        "control.resumed": {"stops": ["0" * 26]},
        "patrol.freed": {"quarantines": ["0" * 26]},
    }
    kinds = ["usage.reported", *["control.resumed", "patrol.freed"] * 5]
    drafts = [json.dumps({"type": kind, "body": bodies[kind]}) for kind in kinds]
    lines = (drafts * (WAKES // len(drafts) + 1))[:WAKES]
    with (
        Watched(shell, "coord-patrol") as patrol,
        worker(shell, "--slots 4 --slots-of max") as crew,
    ):
        shell("ev emit -o id --as watcher", "\n".join(lines) + "\n")
        run = requested(shell, "true")
        shell(f"run attach {run}")
        assert json.loads(crew.line())["refs"]["run_id"] == run
        assert patrol
    events = shell("ev replay --type 'run.*' --type 'patrol.*' --type 'budget.*'").lines
    assert [event["type"] for event in events if event["type"] != "patrol.freed"] == [
        *("run.requested", "run.claimed", "run.started", "run.completed")
    ]
