"""What nobody has signed acts nowhere: no fold of a bridge or a controller makes anything of it.

A store that knows signers gives folds such events `demoted` (spec/trust.md, 23 to 28).
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from support import SPEC, Json

from coord_agents import fold as agents
from coord_cron import fold as cron
from coord_envelope.event import Event, parse
from coord_github import asked
from coord_github import fold as github
from coord_hooks import fold as handoffs
from coord_kernel.rules import control, escalation, presence, trust, usage
from coord_land import fold as land
from coord_notify.notices import Notices
from coord_notify.routes import Route, Routes
from coord_slack.fold import Fold
from coord_slack.settings import Channel, Settings

COMMIT = "c" * 40


def _phone() -> Routes:
    route = Route("phone")
    route.to, route.severity = [], 0
    return Routes([route], "x")


def _workspace() -> Settings:
    settings = Settings("x")
    settings.channels = {"C1": Channel(["agent:ada"], ["human:eve"])}
    settings.people = {"U1": "human:eve"}
    return settings


def _events() -> list[Event]:
    """One for each vector of a body that is valid, and a few that no type has."""
    vectors = (SPEC / "vectors/bodies.jsonl").read_text().split("\n")
    rows = [json.loads(line) for line in vectors if line]
    drafts: list[Json] = [row for row in rows if row.get("good")]
    drafts += [
        {"type": "control.stopped", "body": {"scope": "all", "reason": "x"}},
        {"type": "cron.fired", "body": {"name": "n", "at": "2026-01-17T01:00:00.000Z"}},
        {"type": "github.synced", "body": {"issue": "acme/x#1", "here": {}, "there": {}}},
        {"type": "handoff.written", "body": {"text": "x"}},
        {"type": "land.asked", "body": {"base": "b", "gate": "g", "commit": "c", "attempt": 1}},
        {"type": "usage.reported", "body": {"input": 1}},
        {"type": "ci.passed", "body": {"commit": COMMIT, "ok": True}},
        {"type": "msg.sent", "body": {"fingerprint": "f", "severity": "critical"}},
        {"type": "work.created", "body": {"title": "?", "question": {}}},
    ]
    return [_event(number, draft) for number, draft in enumerate(drafts)]


def _event(number: int, draft: Json) -> Event:
    name = f"01KF4QBCFS000DHT52RH{number:06}"
    refs = {"work_id": name, "run_id": name, "thread_id": name}
    fields = {
        "event_id": name,
        "type": draft["type"],
        "ts": "2026-01-17T01:00:00.000Z",
        "project": "acme",
        "writer": "agent.ada~k3f9x2ab",
        "seq": number + 1,
        "actor": {"agent_id": "bridge:slack" if "slack" in draft["type"] else "agent:ada"},
        "to": ["agent:ada", "human:eve"],
        "refs": refs,
        "body": draft["body"],
    }
    return parse(json.dumps(fields).encode())


def _made(fold: Any, event: Event) -> list[Any]:
    """What a fold makes of an event: the states that are not as without it."""
    states = [fold.step(None, event) for _ in fold.entities(event)]
    return [state for state in states if state not in ({}, usage.nothing())]


FOLDS: dict[str, Any] = {
    "agents": agents,
    "alerts": escalation,
    "control": control,
    "cron": cron,
    "github": github,
    "github-asked": asked,
    "handoffs": handoffs,
    "land": land,
    "notify": Notices(_phone()),
    "sessions": presence,
    "slack": Fold(_workspace()),
    "usage": usage,
}


@pytest.mark.parametrize("name", FOLDS)
def test_a_fold_makes_nothing_of_an_event_that_nobody_has_signed(name: str) -> None:
    fold, made = FOLDS[name], set[str]()
    for event in _events():
        made |= {event["type"]} if _made(fold, event) else set()
        beat = name == "sessions" and event["type"] == "agent.seen"  # nobody signs these
        assert beat or _made(fold, trust.demoted(event)) == [], event["type"]
    assert made, "signed ones count"
