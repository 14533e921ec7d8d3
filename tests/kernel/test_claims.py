"""Claims by what their events say, and by the arbiter's word: who holds the entity, and what a store may do."""

from __future__ import annotations

import pytest
from support import Json

from coord_envelope import Event
from coord_kernel.rules import causality, claims

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.rules.claims import ClaimsState

ARBITER = "arbiter.main~00000000"
Holder = tuple[str, int | None] | None
Said = tuple[str, str, str, Json]  # number, verb, numbers of its base, body


def name(number: str) -> str:
    """The event id whose place in the order is this number's."""
    return number.rjust(26, "0")


def event(number: str, verb: str, seen: str, body: Json, writer: str = "") -> Event:
    by = writer or (ARBITER if verb == "confirmed" else "agent.a~00000000")
    made = {
        "event_id": name(number),
        "type": f"work.{verb}",
        "ts": f"at {number}",
        "writer": by,
        "body": body,
    }
    return Event(
        b"", made | {"actor": {"agent_id": "agent:a"}, "base": [name(one) for one in seen.split()]}
    )


def folded(*said: Said | Event) -> ClaimsState:
    """The state after these, taken in order of their numbers."""
    state = claims.nothing()
    for one in sorted(
        (one if isinstance(one, Event) else event(*one) for one in said), key=lambda one: one.id
    ):
        causality.know(state, one)
        claims.take(state, one)
    return state


def claimed(number: str, seen: str, gen: object = 1, steal: bool = False) -> Said:
    return (number, "claimed", seen, {"gen": gen, **({"steal": True} if steal else {})})


def confirmed(number: str, claim: str, n: object = 1) -> Said:
    return (number, "confirmed", claim, {"claim": name(claim), "n": n, "agent_id": "agent:b"})


def over(number: str, seen: str, claim: str, verb: str = "released") -> Said:
    return (number, verb, seen, {"claim": name(claim)})


def holder(state: ClaimsState) -> Holder:
    found = claims.owner(state)
    return (found["id"].lstrip("0"), found["n"]) if found else None


NEW: Said = ("1", "created", "", {})
ONE, TWO = claimed("2", "1"), claimed("3", "1")


@pytest.mark.parametrize(
    ("holds", "said"),
    [
        (("2", None), [ONE, TWO]),
        (("3", 1), [ONE, TWO, confirmed("4", "3")]),
        # confirmed first of all, whatever is released or conceded beside it
        (("3", 1), [ONE, TWO, confirmed("4", "3"), over("5", "2 4", "2", "conceded")]),
        (("2", None), [ONE, TWO, confirmed("4", "3"), over("5", "4", "3")]),
        (None, [ONE, confirmed("4", "2"), ("5", "closed", "1", {})]),
        (None, [ONE, confirmed("4", "2"), ("5", "completed", "4", {})]),
        # a steal takes a confirmed claim away only once it is confirmed, too
        (("2", 1), [ONE, confirmed("4", "2"), claimed("5", "4", 2, steal=True)]),
        (
            ("5", 2),
            [ONE, confirmed("4", "2"), claimed("5", "4", 2, steal=True), confirmed("6", "5", 2)],
        ),
        # and one that did not see it never
        (("2", 1), [ONE, claimed("3", "1", 1, steal=True), confirmed("4", "2")]),
        # a tentative one that was stolen, and is confirmed after all
        (None, [ONE, claimed("3", "2", 2, steal=True), over("5", "3", "3")]),
        (
            ("2", 1),
            [ONE, claimed("3", "2", 2, steal=True), over("5", "3", "3"), confirmed("6", "2")],
        ),
        # what is confirmed twice has its first token
        (("2", 1), [ONE, confirmed("4", "2", 1), confirmed("5", "2", 7)]),
    ],
)
def test_the_last_confirmed_claim_that_is_not_over_holds_it(
    holds: Holder, said: list[Said]
) -> None:
    assert holder(folded(NEW, *said)) == holds


def test_a_confirmed_claim_whose_event_has_not_come_holds_it() -> None:
    state = folded(NEW, ONE, confirmed("8", "5", 4))
    owner = claims.owner(state)
    assert owner == {
        "id": name("5"),
        "n": 4,
        "agent": "agent:b",
        "ts": "at 8",
        "session": None,
        "replica": None,
        "gen": 1,
    }
    assert claims.verdict(state, name("2")) == "concede"
    assert holder(folded(NEW, ONE, claimed("5", "1"), confirmed("8", "5", 4))) == ("5", 4)


@pytest.mark.parametrize(
    ("holds", "said"),
    [
        # it may have been claimed after the closing
        (("5", 1), [("3", "closed", "1", {}), confirmed("8", "5")]),
        (("5", 1), [("3", "closed", "1", {}), claimed("5", "4"), confirmed("8", "5")]),
        # so it was, or it was not
        (
            ("5", 1),
            [
                ("3", "closed", "1", {}),
                ("4", "reopened", "3", {}),
                claimed("5", "4"),
                confirmed("8", "5"),
            ],
        ),
        (
            None,
            [
                ("3", "closed", "1", {}),
                ("4", "reopened", "1", {}),
                claimed("5", "4"),
                confirmed("8", "5"),
            ],
        ),
        # who knew of it did not close before
        (None, [confirmed("8", "5"), ("9", "closed", "8", {})]),
        (None, [claimed("5", "4"), ("9", "closed", "5", {})]),
    ],
)
def test_a_closing_ends_what_it_did_not_precede(holds: Holder, said: list[Said]) -> None:
    """While something was missing, a claim was once held open against one who had seen it and closed the item: the
    claim of a stealer who had known the one before only by its confirmation was confirmed after its own closing.
    """
    assert holder(folded(NEW, *said)) == holds


@pytest.mark.parametrize(
    ("word", "claim", "said"),
    [
        ("confirm", "2", [ONE]),
        ("confirm", "3", [ONE, TWO]),
        ("nothing", "2", [ONE, confirmed("4", "2")]),
        ("nothing", "2", [ONE, over("4", "2", "2")]),
        ("nothing", "2", [ONE, claimed("3", "2", 2, steal=True)]),
        ("concede", "2", [ONE, TWO, confirmed("4", "3")]),
        ("confirm", "2", [ONE, TWO, confirmed("4", "3"), over("5", "4", "3")]),
        ("confirm", "5", [ONE, confirmed("4", "2"), claimed("5", "4", 2, steal=True)]),
        ("concede", "5", [ONE, confirmed("4", "2"), claimed("5", "4", 2)]),
        # a steal of the one it saw, not of the one that is held by now
        ("concede", "5", [ONE, TWO, claimed("5", "2", 2, steal=True), confirmed("6", "3")]),
        (
            "concede",
            "5",
            [ONE, claimed("5", "2", 2, steal=True), over("3", "2", "2"), TWO, confirmed("6", "7")],
        ),
    ],
)
def test_a_store_confirms_its_claim_or_concedes_it_by_what_the_arbiter_holds(
    word: str, claim: str, said: list[Said]
) -> None:
    assert claims.verdict(folded(NEW, *said), name(claim)) == word


def test_a_token_is_greater_than_all_before() -> None:
    assert claims.token(folded(NEW, ONE), name("2")) == 1
    assert claims.token(folded(NEW, claimed("2", "1", 5)), name("2")) == 5
    state = folded(NEW, ONE, confirmed("4", "2", 7), over("5", "4", "2"), claimed("6", "5"))
    assert claims.token(state, name("6")) == 8
    assert claims.next_gen(state) == 8


@pytest.mark.parametrize("forged", [True, 0, -1, 1.5, "9", None, [], claims.TOKENS, 10**400])
def test_a_token_that_none_is_counts_as_the_first(forged: object) -> None:
    state = folded(
        NEW, ONE, claimed("3", "1", forged), confirmed("4", "2", forged), over("5", "4", "2")
    )
    assert claims.token(state, name("3")) == 2
    assert claims.next_gen(state) == 2


@pytest.mark.parametrize(
    "writer", ["agent.a~00000000", "arbiter.other~00000000", "agent.arbiter.main~00000000"]
)
def test_only_the_arbiter_confirms(writer: str) -> None:
    assert holder(folded(NEW, ONE, TWO, event(*confirmed("4", "3"), writer))) == ("2", None)


def test_what_is_missing_is_known_to_be() -> None:
    state = folded(
        NEW, ("3", "commented", "1", {}), ("5", "commented", "4", {}), ("6", "commented", "3 5", {})
    )
    assert [causality.complete(state, name(one)) for one in "13456"] == [
        True,
        True,
        False,
        False,
        False,
    ]
    causality.know(state, event("4", "commented", "1", {}))
    assert all(causality.complete(state, name(one)) for one in "13456")
