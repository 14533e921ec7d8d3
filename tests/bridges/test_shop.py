"""The shop at a moment: equal to a fold of all events up to it, in whatever order they came."""

from __future__ import annotations

import random
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from support import Shell, open_store

from coord_envelope import event, ids, world
from coord_envelope.codec import dumps
from coord_kernel import Store
from coord_kernel.rules import control, presence
from coord_kernel.rules.health import Times
from coord_kernel.views.past import Snapshot
from coord_lease.board import Board, disputed
from coord_msg.mail import Mail
from coord_run.jobs import Jobs
from coord_shop import News, Reader, Shop, build, needs
from coord_shop.history import History, mark_of
from coord_wk.items import Items

Json = dict[str, Any]
BEGIN = world.parse_ts("2026-11-29T20:00:00Z")
MINUTE = 60_000
AGENTS = ("agent:ada", "agent:bob", "agent:cara", "human:eve")
COUNT, MOMENTS, SEED = 500, 20, 27


class Story:
    """Events of every kind that a shop shows, by several agents, one of whose clocks is wrong."""

    def __init__(self, replica: str) -> None:
        self._chance = random.Random(SEED)
        self._replica, self._seq = replica, dict[str, int]()
        self._ms, self._last = BEGIN, dict[str, str]()
        self.events: list[tuple[str, Json]] = []
        self.made: dict[str, list[str]] = {"work": [], "msg": [], "run": [], "lease": []}

    def write(self, kind: str, body: Json, about: str = "", **more: Any) -> str:
        chance = self._chance
        self._ms += chance.choice((0, 1, 40_000, 5 * MINUTE, 11 * MINUTE))
        agent = chance.choice(AGENTS)
        live = kind in ("agent.seen", "lease.acquired", "lease.renewed", "lease.released")
        far = "00000009" if agent == "agent:cara" else self._replica
        writer = f"{agent.replace(':', '.')}~{far}{'+live' if live else ''}"
        self._seq[writer] = self._seq.get(writer, 0) + 1
        event_id = ids.mint((self._ms << 16) + len(self.events), chance.randbytes(8))
        space = kind.partition(".")[0]
        name = {"work": "work_id", "msg": "msg_id", "run": "run_id", "lease": "lease_id"}.get(space)
        refs = {name: about or event_id} if name else {}
        session = chance.choice(("s1", "s2", ""))
        actor = {"agent_id": agent} | ({"session_id": session} if session else {})
        base = [self._last[about]] if about in self._last else []
        made = {
            "event_id": event_id,
            "type": kind,
            "ts": world.format_ts(self._ms),
            "project": "acme",
            "writer": writer,
            "seq": self._seq[writer],
            "actor": actor,
            **({"refs": refs} if refs else {}),
            **({"base": base} if base else {}),
            "body": body,
            **more,
        }
        self._last[about or event_id] = event_id
        self.events.append((f"{'live' if live else 'journal'}/{writer}", made))
        return event_id

    def tell(self) -> None:
        chance, made = self._chance, self.made
        work = chance.choice(made["work"]) if made["work"] else ""
        msg = chance.choice(made["msg"]) if made["msg"] else ""
        run = chance.choice(made["run"]) if made["run"] else ""
        what = chance.randrange(16)
        if what < 3 or not (work and msg and run):
            body: Json = {"title": f"item {len(made['work'])}", "priority": chance.randrange(5)}
            body |= {"parent": work} if work and what == 2 else {}
            made["work"].append(self.write("work.created", body))
            made["msg"].append(
                self.write("msg.sent", {"subject": "hello"}, to=[chance.choice(AGENTS)])
            )
            made["run"].append(self.write("run.requested", {"argv": ["make", str(what)]}))
        elif what < 6:
            self.write("work.claimed", {"gen": 1}, work)
        elif what == 6:
            body = {"resolution": chance.choice(("done", "cancelled"))}
            self.write("work.closed", body, work)
        elif what == 7:
            question = {"options": ["yes", "no"]}
            body = {"title": "May I?", "kind": "question", "question": question}
            made["work"].append(self.write("work.created", body, to=["human:eve"]))
        elif what == 8:
            self.write("msg.acked", {"kind": "done"}, msg)
        elif what == 9:
            claim = self.write("run.claimed", {"gen": 1}, run)
            self.write("run.started", {"claim": claim, "n": 1}, run)
            code = chance.choice((0, 2))
            self.write("run.completed", {"outcome": "exit", "code": code, "claim": claim}, run)
        elif what == 10:
            self.write(chance.choice(("session.started", "session.ended")), {})
        elif what < 13:
            body = {"status": chance.choice(("busy", "waiting", "idle")), "why": "git push"}
            self.write("agent.seen", body)
        elif what == 13:
            resumed = [at["event_id"] for _, at in self.events if at["type"] == "control.stopped"]
            self.write("control.resumed", {"stops": resumed[-1:]})
            self.write("control.stopped", {"scope": "agent:ada", "reason": "night"})
        elif what == 14:
            deps = {"deps": [{"rel": "blocked_by", "to": made["work"][0]}]}
            self.write("work.updated", {"set": {"title": work[:9]}, "add": deps}, work)
        else:
            clock = {"boot": "b", "boot_ns": self._ms * 1_000_000, "token": len(made["lease"]) + 1}
            body = {"resources": [f"file:src/{work[-2:]}"], "mode": "x", "ttl_ms": 20 * MINUTE}
            body |= {"scope": "local", "holder": "agent:bob", **clock}
            made["lease"].append(self.write("lease.acquired", body))


@pytest.fixture
def told(shell: Shell) -> tuple[Store, list[event.Event], Reader]:
    """A store into which the events came in parts, out of order, while it was read."""
    store = open_store(shell.cwd)
    with store.lock():
        story = Story(store.replica())
    while len(story.events) < COUNT:
        story.tell()
    chance, reader = random.Random(SEED), Reader(store)
    streams: dict[str, list[Json]] = {}
    for name, made in story.events:
        streams.setdefault(name, []).append(made)
    lines = {name: [dumps(made) + b"\n" for made in rows] for name, rows in streams.items()}
    while any(lines.values()):
        for name, rows in lines.items():
            some = 1 + chance.randrange(len(rows) + 1)
            path = Path(store.path, name)
            path.mkdir(exist_ok=True, parents=True)
            with (path / f"{1:012d}.jsonl").open("ab") as file:
                file.writelines(rows[:some])
            del rows[:some]
        reader.shop()
        reader.shop(world.format_ts(BEGIN + 300 * MINUTE))
    events = [event.parse(dumps(made)) for _, made in story.events]
    return store, sorted(events, key=lambda each: each.id), reader


def folded(store: Store, events: list[event.Event], at: str) -> Shop:
    """The shop by a fold of all events up to a time, and none of our views."""
    known = [event.parse(each.raw) for each in events if each["ts"] <= at]
    durable = [each for each in known if "+live" not in each["writer"]]
    state = control.nothing()
    for each in durable:
        if tuple(control.entities(each)):
            control.step(state, each)
    marks = ((each, mark_of(each)) for each in reversed(durable))
    landed = [(each["ts"], mark[1]) for each, mark in marks if mark and mark[0] == "landed"]
    parts = build.Parts(
        Items.at(durable, at),
        Mail.at(durable, at),
        Jobs.at(durable, at),
        Snapshot(presence, known),
        state,
        list(Board(store).at(at)),
        sorted(landed, reverse=True)[: build.LOOKED],
    )
    replicas, nothing = store.replicas(), {"remote": None, "ts": None}
    place = build.Place(store.project, store.path, replicas, Times(), nothing)
    return build.shop(parts, place)


def test_the_shop_at_any_moment_is_a_fold_of_the_events_up_to_it(
    told: tuple[Store, list[event.Event], Reader],
) -> None:
    store, events, reader = told
    last, chance = world.parse_ts(events[-1]["ts"]), random.Random(SEED + 1)
    groups = set()
    for _ in range(MOMENTS):
        at = world.format_ts(chance.randrange(BEGIN - MINUTE, last + MINUTE))
        shop, whole = reader.shop(at), folded(store, events, at)
        for field in fields(shop):
            assert getattr(shop, field.name) == getattr(whole, field.name), (at, field.name)
        groups |= {agent["group"] for agent in shop.agents}
        assert not shop.live
    assert groups >= {"stalled", "waiting", "working", "quiet"}, "many kinds were seen"


def test_events_and_marks_up_to_a_moment(told: tuple[Store, list[event.Event], Reader]) -> None:
    _, events, reader = told
    durable = [each for each in events if "+live" not in each["writer"]]
    at = durable[len(durable) // 2]["ts"]
    before = [each.id for each in durable if each["ts"] <= at]
    assert [each.id for each in reader.events(at, 20)] == before[:-21:-1]
    marks = reader.marks(BEGIN - 1, world.parse_ts(at), 10_000)
    known = {each.id for each in durable if mark_of(each) and each["ts"] <= at}
    assert {mark.event for mark in marks} == known
    assert sum(reader.density(BEGIN, world.parse_ts(events[-1]["ts"]), 100)) == len(events)
    assert all(reader.sentence(each) for each in reader.events(count=500))


def test_what_a_person_is_to_do_comes_first(shell: Shell) -> None:
    shell("msg join --as human:eve; msg join --as ada; msg join --as bob")
    item = shell("wk new 'Write the parser' -o id").out.strip()
    shell(f"wk claim {item} --as ada")
    shell(f"wk ask 'Deploy?' --to human:eve --blocks {item} --as ada")
    shell("msg send --to human:eve --subject Lunch --body x --as bob")
    shell("run exec -- false", expect=1)
    shop = Reader(open_store(shell.cwd)).shop()
    asked, mail, wrong = needs(shop, "human:eve")
    assert [row["title"] for row in asked] == ["Deploy?"]
    assert [row["subject"] for row in mail] == ["Lunch"], "the question is not mail as well"
    assert [problem["kind"] for problem in shop.problems] == ["person", "job"]
    assert [problem["kind"] for problem in wrong] == ["job"], "nor a problem as well"
    assert shop.counts["active"] == 1, "a question is nobody's work"
    assert [agent["agent_id"] for agent in shop.group("waiting")] == ["agent:ada"]
    shell("run exec -- true; run exec -- false", expect=None)
    reader = Reader(open_store(shell.cwd))
    assert len(reader.shop().failed) == 2


def test_a_failure_is_over_when_the_same_command_succeeds(shell: Shell) -> None:
    shell("run exec -- test -e done", expect=1)
    reader = Reader(open_store(shell.cwd))
    assert [job["argv"] for job in reader.shop().failed] == [["test", "-e", "done"]]
    shell("touch done && run exec -- test -e done")
    assert reader.shop().failed == []


def test_two_who_hold_one_file_in_two_stores_are_a_conflict() -> None:
    row: Any = {"lease_id": "a", "holder": "agent:ada", "resources": ["file:src/**"], "mode": "x"}
    other: Any = {**row, "lease_id": "b", "holder": "agent:bob", "resources": ["file:src/a.py"]}
    assert list(disputed([row, other])) == [(row, other)]
    same: Any = {**other, "holder": "agent:ada"}
    apart: Any = {**other, "resources": ["file:doc/a"]}
    shared: list[Any] = [{**row, "mode": "s"}, {**other, "mode": "s"}]
    assert not [*disputed([row, same]), *disputed([row, apart]), *disputed(shared)]


def test_news_come_once_and_go_on_behind_a_cursor(shell: Shell) -> None:
    store = open_store(shell.cwd)
    shell("ev emit note.made n=1")
    reader = Reader(store)
    news = News(store, reader.end())
    assert news.read() == []
    shell("ev emit note.made n=2; ev emit note.made n=3")
    assert [each["body"]["n"] for each in news.read()] == [2, 3]
    assert news.read() == []
    again = News(store, news.reached)
    shell("ev emit note.made n=4")
    assert [each["body"]["n"] for each in again.read()] == [4]


def test_what_an_event_says_cannot_stop_the_shop(shell: Shell) -> None:
    store = open_store(shell.cwd)
    with store.lock():
        story = Story(store.replica())
    for body in ({}, {"n": 1}, {"agent": 3, "session": [], "scope": 7, "title": {}, "argv": 9}):
        for kind in (
            *("work.created", "work.claimed", "work.closed", "msg.sent", "msg.acked"),
            *("run.requested", "run.claimed", "run.completed", "lease.acquired", "agent.seen"),
            *("session.started", "control.stopped", "control.resumed", "patrol.reclaimed"),
            *("patrol.noticed", "provider.limited", "note.made"),
        ):
            story.write(kind, body)
    for name, made in story.events:
        Path(store.path, name).mkdir(exist_ok=True, parents=True)
        with Path(store.path, name, f"{1:012d}.jsonl").open("ab") as file:
            file.write(dumps(made) + b"\n")
    reader = Reader(store)
    now = reader.shop()
    then = reader.shop(now.at)
    assert (then.counts, then.problems) == (now.counts, now.problems)
    durable = [name for name, _ in story.events if name.startswith("journal/")]
    assert len([reader.sentence(each) for each in reader.events(count=500)]) == len(durable)


def test_history_is_made_again_after_a_redaction(shell: Shell) -> None:
    body = '{"status":"waiting","why":"secret-thing"}'
    first = shell(f"ev emit agent.seen --body '{body}' -o id").out.strip()
    store = open_store(shell.cwd)
    History(store).refresh()

    def held() -> bool:
        files = Path(store.path, "local").glob("history*")
        return b"secret-thing" in b"".join(path.read_bytes() for path in files)

    assert held()
    shell(f"ev redact {first} --reason x")
    assert not held()
    assert Reader(store).shop().live
    assert not held()
