"""What must be so of replicas, at any time and in the end."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import TYPE_CHECKING

from proof.replicas import Replica
from support import Done, Json

if TYPE_CHECKING:
    from proof.replicas_oracle import Oracle
    from proof.replicas_world import World

DAY = 86_400_000
WORDS = {
    "owner",
    "claim",
    "labels",
    "deps",
    "comments",
    "desc",
    "assignee",
    "hold",
    "closed",
    "parent",
    "conflicts",
    "fields",
}
"""What an item is shown with if there is any."""
VIEWS = (
    "wk ls --all",
    "wk tree",
    "wk ready --explain",
    "msg ls --all",
    "run ls --all",
    "ev replay",
)


def check_view(world: World, at: int) -> None:
    """What a replica shows of its items is what the oracle says, with its index and without."""
    replica, oracle = world.replicas[at], world.oracle(at)
    shown = views(replica, oracle, replica.now)
    replica.forget()
    assert views(replica, oracle, replica.now) == shown, "another view without the index"
    rows = {row["work_id"]: row for row in Done(0, shown.get("wk show", ""), "").lines}
    assert rows.keys() == {item.id for item in oracle.items.values()}
    for one, row in rows.items():
        item = oracle.items[one]
        expected = item.shown()
        seen = {name: row[name] for name in expected.keys() | WORDS if name in row}
        seen |= (
            {"deps": sorted(f"{dep['rel']} {dep['to']}" for dep in row["deps"])}
            if "deps" in row
            else {}
        )
        seen |= {"claim": row["claim"]["id"]} if "claim" in row else {}
        seen |= (
            {"comments": [said["text"] for said in row["comments"]]} if "comments" in row else {}
        )
        assert seen == expected, f"{seen}, but by what each writer knew {expected}"
        check_waits(row, item.status(), item.blockers())
    for line, statuses in (
        ("wk ls", ("ready", "active", "held", "blocked")),
        ("wk ready", ("ready",)),
    ):
        listed = sorted(row["work_id"] for row in replica(line, now=replica.now).lines)
        assert listed == sorted(one for one, row in rows.items() if row["status"] in statuses), line
    circle = {one: set(row.get("blockers", ())) for one, row in rows.items()}
    while found := [one for one, waits in circle.items() if not waits & circle.keys()]:
        for one in found:
            del circle[one]
    assert not circle, f"wait on each other for ever: {circle}"
    check_bytes(world, replica)


def check_waits(row: Json, status: str, waits: set[str]) -> None:
    """An open item is active, held, or waits on what is shown, and else it is ready."""
    left = waits - set(row.get("cycle", ()))
    if status == "ready" and row["status"] == "blocked":
        assert row["blockers"] and set(row["blockers"]) <= waits, row
    else:
        assert row["status"] == status, row
        assert status != "ready" or not left, f"ready, and waits on {left}"


def views(replica: Replica, oracle: Oracle, now: int) -> dict[str, str]:
    """All that a replica shows."""
    items = sorted({item.id for item in oracle.items.values()})
    asked = {
        line: line
        for line in (
            "wk ls --all",
            "wk tree",
            "wk ready --explain",
            "msg ls --all",
            "run ls --all",
            "ev replay",
        )
    }
    if items:
        asked["wk show"] = f"wk show {' '.join(items)}"
    said = {}
    for name, line in asked.items():
        done = replica(line, now=now)
        assert done.status == 0 and not done.err, f"{line}: {done.err}"
        said[name] = done.out
    return said


def check_bytes(world: World, replica: Replica) -> None:
    """Every byte is in an event that a replay prints, or in a line that `ev verify` reports; bad lines <= crashes."""
    replay = replica("ev replay").lines
    printed = {event["event_id"] for event in replay if event["type"] != "coord.signed"}
    assert printed == {one.event["event_id"] for one in world.history.of(replica.memory.held)}
    problems = replica("ev verify").lines
    reported = {(one["file"], one["offset"]) for one in problems}
    bad = set()
    for file, at, raw, ended in replica.lines():
        if not ended or not world.history.parsed(raw):
            assert (file, at) in reported, f"{file} {at}: passed over in silence"
            bad.add(raw)
    assert len(bad) <= world.cuts + len(world.history.of(replica.memory.cut))
    forked = {
        one["file"].split("/")[1].partition("!")[0]
        for one in problems
        if "two histories" in one["reason"]
    }
    numbers = Counter(
        (one.event["writer"], one.event["seq"]) for one in world.history.of(replica.memory.held)
    )
    assert {writer for (writer, _), count in numbers.items() if count > 1} <= forked, (
        "a fork was not reported"
    )


def settle(world: World) -> None:
    """Let all stores meet until nothing moves, and compare them."""
    pairs = list(itertools.combinations(range(len(world.replicas)), 2))
    rounds = itertools.takewhile(
        lambda _: any(map(moved, [world.meet(*pair) for pair in pairs])), range(4)
    )
    assert len(list(rounds)) < 4, "syncs do not come to an end"
    here, *others = world.replicas
    assert {one.memory.held for one in others} == {here.memory.held}, "not equal after all have met"
    check_view(world, 0)
    oracle, latest = world.oracle(0), max(one.now for one in world.replicas) + DAY
    told = views(here, oracle, latest)
    for other in others:
        assert views(other, oracle, latest) == told, "equal sets, another view"
    fresh = Replica(world.place / "fresh", world.stage)
    assert fresh("ev sync --with", str(here.path)).status == 0
    assert views(fresh, oracle, latest) == told, "another view of what came at once"
    for at in range(len(world.replicas)):
        check_bytes(world, world.replicas[at])
        check_cursors(world, at)
        check_keys(world, at)
    check_mail(world, latest)


def moved(summary: Json) -> bool:
    return bool(summary["received"] or summary["sent"])


def check_keys(world: World, at: int) -> None:
    """A key has one event in every replica: the oldest that has it."""
    for (kind, key), first in world.oracle(at).first_of_key().items():
        if kind == "note.made":
            done = world.act(
                at, "ev emit note.made --key", key, "--body", json.dumps(first["body"]), *to(first)
            )
            assert (done.one["event_id"], done.one["$dup"]) == (first["event_id"], True)


def to(event: Json) -> list[str]:
    return [word for one in event.get("to", ()) for word in ("--to", one)]


def check_cursors(world: World, at: int) -> None:
    """What a cursor gave and what it still gives is all there is."""
    for agent, name in list(world.replicas[at].memory.printed):
        line = "ev tail --cursor" if name == "c" else "msg recv"
        world.read(at, line, name, dies=False, agent=agent)
        printed = world.replicas[at].memory.printed[agent, name]
        events = world.oracle(at).events
        wanted = {
            one.event["event_id"]
            for one in events
            if name == "c" or name in one.event.get("to", ())
        }
        assert wanted <= printed.keys(), f"never given: {wanted - printed.keys()}"


def check_mail(world: World, latest: int) -> None:
    """What a queue still has is printed again, or dead, or too late; of direct mail see `receive`."""
    oracle, replica = world.oracle(0), world.replicas[0]
    replica.now = latest + 400 * DAY
    left = oracle.queued("queue:q")
    ended = {
        row["msg_id"]: row["status"]
        for row in replica("msg ls --all").lines
        if row["msg_id"] in left
    }
    again = {one["event_id"] for one in world.act(0, "msg recv queue:q --max 1000").lines}
    dead = {one["msg_id"] for one in replica("msg dead").lines}
    late = {one for one, status in ended.items() if status == "expired"}
    assert again | dead | late == left, f"{left - again - dead - late} never comes again"
