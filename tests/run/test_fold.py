"""The state of a job, as tables: one line of events, one status."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from support import Json

from coord_envelope import event, ids, world
from coord_envelope.event import Event
from coord_run import fold

if TYPE_CHECKING:
    from coord_run.types import Job

T0 = world.parse_ts("2026-01-17T12:00:00Z")
MIN = 60_000
RUN, C1, C2, C3 = (ids.mint(ids.tick(0, T0 + n), bytes(8)) for n in range(4))


class Story:
    """Events of one job. The writer of each knows those before it, or those in `knows`."""

    def __init__(self, **body: Any) -> None:
        self.events: list[Event] = []
        self.add("requested", {"argv": ["x"], **body}, at=0, id_=RUN)

    def add(
        self,
        kind: str,
        body: Json,
        at: int,
        id_: str | None = None,
        knows: list[str] | None = None,
        by: str = "a",
    ) -> Story:
        at_ms, seq = T0 + at, len(self.events) + 1
        event_id = id_ or ids.mint(ids.tick(0, at_ms + 100 + seq), bytes(8))
        base = knows if knows is not None else [earlier.id for earlier in self.events]
        draft = {"type": f"run.{kind}", "refs": {"run_id": RUN}, "base": base, "body": body}
        actor = {"agent_id": f"agent:{by}"}
        head = ("acme", f"agent.{by}~aaaaaaaa", seq)
        self.events.append(event.build(draft, event_id, at_ms, head, actor))
        return self

    def claim(
        self, id_: str, n: int, at: int, steal: bool = False, knows: list[str] | None = None
    ) -> Story:
        body = {
            "n": n,
            "lease_ms": 2 * MIN,
            "runner": "agent:a",
            **({"steal": True} if steal else {}),
        }
        return self.add("claimed", body, at, id_, knows)

    def start(self, claim: str, at: int) -> Story:
        return self.add("started", {"claim": claim}, at)

    def end(
        self,
        claim: str,
        at: int,
        code: int = 0,
        knows: list[str] | None = None,
        outcome: str = "exit",
    ) -> Story:
        return self.add(
            "completed",
            {"claim": claim, "outcome": outcome, "code": code, "dur_ms": 1},
            at,
            knows=knows,
        )

    def state(self) -> Job:
        state = None
        for each in sorted(self.events, key=lambda event: event.id):
            state = fold.step(state, each)
        assert state
        return state

    def status(self, minutes: float) -> str:
        return fold.status(self.state(), T0 + int(minutes * MIN))


def claimed() -> Story:
    return Story().claim(C1, 1, at=1)


def running(**body: Any) -> Story:
    return Story(**body).claim(C1, 1, at=1).start(C1, at=2)


STATUSES: list[tuple[Story, float, str]] = [
    (Story(), 0, "requested"),
    (claimed(), 1, "claimed"),
    (claimed(), 4, "requested"),
    (running(), 2.9, "running"),
    (running(), 4, "requested"),
    (running(max_attempts=1), 4, "lost"),
    (running().add("heartbeat", {"claim": C1, "lease_ms": 2 * MIN}, at=2 * MIN), 4, "running"),
    (running().add("released", {"claim": C1, "reason": "x"}, at=3), 0.1, "requested"),
    (running(max_attempts=1).add("released", {"claim": C1, "reason": "x"}, at=3), 0.1, "lost"),
    (claimed().add("released", {"claim": C1, "reason": "x"}, at=3), 0.1, "requested"),
    (Story(max_attempts=1).claim(C1, 1, at=1).add("released", {"claim": C1, "reason": "x"}, at=3), 0.1, "requested"),
    (running().end(C1, at=3), 9, "completed"),
    (running().end(C1, at=3, code=1), 9, "completed"),
    (running(retry="any").end(C1, at=3, code=1), 9, "requested"),
    (running(retry="any").end(C1, at=3, code=65), 9, "completed"),
    (running(retry="any", max_attempts=1).end(C1, at=3, code=1), 9, "completed"),
    (running().end(C1, at=3, outcome="error"), 9, "requested"),
    (running(retry="any").end(C1, at=3, outcome="timeout"), 9, "requested"),
    (running().end(C1, at=3, outcome="timeout"), 9, "completed"),
    (running(retry="any").end(C1, at=3, outcome="cancelled"), 9, "completed"),
    (Story().add("cancelled", {"reason": "x"}, at=1), 0, "cancelled"),
    (running().add("cancelled", {"reason": "x"}, at=3), 1, "running"),
    (running().add("cancelled", {"reason": "x"}, at=3), 9, "cancelled"),
    (running(retry="any").add("cancelled", {"reason": "x"}, at=3).end(C1, at=4, code=1), 9, "completed"),
    (running().end(C1, at=3).add("cancelled", {"reason": "x"}, at=4), 9, "completed"),
    (Story(start_by="2026-01-17T12:05:00.000Z"), 4.9, "requested"),
    (Story(start_by="2026-01-17T12:05:00.000Z"), 5, "expired"),
    (Story(start_by="2026-01-17T12:05:00.000Z").claim(C1, 1, at=1).start(C1, at=2), 6, "requested"),
    (Story(start_by="2026-01-17T12:05:00.000Z").add("expired", {}, at=5 * MIN), 4, "expired"),
    (Story(start_by="2026-01-17T12:05:00.000Z").add("expired", {}, at=4 * MIN), 4, "requested"),
    (running(start_by="2026-01-17T12:05:00.000Z").add("expired", {}, at=5 * MIN), 6, "requested"),
    (Story().add("expired", {}, at=1), 4, "requested"),
    (claimed().end(C1, at=3, outcome="error"), 9, "requested"),
    (Story(max_attempts=1).claim(C1, 1, at=1).end(C1, at=3, outcome="error"), 9, "completed"),
    (Story().claim(C1, 1, at=60 * MIN).start(C1, at=60 * MIN), 0, "requested"),  # from a clock that runs ahead
]  # fmt: skip


@pytest.mark.parametrize(("story", "minutes", "status"), STATUSES)
def test_the_status_follows_from_events_and_time(story: Story, minutes: float, status: str) -> None:
    assert story.status(minutes) == status


def test_a_result_whose_writer_knew_that_the_job_was_lost_does_not_count() -> None:
    late = (
        running()
        .claim(C2, 2, at=4 * MIN, steal=True)
        .start(C2, at=4 * MIN)
        .end(C1, at=5 * MIN, code=7)
    )
    assert late.status(5) == "running"
    assert fold.result(late.end(C2, at=6 * MIN, code=3).state())["code"] == 3  # type: ignore[index]


def test_a_result_after_the_release_of_its_claim_does_not_count() -> None:
    released = (
        running()
        .add("released", {"claim": C1, "reason": "its worker died"}, at=3)
        .end(C1, at=4, code=7)
    )
    assert released.status(1) == "requested"


def test_of_concurrent_results_the_first_counts_whatever_the_order() -> None:
    before = [RUN, C1]
    story = running().claim(C2, 2, at=4 * MIN, steal=True).start(C2, at=4 * MIN)
    story.end(C1, at=5 * MIN, code=7, knows=before).end(C2, at=6 * MIN, code=3)
    state = story.state()
    assert fold.result(state)["code"] == 7  # type: ignore[index]
    assert len(fold.results(state)) == 2


def test_a_result_before_a_retry_is_not_final() -> None:
    story = running(retry="any").end(C1, at=3, code=1)
    assert fold.result(story.state()) is None
    again = story.claim(C2, 2, at=4 * MIN).start(C2, at=4 * MIN)
    assert again.status(5) == "running"
    assert fold.result(again.end(C2, at=5 * MIN).state())["code"] == 0  # type: ignore[index]


def test_of_two_concurrent_claims_the_smaller_id_holds_it() -> None:
    story = Story().claim(C1, 1, at=1, knows=[RUN]).claim(C2, 1, at=2, knows=[RUN])
    assert fold.holder(story.state(), T0 + MIN) == C1


def test_the_pause_doubles_with_a_random_share_of_up_to_a_half() -> None:
    for n, claim in ((1, C1), (2, C2), (3, C3)):
        story = (
            Story(retry="any", max_attempts=9, backoff_ms=8 * MIN)
            .claim(claim, n, at=1)
            .start(claim, at=2)
        )
        pause = fold.due(story.end(claim, at=3, code=1).state()) - T0 - 3
        most = min(8 * MIN << n - 1, 15 * MIN)
        assert most / 2 <= pause <= most


UNUSABLE: list[Json] = [
    {"argv": "x"},
    {"argv": []},
    {"argv": ["x", 1]},
    {"argv": ["x"], "env": {"A": 1}},
    {"argv": ["x"], "env": []},
    {"argv": ["x"], "needs": [{}]},
    {"argv": ["x"], "secrets": "A"},
    {"argv": ["x"], "cwd": 1},
    {"argv": ["x"], "repo": "HEAD"},
]


@pytest.mark.parametrize("body", UNUSABLE)
def test_a_request_that_no_worker_could_run_does_not_count(body: Json) -> None:
    assert Story(**body).state()["request"] is None


@pytest.mark.parametrize(
    "kind",
    ["claimed", "started", "heartbeat", "completed", "released", "cancelled", "expired", "odd"],
)
def test_the_fold_is_total(kind: str) -> None:
    values: list[object] = [None, 0, -1, 1 << 70, "x", [], {}, C1, True]
    for first, second in itertools.product(values, values):
        body = {
            **dict.fromkeys(("claim", "lease_ms", "reason"), first),
            **dict.fromkeys(("n", "outcome"), second),
        }
        state = running().add(kind, body, at=9).state()
        assert fold.status(state, T0) in (
            "running",
            "requested",
            "claimed",
            "lost",
            "completed",
            "cancelled",
        )
        assert list(fold.indexed(state))


def test_a_result_cannot_set_its_own_time_author_and_id() -> None:
    """History: a `ts` in its body that was not a string broke every command that reads jobs."""
    forged = {"ts": 5, "by": [], "id": {}}
    tried = running().add("completed", {"claim": C1, "outcome": "error", **forged}, at=3)
    assert dict(fold.indexed(tried.state()))["free"] > fold.moment(T0)
    ended = running().add("completed", {"claim": C1, "outcome": "exit", "code": 0, **forged}, at=3)
    result = fold.result(ended.state())
    assert result
    assert (result["id"], result["by"], result["ts"]) == (
        ended.events[-1].id,
        "agent:a",
        ended.events[-1]["ts"],
    )
