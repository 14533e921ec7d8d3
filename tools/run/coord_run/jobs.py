"""Jobs as they stand at a time: which are free, how each ended, how they are shown. Pure, given the states."""

from __future__ import annotations

import heapq

from coord_envelope import ids, world
from coord_kernel.cli import complaints
from coord_kernel.views.view import whole
from coord_run import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope.codec import Json
    from coord_kernel.views.view import Source


NO_RESULT = 125
"""The status for a job that has no status of its own to pass on: cancelled, lost, expired, or it could not be run."""
TIMED_OUT = 124
"""As timeout(1) has it."""
STATUSES = ("requested", "claimed", "running", "completed", "cancelled", "lost", "expired")
OVER = STATUSES[3:]
_RESULT = ("outcome", "code", "signal", "reason", "dur_ms", "stdout", "stderr")


class Jobs:
    """The jobs of a source, as they are at `now_ms`."""

    def __init__(self, source: Source, now_ms: int) -> None:
        self._source, self.now = source, now_ms

    def state(self, run: str) -> Json | None:
        """The folded state; None if there is no such job. Jobs with one key are one: the oldest's."""
        state = self._source.get(run)
        if not state or not state["request"]:
            return None
        return whole(self._source, state, state["request"].get("key"), fold.united)

    def _those(self, found: Iterable[tuple[str, str]]) -> Iterator[Json]:
        for _, run in found:
            state = self.state(run)
            if state and state["request"]["id"] == run:  # else it is another's twin
                yield state

    def status(self, state: Json) -> str:
        return fold.status(state, self.now)

    def free(self) -> Iterator[Json]:
        """What may be claimed now, in the order in which it became free."""
        until = fold.moment(self.now) + "~"
        ahead = fold.moment(self.now + ids.AHEAD_MS)  # a claim from a clock that runs far ahead
        find = self._source.find
        found = heapq.merge(find("free", "", until), find("held", "", until), find("held", ahead))
        return (one for one in self._those(found) if self.status(one) == "requested")

    def next_ms(self) -> float:
        """How many ms from now a job may become free by itself."""
        after = fold.moment(self.now) + "~"
        found = (next(self._source.find(facet, after), None) for facet in ("free", "held"))
        return min(
            (int(one[0].split(" ")[0]) - self.now + 1.0 for one in found if one),
            default=float("inf"),
        )

    def held(self) -> Iterator[Json]:
        """Jobs that somebody claimed."""
        return self._those(self._source.find("held"))

    def listed(self, everything: bool, work: str | None) -> Iterator[Json]:
        """Jobs, oldest first: those that are not over, or all; of a work item."""
        if work:
            found = self._those(self._source.find("work", f"{work} ", f"{work}!"))
        else:
            found = self._those(self._source.find("id" if everything else "open"))
        return (one for one in found if everything or self.status(one) not in OVER)

    def row(self, state: Json) -> Json:
        """The job in a line."""
        request, status = state["request"], self.status(state)
        result = fold.result(state) or {} if status == "completed" else {}
        held = fold.holder(state, self.now)
        again = fold.due(state) if status == "requested" and fold.used(state) else 0
        some = {
            "outcome": result.get("outcome"),
            "code": result.get("code"),
            "signal": result.get("signal"),
            "attempt": fold.used(state) or None,
            "runner": held and state["claims"].get(held, {}).get("agent"),
            "not_before": again > self.now and world.format_ts(again),
            "cancelled": next((one["reason"] for one in state["cancels"].values()), None),
        }
        shown = {
            name: value for name, value in some.items() if value is not None and value is not False
        }
        said = {
            "argv": request["body"]["argv"],
            "by": request["by"],
            "ts": request["ts"],
            "run_id": request["id"],
        }
        work = {"work_id": request["work"]} if "work" in request else {}
        return {"id": ids.short("run", request["id"]), "status": status, **shown, **said, **work}

    def shown(self, state: Json) -> Json:
        """All there is to know of it."""
        result = fold.result(state)
        more = {name: result[name] for name in _RESULT if name in result} if result else {}
        also = [
            {"id": at, **_brief(one)}
            for at, one in state["results"].items()
            if at != (result or {}).get("id")
        ]
        ended = {one["claim"]: one for _, one in fold.results(state)}
        attempts = [self._attempt(state, claim, ended) for claim in sorted(state["attempts"])]
        request = {"request": state["request"]["body"], "status_code": exit_status(state, self.now)}
        return {
            **self.row(state),
            **more,
            **({"attempts": attempts} if attempts else {}),
            **({"also_completed": also} if also and result else {}),
            **request,
        }

    def _attempt(self, state: Json, claim: str, ended: dict[str, Json]) -> Json:
        one, by = state["attempts"][claim], state["claims"].get(claim, {})
        said = {name: one[name] for name in ("started", "host", "why") if one.get(name)}
        said |= {
            name: ended[claim][name]
            for name in ("outcome", "code", "signal")
            if name in ended.get(claim, {})
        }
        return {"n": one["n"], "claim": claim, "runner": by.get("agent"), **said}


def _brief(result: Json) -> Json:
    return {name: result[name] for name in ("claim", "outcome", "code", "signal") if name in result}


def exit_status(state: Json, now: int) -> int | None:
    """The status that a wrapper passes on; None while the job is not over."""
    if fold.status(state, now) not in OVER:
        return None
    result = fold.result(state)
    if result is None:
        return NO_RESULT
    if result["outcome"] in ("exit", "signal"):
        return fold.number(result.get("code"), NO_RESULT) & 0xFF
    return TIMED_OUT if result["outcome"] == "timeout" else NO_RESULT


def passed_on(jobs: Jobs, state: Json) -> int:
    """The status of a job that is over; if it has none of its own, a line on stderr says why. Else 0."""
    row, status = jobs.row(state), exit_status(state, jobs.now)
    if status is None:
        return 0
    if row.get("outcome") not in ("exit", "signal"):
        why = jobs.shown(state).get("reason") or row.get("cancelled")
        complaints.warn(
            f"{row['id']}: {row.get('outcome', row['status'])}" + (f": {why}" if why else "")
        )
    return status
