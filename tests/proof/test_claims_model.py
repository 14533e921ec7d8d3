"""The claim protocol in every order of its steps, to a number of acts: one confirmed claim is open at most, and stays.

Each case is all that so many clones can come to while their agents do so many things (`acts`), with any sync cut into
its steps, any of them lost or late, and so many accidents of the arbiter.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from proof.claims_model import HOUR, Model
from proof.claims_proof import Proof, Violation

from coord_kernel.rules import causality, claims

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.rules.claims import ClaimsState

LATE = True
CASES = {
    "2 clones, 2 acts, what was given up may land": ((0, -HOUR), 2, 0, LATE),
    "2 clones, 2 acts, 1 accident": ((0, 0), 2, 1, not LATE),
    "3 clones, 1 act, 1 accident": ((0, HOUR, -HOUR), 1, 1, LATE),
}
LONG = {
    "2 clones, 4 acts": ((0, HOUR), 4, 0, not LATE),
    "2 clones, 3 acts, what was given up may land": ((0, -HOUR), 3, 0, LATE),
    "2 clones, 2 acts, 2 accidents": ((0, HOUR), 2, 2, LATE),
    "3 clones, 2 acts": ((0, HOUR, -HOUR), 2, 0, LATE),
}


@pytest.mark.parametrize("name", [*CASES, *LONG])
def test_at_most_one_confirmed_claim_is_open_and_it_stays(
    name: str, long: bool, say: Callable[[str], None]
) -> None:
    if name in LONG and not long:
        pytest.skip("takes minutes: --long")
    states, forks = Proof(Model(*(CASES | LONG)[name])).search()
    forked = (
        f", in {forks:,} of them two arbiters: who confirmed could not know of an entry lost"
        if forks
        else ""
    )
    say(f"claims: {name}: {states:,} states{forked}")
    assert states > 1_000


def blind(state: ClaimsState, claim: str) -> str:
    """A verdict without a look at what the arbiter holds."""
    return "nothing" if claim in state["confirmed"] or claims.over(state, claim) else "confirm"


def greedy(state: ClaimsState, claim: str) -> str:
    """A verdict that lets a steal take what it never saw."""
    held = [one for one in state["confirmed"] if not claims.over(state, one)]
    if blind(state, claim) == "confirm" and held and claim not in state["steals"]:
        return "concede"
    return blind(state, claim)


@pytest.mark.parametrize(
    ("guard", "instead", "acts"),
    [
        ((claims, "verdict"), blind, 2),
        ((claims, "verdict"), greedy, 4),
        ((claims, "token"), lambda state, claim: state["claims"][claim]["gen"], 3),
        ((causality, "complete"), lambda _state, _claim: True, 3),
        ((Model, "swaps"), False, 2),
    ],
    ids=[
        "the arbiter is not looked at",
        "a steal of the unseen",
        "tokens of one's own",
        "never incomplete",
        "no swap",
    ],
)
def test_without_each_guard_it_would_not_hold(
    monkeypatch: pytest.MonkeyPatch,
    guard: tuple[object, str],
    instead: object,
    acts: int,
    long: bool,
) -> None:
    if acts > 3 and not long:
        pytest.skip("takes a quarter of a minute: --long")
    monkeypatch.setattr(*guard, instead)
    with pytest.raises(Violation):
        Proof(Model((0, HOUR), acts)).search()
