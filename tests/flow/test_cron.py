"""coord-cron: each time once, however many of it run, and whatever was missed."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import controllers
import pytest
from support import Json, Shell

from coord_cron import fold
from coord_cron.cron import drafted
from coord_cron.plan import Known, plan
from coord_cron.schedule import Schedule
from coord_cron.source import load
from coord_envelope import BadData, ids, world
from coord_envelope import event as envelope
from coord_envelope.event import Event
from coord_kernel.controller import Act, Plan
from coord_kernel.rules import control
from coord_kernel.views.past import Snapshot

MINUTE = 60_000
BEGIN = world.parse_ts("2026-06-01T09:00:30Z")


def ms(text: str) -> int:
    return world.parse_ts(text)


class Town:
    """The events of a store, and its clock."""

    def __init__(self, *schedules: Schedule, seed: int = 0) -> None:
        self.schedules, self.chance = schedules, random.Random(seed)
        self.now, self.stamp, self.seq = BEGIN, 0, 0
        self.events: list[Event] = []

    def event(self, type: str, **fields: Any) -> Event:
        self.stamp, self.seq = ids.tick(self.stamp, self.now), self.seq + 1
        event_id = ids.mint(self.stamp, self.chance.randbytes(8))
        made = envelope.filled({"type": type, "body": {}, **fields}, event_id)
        head = ("acme", "bridge.cron~3f9k2m8q", self.seq)
        return envelope.build(made, event_id, self.now, head, {"agent_id": "bridge:cron"})

    def planned(self, events: Sequence[Event], now: int) -> Plan:
        ordered = sorted({event.id: event for event in events}.values(), key=lambda e: e.id)
        fired = Snapshot(fold, events)
        stops = Snapshot(control, ordered).get(control.ENTITY) or control.nothing()
        keys = {event.get("idempotency_key") for event in events if event["type"] == "cron.fired"}
        return plan(self.schedules, Known(fired.get, keys.__contains__), stops, now)

    def apply(self, act: Act) -> list[Event]:
        return [self.event(**drafted(act))]

    def turn(self) -> list[Json]:
        """The bodies of what is fired now."""
        done, self.events = controllers.check(
            self.planned, self.events, self.now, self.apply, self.chance
        )
        return [drafted(act)["body"] for act in done if act.kind == "fire"]


def every(span: int, jitter: int = 0) -> Schedule:
    schedule = Schedule("pulse")
    schedule.every, schedule.jitter = span, jitter
    return schedule


def cron(expression: str, zone: str = "UTC", jitter: int = 0) -> Schedule:
    from zoneinfo import ZoneInfo

    schedule = Schedule("nightly")
    schedule.cron, schedule.jitter = expression, jitter
    schedule.zone, schedule.zoned = zone, ZoneInfo(zone)
    return schedule


def test_an_interval_is_fired_at_its_multiples() -> None:
    town = Town(every(10 * MINUTE))
    assert town.turn() == [], "no time before it was armed counts"
    town.now = ms("2026-06-01T09:10:00Z")
    assert town.turn() == [{"name": "pulse", "at": "2026-06-01T09:10:00.000Z"}]
    assert town.turn() == []


def test_of_missed_times_the_last_is_fired_once() -> None:
    town = Town(every(10 * MINUTE))
    town.turn()
    town.now = ms("2026-06-01T10:05:00Z")
    assert town.turn() == [{"name": "pulse", "at": "2026-06-01T10:00:00.000Z", "missed": 5}]
    assert town.turn() == []
    town.now += 400 * 86_400_000
    (fired,) = town.turn()
    assert fired["missed"] == 1_000, "no more are counted"


def test_a_schedule_that_is_written_differently_begins_to_count_then() -> None:
    town = Town(every(10 * MINUTE))
    town.turn()
    town.now = ms("2026-06-01T12:01:00Z")
    town.schedules = (every(60 * MINUTE),)
    assert town.turn() == []
    town.now = ms("2026-06-01T13:00:00Z")
    assert town.turn() == [{"name": "pulse", "at": "2026-06-01T13:00:00.000Z"}]


def test_a_long_schedule_that_is_written_differently_is_armed_again() -> None:
    """The two differ behind what a key has room for."""
    minutes, hours, days = (",".join(map(str, range(1, end))) for end in (60, 24, 32))
    first, second = (cron(f"{minutes} {hours} {days} * {day}") for day in ("1", "2"))
    town = Town(first)
    town.turn()
    assert [act.kind for act in town.planned(town.events, town.now).acts] == []
    town.schedules = (second,)
    town.turn()
    armed = [event for event in town.events if event["type"] == "cron.armed"]
    assert {event["body"]["spec"] for event in armed} == {first.spec, second.spec}
    assert len({event["idempotency_key"] for event in armed}) == 2
    assert all(len(event["idempotency_key"]) == 256 for event in armed)


def test_a_clock_that_was_years_ahead_is_forgotten_when_it_is_right_again() -> None:
    town = Town(every(10 * MINUTE))
    town.turn()
    town.now = ms("2030-01-01T00:00:00Z")
    assert [body["at"] for body in town.turn()] == ["2030-01-01T00:00:00.000Z"]
    for at, missed in (("09:10", 0), ("09:40", 2), ("09:50", 0)):
        town.now = ms(f"2026-06-01T{at}:01Z")
        (fired,) = town.turn()
        assert (fired["at"][11:16], fired.get("missed", 0)) == (at, missed)
        assert town.planned(town.events, town.now).acts == []
    town.now = ms("2029-12-31T23:50:00Z")
    town.turn()
    town.now = ms("2030-01-01T00:00:01Z")
    assert town.turn() == [], "this one was fired"


def test_a_schedule_that_was_armed_years_ahead_counts_from_now() -> None:
    town = Town(every(10 * MINUTE))
    town.now = ms("2030-01-01T00:00:00Z")
    town.turn()
    town.now = BEGIN
    assert town.turn() == []
    town.now += 10 * MINUTE
    assert [body["at"] for body in town.turn()] == ["2026-06-01T09:10:00.000Z"]


def test_nothing_is_fired_under_a_stop_and_the_last_time_after_it() -> None:
    town = Town(every(10 * MINUTE))
    town.turn()
    stop = town.event("control.stopped", body={"scope": "all"})
    town.events.append(stop)
    town.now = ms("2026-06-01T09:45:00Z")
    assert town.turn() == []
    town.events.append(town.event("control.resumed", body={"stops": [stop.id]}))
    assert [body["at"] for body in town.turn()] == ["2026-06-01T09:40:00.000Z"]


def test_a_cron_expression_has_the_times_of_its_zone() -> None:
    """Of Berlin: in March an hour is left out, in October one comes twice."""
    schedule = cron("30 2 * * *", "Europe/Berlin")
    begin = ms("2026-03-27T12:00:00Z")
    times = [at for at, _ in zip(schedule.times(begin), range(4), strict=False)]
    assert [world.format_ts(at)[:16] for at in times] == [
        *("2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30", "2026-03-31T00:30"),
    ]
    autumn = schedule.times(ms("2026-10-24T12:00:00Z"))
    assert [world.format_ts(next(autumn))[:16] for _ in range(2)] == [
        *("2026-10-25T00:30", "2026-10-26T01:30"),
    ]


@pytest.mark.parametrize(
    "schedule",
    [
        every(7 * MINUTE),
        every(10 * MINUTE, 9 * MINUTE),
        every(MINUTE, 60 * MINUTE),
        cron("*/15 9-17 * * 1-5", "Europe/Berlin"),
        cron("0,1,2 3 * * *", jitter=30 * MINUTE),
    ],
    ids=lambda schedule: schedule.spec,
)
def test_days_of_a_schedule(schedule: Schedule) -> None:
    """Looked at at random times: each time once at most, in order, none too early or before its jitter."""
    town = Town(schedule, seed=7)
    fired: list[int] = []
    for _ in range(60):
        for body in town.turn():
            at = ms(body["at"])
            assert schedule.due(at) <= town.now
            assert at <= town.now < at + 400 * 86_400_000
            between = sum(1 for _ in _until(schedule, max(fired, default=BEGIN), at))
            assert body.get("missed", 0) == between
            fired.append(at)
        wake = town.planned(town.events, town.now).wake
        assert wake is not None
        town.now = max(wake, town.now + 1) if town.chance.random() < 0.7 else town.now + 90 * MINUTE
    assert fired == sorted(set(fired))
    assert len(fired) > 20


def _until(schedule: Schedule, begin: int, end: int) -> Any:
    for at in schedule.times(begin):
        if at >= end:
            return
        yield at


BAD = {
    "": "has no schedule",
    "x = 1": "x: is not a table",
    "[x]": "x: needs one of every and cron",
    '[x]\nevery = "1h"\ncron = "* * * * *"': "x: needs one of every and cron",
    '[x]\nevery = "1h"\nat = 3': "x: unsupported key 'at'",
    '[x]\nevery = "often"': "not a valid time",
    '[x]\ncron = "often"': "not a cron expression",
    '[x]\ncron = "* * * * *"\nzone = "Mars"': "not a time zone",
    '[x]\nevery = "1h"\nzone = "UTC"': "zone is for cron only",
    '[x]\nevery = "1h"\n[x.body]\nat = 1': "not a valid body",
    '[x]\nevery = "1h"\n"a\\u001b" = 3': "x: unsupported key 'a.u.1b.'",
    '[x]\ncron = "0 * * * * *"': "not five fields",
    "[x]\ncron = 3": "not a cron expression",
    f'[x]\ncron = "{",".join(["1"] * 300)} * * * *"': "more than 500 characters",
    '[x]\nevery = "1h"\nbody.on = 2026-06-01': "x: body: holds a date or a time",
    '[x]\nevery = "1h"\nbody.at_least = nan': "x: body: holds nan or inf",
    f'[x]\nevery = "1h"\nbody.a{".a" * 200} = 1': "x: body: nested more than 128 deep",
    f'[x]\nevery = "1h"\nbody.a = "{"a" * 65_000}"': "x: body: the event has 6",
    f'[x]\nevery = "1h"\nbody.a = "AKIA{"A" * 16}"': "x: body: holds what looks like a credential",
    f"x = {'[' * 5_000}": "nested too deeply",
    "[": "not valid TOML",
}


@pytest.mark.parametrize("text", BAD)
def test_a_file_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "cron.toml").write_text(text)
    with pytest.raises(BadData, match=BAD[text].replace("'", ".")):
        load(str(tmp_path / "cron.toml"))


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    """Nothing is waited for."""
    os.mkfifo(tmp_path / "fifo")
    for name, what in (("fifo", "not a regular"), ("", "not a regular"), ("no", "no such file")):
        with pytest.raises(BadData, match=what):
            load(str(tmp_path / name))


@pytest.fixture
def schedules(shell: Shell) -> Shell:
    text = (
        '[nightly]\ncron = "0 3 * * *"\n[nightly.body]\nwhat = "backup"\n[pulse]\nevery = "10m"\n'
    )
    (shell.cwd / "cron.toml").write_text(text)
    shell("coord-cron run cron.toml --once", COORD_NOW="2026-06-01T02:55:00Z")
    return shell


def test_several_at_once_fire_each_time_once(schedules: Shell) -> None:
    schedules.env["COORD_NOW"] = "2026-06-01T03:00:00Z"
    both = [schedules.popen("coord-cron run cron.toml --once") for _ in range(3)]
    assert [process.wait() for process in both] == [0, 0, 0]
    fired = schedules("ev replay --type cron.fired").lines
    assert sorted(event["body"]["name"] for event in fired) == ["nightly", "pulse"]
    assert schedules("coord-cron run cron.toml --once").lines == []
    assert schedules("coord-cron run cron.toml --dry-run").lines == []


def test_a_consumer_matches_a_schedule_by_its_fields(schedules: Shell) -> None:
    (schedules.cwd / "c.toml").write_text(
        'name = "backup"\n[match]\ntypes = ["cron.fired"]\nwhere = { name = "nightly" }\n'
        '[run]\nargv = ["sh", "-c", "echo $0 >>ran", "{{body.what}}"]\n'
    )
    schedules("coord-cron run cron.toml --once", COORD_NOW="2026-06-01T03:00:00Z")
    schedules.env["COORD_NOW"] = "2026-06-01T03:00:01Z"
    for _ in range(2):
        schedules("ev consume c.toml --once")
    ran = [path.read_text() for path in schedules.cwd.rglob("ran")]
    assert ran == ["backup\n"]


def test_a_singleton_by_a_lease(schedules: Shell) -> None:
    """The second waits for the first; when that dies, it goes on."""
    run = "lease with env:cron -- coord-cron run cron.toml"
    schedules.env["COORD_NOW"] = "2026-06-01T03:00:00Z"
    with schedules.popen(run, stdout=subprocess.PIPE) as first:
        assert first.stdout
        assert b"cron.fired" in first.stdout.readline()
        refused = schedules(f"{run} --once", expect=None)
        assert refused.status == 75
        first.terminate()
        first.wait()
    assert schedules(f"{run} --once").lines == []


def test_the_next_times_are_printed(schedules: Shell) -> None:
    rows = schedules("coord-cron next cron.toml -n 2", COORD_NOW="2026-06-01T02:50:00Z").lines
    assert rows == [
        {"at": "2026-06-01T03:00:00.000Z", "name": "nightly"},
        {"at": "2026-06-01T03:00:00.000Z", "name": "pulse"},
    ]


def test_an_event_of_a_schedule_is_as_the_spec_says_whoever_emits_it(shell: Shell) -> None:
    said = shell("ev emit cron.fired name=nightly", expect=65).err
    assert "'at' is a required property; see cron.fired in spec/userland.md" in said
    shell("ev emit cron.fired name=nightly at=2026-06-01T03:00:00.000Z")
    shell("ev emit cron.skipped name=nightly")
