"""The jobs of a call's store, and the transaction that changes them."""

from __future__ import annotations

from coord_envelope import No, world
from coord_envelope.platform import contextmanager
from coord_kernel.rules import claims
from coord_kernel.views.view import View
from coord_run import draft, fold
from coord_run.jobs import Jobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_kernel.cli.call import Call
    from coord_kernel.journal.transaction import Transaction
    from coord_run.types import Job

RUN = ("run_id", "refs.run_id")
"""The fields in which a line on stdin has a job's id."""


class Runs:
    """Jobs of one store."""

    def __init__(self, call: Call) -> None:
        self._call, self._view = call, View(call.journal.store, fold)
        self._looked = False
        call.out.id_ref = "run_id"

    def jobs(self, at: str | None = None) -> Jobs:
        """The jobs as they are, or as they were at a time. Raises Usage."""
        if at is None:
            self._looked = True
            return Jobs.current(self._view)
        then = self._call.moment(at)
        return Jobs.past(self._view, then)

    def known(self) -> Jobs:
        """As `jobs`, but what came since the last look is read only if this process wrote."""
        return Jobs(self._view, world.now_ms()) if self._looked else self.jobs()

    @contextmanager
    def change(self) -> Iterator[tuple[Transaction, Jobs]]:
        """A transaction, and the jobs as they are under its lock."""
        if not self._looked:
            self._view.refresh()  # the first time it may take long: not under the lock
        with self._call.transaction() as t:
            yield t, self.jobs()
            self._looked = False

    def release(self, run: str, claim: str, why: str) -> None:
        """Release the claim of an attempt that ended without a word, unless it is over already."""
        with self.change() as (t, jobs):
            state = jobs.state(run)
            if state and not claims.over(state, claim):
                t.add(draft.progress("released", state, claim, reason=why))

    def close(self) -> None:
        """Close the files of the view and the index, as before a fork."""
        self._looked = False
        self._view.close()
        self._call.journal.index.close()

    def named(self, text: str, jobs: Jobs) -> Job:
        """The state of the job that an id names. Raises No, or Usage if the id is ambiguous."""
        state: Job | None = jobs.state(self._call.resolve(text))
        if state is None:
            raise No("no such job", where=text, code="not_found")
        return state
