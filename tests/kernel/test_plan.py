"""The plan of a round of a sync, as a table: refs, this store and the arbiter in; what to do out."""

from __future__ import annotations

import pytest
from support import Json

from coord_envelope import Event
from coord_kernel.rules import claims
from coord_kernel.sync import plan
from coord_kernel.sync.plan import Plan

OWN, OTHER, ARBITER = (
    "refs/coord/replica/aaaaaaaa",
    "refs/coord/replica/bbbbbbbb",
    "refs/coord/arbiter",
)
TIPS = {OWN: "own-1", OTHER: "other-1", ARBITER: "arb-2"}
PUSH = {OWN: "own-1"}
SWAP = {ARBITER: "arb-2"}


def event_id(number: int) -> str:
    return f"{number:026}"


def event(number: int, verb: str, base: list[int], body: Json) -> Event:
    writer = "arbiter.main~00000000" if verb == "confirmed" else "agent.a~aaaaaaaa"
    fields = {
        "event_id": event_id(number),
        "type": f"work.{verb}",
        "ts": "",
        "writer": writer,
        "body": body,
        "actor": {"agent_id": "agent:a"},
        "base": [event_id(before) for before in base],
        "refs": {"work_id": event_id(0)},
    }
    return Event(b"", fields)


CLAIMED = event(1, "claimed", [], {})
ANOTHER = event(2, "claimed", [], {})
CONFIRMED = event(3, "confirmed", [2], {"claim": event_id(2), "n": 1, "agent_id": "agent:b"})
STEAL = event(4, "claimed", [2, 3], {"steal": True})


def tentative(claim: Event, *others: Event, entity: str = "work x") -> plan.Tentative:
    """A claim of this store, and the claims of its entity after it and other events."""
    state: claims.ClaimsState | None = None
    for known in sorted((claim, *others), key=lambda known: known.id):
        state = claims.step(state, known)
    return entity, claim.id, state or claims.nothing()


def arbiter(**facts: object) -> plan.Arbiter:
    usual = {
        "ref": ARBITER,
        "tip": "arb-2",
        "seen": "arb-2",
        "split": False,
        "ahead": True,
        "behind": False,
        "lacks": False,
    }
    return {**usual, **facts}  # type: ignore[typeddict-item]


def here(*claimed: plan.Tentative, settles: bool = False) -> plan.Here:
    return {"own": OWN, "tentative": claimed, "settles": settles}


FREE = tentative(CLAIMED)
LOST = tentative(CLAIMED, ANOTHER, CONFIRMED)
STOLEN = tentative(STEAL, ANOTHER, CONFIRMED)
DONE = tentative(ANOTHER, CONFIRMED)
BEHIND = arbiter(tip="arb-1", ahead=False, behind=True)
GONE = arbiter(tip="", ahead=False, behind=True)
SPLIT = arbiter(split=True, behind=True, ahead=False)
FORKED = arbiter(tip="arb-x", ahead=False, lacks=True)
GROWN_APART = arbiter(tip="arb-x", ahead=False)


@pytest.mark.parametrize(
    ("fetches", "tips", "seen", "lost"),
    [
        ([], {}, {}, False),
        ([], TIPS, TIPS, False),
        ([OTHER], TIPS, TIPS | {OTHER: "other-0"}, False),
        ([OWN, OTHER, ARBITER], TIPS, {}, False),
        # a ref that is gone is nothing to fetch
        ([], {OWN: "own-1"}, TIPS, False),
        # the journal was restored from a backup: all of them again
        ([OWN, OTHER, ARBITER], TIPS, TIPS, True),
    ],
)
def test_what_is_not_taken_in_is_fetched_first(
    fetches: list[str], tips: dict[str, str], seen: dict[str, str], lost: bool
) -> None:
    assert plan.fetches(tips, seen, lost) == fetches


@pytest.mark.parametrize(
    ("step", "store", "other"),
    [
        # nothing to confirm: the arbiter is not touched, whatever it lacks
        (Plan(push=PUSH), here(), arbiter()),
        (Plan(push=PUSH), here(), arbiter(lacks=True)),
        (Plan(push=PUSH), here(DONE), arbiter()),
        # a claim that is free, one that another was faster with, and a steal of that one
        (Plan(confirm=[FREE], push=PUSH | SWAP), here(FREE), arbiter()),
        (Plan(concede=[LOST], push=PUSH), here(LOST), arbiter()),
        (Plan(confirm=[STOLEN], push=PUSH | SWAP), here(STOLEN), arbiter()),
        # of an entity one in a round
        (
            Plan(confirm=[FREE], push=PUSH | SWAP),
            here(FREE, tentative(ANOTHER, CLAIMED)),
            arbiter(),
        ),
        # what `settle` may add is pushed from the tip that it saw
        (Plan(concede=[LOST], confirm=[], push=PUSH | SWAP), here(LOST, settles=True), arbiter()),
        # the first confirmation of all makes the arbiter
        (
            Plan(confirm=[FREE], push=PUSH | {ARBITER: ""}),
            here(FREE),
            arbiter(tip="", seen=""),
        ),
        # gone, or put back: it is given what was seen of it, and nothing else
        (Plan(mend="tip", push={ARBITER: "arb-1"}), here(FREE, LOST), BEHIND),
        (Plan(mend="tip", push={ARBITER: ""}), here(), GONE),
        # lines that it lacks go first
        (Plan(mend="lines", push=SWAP), here(FREE, LOST), arbiter(lacks=True)),
        (Plan(mend="lines", push=SWAP), here(settles=True), arbiter(lacks=True)),
        # two histories: nothing is confirmed or conceded, and what this store has is given
        (Plan(diverged=True, push=PUSH), here(FREE, LOST, settles=True), FORKED),
        (Plan(diverged=True, push=PUSH), here(FREE, LOST, settles=True), SPLIT),
        # another history that has every line: it may be continued
        (
            Plan(confirm=[FREE], push=PUSH | {ARBITER: "arb-x"}),
            here(FREE),
            GROWN_APART,
        ),
    ],
)
def test_a_round_does_what_refs_claims_and_arbiter_ask_for(
    step: Plan, store: plan.Here, other: plan.Arbiter
) -> None:
    found = plan.plan(TIPS, store, other)
    assert found._replace(concede=list(found.concede), confirm=list(found.confirm)) == (
        step._replace(concede=list(step.concede), confirm=list(step.confirm))
    )


def test_a_store_that_has_pushed_nothing_makes_its_ref() -> None:
    assert plan.plan({ARBITER: "arb-2"}, here(), arbiter()).push == {OWN: ""}


@pytest.mark.parametrize(
    ("step", "other"),
    [
        (Plan(), arbiter()),
        (Plan(), arbiter(tip="arb-3")),
        (Plan(), BEHIND),
        (Plan(mend="both", push={ARBITER: "arb-x"}), FORKED),
        (Plan(mend="both", push={ARBITER: "arb-x"}), GROWN_APART),
    ],
)
def test_an_arbiter_with_two_histories_is_repaired(step: Plan, other: plan.Arbiter) -> None:
    assert plan.repair(other) == step


def test_refs_of_inactive_replicas_are_archived_and_kept_ones_never() -> None:
    kept, written = (OWN, ARBITER), {OTHER: 1_000}
    assert plan.archive(TIPS, kept, written, before=1_000) == Plan()
    assert plan.archive(TIPS, kept, written, before=1_001) == Plan(
        push=PUSH, delete={OTHER: "other-1"}
    )
