"""What coord-notify, coord-otel and coord-slack make of events: total on any content, each thing once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Json

from coord_envelope import codec
from coord_envelope.event import Event, parse
from coord_kernel.rules import tracing
from coord_notify.notices import Notices
from coord_notify.routes import Route, Routes
from coord_otel import meters, records, spans
from coord_slack import plan
from coord_slack.fold import Fold
from coord_slack.settings import Channel, Settings

NAMES = (
    "work.created",
    "work.claimed",
    "work.closed",
    "run.requested",
    "run.claimed",
    "run.started",
)
TYPES = (
    *(*NAMES, "run.completed", "run.released", "msg.sent", "alert.raised", "usage.reported", "a.b"),
    *("notify.sent", "slack.joined", "slack.received", "slack.handled", "slack.linked"),
    *("slack.posted", "session.started"),
)
FIELDS = (
    *("route", "events", "severity", "level", "fingerprint", "subject", "title", "claim", "steal"),
    *("outcome", "code", "dur_ms", "reason", "n", "agent", "argv", "model", "input", "micros"),
    *("channel", "ts", "root", "user", "who", "text", "kind", "conv", "what", "received", "reply"),
    *("consumer", "question", "upto", "also", "kinds", "more"),
)
EVIL: tuple[Any, ...] = (
    None,
    3,
    10**30,
    -1,
    True,
    "x",
    "\x1b\u202e",
    [],
    {},
    ["\x1b\u202e", 3, []],
    {"a": []},
)
ID = "01KF4QBCFS000DHT52RH6PKM{:02}"


def event(n: int, kind: str, body: Json, **more: Any) -> Event:
    fields = {
        "event_id": ID.format(n % 100),
        "type": kind,
        "ts": f"2026-01-17T01:{n % 60:02}:00.000Z",
        "project": "acme",
        "writer": "agent.ada~k3f9x2ab",
        "seq": n + 1,
        "actor": {"agent_id": "bridge:slack" if kind.startswith("slack.") else "agent:ada"},
        **more,
        "body": body,
    }
    return parse(json.dumps(fields).encode())


def hostile() -> Iterator[Event]:
    for n, evil in enumerate(EVIL):
        for kind in TYPES:
            refs = {"work_id": evil, "run_id": evil, "thread_id": evil, "msg_id": evil}
            yield event(n, kind, dict.fromkeys(FIELDS, evil), refs=refs, to=evil, cause=evil)
            yield event(n, kind, {}, refs=evil)


def folded(fold: Any, events: list[Event]) -> dict[str, Any]:
    """The states that a view would have, each through its stored form."""
    states: dict[str, Any] = {}
    for each in events:
        for entity in fold.entities(each):
            state = codec.unpack(codec.pack(states[entity])) if entity in states else None
            states[entity] = fold.step(state, each)
    return states


def phone() -> Routes:
    route = Route("phone")
    route.to, route.severity = [], 0
    return Routes([route], "x")


def workspace() -> Settings:
    settings = Settings("x")
    settings.channels = {"C1": Channel(["agent:ada"], ["human:eve"])}
    settings.people = {"U1": "human:eve"}
    return settings


@pytest.mark.parametrize("fold", [Notices(phone()), Fold(workspace())], ids=["notify", "slack"])
def test_the_folds_are_total(fold: Any) -> None:
    for state in folded(fold, list(hostile())).values():
        for name, value in fold.indexed(state):
            assert isinstance(name, str) and isinstance(value, str)


def test_the_plan_of_slack_is_total() -> None:
    settings = workspace()
    states = folded(Fold(settings), list(hostile()))
    convs = [(name[5:], state) for name, state in states.items() if name.startswith("conv ")]
    todo = [state for name, state in states.items() if name.startswith("in ")]
    plan.acts([], [each for each in todo if each.get("reply")], convs, {"C1": ""}, settings)


def test_the_exports_are_total_and_can_be_encoded() -> None:
    otlp = pytest.importorskip("coord_otel.otlp", reason="opentelemetry-proto is not installed")
    opened: spans.Open = {}
    counted: meters.Meters = {}
    here, rows, ended = meters.Here([], lambda _: None, 0), [], []
    for each in hostile():
        over = list(spans.taken(each, opened, lambda _: None))
        rows.append(records.record(each, lambda _: None))
        meters.count(counted, each, over, here)
        ended += over
        codec.dumps([opened, counted])
    assert otlp.log_request({}, rows, 0) and otlp.metric_request({}, counted, 0, 1)
    otlp.trace_request({}, ended)


def test_a_claim_is_one_span_however_often_it_ends() -> None:
    opened: spans.Open = {}
    work = {"work_id": ID.format(50)}
    events = [
        event(1, "work.claimed", {}, refs=work),
        event(2, "work.closed", {"claim": ID.format(1)}, refs=work),
        event(3, "work.released", {"claim": ID.format(1)}, refs=work),
        event(4, "work.claimed", {}, refs=work),
        event(5, "work.claimed", {"steal": True}, refs=work),
        event(6, "work.released", {"claim": ID.format(5)}, refs=work),
    ]
    ended = [span for each in events for span in spans.taken(each, opened, lambda _: None)]
    assert [span["span"] for span in ended] == [tracing.span_of(ID.format(n)) for n in (1, 4, 5)]
    assert [span["failed"] for span in ended] == ["", "stolen", ""]
    assert {span["trace"] for span in ended} == {tracing.trace_of(ID.format(50))} and not opened


def test_a_run_of_a_consumer_is_a_span_from_its_cause_to_its_result() -> None:
    cause = event(1, "ci.failed", {}, refs={"work_id": ID.format(50)})
    known = {cause.id: cause}
    result = event(
        3,
        "review.done",
        {"consumer": "reviewer"},
        cause=cause.id,
        idempotency_key=f"reviewer {cause.id}",
    )
    other = event(4, "review.done", {"consumer": "reviewer"}, cause=cause.id)
    find: spans.Find = known.get
    (span,) = [one for each in (cause, result, other) for one in spans.taken(each, {}, find)]
    assert (span["name"], span["end"] - span["begin"]) == ("consume reviewer", 120_000)
    assert span["trace"] == tracing.trace_of(ID.format(50))


def test_series_of_a_metric_are_bounded() -> None:
    counted: meters.Meters = {}
    for n in range(meters.MOST + 50):
        here = meters.Here(["k3f9x2ab"], lambda _: None, None)
        meters.count(counted, event(n, f"a.b{n}", {}), [], here)
    assert len(counted["coord.events"]) == meters.MOST + 1
    assert counted["coord.events"]['{"coord.other":true}'] == {"n": 50}


def test_mail_about_an_item_that_is_in_slack_is_posted_once() -> None:
    """Its thread and its item both want it."""
    settings = workspace()
    link = {"channel": "C1", "root": "1.0", "conv": ID.format(50), "what": "work"}
    events = [
        event(1, "slack.joined", {"channel": "C1", "ts": "0.0"}),
        event(2, "slack.linked", link),
        event(3, "msg.sent", {"text": "x"}, refs={"work_id": ID.format(50)}, to=["human:eve"]),
    ]
    states = folded(Fold(settings), events)
    convs = [(name[5:], state) for name, state in states.items() if name.startswith("conv ")]
    (act,) = (act for act in plan.acts([], [], convs, {"C1": ""}, settings) if act.kind == "post")
    assert (act.about["where"], act.about["also"]) == (("C1", "1.0"), ID.format(3))
    said = {
        "what": "message",
        "channel": "C1",
        "root": "1.0",
        "ts": "2.0",
        "events": [ID.format(3)],
    }
    said |= {"conv": ID.format(50), "also": ID.format(3)}
    states = folded(Fold(settings), [*events, event(4, "slack.posted", said)])
    assert not [state["pending"] for state in states.values() if state.get("pending")]


def test_what_another_than_the_bridge_says_of_slack_counts_for_nothing(tmp_path: Path) -> None:
    body = {
        "kind": "message",
        "channel": "C1",
        "ts": "1.0",
        "root": "1.0",
        "user": "U1",
        "who": "human:eve",
        "text": "x",
    }
    forged = event(1, "slack.received", body, actor={"agent_id": "agent:ada"})
    assert folded(Fold(workspace()), [forged]) == {}
