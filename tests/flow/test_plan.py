"""What the controller of flows plans: days of steps, gates, answers, checks, convoys and stops, in any order of events."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import controllers
import pytest
from support import Json

from coord_envelope import event as envelope
from coord_envelope import ids, world
from coord_envelope.event import Event
from coord_flow import gates
from coord_flow.flow import fits
from coord_flow.look import AGENT, Look, World
from coord_flow.plan import convoys, plan
from coord_kernel.controller import Act, Plan
from coord_kernel.rules import control
from coord_kernel.views.past import Snapshot
from coord_run.jobs import Jobs
from coord_wk.items import Items

BEGIN = world.parse_ts("2026-06-01T09:00:00Z")
REPLICA = "3f9k2m8q"
MINUTE = 60_000


class Town:
    """The events of a store, and its clock."""

    def __init__(self, seed: int = 0, replica: str = REPLICA) -> None:
        self.chance, self.replica = random.Random(seed), replica
        self.now, self.stamp, self.seq = BEGIN, 0, 0
        self.events: list[Event] = []

    def event(self, kind: str, by: str = "agent:boss", **fields: Any) -> Event:
        self.stamp, self.seq = ids.tick(self.stamp, self.now), self.seq + 1
        event_id = ids.mint(self.stamp, self.chance.randbytes(8))
        head = ("acme", f"{envelope.file_form(by)}~{self.replica}", self.seq)
        made = envelope.filled({"type": kind, "body": {}, **fields}, event_id)
        return envelope.build(made, event_id, self.now, head, {"agent_id": by})

    def add(self, kind: str, *args: Any, **fields: Any) -> Event:
        self.events.append(self.event(kind, *args, **fields))
        return self.events[-1]

    def item(self, **body: Any) -> str:
        refs, fields = {"work_id": envelope.SELF}, {"title": "t", "kind": "task"}
        return self.add("work.created", refs=refs, body=fields | body).id

    def gate(self, kind: str, *after: str, **fields: Any) -> str:
        """A gate; the first of `after` is the step that it is behind, if it is behind one."""
        deps = [{"rel": "blocked_by", "to": item} for item in after]
        named = {f"gate.{name}": value for name, value in fields.items()}
        return self.item(kind="gate", deps=deps, fields={"gate": kind, **named})

    def step(self, name: str = "s", **more: Any) -> str:
        return self.item(fields={"step": name, **more})

    def close(self, item: str, how: str = "done", by: str = "agent:boss", **body: Any) -> Event:
        refs = {"work_id": item}
        base = {"base": self.heads(item)}
        return self.add("work.closed", by, refs=refs, body={"resolution": how, **body}, **base)

    def heads(self, item: str) -> list[str]:
        refs = [e for e in self.events if e.get("refs", {}).get("work_id", e.id) == item]
        return [refs[-1].id] if refs else []

    def items(self, events: Sequence[Event] | None = None) -> Items:
        ordered = sorted(events or self.events, key=lambda event: event.id)
        return Items(Snapshot(Items.fold, ordered), self.now)

    def planned(
        self, events: Sequence[Event], now: int, convoys: Sequence[str] | None = None
    ) -> Plan:
        """The plan that events give: each look folds all of them again."""
        ordered = sorted({event.id: event for event in events}.values(), key=lambda e: e.id)
        keys = {(e["type"], e.get("idempotency_key")) for e in ordered}
        by_id = {event.id: event for event in ordered}
        source = Snapshot(Items.fold, ordered)
        items, jobs = Items(source, now), Jobs(Snapshot(Jobs.fold, ordered), now)

        def matched(item: str, fields: Json) -> str:
            wanted = {**fields, "since": by_id[item]["ts"]}
            return next((event.id for event in ordered if fits(event, wanted)), "")

        seen = World(lambda kind, key: (kind, key) in keys, matched, lambda *_: None)
        seen.programs, seen.own = True, {self.replica}
        seen.replica = lambda event: by_id[event]["writer"].rpartition("~")[2]
        stops = Snapshot(control, ordered).get(control.ENTITY) or control.nothing()
        return plan(Look(items, jobs, source, seen).seen(stops, convoys), now)

    def plan(self) -> Plan:
        return self.planned(self.events, self.now)

    def kinds(self) -> list[str]:
        return sorted(act.kind for act in self.plan().acts)

    def apply(self, act: Act) -> list[Event]:
        """The events that an act writes."""
        return list(self._written(act))

    def run(self) -> list[str]:
        """Do what is planned; the kinds of the acts."""
        done = []
        for act in self.plan().acts:
            self.events += self.apply(act)
            done.append(act.kind)
        return done

    def _written(self, act: Act) -> Any:
        about, key = act.about, {"idempotency_key": act.key}

        def change(verb: str, item: str, **body: Any) -> Event:
            base = {"base": self.heads(item)}
            return self.event(
                f"work.{verb}", AGENT, refs={"work_id": item}, body=body, **base, **key
            )

        if act.kind == "open":
            how = about["resolution"] or "done"
            yield change("closed", about["item"], resolution=how, note=about["note"])
        elif act.kind == "hold":
            held = {"hold": about["why"], "fields.gate.held": act.key.rpartition(":")[2]}
            yield change("updated", about["item"], set=held)
        elif act.kind == "defer":
            yield change("updated", about["item"], set={"defer_until": about["until"]})
        elif act.kind == "ask":
            options = list(about["options"]) or ["yes", "no"]
            body = {"title": "?", "kind": "question", "question": {"options": options}}
            fields: Json = {"refs": {"work_id": envelope.SELF}, "to": ["human:eve"], "body": body}
            asked = self.event("work.created", AGENT, **fields, **key)
            yield asked
            gate = about["gate"]["id"]
            yield change("updated", gate, add={"deps": [{"rel": "blocked_by", "to": asked.id}]})
        elif act.kind == "try":
            refs = {"work_id": about["gate"]["id"]}
            yield self.event("run.requested", AGENT, refs=refs, body={"argv": ["x"]}, **key)
        elif act.kind == "again":
            yield change("reopened", about["item"], reason=about["why"])
            yield change("updated", about["gate"], set={"fields.gate.attempt": about["attempt"]})
        elif act.kind == "land":
            convoy = about["convoy"]
            if not convoy["event"]:
                yield change("closed", convoy["id"], resolution="done")
            yield self.event("convoy.landed", AGENT, refs={"work_id": convoy["id"]}, **key)
        elif act.kind == "reopen":
            yield change("reopened", about["item"], reason=about["why"])
        elif act.kind in ("close", "squash"):
            yield change("closed", about["item"], resolution="done")
        elif act.kind == "late":
            yield self.event("flow.late", AGENT, refs={"work_id": about["item"]}, **key)

    def answer(self, question: str, option: str) -> None:
        self.close(question, by="human:eve", answer=option)

    def asked(self) -> str:
        """The question that is open."""
        items = self.items()
        (found,) = (item for item in items.urgent(["kind question"]))
        return str(found)

    def ended(self, code: int, outcome: str = "exit") -> None:
        """The last job that was requested is over."""
        last = [event for event in self.events if event["type"] == "run.requested"][-1]
        refs = {"run_id": last.id}
        claim = self.add("run.claimed", refs=refs, body={"gen": 1})
        body = {"claim": claim.id, "attempt": 1, "outcome": outcome, "code": code, "dur_ms": 1}
        self.add("run.completed", refs=refs, body=body)

    def status(self, item: str) -> str:
        return self.items().status(item)


def test_a_person_opens_a_gate_or_holds_it() -> None:
    town = Town()
    step = town.step()
    gate = town.gate("human", step)
    assert town.kinds() == []
    town.close(step)
    assert town.run() == ["ask"]
    assert town.kinds() == []
    town.answer(town.asked(), "no")
    assert town.run() == ["hold"]
    assert (town.status(gate), town.kinds()) == ("held", [])
    refs = {"work_id": gate}
    town.add("work.updated", refs=refs, base=town.heads(gate), body={"set": {"hold": None}})
    assert town.run() == ["ask"], "it is asked again, once somebody takes it off hold"
    town.answer(town.asked(), "yes")
    assert town.run() == ["open"]
    assert (town.status(gate), town.kinds()) == ("done", [])


def test_a_question_that_was_withdrawn_is_asked_again() -> None:
    town = Town()
    town.gate("human")
    town.run()
    town.close(town.asked(), "cancelled")
    assert town.run() == ["ask"]


def test_a_timer_runs_from_when_its_step_could_begin() -> None:
    town = Town()
    step = town.step()
    gate = town.gate("timer", step, timeout="1h")
    town.now += 90 * MINUTE
    town.close(step)
    assert town.run() == ["defer"]
    assert town.plan().wake == town.now + 60 * MINUTE
    town.now += 60 * MINUTE - 1
    assert town.kinds() == []
    town.now += 1
    assert town.run() == ["open"]
    assert town.status(gate) == "done"


def test_an_event_opens_a_gate_if_it_came_since_the_gate_was_made() -> None:
    town = Town()
    town.add("ci.passed", body={"branch": "main"})
    town.now += 1
    gate = town.gate("event", id="ci.*", **{"where.branch": "main"})
    for kind, branch in (("ci.passed", "dev"), ("cd.passed", "main")):
        town.add(kind, body={"branch": branch})
    assert town.kinds() == []
    town.add("ci.passed", body={"branch": "main"})
    assert town.run() == ["open"]
    assert town.status(gate) == "done"


def test_a_program_is_tried_until_it_exits_0() -> None:
    town = Town()
    gate = town.gate("command", id="green", every="10m", timeout="15m")
    assert town.run() == ["try"]
    assert town.kinds() == []
    town.ended(1)
    assert town.plan().wake == town.now + 10 * MINUTE
    town.now += 10 * MINUTE
    assert town.run() == ["try"]
    town.ended(127)
    town.now += 5 * MINUTE
    assert town.run() == ["late"], "mail, once"
    town.now += 5 * MINUTE
    assert town.run() == ["try"]
    town.ended(0)
    assert town.run() == ["open"]
    assert town.status(gate) == "done"


def test_a_check_opens_the_step_again_until_it_passes() -> None:
    town = Town()
    step = town.step("s")
    gate = town.gate("check", step, of="s", most=3, id="verify")
    for attempt in (1, 2):
        town.close(step)
        assert town.run() == ["try"]
        town.ended(1)
        assert town.run() == ["again"]
        assert (town.status(step), town.kinds()) == ("ready", []), attempt
    town.close(step)
    town.run()
    town.ended(0)
    assert town.run() == ["open"]
    assert town.status(gate) == "done"


@pytest.mark.parametrize("answer", ["retry", "accept", "stop"])
def test_when_attempts_are_used_up_a_person_decides(answer: str) -> None:
    town = Town()
    step = town.step("s")
    gate = town.gate("retry", step, of="s", most=2)
    town.close(step, "wontfix")
    assert town.run() == ["again"]
    town.close(step, "wontfix")
    assert town.run() == ["ask"]
    assert town.status(gate) == "blocked", "what needs the step waits"
    town.answer(town.asked(), answer)
    assert town.run() == [{"retry": "again", "accept": "open", "stop": "hold"}[answer]]
    assert town.kinds() == []
    if answer == "retry":
        town.close(step, "wontfix")
        assert town.run() == ["again"], "its attempts are counted from the beginning"


def test_what_may_fail_softly_goes_on_without_a_person() -> None:
    town = Town()
    step = town.step("s")
    gate = town.gate("retry", step, of="s", most=1, on_exhausted="soft_fail")
    town.close(step, "wontfix")
    assert town.run() == ["open"]
    assert town.status(gate) == "wontfix"


def test_a_check_that_cannot_start_is_nobodys_fault() -> None:
    town = Town()
    step = town.step("s")
    gate = town.gate("check", step, of="s", most=2, id="verify")
    town.close(step)
    town.run()
    town.ended(127)
    assert town.run() == ["hold"]
    assert town.status(step) == "done"
    refs = {"work_id": gate}
    town.add("work.updated", refs=refs, base=town.heads(gate), body={"set": {"hold": None}})
    assert town.run() == ["try"]
    town.ended(0)
    assert town.run() == ["open"]


def test_what_a_person_drops_is_dropped() -> None:
    town = Town()
    step = town.step("s")
    gate = town.gate("check", step, of="s", most=2, id="verify")
    town.close(step, "cancelled")
    assert town.run() == ["open"]
    assert town.status(gate) == "cancelled"


def test_a_step_that_takes_longer_than_it_may_is_mail_once() -> None:
    town = Town()
    step = town.step("s", timeout="10m")
    assert town.kinds() == []
    town.add("work.claimed", refs={"work_id": step}, body={"gen": 1})
    assert town.plan().wake == town.now + 10 * MINUTE
    town.now += 10 * MINUTE
    assert town.run() == ["late"]
    assert town.kinds() == []


def convoy(town: Town, *members: str) -> str:
    deps = [{"rel": "blocked_by", "to": member} for member in members]
    return town.item(kind="epic", labels=["convoy"], deps=deps)


def test_a_convoy_lands_once_and_a_new_member_opens_it_again() -> None:
    town = Town()
    first, second = town.item(), town.item()
    goal = convoy(town, first, second)
    town.close(first)
    assert town.kinds() == []
    town.close(second, "cancelled")
    assert town.run() == ["land"]
    assert (town.status(goal), town.kinds()) == ("done", [])
    third = town.item()
    added = {"deps": [{"rel": "blocked_by", "to": third}]}
    town.add("work.updated", refs={"work_id": goal}, base=town.heads(goal), body={"add": added})
    assert town.run() == ["reopen"]
    town.close(third)
    assert town.run() == ["land"]
    landed = [event for event in town.events if event["type"] == "convoy.landed"]
    assert len({event["idempotency_key"] for event in landed}) == 2


def test_a_member_that_is_opened_again_opens_its_convoy() -> None:
    town = Town()
    member = town.item()
    convoy(town, member)
    town.close(member)
    town.run()
    town.add("work.reopened", refs={"work_id": member}, base=town.heads(member))
    assert town.run() == ["reopen"]
    assert town.kinds() == []


def test_a_convoy_that_somebody_else_closed_is_announced_and_one_that_was_dropped_is_not() -> None:
    town = Town()
    member = town.item()
    goal, dropped = convoy(town, member), convoy(town, member)
    empty = convoy(town)
    town.close(member)
    town.close(goal)
    town.close(dropped, "cancelled")
    assert town.run() == ["land"]
    assert town.status(empty) == "ready"


def test_the_close_of_another_store_is_announced_there() -> None:
    town = Town()
    member = town.item()
    goal = convoy(town, member)
    town.close(member)
    town.replica = "9f9k2m8q"
    town.close(goal)
    town.replica = REPLICA
    assert town.kinds() == []


def test_a_root_is_closed_with_its_last_part_and_a_wisp_is_squashed() -> None:
    for labels, how in ((["mol"], "close"), (["wisp"], "squash")):
        town = Town()
        root = town.item(kind="molecule", labels=labels, fields={"formula": "f"})
        part = town.item(parent=root)
        assert town.kinds() == []
        town.close(part)
        assert town.run() == [how]
        assert town.kinds() == []


def test_nothing_is_planned_under_a_stop() -> None:
    town = Town()
    town.gate("human")
    stop = town.add("control.stopped", body={"scope": "all"})
    assert town.kinds() == []
    town.add("control.resumed", body={"stops": [stop.id]})
    assert town.kinds() == ["ask"]


def turned(town: Town) -> list[str]:
    """One turn, as the loop does it: what acts lead to, too. The keys of what was done."""
    done = list[str]()
    while acts := town.plan().acts:
        shuffled = town.chance.sample(town.events, k=len(town.events))
        assert controllers.keys(town.planned(shuffled, town.now)) == sorted(a.key for a in acts)
        for act in acts:
            narrow = town.planned(town.events, town.now, convoys(act))
            assert narrow.has(act) == town.plan().has(act), "one convoy tells as much as all"
            if narrow.has(act):
                town.events += town.apply(act)
                done.append(act.key)
    return done


@pytest.mark.parametrize("seed", range(8))
def test_days_of_flows(seed: int) -> None:
    """Whatever happens in any order: no act twice, none before its time, nothing left to do after acting."""
    town = Town(seed)
    chance = town.chance
    steps = [town.step(f"s{n}", **({"timeout": "20m"} if n % 2 else {})) for n in range(4)]
    town.gate("human", steps[0])
    town.gate("timer", steps[1], timeout="30m")
    town.gate("event", steps[0], id="ci.passed", timeout="15m")
    town.gate("command", steps[1], id="x", every="5m", timeout="1h")
    behind = town.gate("check", steps[2], of="s2", most=2, id="y")
    goal = convoy(town, *steps, behind, town.gate("retry", steps[3], of="s3", most=2))
    acts, stops = set[str](), list[str]()
    for _ in range(25):
        town.now += chance.choice((1, 1, 5, 20)) * MINUTE
        items, what = town.items(), chance.random()
        opened = [item for item in items.everything() if items.is_open(item)]
        if what < 0.3:
            free = [item for item in steps if item in opened]
            if free:
                town.close(chance.choice(free), chance.choice(("done", "done", "wontfix")))
        elif what < 0.45:
            for question in items.urgent(["kind question"]):
                options = items.row(question)["options"]
                town.answer(question, chance.choice(options))
        elif what < 0.6:
            if any(event["type"] == "run.requested" for event in town.events):
                town.ended(chance.choice((0, 1, 127)))
        elif what < 0.7:
            town.add("ci.passed")
        elif what < 0.75:
            new = town.item()
            added = {"deps": [{"rel": "blocked_by", "to": new}]}
            refs = {"work_id": goal}
            town.add("work.updated", refs=refs, base=town.heads(goal), body={"add": added})
            steps.append(new)
        elif what < 0.8:
            stops.append(town.add("control.stopped", body={"scope": "all"}).id)
        elif stops:
            town.add("control.resumed", body={"stops": stops})
            stops = []
        for gate in [item for item in opened if items.kind(item) == gates.KIND]:
            if items.status(gate) == "held" and chance.random() < 0.3:
                update = {"set": {"hold": None}}
                town.add("work.updated", refs={"work_id": gate}, base=town.heads(gate), body=update)
        for act in turned(town):
            assert act not in acts, "an act is done twice"
            acts.add(act)
        left, _ = controllers.check(town.planned, town.events, town.now, town.apply, chance)
        assert left == []
    landed = [e["idempotency_key"] for e in town.events if e["type"] == "convoy.landed"]
    assert len(landed) == len(set(landed))
