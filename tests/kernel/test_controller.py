"""The shape of a controller: it looks again before each act, tries each once a turn, and is woken by a death."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import Shell, open_store

from coord_envelope import Event, Fault, No
from coord_kernel.controller import Act, Plan
from coord_kernel.controller.deaths import Deaths
from coord_kernel.controller.plan import turn
from coord_kernel.rules import control, presence
from coord_kernel.store import pins


class Scripted:
    """A controller whose looks are given: each is the keys that it plans; the last one stays."""

    def __init__(self, *looks: str, failing: str = "") -> None:
        self.looks, self.failing = list(looks), failing
        self.done: list[str] = []

    def wakes(self, event: object) -> bool:
        return True

    def plan(self) -> Plan:
        keys = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return Plan([Act("do", key) for key in keys], 7)

    def act(self, act: Act) -> None:
        self.done.append(act.key)
        if act.key in self.failing:
            raise No("it did not work")


def run(controller: Scripted) -> tuple[Plan, list[str]]:
    failed: list[str] = []

    def report(_: Fault, act: Act) -> None:
        failed.append(act.key)

    return turn(controller, report), failed


def test_an_act_that_a_second_look_does_not_plan_is_not_done() -> None:
    controller = Scripted("ab", "b", "b", "")
    plan, failed = run(controller)
    assert (controller.done, plan.acts, failed) == (["b"], [], [])


def test_what_an_act_makes_possible_is_done_in_the_same_turn() -> None:
    controller = Scripted("a", "a", "b", "b", "")
    assert run(controller)[0].wake == 7
    assert controller.done == ["a", "b"]


def test_a_controller_that_can_tell_of_one_act_does_not_look_at_all_for_each() -> None:
    class Narrow(Scripted):
        def still(self, act: Act) -> bool:
            return act.key != "b"

    controller = Narrow("abc", "")
    run(controller)
    assert controller.done == ["a", "c"]
    assert controller.looks == [""], "two looks: at the begin, and at the end"


def test_an_act_that_fails_is_reported_tried_once_a_turn_and_left_for_the_next() -> None:
    controller = Scripted("ab", "ab", "ab", "a", failing="a")
    plan, failed = run(controller)
    assert (controller.done, failed) == (["a", "b"], ["a"])
    assert [act.key for act in plan.acts] == ["a"]


def test_a_signal_in_an_act_ends_the_loop_before_the_next_and_the_rest_is_left(
    repo: Path, shell: Shell
) -> None:
    shell("ev emit a.b")
    script = """
import os, signal
from pathlib import Path
from support import open_journal
from kernel.test_controller import Scripted
from coord_kernel.controller import run

class Ended(Scripted):
    def act(self, act):
        super().act(act)
        os.kill(os.getpid(), signal.SIGTERM)

controller = Ended("abc", "abc", "abc", "bc")
run(controller, open_journal(Path.cwd()), print)
print(controller.done)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=repo,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "['a']\n", "")


def test_the_death_of_a_process_wakes_whoever_waits_for_its_pin(repo: Path, shell: Shell) -> None:
    store = open_store(repo)
    held = pins.take(store, "local", "p")
    assert held is not None
    deaths = Deaths(store)
    deaths.watch([("local", "p"), ("local", "missing")])
    deaths.watch([("local", "p")])
    assert not select.select([deaths.fd], [], [], 0)[0]
    os.close(held)  # as the kernel does when the process exits
    assert select.select([deaths.fd], [], [], 60)[0]
    assert (deaths.take(), deaths.take()) == (True, False)
    assert pins.dropped(store, "local", "p")


def test_scopes_cover_what_they_name() -> None:
    assert control.covers("all", "agent:x")
    assert control.covers("agent:ada", "agent:ada")
    assert not control.covers("agent:ada", "agent:bob")
    assert control.covers("label:area:login", "agent:x", ["area:login"])
    assert not control.covers("label:area", "agent:x", ["area:login"])
    assert [control.valid_scope(text) for text in ("all", "agent:a", "label:", "x:y", "")] == [
        *(True, True, False, False, False)
    ]


@pytest.mark.parametrize(
    "text", ['{"scope":5}', '{"stops":[1,{}]}', "{}", '{"agent":[],"session":{}}']
)
@pytest.mark.parametrize(
    "kind",
    [
        "control.stopped",
        "control.resumed",
        "patrol.reclaimed",
        "patrol.freed",
        "patrol.noticed",
        "session.ended",
    ],
)
def test_folds_pass_over_what_makes_no_sense(kind: str, text: str) -> None:
    """Anybody who can push may write anything."""
    fields = {"event_id": "0" * 26, "ts": "x", "writer": "agent.a~r", "seq": 1, "type": kind}
    fields |= {"actor": {"agent_id": "agent:a"}, "body": json.loads(text), "idempotency_key": "k"}
    event = Event(b"", fields)
    folds: tuple[Any, ...] = (control, presence)
    for fold in folds:
        for _ in fold.entities(event):
            state = fold.step(fold.step(None, event), event)
            assert state is not None
            list(fold.indexed(state))
