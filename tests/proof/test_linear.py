"""The checker itself, on small histories: it must say no to each that nobody could explain."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from proof.linear import Op, linearized
from proof.registers import Item, Lease, item, lease

A, B, A2 = "agent:a/s1", "agent:b/s1", "agent:a/s2"


def history(text: str) -> list[Op]:
    """Lines of `FROM-TO WHO VERB[ TOKEN]: SAW`, where FROM and TO are times, and an empty SAW a death."""
    who, found = {"a": A, "b": B, "a2": A2}, []
    for line in text.strip().splitlines():
        did, _, saw = line.partition(":")
        when, name, verb, *token = did.split()
        call, back = when.split("-")
        found.append(
            Op(int(call), int(back), who[name], verb, saw.strip() or None, int(*token or ["0"]))
        )
    return found


ITEMS = {
    "one after the other": """
        0-1 a claim: 0 token 1
        2-3 b claim: 1 is held by agent:a
        4-5 a release: 0
        6-7 b claim: 0 token 2""",
    "of two at once one wins, though it came back later": """
        0-9 a claim: 0 token 1
        1-2 b claim: 1 is held by agent:a""",
    "who was killed took it just before his death": """
        0-9 a claim:
        1-2 b claim: 0 token 1
        3-4 b release: 0
        5-6 b claim: 1 is held by agent:a""",
    "one's own claim again, while another session of one's own is refused": """
        0-1 a claim: 0 token 1
        2-3 a claim: 0 token 1 again
        2-3 a2 claim: 1 is held by agent:a""",
    "who was killed had taken it": """
        0-1 a claim:
        5-6 b claim: 1 is held by agent:a
        7-8 a claim: 0 token 1 again""",
    "who was killed never took it": """
        0-1 a claim:
        2-3 b claim: 0 token 1
        4-5 b close: 0
        6-7 a close: 1 is done already
        8-9 a reopen: 0
        10-11 a show: 0 ready""",
    "what is closed is held by nobody; the closer's agent may say it again": """
        0-1 a claim: 0 token 1
        2-3 a close: 0
        4-5 a2 close: 0 again
        6-7 a release: 1 is held by nobody
        8-9 b claim: 1 is done""",
    "given back twice is once, whoever has it now": """
        0-1 a claim: 0 token 1
        2-3 a release: 0
        4-5 b claim: 0 token 2
        6-7 a release: 0 again
        8-9 a2 release: 1 is held by agent:b
        10-11 a show: 0 active agent:b/s1 2""",
}
NOT_ITEMS = {
    "two have it": """
        0-9 a claim: 0 token 1
        0-9 b claim: 0 token 2""",
    "a token is given twice": """
        0-1 a claim: 0 token 1
        2-3 a release: 0
        4-5 b claim: 0 token 1""",
    "refused by one who had it only later": """
        0-1 b claim: 1 is held by agent:a
        2-3 a claim: 0 token 1""",
    "refused by one who had given it back": """
        0-1 a claim: 0 token 1
        2-3 a release: 0
        4-5 b claim: 1 is held by agent:a""",
    "refused in the name of another": """
        0-1 a claim: 0 token 1
        2-3 b claim: 1 is held by agent:b""",
    "an acked claim is lost": """
        0-1 a claim: 0 token 1
        2-3 b show: 0 ready""",
    "one death cannot have taken it twice": """
        0-1 a claim:
        2-3 b claim: 1 is held by agent:a
        4-5 a release: 0
        6-7 b claim: 1 is held by agent:a""",
    "a death is not the effect of what was never called": """
        0-1 a release:
        2-3 b claim: 1 is held by agent:a""",
    "who was killed took it later than he died": """
        0-1 a claim:
        2-3 b claim: 0 token 1
        4-5 b release: 0
        6-7 b claim: 1 is held by agent:a""",
    "taken before the killed one was called": """
        0-1 b claim: 1 is held by agent:a
        2-3 a claim:""",
}
LEASES = {
    "one after the other, with a hole in the tokens": """
        0-1 a acquire 1: 0
        2-3 b acquire: 1 is held by agent:a
        4-5 a renew 1: 0
        6-7 a release 1: 0
        8-9 a release 1: 0
        10-11 b acquire 1002: 0
        12-13 a renew 1: 1 is released""",
    "one's own is in one's own way": """
        0-1 a acquire 1: 0
        2-3 a acquire: 1 is held by agent:a""",
    "what one who was killed had acquired is found, and given back": """
        0-1 a acquire:
        2-3 b acquire: 1 is held by agent:a
        4-5 a ls 3: 0 agent:a/s1 3
        6-7 a release 3: 0
        8-9 b ls: 0 nobody""",
    "a release of one who was killed": """
        0-1 a acquire 1: 0
        2-3 a release 1:
        4-5 b acquire 2: 0""",
}
NOT_LEASES = {
    "two have it": """
        0-9 a acquire 1: 0
        0-9 b acquire 2: 0""",
    "the token does not rise": """
        0-1 a acquire 2: 0
        2-3 a release 2: 0
        4-5 b acquire 2: 0""",
    "nor over what one who was killed had acquired": """
        0-1 a acquire:
        2-3 a ls 5: 0 agent:a/s1 5
        4-5 a release 5: 0
        6-7 b acquire 5: 0""",
    "renewed after it was given back": """
        0-1 a acquire 1: 0
        2-3 a release 1: 0
        4-5 a renew 1: 0""",
    "lost while it was held": """
        0-1 a acquire 1: 0
        2-3 a renew 1: 1 is released""",
    "not there while it is held": """
        0-1 a acquire 1: 0
        2-3 b ls: 0 nobody""",
}


@pytest.mark.parametrize("name", ITEMS)
def test_what_an_item_can_answer_is_explained(name: str) -> None:
    assert linearized(history(ITEMS[name]), Item(), item)


@pytest.mark.parametrize("name", NOT_ITEMS)
def test_what_no_item_can_answer_is_found(name: str) -> None:
    with pytest.raises(AssertionError, match="no order explains"):
        linearized(history(NOT_ITEMS[name]), Item(), item)


@pytest.mark.parametrize("name", LEASES)
def test_what_a_lease_can_answer_is_explained(name: str) -> None:
    assert linearized(history(LEASES[name]), Lease(), lease)


@pytest.mark.parametrize("name", NOT_LEASES)
def test_what_no_lease_can_answer_is_found(name: str) -> None:
    with pytest.raises(AssertionError, match="no order explains"):
        linearized(history(NOT_LEASES[name]), Lease(), lease)


def test_of_the_killed_only_those_are_in_the_order_that_took_effect() -> None:
    ops = history("""
        0-1 a claim:
        0-1 b claim:
        2-3 a show: 0 active agent:b/s1 1""")
    assert [op.who for op in linearized(ops, Item(), item)] == [B, A]
    assert linearized(ops[:2], Item(), item) == []


ANSWERS = (
    "0",
    "0 again",
    *(f"0 token {n}{again}" for n in range(1, 7) for again in ("", " again")),
)
ANSWERS += tuple(f"1 is held by {who}" for who in ("agent:a", "agent:b", "nobody"))


def lived(chance: random.Random) -> list[Op]:
    """Eight commands that overlap and what they were told, of which one answer may be wrong, and some are killed."""
    times = sorted(
        (point := chance.randrange(60), point - chance.randrange(20), n) for n in range(8)
    )
    now, ops = Item(), list[Op]()
    for point, call, _ in times:
        op = Op(
            call,
            point + chance.randrange(20),
            chance.choice((A, B, A2)),
            chance.choice(("claim", "release")),
            None,
        )
        if chance.random() < 0.15:
            ops.append(op)  # killed before it did anything
            continue
        saw = next(one for one in ANSWERS if item(now, op._replace(saw=one)))
        now = item(now, op) or now
        ops.append(op._replace(saw=None if chance.random() < 0.2 else saw))
    if chance.random() < 0.5:
        n = chance.randrange(8)
        ops[n] = ops[n]._replace(saw=chance.choice(ANSWERS))
    return ops


def by_force(left: frozenset[Op], now: Item, last_call: int) -> bool:
    """The same question, answered by a look at every order."""
    if all(op.saw is None for op in left):
        return True
    return any(
        op.back >= last_call and by_force(left - {op}, after, max(last_call, op.call))
        for op in left
        if (after := item(now, op))
    )


def test_it_says_what_a_look_at_every_order_says() -> None:
    # Found so: what changes nothing was put before one that was killed and had died before it was called.
    chance, said = random.Random(8), Counter[bool]()
    for _ in range(500):
        ops = lived(chance)
        try:
            linearized(ops, Item(), item)
            found = True
        except AssertionError:
            found = False
        assert found == by_force(frozenset(ops), Item(), 0), "\n".join(map(str, ops))
        said[found] += 1
    assert min(said.values()) > 50, said
