"""The fold of a work item: who wins, who holds it, what is in it; and no body can make it fail."""

from __future__ import annotations

import copy
import itertools
import json
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Json

from coord_envelope import Event, codec
from coord_kernel.rules import claims
from coord_wk import fold, screen
from coord_wk.items import Items, conflicts

if TYPE_CHECKING:
    from coord_wk.registers import State

ITEM, NOW = "00000000000000000000000000", "2026-01-02T00:00:00.000Z"
Said = tuple[str, str, str, Json]  # number, type, numbers of its base, body


def name(number: str) -> str:
    """The event id whose place in the order is this number's."""
    return number.rjust(26, "0")


def event(
    number: str, kind: str, seen: str, body: object, agent: str = "", **fields: object
) -> Event:
    by = f"agent:{agent or 'a'}"
    given = {
        "event_id": name(number),
        "type": f"work.{kind}",
        "ts": NOW,
        "body": body,
        "refs": {"work_id": ITEM},
    }
    given |= {"actor": {"agent_id": by}, "writer": f"{by.replace(':', '.')}~00000000"}
    return Event(b"", given | {"base": [name(one) for one in seen.split()]} | fields)


def folded(*said: tuple[str, str, str, Json] | tuple[str, str, str, Json, str]) -> State:
    """The state after events (number, type, base, body, agent), taken in order of their numbers."""
    state: State | None = None
    for one in sorted([event(*one) for one in said], key=lambda one: one.id):
        state = fold.step(state, one)
    assert state is not None
    assert json.loads(json.dumps(state)) == state
    return state


NEW: Said = ("1", "created", "", {"title": "first", "labels": ["x"]})


def title(text: str) -> Json:
    return {"set": {"title": text}}


@pytest.mark.parametrize(
    ("wins", "loses", "said"),
    [
        ("first", [], []),
        ("b", [], [("2", "updated", "1", title("b"))]),
        ("c", [], [("2", "updated", "1", title("b")), ("3", "updated", "2", title("c"))]),
        ("c", ["b"], [("2", "updated", "1", title("b")), ("3", "updated", "1", title("c"))]),
        (
            "d",
            ["b", "c"],
            [
                ("2", "updated", "1", title("b")),
                ("3", "updated", "1", title("c")),
                ("4", "updated", "1", title("d")),
            ],
        ),
        # a write that saw both ends the conflict; one that saw one of them does not
        (
            "d",
            [],
            [
                ("2", "updated", "1", title("b")),
                ("3", "updated", "1", title("c")),
                ("4", "updated", "2 3", title("d")),
            ],
        ),
        (
            "d",
            ["c"],
            [
                ("2", "updated", "1", title("b")),
                ("3", "updated", "1", title("c")),
                ("4", "updated", "2", title("d")),
            ],
        ),
        # seen through an event that says nothing of the title
        (
            "d",
            [],
            [
                ("2", "updated", "1", title("b")),
                ("3", "commented", "2", {}),
                ("4", "updated", "3", title("d")),
            ],
        ),
        # the later one has the smaller id
        ("b", [], [("9", "updated", "1", title("z")), ("2", "updated", "9", title("b"))]),
        (
            "b",
            [],
            [
                ("9", "updated", "1", title("z")),
                ("8", "updated", "9", title("y")),
                ("2", "updated", "8", title("b")),
            ],
        ),
        # and knew of it only through others, whose clocks ran ahead still more
        (
            "b",
            [],
            [
                ("8", "updated", "1", title("z")),
                ("9", "commented", "8", {}),
                ("2", "updated", "9", title("b")),
            ],
        ),
        (
            "c",
            [],
            [
                ("8", "updated", "1", title("z")),
                ("9", "commented", "8", {}),
                ("2", "updated", "9", title("b")),
                ("3", "updated", "2", title("c")),
            ],
        ),
    ],
)
def test_the_causally_latest_write_wins_whatever_the_ids_say(
    wins: str, loses: list[str], said: list[Said]
) -> None:
    state = folded(NEW, *said)
    assert fold.value(state, "title") == wins
    assert conflicts(state) == ({"title": loses} if loses else {})


@pytest.mark.parametrize(
    "odd",
    [
        [("9", "updated", "9", title("stuck"))],
        [("9", "updated", "99", title("stuck"))],
        [("9", "updated", "8", title("stuck")), ("8", "updated", "9", title("stuck, too"))],
        [
            ("9", "updated", "8 1", title("stuck")),
            ("8", "updated", "7", {}),
            ("7", "updated", "9", {}),
        ],
    ],
)
def test_a_base_that_no_writer_could_have_does_not_freeze_a_field(odd: list[Said]) -> None:
    """An event that says it knew of itself, or two of each other, are known of by the next writer all the same."""
    said: list[Said] = [NEW, *odd]
    state = folded(*said)
    for number in "2345":
        said.append(
            (
                number,
                "updated",
                " ".join(one.lstrip("0") for one in claims.base(state)),
                title(number),
            )
        )
        state = folded(*said)
        assert fold.value(state, "title") == number


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (True, []),
        (False, [("2", "updated", "1", {"rm": {"labels": ["x"]}})]),
        (
            True,
            [
                ("2", "updated", "1", {"rm": {"labels": ["x"]}}),
                ("3", "updated", "1", {"add": {"labels": ["x"]}}),
            ],
        ),
        (
            True,
            [
                ("2", "updated", "1", {"add": {"labels": ["x"]}}),
                ("3", "updated", "1", {"rm": {"labels": ["x"]}}),
            ],
        ),
        (
            True,
            [
                ("2", "updated", "1", {"rm": {"labels": ["x"]}}),
                ("3", "updated", "2", {"add": {"labels": ["x"]}}),
            ],
        ),
        (
            False,
            [
                ("2", "updated", "1", {"add": {"labels": ["x"]}}),
                ("3", "updated", "2", {"rm": {"labels": ["x"]}}),
            ],
        ),
        (True, [("2", "updated", "", {"rm": {"labels": ["x"]}})]),
        (True, [("2", "updated", "1", {"add": {"labels": ["x"]}, "rm": {"labels": ["x"]}})]),
        (
            False,
            [
                ("9", "updated", "1", {"add": {"labels": ["x"]}}),
                ("2", "updated", "9", {"rm": {"labels": ["x"]}}),
            ],
        ),
        (
            False,
            [
                ("8", "updated", "1", {"add": {"labels": ["x"]}}),
                ("9", "commented", "8", {}),
                ("2", "updated", "9", {"rm": {"labels": ["x"]}}),
            ],
        ),
    ],
)
def test_an_add_wins_over_a_remove_that_did_not_see_it(there: bool, said: list[Said]) -> None:
    state = folded(NEW, *said)
    assert ("x" in fold.present(state, "labels")) is there


def test_a_dependency_is_a_member_with_the_event_that_keeps_it() -> None:
    deps = {"deps": [{"rel": "blocked_by", "to": "Z"}]}
    state = folded(NEW, ("2", "updated", "1", {"add": deps}), ("3", "updated", "1", {"add": deps}))
    assert fold.present(state, "deps") == {"blocked_by Z": name("2")}
    state = folded(NEW, ("2", "updated", "1", {"add": deps}), ("3", "updated", "2", {"rm": deps}))
    assert fold.present(state, "deps") == {}


Held = tuple[str, str, str, Json, str]
CLAIM: Json = {"gen": 1}


def released(number: str) -> Json:
    return {"claim": name(number), "reason": "released"}


def steal(gen: int) -> Json:
    return {"gen": gen, "steal": True, "reason": "silent"}


MINE: Held = ("2", "claimed", "1", CLAIM, "a")
STOLEN: Held = ("3", "claimed", "2", steal(2), "b")


@pytest.mark.parametrize(
    ("holds", "said"),
    [
        ("2 a", [MINE]),
        (None, [MINE, ("3", "released", "2", released("2"), "a")]),
        # claim ∥ claim: the smaller id; the other one is next if that is released
        ("2 a", [MINE, ("3", "claimed", "1", CLAIM, "b")]),
        (
            "3 b",
            [
                MINE,
                ("3", "claimed", "1", CLAIM, "b"),
                ("4", "released", "2", released("2"), "a"),
            ],
        ),
        # claim ∥ close: closed, and nobody's, whichever is first
        (None, [MINE, ("3", "closed", "1", {}, "b")]),
        (None, [("2", "closed", "1", {}, "b"), ("3", "claimed", "1", CLAIM, "a")]),
        (None, [MINE, ("3", "closed", "2", {}, "a")]),
        # a reopened item is nobody's, and can be claimed again
        (None, [MINE, ("3", "closed", "2", {}, "a"), ("4", "reopened", "3", {}, "b")]),
        (
            "5 c",
            [
                MINE,
                ("3", "closed", "2", {}, "a"),
                ("4", "reopened", "3", {}, "b"),
                ("5", "claimed", "4", CLAIM, "c"),
            ],
        ),
        # steal: of the one it saw
        ("3 b", [MINE, STOLEN]),
        (None, [MINE, STOLEN, ("4", "released", "3", released("3"), "b")]),
        ("2 a", [MINE, ("3", "claimed", "1", CLAIM, "c"), ("4", "claimed", "3", steal(2), "b")]),
        (None, [MINE, STOLEN, ("4", "closed", "2", {}, "a")]),
        # of two who steal at once the smaller id
        ("3 b", [MINE, STOLEN, ("4", "claimed", "2", steal(2), "c")]),
        # the claim that was stolen is from a clock that ran ahead
        ("2 b", [("9", "claimed", "1", CLAIM, "a"), ("2", "claimed", "9", steal(2), "b")]),
        (
            None,
            [
                ("9", "claimed", "1", CLAIM, "a"),
                ("2", "claimed", "9", steal(2), "b"),
                ("3", "released", "2", released("2"), "b"),
            ],
        ),
        (None, [("9", "claimed", "1", CLAIM, "a"), ("2", "closed", "9", {}, "b")]),
        (
            "2 b",
            [
                ("9", "closed", "1", {}, "a"),
                ("8", "reopened", "9", {}, "a"),
                ("2", "claimed", "8", CLAIM, "b"),
            ],
        ),
        # what is released or conceded before it came, too
        (None, [("3", "released", "9", released("9"), "a"), ("9", "claimed", "1", CLAIM, "a")]),
        (None, [MINE, ("3", "conceded", "2", {"claim": name("2")}, "a")]),
        ("2 a", [MINE, ("3", "released", "2", {"claim": 7}, "a")]),
    ],
)
def test_the_owner_is_the_smallest_claim_that_is_not_ended(
    holds: str | None, said: list[Held]
) -> None:
    owner = claims.owner(folded(NEW, *said))
    assert (owner and f"{owner['id'].lstrip('0')} {owner['agent'].partition(':')[2]}") == holds


@pytest.mark.parametrize(
    ("closed", "said"),
    [
        (None, []),
        ("done", [("2", "closed", "1", {})]),
        ("cancelled", [("2", "closed", "1", {"resolution": "cancelled"})]),
        (None, [("2", "closed", "1", {}), ("3", "reopened", "2", {})]),
        # close ∥ reopen of an earlier close: as two writes of one register
        (None, [("2", "closed", "1", {}), ("3", "closed", "2", {}), ("4", "reopened", "2", {})]),
        ("done", [("2", "closed", "1", {}), ("3", "reopened", "2", {}), ("4", "closed", "2", {})]),
        (
            "cancelled",
            [("2", "closed", "1", {}), ("3", "closed", "1", {"resolution": "cancelled"})],
        ),
        ("done", [("2", "closed", "1", {}), ("3", "updated", "1", title("b"))]),
        (None, [("9", "closed", "1", {}), ("2", "reopened", "9", {})]),
    ],
)
def test_closed_is_a_register(closed: str | None, said: list[Said]) -> None:
    found = fold.value(folded(NEW, *said), "closed")
    assert (isinstance(found, dict) and found["resolution"]) == (closed or False)


def test_a_change_and_a_concurrent_close_both_apply() -> None:
    state = folded(NEW, ("2", "closed", "1", {}), ("3", "updated", "1", title("b")))
    assert fold.value(state, "closed")
    assert fold.value(state, "title") == "b"
    assert claims.base(state) == [name("2"), name("3")]


def test_the_heads_are_what_nobody_has_seen() -> None:
    assert claims.base(folded(NEW)) == [name("1")]
    assert claims.base(folded(NEW, ("2", "commented", "1", {}), ("3", "commented", "1", {}))) == [
        name("2"),
        name("3"),
    ]
    assert claims.base(folded(NEW, ("2", "commented", "1", {}), ("3", "commented", "1 2", {}))) == [
        name("3")
    ]
    assert claims.base(folded(NEW, ("2", "commented", "1 77", {}))) == [name("2")]


def test_an_artifact_is_the_items() -> None:
    about = {"kind": "url", "on": ITEM, "uri": "https://example.org"}
    added = event("2", "commented", "1", about) | {"type": "artifact.added"}
    found = Event(b"", added)
    assert list(fold.entities(found)) == [ITEM]
    assert Items.at([event(*NEW), found], NOW).detail(ITEM)["artifacts"] == [
        {"artifact_id": name("2"), **about}
    ]


def test_an_event_that_came_late_is_folded_where_it_belongs() -> None:
    said: list[Said] = [
        NEW,
        ("2", "updated", "1", title("b")),
        ("3", "updated", "2", title("c")),
        ("4", "closed", "3", {}),
    ]
    assert len({str(folded(*order)) for order in itertools.permutations(said)}) == 1


@pytest.mark.parametrize("resolution", ["moot", "ready", None, 5, [], "done"])
def test_a_resolution_of_a_later_release_is_done(resolution: object) -> None:
    """`ready` was once shown as the status of a closed item."""
    items = Items.at([event(*NEW), event("2", "closed", "1", {"resolution": resolution})], NOW)
    assert items.status(ITEM) == "done"


@pytest.mark.parametrize("priority", [True, "1", 1.0, -1, 5, None, [1]])
def test_a_priority_is_a_number_from_0_to_4_or_the_middle_one(priority: object) -> None:
    """True was once the priority 1, and `open` began with it."""
    assert fold.priority(folded(NEW, ("2", "updated", "1", {"set": {"priority": priority}}))) == 2


def test_what_makes_no_sense_as_a_value_leaves_what_was_there() -> None:
    odd = {"title": 5, "parent": 7, "hold": {}, "labels": {}, "deps": [[]], "kind": []}
    assert (
        fold.value(folded(NEW, ("2", "updated", "1", {"set": odd, "add": odd, "rm": odd})), "title")
        == "first"
    )


def test_what_is_about_an_item_without_a_name_is_about_none() -> None:
    """Items of the id \"\" were once listed, and nothing could be said of them."""
    assert list(fold.entities(event("1", "created", "", {}, refs={"work_id": ""}))) == []
    assert list(fold.entities(event("1", "created", "", {}, refs={}))) == [name("1")]


def test_a_base_names_the_newest_of_very_many_heads_and_the_claim() -> None:
    """An item with thousands of events by hand, which name no base, could once not be written of any more."""
    said: list[Said] = [NEW, ("2", "claimed", "1", CLAIM)]
    said += [(f"{number}", "commented", "", {}) for number in range(1_000, 4_000)]
    base = claims.base(folded(*said))
    assert base[0] == name("2")
    assert base[1:] == [name(str(number)) for number in range(4_000 - len(base) + 1, 4_000)]
    assert len(base) * 29 < 16 * 1024


def test_an_artifact_can_be_removed_in_whatever_order_that_comes() -> None:
    added = Event(b"", event("3", "x", "1", {"uri": "u"}) | {"type": "artifact.added"})
    for number in "25":
        about = {"type": "artifact.removed", "refs": {"work_id": ITEM, "artifact_id": name("3")}}
        removed = Event(b"", event(number, "x", "1", {}) | about)
        events = sorted([event(*NEW), added, removed], key=lambda one: one.id)
        assert "artifacts" not in Items.at(events, NOW).detail(ITEM)


KEYS = [
    "title",
    "desc",
    "kind",
    "priority",
    "parent",
    "assignee",
    "hold",
    "defer_until",
    "labels",
    "deps",
    "fields",
]
KEYS += [
    "set",
    "add",
    "rm",
    "gen",
    "steal",
    "claim",
    "resolution",
    "dup_of",
    "note",
    "text",
    "rel",
    "to",
    "alias",
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
)
ANY = st.recursive(
    SCALARS | st.sampled_from([ITEM, name("1"), NOW, "done", "ready"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=2), inner)
    ),
    max_leaves=12,
)
BODY = st.dictionaries(st.sampled_from(KEYS), ANY, max_size=6)
TYPES = [
    f"work.{verb}"
    for verb in ("created", "updated", "claimed", "released", "conceded", "confirmed", "closed")
]
TYPES += ["work.reopened", "work.commented", "work.nonsense", "artifact.added", "artifact.removed"]
EVENTS = st.lists(
    st.builds(
        lambda kind, body, base, refs: (kind, body, base, refs),
        st.sampled_from(TYPES),
        BODY,
        ANY | st.lists(st.sampled_from([name(str(n)) for n in range(1, 9)]), max_size=3),
        ANY | st.just({"work_id": ITEM}),
    ),
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(EVENTS, ANY, st.randoms(use_true_random=False))
def test_no_body_base_or_refs_makes_it_fail(
    found: list[tuple[str, Json, object, object]], session: object, chance: random.Random
) -> None:
    events = [event(*NEW)]
    for number, (kind, body, base, refs) in enumerate(found, 2):
        actor = {
            "agent_id": chance.choice(["agent:a", "", " ", "agent:a x"]),
            "session_id": session,
        }
        events.append(
            event(str(number), "", "", body, base=base, refs=refs, type=kind, actor=actor)
        )
        assert all(isinstance(one, str) for one in fold.entities(events[-1]))
        events[-1]["refs"] = {"work_id": ITEM, "artifact_id": refs}
    items = Items.at(copy.deepcopy(events), NOW)
    state = items.known(ITEM)
    assert json.loads(json.dumps(state)) == state
    indexed = list(fold.indexed(state))
    assert all(isinstance(part, str) for facet in indexed for part in facet)
    open_ = fold.value(state, "closed") is None
    assert (items.status(ITEM) in ("ready", "active", "held", "blocked")) is open_
    assert open_ or items.status(ITEM) in ("done", "cancelled", "duplicate")
    assert type(items.row(ITEM)["priority"]) is int
    assert [value[0] for which, value in indexed if which == "open"] == [
        str(fold.priority(state))
    ] * open_
    assert claims.base(state)
    codec.dumps(items.row(ITEM))
    codec.dumps(items.detail(ITEM))
    screen.rows([{**items.row(ITEM)}, {**items.detail(ITEM)}], 0)


def test_a_generation_too_long_to_count_on_is_passed_over() -> None:
    """Python writes no integer of more than 4,300 digits: one more than the greatest it reads cannot be a token."""
    owner = claims.owner(folded(NEW, ("2", "claimed", "1", {"gen": 10**4300 - 1}, "a")))
    assert owner is not None
    codec.dumps({"gen": owner["gen"] + 1})
