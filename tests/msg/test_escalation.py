"""Alerts: what goes wrong climbs until somebody takes it, each step once, and a thousand of a kind are one."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import controllers
import pytest
from support import Json

from coord_envelope import ids, world
from coord_envelope.event import Event
from coord_kernel.controller import Act, Plan
from coord_kernel.rules import control, escalation
from coord_patrol import escalate

BEGIN = world.parse_ts("2026-06-01T09:00:00Z")
MINUTE = 60_000
SCHEDULES = 2_000


def at(minutes: float) -> str:
    return world.format_ts(BEGIN + int(minutes * MINUTE))


class Log:
    """Events as a journal has them: each with an id greater than those before."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, draft: Json, now: int, agent: str = "agent:a") -> Event:
        entropy = len(self.events).to_bytes(8, "big")
        fields = {
            "event_id": ids.mint((now << 16) + len(self.events), entropy),
            "ts": world.format_ts(now),
            "actor": {"agent_id": agent},
            "writer": "agent.a~aaaaaaaa",
            **draft,
        }
        self.events.append(Event(b"", fields))
        return self.events[-1]

    def raises(self, now: int, fingerprint: str, severity: str, **more: object) -> Event:
        group = fingerprint.rpartition("/")[0]
        body = {"fingerprint": fingerprint, "severity": severity, "subject": fingerprint}
        body |= {"group": group} if group else {}
        return self.add({"type": "alert.raised", "body": body, **more}, now)

    def acks(self, now: int, message: Event) -> Event:
        body = {"kind": "done", "fingerprint": message["body"]["fingerprint"]}
        if message["type"] == "alert.notified":
            body["episode"] = message["body"]["episode"]
        refs = {"msg_id": message.id}
        return self.add({"type": "msg.acked", "refs": refs, "body": body}, now, "human:ada")


def alerts(events: Sequence[Event]) -> list[escalation.Alert]:
    states: dict[str, escalation.Alert] = {}
    for event in sorted({event.id: event for event in events}.values(), key=lambda event: event.id):
        for name in escalation.entities(event):
            states[name] = escalation.step(states.get(name), event)
    return [state for state in states.values() if dict(escalation.indexed(state))]


def closed(events: Sequence[Event]) -> set[str]:
    return {event["refs"]["work_id"] for event in events if event["type"] == "work.closed"}


def policy(**routes: list[str]) -> escalate.Policy:
    chosen = escalate.Policy()
    chosen.person, chosen.routes = "human:ada", dict(routes)
    return chosen


def planned(events: Sequence[Event], now: int, chosen: escalate.Policy | None = None) -> Plan:
    state = control.nothing()
    for event in events:
        if event["type"].startswith("control."):
            control.step(state, event)
    over = closed(events)
    return escalate.plan(alerts(events), state, over.__contains__, now, chosen or policy())


def told(plan: Plan) -> list[tuple[str, str]]:
    return [(act.about["level"], act.about["route"]) for act in plan.acts if act.kind == "notify"]


@pytest.mark.parametrize(
    ("severity", "steps"),
    [
        ("low", [None, "low", "medium", "high", "high"]),
        ("medium", [None, "medium", "high", "critical", "critical"]),
        ("high", [None, "high", "critical", "critical", "critical"]),
        ("critical", [None, "critical", "critical", "critical", "critical"]),
    ],
)
def test_an_alert_gets_louder_twice_at_most(severity: str, steps: list[str | None]) -> None:
    log = Log()
    log.raises(BEGIN, "disk", severity)
    (alert,) = alerts(log.events)
    (episode,) = alert["episodes"]
    minutes = (0, 0.5, 15.5, 45.5, 10_000)
    found = [escalation.level(episode, BEGIN + int(n * MINUTE), policy())[0] for n in minutes]
    assert found == steps


def test_its_level_only_rises_and_each_severity_has_its_own_clock() -> None:
    log = Log()
    log.raises(BEGIN, "disk", "low")
    log.raises(BEGIN + 10 * MINUTE, "disk", "high")
    log.raises(BEGIN + 20 * MINUTE, "disk", "low")
    levels = []
    for now in (BEGIN + n * MINUTE for n in (1, 9, 11, 20, 25, 26, 60)):
        (alert,) = alerts([event for event in log.events if event["ts"] <= world.format_ts(now)])
        (episode,) = alert["episodes"]
        levels.append(escalation.level(episode, now, policy())[0])
    assert levels == ["low", "low", "high", "high", "high", "critical", "critical"]
    assert escalation.worst(episode) == "high"


def test_a_thousand_failures_of_one_kind_are_one_alert_with_a_count() -> None:
    log = Log()
    for n in range(1_000):
        log.raises(BEGIN + n, "build", "high")
    (alert,) = alerts(log.events)
    assert [episode["count"] for episode in alert["episodes"]] == [1_000]
    (act,) = planned(log.events, BEGIN + MINUTE).acts
    assert escalate.draft(act)["body"]["count"] == 1_000
    assert "(1,000 times)" in escalate.draft(act)["body"]["subject"]


def test_an_ack_ends_the_episode_until_it_was_calm() -> None:
    log = Log()
    first = log.raises(BEGIN, "disk", "high")
    log.acks(BEGIN + MINUTE, first)
    log.raises(BEGIN + 59 * MINUTE, "disk", "critical")
    assert planned(log.events, BEGIN + 10_000 * MINUTE).acts == []
    again = log.raises(BEGIN + 120 * MINUTE, "disk", "high")
    (act,) = planned(log.events, BEGIN + 121 * MINUTE).acts
    assert act.key == f"notify:{again.id}:high:human:ada"


def test_an_ack_of_what_was_notified_is_about_its_episode_only() -> None:
    log = Log()
    first = log.raises(BEGIN, "disk", "high")
    (act,) = planned(log.events, BEGIN + MINUTE).acts
    notified = log.add(escalate.draft(act), BEGIN + MINUTE)
    body = {"fingerprint": "disk", "episode": first.id}
    log.add({"type": "alert.resolved", "body": body}, BEGIN + 2 * MINUTE)
    log.raises(BEGIN + 3 * MINUTE, "disk", "high")
    log.acks(BEGIN + 4 * MINUTE, notified)
    assert told(planned(log.events, BEGIN + 5 * MINUTE)) == [("high", "human:ada")]


def test_what_a_clock_that_is_behind_says_of_an_episode_counts() -> None:
    """Its events have ids that are less than of what they are about."""
    log = Log()
    old = log.raises(BEGIN, "disk", "high")
    log.add({"type": "alert.resolved", "body": {"fingerprint": "disk"}}, BEGIN + MINUTE)
    new = log.raises(BEGIN + 60 * MINUTE, "disk", "high")
    log.acks(BEGIN + 30 * MINUTE, new)
    assert planned(log.events, BEGIN + 70 * MINUTE).acts == []
    (alert,) = [escalation.step(None, old)]
    assert alert["episodes"][0]["id"] == old.id


def test_when_all_that_it_is_about_is_closed_it_is_resolved_and_not_told() -> None:
    log = Log()
    works = [ids.mint(n << 16, bytes(8)) for n in (1, 2)]
    for work in works:
        log.raises(BEGIN, "tests", "high", refs={"work_id": work})
    log.add({"type": "work.closed", "refs": {"work_id": works[0]}, "body": {}}, BEGIN)
    assert told(planned(log.events, BEGIN + MINUTE)) == [("high", "human:ada")]
    log.add({"type": "work.closed", "refs": {"work_id": works[1]}, "body": {}}, BEGIN)
    (act,) = planned(log.events, BEGIN + MINUTE).acts
    assert escalate.draft(act)["type"] == "alert.resolved"
    log.add(escalate.draft(act), BEGIN + MINUTE)
    assert planned(log.events, BEGIN + 100 * MINUTE).acts == []
    log.raises(BEGIN + 2 * MINUTE, "tests", "low")
    assert len(alerts(log.events)[0]["episodes"]) == 2


def test_a_worse_one_of_the_group_speaks_for_the_others_while_nobody_took_it() -> None:
    log = Log()
    log.raises(BEGIN, "db/slow", "medium")
    log.raises(BEGIN, "db/full", "high")
    log.raises(BEGIN, "web/slow", "medium")
    keys = {act.about["fingerprint"] for act in planned(log.events, BEGIN + MINUTE).acts}
    assert keys == {"db/full", "web/slow"}
    log.acks(BEGIN + MINUTE, log.events[1])
    keys = {act.about["fingerprint"] for act in planned(log.events, BEGIN + MINUTE).acts}
    assert keys == {"db/slow", "web/slow"}


def test_who_had_the_message_is_not_told_the_same_again_but_what_is_louder() -> None:
    log = Log()
    body = {"fingerprint": "disk", "severity": "high", "subject": "disk is full"}
    log.add({"type": "msg.sent", "to": ["human:ada"], "body": body}, BEGIN)
    chosen = policy(high=["human:ada", "agent:boss"])
    assert told(planned(log.events, BEGIN + MINUTE, chosen)) == [("high", "agent:boss")]
    assert told(planned(log.events, BEGIN + 16 * MINUTE, chosen)) == [("critical", "human:ada")]


def test_under_a_stop_nothing_is_told() -> None:
    log = Log()
    log.raises(BEGIN, "disk", "high")
    log.add({"type": "control.stopped", "body": {"scope": "all"}}, BEGIN)
    plan = planned(log.events, BEGIN + 100 * MINUTE)
    assert (plan.acts, plan.wake) == ([], None)


@pytest.mark.parametrize(
    "body",
    [
        {"fingerprint": 1, "severity": "high"},
        {"fingerprint": "", "severity": "high"},
        {"fingerprint": "x" * 201, "severity": "high"},
        {"fingerprint": "x", "severity": "worst"},
        {"fingerprint": "x"},
        {"severity": "high"},
        {"fingerprint": ["x"], "severity": {}},
    ],
)
def test_what_makes_no_sense_raises_nothing(body: Json) -> None:
    log = Log()
    for kind in ("msg.sent", "alert.raised", "msg.acked", "ev.other"):
        log.add({"type": kind, "body": body}, BEGIN)
    assert [escalation.entities(event) for event in log.events] == [()] * 4
    for kind in ("alert.notified", "alert.resolved", "msg.acked"):
        odd = {"fingerprint": "x", "episode": 7, "kind": "done", "route": 1, "level": None}
        log.add({"type": kind, "body": odd, "refs": [], "to": 3}, BEGIN)
    for event in log.events[4:]:
        assert escalation.step(None, event)["episodes"] == []


def test_a_clock_that_is_far_ahead_does_not_silence_what_it_raises() -> None:
    log = Log()
    log.raises(BEGIN + 1_000 * MINUTE, "disk", "high")
    assert told(planned(log.events, BEGIN)) == [("high", "human:ada")]


class Oracle:
    """The same rules, said again in another way: what may be notified, event by event."""

    def __init__(self) -> None:
        self.open: dict[str, Json] = {}
        self.closed = set[str]()

    def read(self, event: Event) -> None:
        if event["type"] == "work.closed":
            self.closed.add(event["refs"]["work_id"])
            return
        body, name = event["body"], event["body"]["fingerprint"]
        now, known = world.parse_ts(event["ts"]), self.open.get(name)
        if event["type"] in ("msg.sent", "alert.raised"):
            if known is None or (known["taken"] and now - known["last"] > 60 * MINUTE):
                known = self.open[name] = {
                    "begin": event.id,
                    "taken": False,
                    "worst": 0,
                    "about": set(),
                }
            known["last"], known["group"] = now, body.get("group")
            known["worst"] = max(known["worst"], escalation.SEVERITIES.index(body["severity"]))
            known["about"] |= {event.get("refs", {}).get("work_id")} - {None}
        elif event["type"] == "msg.acked":
            seen = body.get("episode") or event["refs"]["msg_id"]
            if known and seen >= known["begin"]:
                known["taken"] = True
        elif event["type"] == "alert.resolved":
            self.open.pop(name, None)
        else:
            assert known and not known["taken"], "notified although somebody took it, or it is over"
            assert not self.over(known), "notified although all that it is about is closed"
            assert not [
                other
                for other in self.open.values()
                if other["group"] == known["group"] is not None
                and other["worst"] > known["worst"]
                and not other["taken"]
                and not self.over(other)
            ], "notified although a worse one of its group speaks for it"

    def over(self, alert: Json) -> bool:
        return bool(alert["about"]) and alert["about"] <= self.closed


def schedule(seed: int) -> Counter[str]:
    """One random schedule of alerts, with two copies of the controller that look at the same time."""
    chance, log, now = random.Random(seed), Log(), BEGIN
    names = ["db/slow", "db/full", "db/gone", "web", "disk"][: chance.randint(1, 5)]
    routes = {
        name: chance.sample(["human:ada", "agent:boss", "chan:ops"], 2)
        for name in escalation.SEVERITIES
    }
    chosen = policy(**({} if chance.random() < 0.3 else routes))
    works = [ids.mint(n << 16, bytes(8)) for n in range(1, 4)]
    seen = Counter[str]()

    def plan(events: Sequence[Event], when: int) -> Plan:
        return planned(events, when, chosen)

    def applied(act: Act) -> list[Event]:
        return [Log.add(scratch, escalate.draft(act), now)]

    for _ in range(chance.randint(3, 10)):
        now += chance.choice((1_000, 20_000, 5 * MINUTE, 16 * MINUTE, 70 * MINUTE))
        what = chance.random()
        if what < 0.5:
            refs: Json = (
                {"refs": {"work_id": chance.choice(works)}} if chance.random() < 0.5 else {}
            )
            to = {"to": ["human:ada"], "type": "msg.sent"} if chance.random() < 0.3 else {}
            log.raises(
                now, chance.choice(names), chance.choice(escalation.SEVERITIES), **refs, **to
            )
        elif what < 0.65 and (sent := [e for e in log.events if "to" in e]):
            log.acks(now, chance.choice(sent))
        elif what < 0.75:
            done = {"type": "work.closed", "refs": {"work_id": chance.choice(works)}, "body": {}}
            log.add(done, now)
        scratch = Log()
        scratch.events = list(log.events)
        controllers.check(plan, log.events, now, applied, chance)
        seen["looks"] += 1
        both = [plan(log.events, now), plan(log.events[:], now)]
        written = {event.get("idempotency_key") for event in log.events}
        for act in [act for each in both for act in each.acts]:
            if act.key not in written:  # as under the store's lock
                written.add(act.key)
                log.add(escalate.draft(act), now)
                seen[act.kind] += 1
    oracle = Oracle()
    for event in log.events:
        oracle.read(event)
    steps = Counter(
        (body["fingerprint"], body["episode"], body["level"], body["route"])
        for body in (e["body"] for e in log.events if e["type"] == "alert.notified")
    )
    assert all(count == 1 for count in steps.values())
    loud: dict[str, int] = {}
    for event in log.events:
        if event["type"] == "alert.notified":
            episode, level = event["body"]["episode"], escalation.rank(event["body"]["level"])
            assert level >= loud.get(episode, 0), "a level fell"
            loud[episode] = level
    return seen


def test_random_schedules_tell_each_step_once_and_nothing_that_somebody_took() -> None:
    seen = sum((schedule(seed) for seed in range(SCHEDULES)), Counter[str]())
    assert seen["notify"] > SCHEDULES
    assert seen["resolve"] > SCHEDULES / 20
