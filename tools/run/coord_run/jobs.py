"""Jobs as they are at a time: which are free, how each ended, how they are shown."""

from __future__ import annotations

import heapq
from itertools import islice

from coord_envelope import ids, world
from coord_envelope.platform import suppress
from coord_kernel.views.entities import Entities
from coord_run import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import Any, ClassVar

    from coord_envelope.codec import Json
    from coord_run.types import AttemptRow, Job, Result, Row


NO_RESULT = 125
"""The status for a job without one of its own: cancelled, lost, expired, or not started."""
TIMED_OUT = 124
"""As timeout(1) has it."""
OPEN = ("requested", "waiting", "claimed", "running")
OVER = ("completed", "cancelled", "lost", "expired", "unsigned")
FAILED = "failed"
"""To select by: completed without success, or lost."""
STATUSES = (*OPEN, *OVER, FAILED)
_OUTCOME = ("outcome", "code", "signal")
_RESULT = (*_OUTCOME, "reason", "dur_ms", "stdout", "stderr")


class Jobs(Entities):
    """The jobs of a store, as they are at one moment."""

    fold: ClassVar[Any] = fold

    def status(self, state: Job) -> str:
        return fold.status(state, self.now_ms)

    def is_one_of(self, state: Job, statuses: Collection[str]) -> bool:
        """Is its status one of these, or has it failed and that is one of them?"""
        status = self.status(state)
        return status in statuses or (FAILED in statuses and self._failed(state, status))

    def _failed(self, state: Job, status: str) -> bool:
        result = fold.result(state)
        cancelled = result is not None and result["outcome"] == "cancelled"
        ended = status == "lost" or (status == "completed" and not cancelled)
        return ended and exit_status(state, self.now_ms) != 0

    def open_as(self, name: str) -> Iterator[Job]:
        """The jobs of a name that are not over."""
        states: Iterator[Job] = self.having("name", name)
        for state in states:
            if state["request"]["body"].get("name") == name and self.status(state) not in OVER:
                yield state

    def elsewhere(self, state: Job) -> bool:
        """Does another job of its name run?"""
        name = state["request"]["body"].get("name")
        others = self.open_as(name) if name else ()
        return any(self.status(other) in ("claimed", "running") for other in others)

    def waiting(self, about: Collection[str] | None = None) -> Iterator[Job]:
        """Jobs that wait for others: all, or of the ids `about` these, and who waits for them."""
        if about is None:
            yield from self._waiting(self.each(self._source.find("after")))
            return
        for run in about:
            state = self.state(run)
            yield from self._waiting([state] if state else [])
            yield from self._waiting(self.having("after", run))

    def _waiting(self, states: Iterable[Job]) -> Iterator[Job]:
        return (state for state in states if self.status(state) == "waiting")

    def before(self, state: Job) -> tuple[list[str], str | None]:
        """The jobs that it still waits for, and the first that will not succeed.

        A job comes after older ones only. To name itself or a younger one would begin a circle:
        that job counts as failed.
        """
        run, pending = state["request"]["id"], list[str]()
        for name in fold.after(state):
            earlier = self.state(name) if name < run else None
            status = exit_status(earlier, self.now_ms) if earlier else None
            if status not in (0, None) or name >= run:
                return pending, name
            pending += [name] if status is None else []
        return pending, None

    def free(self) -> Iterator[Job]:
        """What may be claimed now, in the order in which it became free."""
        until = fold.moment(self.now_ms) + "~"
        ahead = fold.moment(self.now_ms + ids.AHEAD_MS)  # claims of clocks that are far ahead
        find = self._source.find
        rows = heapq.merge(find("free", "", until), find("held", "", until), find("held", ahead))
        return (state for state in self.each(rows) if self.status(state) == "requested")

    def late(self) -> Iterator[Job]:
        """Jobs that were not started in time, of which that has not been noted."""
        rows = self._source.find("start_by", "", self.now + "~")
        return (state for state in self.each(rows) if self.status(state) == "expired")

    def next_ms(self) -> float:
        """How many ms from now a job may become free, or expire, by itself."""
        after = fold.moment(self.now_ms) + "~"
        firsts = (next(self._source.find(index, after), None) for index in ("free", "held"))
        times = [int(value.split(" ")[0]) for value, _ in filter(None, firsts)]
        for start_by, _ in islice(self._source.find("start_by", self.now + "~"), 1):
            with suppress(ValueError, OverflowError):
                times.append(world.parse_ts(start_by.split(" ")[0]))
        return min((time - self.now_ms + 1.0 for time in times), default=float("inf"))

    def held(self) -> Iterator[Job]:
        """Claimed jobs."""
        return self.each(self._source.find("held"))

    def listed(self, everything: bool, work: str | None) -> Iterator[Job]:
        """Jobs, oldest first: those that are not over, or all; of a work item."""
        if work:
            states = self.having("work", work)
        else:
            states = self.each(self._source.find("id" if everything else "open"))
        return (state for state in states if everything or self.status(state) in OPEN)

    def newest(self, most: int) -> Iterator[Job]:
        """The jobs that were requested last, newest first."""
        return self.each(islice(self._source.newest("id", "", "~"), most))

    def row(self, state: Job) -> Row:
        """The job in a line."""
        request, status = state["request"], self.status(state)
        result = _shown(fold.result(state) if status == "completed" else None, _OUTCOME)
        claim = state["claims"].get(fold.holder(state, self.now_ms) or "")
        again = fold.due(state) if status == "requested" and fold.used(state) else 0
        cancels = [cancel["reason"] for cancel in state["cancels"].values()]
        optional = {
            **result,
            "attempt": fold.used(state) or None,
            "runner": claim and claim["agent"],
            "waits_for": self.before(state)[0] if status == "waiting" else None,
            "not_before": world.format_ts(again) if again > self.now_ms else None,
            "cancelled": cancels[0] if cancels else None,
        }
        present = {k: v for k, v in optional.items() if v is not None and v is not False}
        return {
            "id": ids.short("run", request["id"]),
            "status": status,
            **present,  # type: ignore[typeddict-item]
            "argv": request["body"]["argv"],
            "by": request["by"],
            "ts": request["ts"],
            "run_id": request["id"],
            **({"work_id": request["work"]} if "work" in request else {}),
        }

    def shown(self, state: Job) -> Json:
        """All there is to know of it."""
        result = fold.result(state)
        row: Json = {**self.row(state), **_shown(result, _RESULT)}
        by_claim = {each["claim"]: each for _, each in fold.results(state)}
        if state["attempts"]:
            row["attempts"] = [
                self._attempt(state, claim, by_claim.get(claim))
                for claim in sorted(state["attempts"])
            ]
        others = [
            {"id": at, **_shown(each, ("claim", *_OUTCOME))}
            for at, each in state["results"].items()
            if result and at != result["id"]
        ]
        if others:
            row["also_completed"] = others
        return row | {
            "request": state["request"]["body"],
            "status_code": exit_status(state, self.now_ms),
        }

    def _attempt(self, state: Job, claim: str, result: Result | None) -> AttemptRow:
        attempt, claimed = state["attempts"][claim], state["claims"].get(claim)
        about = {k: attempt[k] for k in ("started", "host", "why") if attempt.get(k)}
        return {
            "n": attempt["n"],
            "claim": claim,
            "runner": claimed and claimed["agent"],
            **about,  # type: ignore[typeddict-item]
            **_shown(result, _OUTCOME),
        }


def _shown(result: Result | None, names: tuple[str, ...]) -> Json:
    """The fields of a result that it has."""
    fields: Json = {**result} if result else {}
    return {name: fields[name] for name in names if name in fields}


def exit_status(state: Job, now: int) -> int | None:
    """The status that a wrapper passes on; None while the job is not over."""
    if fold.status(state, now) not in OVER:
        return None
    result = fold.result(state)
    if result is None:
        return NO_RESULT
    if result["outcome"] in ("exit", "signal"):
        return fold.number(result.get("code"), NO_RESULT) & 0xFF
    return TIMED_OUT if result["outcome"] == "timeout" else NO_RESULT
