"""What a dispatcher plans: days of failing agents and stops, looked at in any order; and each rule alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import controllers
import pytest
from support import Json

from coord_agents import draft, fold
from coord_agents.dispatch.look import AGENT, Look
from coord_agents.dispatch.plan import Policy, Preset, plan
from coord_envelope import event as envelope
from coord_envelope import ids, world
from coord_envelope.event import Event
from coord_kernel.controller import Act, Plan
from coord_kernel.rules import claims, control, presence, trust
from coord_kernel.views.past import Snapshot
from coord_wk.items import Items

BEGIN = world.parse_ts("2026-06-01T09:00:00Z")
REPLICA = "3f9k2m8q"
MINUTE = 60_000


class Town:
    """The events of a store, and its clock."""

    def __init__(self, seed: int = 0) -> None:
        self.chance = random.Random(seed)
        self.now, self.stamp, self.seq = BEGIN, 0, 0
        self.events: list[Event] = []
        self.keys, self.printed = set[tuple[str, str]](), set[str]()
        self.closed: dict[str, tuple[int, str]] = {}

    def gate(self, agent: str, item: str, pool: str) -> tuple[int, str] | None:
        return self.closed.get(pool)

    def event(self, kind: str, by: str = "agent:boss", session: str = "", **fields: Any) -> Event:
        self.stamp, self.seq = ids.tick(self.stamp, self.now), self.seq + 1
        event_id = ids.mint(self.stamp, self.chance.randbytes(8))
        head = ("acme", f"{envelope.file_form(by)}~{REPLICA}", self.seq)
        actor = {"agent_id": by, **({"session_id": session} if session else {})}
        made = envelope.filled({"type": kind, "body": {}, **fields}, event_id)
        return envelope.build(made, event_id, self.now, head, actor)

    def add(self, kind: str, *args: Any, **fields: Any) -> Event:
        self.events.append(self.event(kind, *args, **fields))
        return self.events[-1]

    def item(self, **body: Any) -> str:
        refs, fields = {"work_id": envelope.SELF}, {"title": "t", "kind": "task", "priority": 2}
        return self.add("work.created", refs=refs, body=fields | body).id

    def ended(self, session: str, agent: str, how: str = "exit", **more: Any) -> None:
        self.add(**draft_fields(draft.ended(agent, session, how, "", **more)))

    def planned(self, policy: Policy, metered: bool = False) -> controllers.Planned:
        """The plan that events give: each look folds all of them again."""

        def look(events: Sequence[Event], now: int) -> Plan:
            ordered = sorted({event.id: event for event in events}.values(), key=lambda e: e.id)
            signs = Snapshot(presence, events)

            def shown(state: fold.Session) -> tuple[bool, bool]:
                own = signs.get(f"{REPLICA} {state['agent']} {state['session']}")
                return bool(own and own["signs"]), state["session"] in self.printed

            items = Items(Snapshot(Items.fold, ordered), now)
            found = Look(items, Snapshot(fold, events), Snapshot(control, events))
            names = dict.fromkeys((each.name for each in policy.presets), metered)
            seen = found.seen(names, {REPLICA}, shown, self.gate)
            return plan(seen, now, policy)

        return look

    def patrol(self) -> None:
        """Give back the claims of sessions that are over."""
        ordered = sorted(self.events, key=lambda event: event.id)
        items, sessions = Snapshot(Items.fold, ordered), Snapshot(fold, ordered)
        gone = {
            s["session"]
            for s in map(sessions.get, sessions.entities())
            if "starts" in s and fold.over(s)
        }
        for work in list(items.entities()):
            owner = claims.owner(items.get(work))
            if owner and owner["session"] in gone:
                body = {"claim": owner["id"], "reason": "forced"}
                self.add("work.released", "bridge:patrol", refs={"work_id": work}, body=body)

    def apply(self, act: Act) -> list[Event]:
        """The events that an act writes: nothing if its key is taken."""
        if act.kind == "start":
            work = act.about["item"]["id"]
            about = {"preset": act.about["preset"]}
            started = draft.started(act.about["agent"], f"s{self.seq}", about, work, act.key)
            if ("session.started", act.key) in self.keys:
                return []
            self.keys.add(("session.started", act.key))
            made = self.event(by=AGENT, **draft_fields(started))
            behalf = {"agent_id": act.about["agent"], "session_id": made["body"]["session"]}
            refs = {"work_id": work}
            return [
                made,
                self.event("work.claimed", AGENT, refs=refs, body={"gen": 1, "for": behalf}),
            ]
        if act.kind == "seen":
            flight = act.about["flight"]
            beat = {"body": {"status": "busy"}}
            return [self.event("agent.seen", flight["agent"], flight["session"], **beat)]
        if act.kind == "undo":
            flight = act.about["flight"]
            end = draft.ended(flight["agent"], flight["session"], "crash", "late")
            return [self.event(by=AGENT, **draft_fields(end))]
        item = act.about["item"]
        causes = [session for session, _ in item["failures"]]
        skipped = draft.skipped(item["id"], causes, self.event("a.b").id, act.key)
        refs = {"work_id": item["id"]}
        held = self.event("work.updated", AGENT, refs=refs, body={"set": {"hold": "failed"}})
        return [self.event(by=AGENT, **draft_fields(skipped)), held]


def draft_fields(made: Json) -> Json:
    return {("kind" if name == "type" else name): value for name, value in made.items()}


def policy(*presets: Preset, **settings: Any) -> Policy:
    made = Policy(presets or [Preset("stub")])
    for name, value in settings.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("seed", range(40))
def test_a_day_of_failing_agents_and_stops(seed: int) -> None:
    """Never over the most, never faster than the pause, nothing under a stop, and each rock is held once."""
    town = Town(seed)
    chance = town.chance
    rules = policy(
        Preset("stub"),
        Preset("other", ["rust"]),
        max=chance.randint(1, 4),
        delay=chance.choice((0, 5_000, 30_000)),
        kinds={"bug": 1},
    )
    look, last = town.planned(rules), 0
    stop: str | None = None
    for _ in range(60):
        now = town.now = town.now + chance.choice((0, 1_000, MINUTE, 10 * MINUTE))
        dice = chance.random()
        sessions = Snapshot(fold, town.events)
        flights = list(fold.opened(sessions))
        if dice < 0.3:
            needs = {"fields": {"needs": "rust"}} if chance.random() < 0.3 else {}
            town.item(kind=chance.choice(("task", "bug")), **needs)
        elif dice < 0.5 and flights:
            one = chance.choice(flights)
            work = fold.facts(one)["work"]
            if chance.random() < 0.4:
                closed = {"refs": {"work_id": work}, "body": {"resolution": "done"}}
                town.add("work.closed", one["agent"], one["session"], **closed)
            town.ended(one["session"], one["agent"], chance.choice(("exit", "crash", "handoff")))
        elif dice < 0.55 and flights:
            town.printed.add(chance.choice(flights)["session"])
        elif dice < 0.6 and flights:
            one = chance.choice(flights)
            town.add("agent.seen", one["agent"], one["session"], body={"status": "busy"})
        elif dice < 0.7:
            if stop:
                town.add("control.resumed", body={"stops": [stop]})
                stop = None
            else:
                stop = town.add("control.stopped", body={"scope": "all"}).id
        town.patrol()
        acts, town.events = controllers.check(look, town.events, now, town.apply, chance)
        started = [act for act in acts if act.kind == "start"]
        assert not (stop and acts)
        if started:
            assert last + rules.delay <= now or not last
            assert len(started) == 1 or not rules.delay
            last = now
        open_now = list(fold.opened(Snapshot(fold, town.events)))
        assert len(open_now) <= rules.max
        works = [fold.facts(each)["work"] for each in open_now]
        assert len(set(works)) == len(works)
        kinds = {event.id: event["body"].get("kind") for event in town.events}
        assert sum(kinds[work] == "bug" for work in works) <= 1
    skips = [event["idempotency_key"] for event in town.events if event["type"] == draft.SKIPPED]
    assert len(set(skips)) == len(skips)


def starts(plan_: Plan) -> list[tuple[str, str]]:
    return [(a.about["preset"], a.about["agent"]) for a in plan_.acts if a.kind == "start"]


def test_each_item_is_for_the_first_preset_that_can_do_it_and_has_room() -> None:
    town = Town()
    for needs in ("", "rust", "rust", "gpu", "other"):
        town.item(fields={"needs": needs} if needs else {})
    two = Preset("other", ["rust"])
    two.most = 2
    found = town.planned(policy(Preset("stub"), two, max=9, delay=0))(town.events, town.now)
    assert starts(found) == [
        ("stub", "agent:stub-1"),
        ("other", "agent:other-1"),
        ("other", "agent:other-2"),
    ]


def test_an_assigned_item_waits_for_its_agent_and_one_of_a_person_is_left() -> None:
    town = Town()
    for assignee in ("human:eve", "agent:ada", "agent:ada"):
        town.item(assignee=assignee)
    look = town.planned(policy(max=9, delay=0))
    assert starts(look(town.events, town.now)) == [("stub", "agent:ada")]


def test_no_agent_is_started_for_what_nobody_has_signed() -> None:
    town = Town()
    town.item()
    town.events[-1] = trust.demoted(town.events[-1])
    work = town.item()
    (act,) = town.planned(policy(max=9, delay=0))(town.events, town.now).acts
    assert act.about["item"]["id"] == work


def test_an_item_that_is_handed_over_goes_to_that_preset_and_has_not_failed() -> None:
    town = Town()
    work = town.item()
    look = town.planned(policy(Preset("stub"), Preset("other"), delay=0))
    (act,) = look(town.events, town.now).acts
    town.events += town.apply(act)
    started, claimed = town.events[-2:]
    handed = {"claim": claimed.id, "reason": "handoff"}
    town.add("work.released", "agent:stub-1", refs={"work_id": work}, body=handed)
    assigned = {"set": {"assignee": "agent:other-1"}}
    town.add("work.updated", refs={"work_id": work}, body=assigned)
    town.ended(started["body"]["session"], "agent:stub-1", "exit")
    assert starts(look(town.events, town.now)) == [("other", "agent:other-1")]


def test_what_is_stopped_or_quarantined_is_passed_over() -> None:
    town = Town()
    town.item(labels=["risky"])
    town.item()
    town.add("control.stopped", body={"scope": "label:risky"})
    town.add("control.stopped", body={"scope": "agent:stub-1"})
    quarantine = {"kind": "agent", "name": "agent:stub-2", "why": "died", "causes": []}
    town.add("patrol.quarantined", body=quarantine)
    look = town.planned(policy(max=9, delay=0))
    assert starts(look(town.events, town.now)) == [("stub", "agent:stub-3")]


def test_an_item_that_failed_waits_twice_as_long_each_time_and_then_for_a_person() -> None:
    town = Town()
    work = town.item()
    look, waits = town.planned(policy(delay=0, failures=3)), []
    for n in range(3):
        (act,) = look(town.events, town.now).acts
        assert (act.kind, act.key) == ("start", f"start:{work}:{n}")
        (started, claimed) = town.apply(act)
        town.events += [started, claimed]
        town.ended(started["body"]["session"], "agent:stub-1", "exit")
        town.patrol()
        wake = look(town.events, town.now).wake
        waits.append(wake and (wake - town.now) // MINUTE)
        town.now = wake or town.now
    assert waits == [1, 2, None]
    (skip,) = look(town.events, town.now).acts
    assert (skip.kind, skip.key) == ("skip", f"skip:{work}:")
    town.events += town.apply(skip)
    assert look(town.events, town.now).acts == []
    cleared = town.add("mountain.cleared", refs={"work_id": work})
    town.add("work.updated", refs={"work_id": work}, body={"set": {"hold": None}})
    (act,) = look(town.events, town.now).acts
    assert act.key == f"start:{work}:3"
    assert act.about["item"]["cleared"] == cleared.id


def test_what_a_person_stopped_or_was_handed_over_is_no_failure() -> None:
    town = Town()
    work = town.item()
    look = town.planned(policy(delay=0))
    for how, more in (("stopped", {"by": "human:eve"}), ("handoff", {})):
        (act,) = look(town.events, town.now).acts
        town.events += town.apply(act)
        session = town.events[-2]["body"]["session"]
        town.ended(session, "agent:stub-1", "stopped")  # as its job writes it
        town.ended(session, "agent:stub-1", how, **more)
        town.patrol()
    (act,) = look(town.events, town.now).acts
    assert (act.kind, act.about["item"]["id"], act.about["item"]["failures"]) == ("start", work, [])


def test_where_a_budget_is_spent_the_next_preset_is_taken_or_it_waits_until_then() -> None:
    town = Town()
    town.item()
    until = BEGIN + 60 * MINUTE
    town.closed["stub"] = until, "pool:stub: limited by its provider"
    found = town.planned(policy())(town.events, town.now)
    assert (found.acts, found.wake) == ([], until)
    both = policy(Preset("stub"), Preset("other"))
    assert starts(town.planned(both)(town.events, town.now)) == [("other", "agent:other-1")]


def test_what_a_session_used_is_reported_once_it_is_over() -> None:
    town = Town()
    work = town.item()
    look = town.planned(policy(), metered=True)
    (act,) = look(town.events, town.now).acts
    town.events += town.apply(act)
    session, run = town.events[-2]["body"]["session"], "01KF4QBCFS000DHT52RH6PKMCY"
    about = {"agent": "agent:stub-1", "session": session}
    town.add("session.started", AGENT, body={**about, "run": run})
    assert look(town.events, town.now).acts == []
    town.ended(session, "agent:stub-1", "exit")
    town.add("work.closed", refs={"work_id": work}, body={"resolution": "done"})
    (act,) = look(town.events, town.now).acts
    assert (act.kind, act.key) == ("report", f"usage:{run}")
    town.add("usage.reported", AGENT, refs={"run_id": run}, body=about)
    assert look(town.events, town.now).acts == []


def test_the_answer_of_a_person_is_done_once() -> None:
    town = Town()
    work, asked = town.item(), town.item(kind="question")
    for item in (work, asked):
        town.add("work.updated", refs={"work_id": item}, body={"set": {"hold": "x"}})
    said = draft.skipped(work, ["s1"], asked, "skip")
    town.add(**draft_fields(said))
    look = town.planned(policy())
    assert look(town.events, town.now).acts == []
    answered = {"resolution": "done", "answer": "retry"}
    town.add("work.closed", "human:eve", refs={"work_id": asked}, body=answered)
    (act,) = look(town.events, town.now).acts
    assert (act.kind, act.key) == ("answer", f"answer:{asked}")
    assert act.about["answer"] == {"work": work, "question": asked, "option": "retry"}
    town.add(**draft_fields(draft.cleared(work)))
    assert look(town.events, town.now).acts == []


def test_with_nothing_ready_it_sleeps_until_an_event() -> None:
    found = Town().planned(policy())([], BEGIN)
    assert (found.acts, found.wake) == ([], None)
