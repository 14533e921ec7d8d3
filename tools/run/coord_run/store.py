"""The jobs of this call's store, and the one way to change them: look, decide and append under one lock."""

from __future__ import annotations

from coord_envelope import Event, No, world
from coord_kernel.cli import values
from coord_kernel.rules import claims
from coord_kernel.views.view import Snapshot, View
from coord_run import draft, fold
from coord_run.jobs import Jobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call

RUN = ("run_id", "refs.run_id")
"""Where a line on stdin has a job's id."""


class Runs:
    """Jobs of one store."""

    def __init__(self, call: Call) -> None:
        self._call, self._view = call, View(call.journal.store, fold)
        call.out.id_ref = "run_id"

    def jobs(self, at: str | None = None) -> Jobs:
        """The jobs as they are, or as they were at a time."""
        if at is None:
            return Jobs(self._view.refresh(), world.now_ms())
        then = values.moment(at)
        return Jobs(Snapshot(fold, self._call.journal.replay(until=then)), world.parse_ts(then))

    def change(
        self, decide: Callable[[Jobs], Sequence[Json]], allow_secret: bool = False
    ) -> list[Event]:
        """Append what `decide` says of the jobs as they are under the lock. What it raises, nothing is written."""
        self._view.refresh()  # a long way to go is gone before the lock is taken
        return self._call.journal.append(
            self._call.actor(), lambda _: decide(self.jobs()), allow_secret
        )

    def give_back(self, run: str, claim: str, why: str) -> None:
        """Say of an attempt that nobody makes any more that it is over, unless that was said."""

        def decide(jobs: Jobs) -> list[Json]:
            state = jobs.state(run)
            if state is None or claims.over(state, claim):
                return []
            return [draft.said("released", state, claim, reason=why)]

        self.change(decide)

    def close(self) -> None:
        """Let go of the files of what is derived, as before a fork."""
        self._view.close()
        self._call.journal.index.close()

    def found(self, text: str, jobs: Jobs) -> Json:
        """The state of the job an id names. Raises No, Usage: never a guess."""
        state = jobs.state(self._call.resolve(text))
        if state is None:
            raise No("no such job", where=text)
        return state
