"""Claims among clones: however they race, one is confirmed, all learn of whom, and the tokens only increase."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from proof.hub import Hub, at_once, events
from support import Json


def owners(hub: Hub, item: str) -> list[Json]:
    """Who has the item, as each clone sees it."""
    return [clone(f"wk show {item}").one["claim"] for clone in hub.clones]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["the first first", "the second first"])
def test_of_two_who_claimed_apart_who_syncs_first_owns_it_and_the_other_has_mail(
    repo: Path, tmp_path: Path, order: tuple[int, int]
) -> None:
    hub = Hub(tmp_path, 2)
    item = hub.clones[0]("wk new apart -o id").out.strip()
    hub.settle()
    cut = [clone(f"wk claim {item}", FLAKY="100") for clone in hub.clones]
    assert [(one.one["$level"], one.one["$token"]) for one in cut] == [("tentative", None)] * 2
    assert [len(one.err.splitlines()) for one in cut] == [1, 1]
    first, second = (hub.clones[number] for number in order)
    claims = [cut[number].one["event_id"] for number in order]
    assert first("ev sync").one["confirmed"] == claims[:1]
    lost = second("ev sync", expect=1)
    assert lost.one["conceded"] == claims[1:] and len(lost.err.splitlines()) == 1
    first("ev sync")
    assert {(one["id"], one["agent"], one["n"]) for one in owners(hub, item)} == {
        (claims[0], f"agent:{first.name}", 1)
    }
    (mail,) = second("msg recv").lines
    assert (mail["type"], mail["body"]["claim"], mail["body"]["winner"]) == (
        "work.conceded",
        claims[1],
        f"agent:{first.name}",
    )
    assert first("msg recv").lines == []
    assert second("ev sync").err == ""


def race(hub: Hub, item: str) -> tuple[int, int, int]:
    """All clones claim it at once: who is confirmed, with which token, and how many are left tentative."""
    ended = at_once(hub.clones, f"wk claim {item}")
    said = [
        (done.status, done.one["$level"] if done.out else None, len(done.err.splitlines()))
        for done in ended
    ]
    assert said.count(CONFIRMED) == 1, [done.err for done in ended]
    assert set(said) <= {CONFIRMED, REFUSED, UNREACHED}, [done.err for done in ended]
    winner = said.index(CONFIRMED)
    return winner, ended[winner].one["$token"], said.count(UNREACHED)


CONFIRMED, REFUSED, UNREACHED = (0, "confirmed", 0), (1, None, 1), (0, "tentative", 1)
"""How a claim ends: exit status, level, lines on stderr."""


@pytest.mark.parametrize(
    ("clones", "short", "many"), [(2, (5, 2), (20, 10)), (8, (3, 1), (5, 10))], ids=["two", "eight"]
)
def test_of_clones_that_race_for_an_item_one_is_confirmed(
    repo: Path,
    tmp_path: Path,
    clones: int,
    short: tuple[int, int],
    many: tuple[int, int],
    long: bool,
    say: Callable[..., None],
) -> None:
    count, laps = many if long else short
    hub, winners, weak = Hub(tmp_path, clones), Counter[int](), 0
    items = hub.clones[0]("wk new -o id", '{"title":"raced"}\n' * count).out.split()
    tokens: dict[str, list[int]] = {item: [] for item in items}
    for _ in range(laps):
        hub.settle()
        won: dict[int, list[str]] = {}
        for item in items:
            winner, token, left = race(hub, item)
            tokens[item].append(token)
            won.setdefault(winner, []).append(item)
            winners[winner] += 1
            weak += left
        for winner, held in won.items():
            hub.clones[winner](f"wk release {' '.join(held)}")
    confirmed, double = events(hub.settle(), "work.confirmed"), 0
    for item, seen in tokens.items():
        given = [one["body"]["n"] for one in confirmed if one["refs"]["work_id"] == item]
        double += len(given) - len(set(given))
        assert all(one < other for one, other in itertools.pairwise(given)), given
        assert seen == [one for one in given if one in seen], seen
    assert hub.rejected() == []
    say(
        f"claims: {clones} clones raced {count * laps} times, an item {laps} times over: one confirmed each time, "
        f"tokens increase; {len(winners)} of the clones won some, {weak} claims were left tentative",
        claims=clones * count * laps,
        double_claims=double,
    )
