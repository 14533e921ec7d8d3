"""What a queue demands: a policy that demands nothing is refused, a proof is a count, a digest names a gate."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from coord_envelope import BadData
from coord_land.gates import answer, outcome, proves
from coord_land.plan import Outcome
from coord_land.policy import Command, Hosted, parsed

RUN = {"run": ["make", "test"], "proof": "([0-9]+) passed"}
HOSTED = {
    "event": "ci.completed",
    "by": "bridge:github",
    "where": {"check": "build"},
    "pass": {"conclusion": "success"},
}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "has no gate; add [[land.gate]] with run and proof, and commit it to the target"),
        ("x = 1", "not a valid setting: land.x; use target, remote, batch, method, protect, gate"),
        ("gate = []", "has no gate"),
        ("gate = [1]", "a gate has neither run nor event"),
        ("batch = 0", "not a valid setting: land.batch; use a number from 1 to 50"),
        ("method = 'rebase'", "not a valid setting: land.method; use merge or squash"),
        ("protect = 'x'", "not a valid setting: land.protect; use a list of texts"),
        ("[[gate]]\nrun = []", "an empty gate"),
        ("[[gate]]\nrun = ['']\nproof = 'x'", "not a valid setting: land.run"),
        (
            "[[gate]]\nrun = 'make'\nproof = 'x'",
            "not a valid setting: land.run; use a list of texts",
        ),
        ("[[gate]]\nrun = ['make']", "the gate make has no proof that it ran"),
        ("[[gate]]\nrun = ['make']\nproof = '('", "gate.proof: not a valid regular expression"),
        ("[[gate]]\nrun = ['make']\nproof = '.*'", "gate.proof matches an empty line"),
        (
            "[[gate]]\nrun = ['make']\nproof = 'x'\ntimeout = '5'",
            "not a valid time: gate.timeout 5",
        ),
        ("[[gate]]\nrun = ['make']\nproof = 'x'\ntests = 0", "not a valid setting: land.tests"),
        ("[[gate]]\nrun = ['make']\nproof = 'x'\nby = 'x'", "not a valid setting: land.gate.by"),
        ("[[gate]]\nevent = 'ci.completed'", "gate.by: not the agent who reports the check"),
        ("[[gate]]\nevent = 'ci.completed'\nby = 'bridge:github'", "gate.pass is missing"),
        ("[[gate]]\nevent = 'land.tested'\nby = 'ada'", "gate.event: the queue's own event"),
        (
            "[[gate]]\nevent = 'c.d'\nby = 'ada'\npass = { x = [1] }",
            "not a valid setting: land.gate.pass",
        ),
    ],
)
def test_a_policy_that_demands_nothing_is_refused(text: str, what: str) -> None:
    with pytest.raises(BadData) as fault:
        parsed(tomllib.loads(text), "coord.toml of 4b825dc642cb")
    assert str(fault.value).startswith(f"coord.toml of 4b825dc642cb: {what}")


def test_a_gate_is_known_by_its_definition() -> None:
    def gates(**more: Any) -> list[str]:
        return [gate.id for gate in parsed({"gate": [RUN | more, HOSTED]}, "x").gates]

    assert gates() == gates() and len(set(gates())) == 2
    assert gates()[0] != gates(timeout="2h")[0] and gates()[1] == gates(timeout="2h")[1]
    (plain, protecting, hosted) = parsed({"gate": [RUN, HOSTED], "protect": ["ci/**"]}, "x").gates
    assert isinstance(protecting, Command) and isinstance(hosted, Hosted)
    assert protecting.control == plain.id != protecting.id
    # sha256sum of {"by":"bridge:github","event":"ci.completed","pass":{"conclusion":"success"},"tests":2,…
    assert hosted.id == "69941dfc9cb99796"


@pytest.mark.parametrize(
    ("proof", "line", "is_proof"),
    [
        ("([0-9]+) passed", "12 passed in 3 s", True),
        ("([0-9]+) passed", "0 passed", False),
        ("([0-9]+) passed", "00 passed, then 1 passed", True),
        ("([0-9]+) passed", "\x1b[32m3 passed\x1b[0m", True),
        ("([0-9]+) passed", "no tests ran", False),
        ("^ok$", "ok", True),
        ("^ok$", "not ok", False),
        ("ran (all|some)", "ran all", True),
        ("(x)?ok", "ok", False),
    ],
)
def test_a_proof_with_a_group_is_a_count_over_0(proof: str, line: str, is_proof: bool) -> None:
    assert proves(re.compile(proof), line.encode() + b"\n") == is_proof


@pytest.mark.parametrize(
    ("row", "proved", "said"),
    [
        ({"outcome": "exit", "code": 0}, True, "pass"),
        ({"outcome": "exit", "code": 0}, False, "error"),
        ({"outcome": "exit", "code": 1}, True, "fail"),
        *(({"outcome": "exit", "code": code}, True, "error") for code in (125, 126, 127)),
        ({"outcome": "exit", "code": 128}, True, "fail"),
        ({"outcome": "signal", "code": 137}, True, "fail"),
        ({"outcome": "timeout"}, True, "fail"),
        ({"outcome": "cancelled"}, True, "error"),
        ({"outcome": "error", "reason": "no such directory"}, True, "error"),
        *(({"status": status}, True, "error") for status in ("lost", "cancelled", "expired")),
    ],
)
def test_what_a_job_says(row: dict[str, Any], proved: bool, said: str) -> None:
    assert outcome({"status": "completed", "run_id": "R", **row}, lambda: proved).outcome == said
    assert isinstance(outcome({"status": "lost", "run_id": "R"}, lambda: True), Outcome)


def test_the_first_event_after_it_was_asked_answers_and_at_first_an_earlier_one() -> None:
    (gate,) = parsed({"gate": [HOSTED]}, "x").gates
    assert isinstance(gate, Hosted)

    def check(
        by: str = "bridge:github", kind: str = "ci.completed", name: str = "build"
    ) -> dict[str, Any]:
        return {"type": kind, "by": by, "body": {"check": name}}

    def answers(checks: dict[str, Any], attempt: int) -> str | None:
        found = answer(gate, checks, "5", attempt)
        return found and found[0]

    wrong = {"6": check(by="agent:ada"), "7": check(kind="ci.started"), "8": check(name="lint")}
    assert answers(wrong, 1) is None
    assert answers({"1": check(), "3": check(), **wrong}, 1) == "3"
    assert answers({"1": check(), "3": check(), **wrong}, 2) is None
    assert answers({"3": check(), "9": check(), "91": check(), **wrong}, 1) == "9"
    assert answers({"3": check(), "9": check(), **wrong}, 2) == "9"
