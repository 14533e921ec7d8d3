"""Following jobs by what they become."""

from __future__ import annotations

from coord_envelope import Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope import Event
    from coord_run.store import Runs

REMEMBERED = 10_000
"""Jobs of which the status is remembered that was seen last."""


class Became(Filter):
    """Events of a filter with which a job gets one of some statuses: each change once.

    What follows from time alone, without an event, is not seen.
    """

    def __init__(self, runs: Runs, wanted: Filter, statuses: Sequence[str]) -> None:
        super().__init__()
        self._runs, self._wanted, self._statuses = runs, wanted, statuses
        self._seen: dict[str, str] = {}

    def __call__(self, event: Event) -> bool:
        if event["type"] == "run.heartbeat" or not self._wanted(event):
            return False
        refs = event.get("refs")
        run = refs.get("run_id") if isinstance(refs, dict) else None
        jobs = self._runs.jobs()
        state = jobs.state(run) if isinstance(run, str) else None
        if state is None:
            return False
        name, status = state["request"]["id"], jobs.status(state)
        changed = self._seen.pop(name, None) != status
        self._seen[name] = status
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return changed and jobs.is_one_of(state, self._statuses)
