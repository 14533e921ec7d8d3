"""Items among each other: who waits on whom and why, without circles, and nothing unready without a reason."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Json

from coord_envelope import BadData, Event
from coord_wk import fold
from coord_wk.items import Items

NOW, LATER, EARLIER = (
    "2026-01-02T00:00:00.000Z",
    "2026-01-02T00:00:00.001Z",
    "2026-01-01T23:59:59.999Z",
)


def name(short: str) -> str:
    return short.rjust(26, "0")


class World:
    """Items A, B, …, and what is said of them; numbered in the order it is said, and folded in any."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.last: dict[str, str] = {}

    def say(
        self, kind: str, item: str, body: Json, number: str = "", concurrently: bool = False
    ) -> None:
        event_id = name(number or f"{len(self.events) + 1:03d}")
        base = [self.last[item]] if item in self.last and not concurrently else []
        fields = {
            "event_id": event_id,
            "type": f"work.{kind}",
            "ts": NOW,
            "body": body,
            "base": base,
        }
        fields |= {
            "refs": {"work_id": name(item)},
            "actor": {"agent_id": "agent:a"},
            "writer": "agent.a~00000000",
        }
        self.events.append(Event(b"", fields))
        self.last[item] = event_id

    def new(self, *items: str, **body: object) -> World:
        for item in items:
            self.say("created", item, {"title": item, **body})
        return self

    def waits(self, item: str, *on: str) -> World:
        deps = [{"rel": "blocked_by", "to": name(one)} for one in on]
        self.say("updated", item, {"add": {"deps": deps}})
        return self

    def set(self, item: str, **values: object) -> World:
        self.say("updated", item, {"set": values})
        return self

    def part(self, item: str, of: str) -> World:
        return self.set(item, parent=name(of))

    def close(self, *items: str) -> World:
        for item in items:
            self.say("closed", item, {"resolution": "done"})
        return self

    def claim(self, item: str) -> World:
        self.say("claimed", item, {"gen": 1})
        return self

    def items(self) -> Items:
        return Items.at(sorted(self.events, key=lambda event: event.id), NOW)


def short(ids: Iterable[str]) -> list[str]:
    return [one.lstrip("0") for one in ids]


def seen(world: World) -> Json:
    """Each item's status, and what it waits on."""
    items = world.items()
    found = {}
    for item in items.everything():
        waits = (
            " ".join(sorted(short(items.blockers(item)))) if items.status(item) == "blocked" else ""
        )
        found[item.lstrip("0")] = f"{items.status(item)} {waits}".strip()
    return found


@pytest.mark.parametrize(
    ("shown", "world"),
    [
        ({"A": "ready", "B": "ready"}, World().new("A", "B")),
        ({"A": "blocked B", "B": "ready"}, World().new("A", "B").waits("A", "B")),
        ({"A": "ready", "B": "done"}, World().new("A", "B").waits("A", "B").close("B")),
        (
            {"A": "blocked B C", "B": "ready", "C": "active"},
            World().new(*"ABC").waits("A", "B", "C").claim("C"),
        ),
        # what is not there, or not yet, is waited for and named
        ({"A": "blocked Z"}, World().new("A").waits("A", "Z")),
        # a chain: each waits on the next one
        (
            {"A": "blocked B", "B": "blocked C", "C": "ready"},
            World().new(*"ABC").waits("A", "B").waits("B", "C"),
        ),
        # a parent waits for its parts, and does not block them
        ({"A": "ready", "P": "blocked A"}, World().new("A", "P").part("A", "P")),
        ({"A": "done", "P": "ready"}, World().new("A", "P").part("A", "P").close("A")),
        # what the whole waits on, its parts wait on
        (
            {"A": "blocked X", "B": "blocked A X", "P": "blocked B X", "X": "ready"},
            World().new(*"ABPX").part("A", "B").part("B", "P").waits("P", "X"),
        ),
        (
            {"A": "ready", "P": "blocked A", "X": "done"},
            World().new(*"APX").part("A", "P").waits("P", "X").close("X"),
        ),
        # held: itself, or what it is a part of
        ({"A": "held"}, World().new("A").set("A", hold="a reason")),
        ({"A": "ready"}, World().new("A").set("A", hold="a reason").set("A", hold=None)),
        ({"A": "held"}, World().new("A").set("A", defer_until=LATER)),
        ({"A": "ready"}, World().new("A").set("A", defer_until=NOW)),
        ({"A": "ready"}, World().new("A").set("A", defer_until=EARLIER)),
        (
            {"A": "held", "B": "held", "P": "held"},
            World().new(*"ABP").part("A", "B").part("B", "P").set("P", hold="x"),
        ),
        (
            {"A": "held", "P": "held"},
            World().new("A", "P").part("A", "P").set("P", defer_until=LATER),
        ),
        # the first that is so: done, active, held, blocked, ready
        (
            {"A": "active", "B": "ready"},
            World().new("A", "B").waits("A", "B").set("A", hold="x").claim("A"),
        ),
        ({"A": "held", "B": "ready"}, World().new("A", "B").waits("A", "B").set("A", hold="x")),
        (
            {"A": "done", "B": "ready"},
            World().new("A", "B").waits("A", "B").set("A", hold="x").close("A"),
        ),
        # a parent that is not there, or oneself
        ({"A": "ready"}, World().new("A").part("A", "Z")),
        ({"A": "ready"}, World().new("A").part("A", "A")),
        ({"A": "ready"}, World().new("A").waits("A", "A")),
        # an item with no event that made it is none
        ({"A": "blocked Z"}, World().new("A").waits("A", "Z").set("Z", title="not made yet")),
    ],
)
def test_the_status_is_derived(shown: Json, world: World) -> None:
    assert seen(world) == shown


def test_other_relations_block_nothing() -> None:
    world = World().new("A", "B")
    for rel in ("relates_to", "discovered_from", "supersedes", "duplicate_of"):
        world.say("updated", "A", {"add": {"deps": [{"rel": rel, "to": name("B")}]}})
    assert seen(world) == {"A": "ready", "B": "ready"}


def test_ready_is_in_order_of_priority_then_age() -> None:
    world = (
        World()
        .new("C", "A", priority=2)
        .new("B", priority=0)
        .new("E", priority=4)
        .new("D")
        .new("F", priority="high")
    )
    world.set("E", priority=1)
    ranked = short(world.items().ranked("free"))
    assert ranked == ["B", "E", "C", "A", "D", "F"]


def cyclic(world: World) -> dict[str, list[str]]:
    """What each would wait on if that closed no circle, as the items show it."""
    items = world.items()
    return {
        one.lstrip("0"): short(items.detail(one).get("cycle", [])) for one in items.everything()
    }


def test_a_circle_made_by_a_merge_is_broken_at_its_latest_edge_and_reported() -> None:
    world = World().new(*"ABC").waits("A", "B").waits("B", "C").waits("C", "A")
    assert seen(world) == {"A": "blocked B", "B": "blocked C", "C": "ready"}
    assert cyclic(world)["C"] == ["A"]


def test_the_latest_edge_is_the_one_with_the_greatest_id_whoever_came_first() -> None:
    world = World().new(*"AB")
    world.say("updated", "B", {"add": {"deps": [{"rel": "blocked_by", "to": name("A")}]}}, "800")
    world.say("updated", "A", {"add": {"deps": [{"rel": "blocked_by", "to": name("B")}]}}, "700")
    assert seen(world) == {"A": "blocked B", "B": "ready"}
    assert cyclic(world)["B"] == ["A"]


def test_two_items_that_are_each_others_part_are_not_stuck() -> None:
    world = World().new("A", "B").part("A", "B").part("B", "A")
    assert sorted(seen(world).values()) == ["blocked B", "ready"] or sorted(
        seen(world).values()
    ) == [
        "blocked A",
        "ready",
    ]
    assert any(cyclic(world).values())


def test_a_part_that_waits_on_its_whole_is_not_stuck() -> None:
    world = World().new("A", "P").part("A", "P").waits("A", "P")
    assert seen(world) == {"A": "ready", "P": "blocked A"}
    assert cyclic(world)["A"] == ["P"]


def test_of_two_edges_of_one_event_only_the_one_in_the_circle_is_passed_over() -> None:
    world = World().new("A", "B", "C").waits("B", "A").waits("A", "B", "C")
    assert seen(world) == {"A": "blocked C", "B": "blocked A", "C": "ready"}


def test_what_is_closed_is_not_walked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question once cost the whole history of closed work."""
    closed = [f"A{number:03d}" for number in range(100)]
    world = World().new("A", "B", "P", *closed).waits("A", closed[0], "B").part("A", "P")
    for one, other in itertools.pairwise(closed):
        world.waits(one, other).part(one, "P")
    world.close(*closed)
    items, asked = world.items(), set[str]()
    get = items._source.get

    def counted(item: str) -> object:
        asked.add(item)
        return get(item)

    monkeypatch.setattr(items._source, "get", counted)
    assert items.status(name("P")) == "blocked"
    assert short(items.blockers(name("P"))) == ["A"]
    assert short(items.blockers(name("A"))) == ["B"]
    assert asked == {name("A"), name("B"), name("P"), name(closed[0])}


def test_a_circle_through_what_is_closed_is_none_until_it_is_reopened() -> None:
    world = World().new("A", "B").waits("A", "B").close("B").waits("B", "A")
    assert seen(world) == {"A": "ready", "B": "done"}
    assert not any(cyclic(world).values())
    world.say("reopened", "B", {})
    assert seen(world) == {"A": "blocked B", "B": "ready"}
    assert cyclic(world)["B"] == ["A"]


def test_a_chain_of_thousands_is_seen_through_once() -> None:
    chain = [f"{number:05d}" for number in range(2_000)]
    world = World().new("P", *chain)
    for one, other in itertools.pairwise(chain):
        world.waits(one, other)
    items = world.items()
    assert [items.status(name(one)) for one in chain] == ["blocked"] * 1_999 + ["ready"]
    assert len(items._graph._out) <= 4_000  # an item, and what it inherits


@pytest.mark.parametrize(
    ("tops", "world"),
    [
        ("A B", World().new("A", "B")),
        ("P", World().new("A", "P").part("A", "P")),
        # a parent that is closed, not there, itself, or a part of its part hides nothing
        ("A", World().new("A", "P").part("A", "P").close("P")),
        ("G", World().new("A", "P", "G").part("A", "P").part("P", "G").close("P")),
        ("A", World().new("A").part("A", "Z")),
        ("A", World().new("A").part("A", "A")),
        ("A", World().new(*"ABC").part("A", "B").part("B", "A").part("C", "B")),
        ("B", World().new(*"ABC").part("A", "B").part("B", "A").part("C", "B").close("A")),
    ],
)
def test_a_tree_begins_at_what_has_nothing_open_above_it(tops: str, world: World) -> None:
    items = world.items()
    assert sorted(short(filter(items.top, items.ranked("open")))) == tops.split()


EDGE = st.tuples(
    st.sampled_from(["waits", "part", "hold", "close", "claim"]), *[st.sampled_from("ABCDEFGZ")] * 2
)


def made(said: list[tuple[str, str, str]]) -> World:
    world = World().new(*"ABCDEFG")
    for kind, one, other in said:
        if kind == "waits":
            world.waits(one, other)
        elif kind == "part":
            world.part(one, other)
        elif kind == "hold":
            world.set(one, hold="x")
        elif kind == "close":
            world.close(one)
        else:
            world.claim(one)
    return world


@settings(max_examples=300, deadline=None)
@given(st.lists(EDGE, max_size=16))
def test_every_open_item_is_ready_active_held_or_waits_on_an_open_or_missing_one(
    said: list[tuple[str, str, str]],
) -> None:
    """Invariant 10; and who follows the reasons arrives at one that is not blocked."""
    items = made(said).items()
    for item in items.everything():
        if items.status(item) != "blocked":
            assert "blockers" not in items.detail(item)
            continue
        reasons, at = items.detail(item)["blockers"], item
        assert reasons and all(
            fold.value(items.state(one) or fold._nothing(), "closed") is None for one in reasons
        )
        for _ in range(20):
            if items.state(at) is None or items.status(at) != "blocked":
                break
            at = items.blockers(at)[0]
        else:
            pytest.fail(f"{item} is unready for ever: {seen(made(said))}")


@settings(max_examples=100, deadline=None)
@given(st.lists(EDGE, max_size=12), st.randoms(use_true_random=False))
def test_no_order_of_arrival_or_of_asking_changes_what_is_shown(
    said: list[tuple[str, str, str]], chance: random.Random
) -> None:
    world = made(said)
    shown, circles = seen(world), cyclic(world)
    items = world.items()
    asked = list(items.everything())
    chance.shuffle(asked)
    assert {one.lstrip("0"): items.status(one) for one in asked} == {
        k: v.split()[0] for k, v in shown.items()
    }
    chance.shuffle(world.events)
    assert (seen(world), cyclic(world)) == (shown, circles)


def waits(items: Items, item: str) -> list[tuple[str, str]]:
    """What an item waits on, by the definition."""
    if items._done(item):
        return []
    above = [edge for each in (item, *items.ancestors(item)) for edge in items._blocked_by(each)]
    return above + items._parts(item)


def skipped(items: Items) -> set[tuple[str, str, str]]:
    """The edges that close a cycle with earlier ones of the same component, by the definition."""
    edges = {item: waits(items, item) for item in (*items.everything(), name("Z"))}

    def reached(start: str, of: dict[str, list[tuple[str, str]]]) -> set[str]:
        seen, todo = set[str](), [start]
        while todo:
            new = {to for _, to in of.get(todo.pop(), ())} - seen
            seen |= new
            todo += new
        return seen

    whole = {item: reached(item, edges) for item in edges}
    inside = sorted(
        {
            (event, item, to)
            for item in edges
            for event, to in edges[item]
            if item in whole.get(to, ())
        }
    )
    kept: dict[str, list[tuple[str, str]]] = {}
    out = set()
    for event, item, to in inside:
        if item == to or item in reached(to, kept):
            out.add((event, item, to))
        else:
            kept.setdefault(item, []).append((event, to))
    return out


@settings(max_examples=300, deadline=None)
@given(st.lists(EDGE, max_size=24))
def test_what_an_item_waits_on_is_as_defined(said: list[tuple[str, str, str]]) -> None:
    items = made(said).items()
    out = skipped(items)
    for item in items.everything():
        reasons = [to for event, to in waits(items, item) if (event, item, to) not in out]
        assert items.blockers(item) == list(dict.fromkeys(reasons))
        assert items.cyclic(item) == sorted({to for _, src, to in out if src == item})


@settings(max_examples=200, deadline=None)
@given(st.lists(EDGE, max_size=16), st.lists(st.sampled_from("ABCDEF"), max_size=3))
def test_the_counts_are_those_of_each_item(
    said: list[tuple[str, str, str]], claimed: list[str]
) -> None:
    world = made(said)
    for item in claimed:
        world.claim(item)
    items = world.items()
    counts = dict.fromkeys(("ready", "active", "blocked", "held"), 0)
    for item in items.ranked("open"):
        counts[items.status(item)] += 1
    assert world.items().counts() == counts


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(("wait", "part")), *[st.sampled_from("ABCDEF")] * 2), max_size=12
    ),
    st.lists(EDGE.filter(lambda edge: edge[0] != "close"), max_size=4),
)
def test_a_batch_is_asked_once_for_what_each_operation_is_asked(
    added: list[tuple[str, str, str]], said: list[tuple[str, str, str]]
) -> None:
    world = made(said)
    sound = not skipped(world.items())
    each, whole, refused = world.items(), world.items(), False
    for how, item, other in added:
        waits, parent = ([name(other)], None) if how == "wait" else ([], name(other))
        try:
            each.refuse_cycle(name(item), waits, parent)
        except BadData:
            refused = True
            break
        for items in (each, whole):
            items.suppose(name(item), waits, parent, born=False)
    if sound and not refused:
        assert not whole.supposed_cycle()
    if refused and (how == "wait" or not each.ancestors(name(item))):  # a move is judged by both
        whole.suppose(name(item), waits, parent, born=False)
        assert whole.supposed_cycle()


def test_a_row_and_a_detail_say_what_is_there() -> None:
    world = (
        World()
        .new("A", "B", labels=["y", "x"], priority=1, fields={"n": 0})
        .waits("A", "B")
        .part("B", "A")
    )
    items = world.items()
    row = items.row(name("A"))
    assert (row["id"], row["status"], row["priority"], row["labels"]) == (
        "wk-0000000a",
        "blocked",
        1,
        ["x", "y"],
    )
    detail = items.detail(name("A"))
    assert detail["children"] == detail["blockers"] == [name("B")]
    assert detail["deps"] == [{"rel": "blocked_by", "to": name("B")}]
    assert detail["fields"] == {"n": 0}
