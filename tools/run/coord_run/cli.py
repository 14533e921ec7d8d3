"""The commands of run: look, decide, append, print."""

from __future__ import annotations

from itertools import islice

from coord_envelope import BadData, Fault, No, Usage, world
from coord_envelope.filter import Within
from coord_kernel.cli import process
from coord_run import draft, fold
from coord_run import groups as g
from coord_run.jobs import OPEN, OVER, STATUSES, exit_status
from coord_run.store import RUN, Runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from coord_envelope import Event, Filter
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.journal.transaction import Transaction
    from coord_run import options as o

NOT_ENDED = 75


def request(
    call: Call,
    execution: g.Execution,
    scheduling: g.Scheduling,
    recording: g.Recording,
    argv: o.MaybeArgv = None,
) -> None:
    """Request a job, or those on stdin.

    A worker runs it: `run worker`. Without ARGV it reads JSON lines: {"argv": […], "timeout_ms",
    "env", "key", "work", "cause", …}.
    """
    from coord_run import request as requests

    if argv and argv != ["-"]:
        described = requests.described(call, argv, execution, scheduling, recording)
        requests.warn_of_one_word(call, argv)
        _append(call, [("", described)], recording.allow_secret)
        return
    options = {**execution.given(), **scheduling.given(), **recording.given()}
    if any(value is not False for value in (options | {"allow_secret": False}).values()):
        raise Usage("no command", todo="run request [options] -- ARGV...")
    call.actor()
    for batch in call.lines(asked=bool(argv)):
        drafts = [(f"line {number}", _line(call, raw)) for number, raw in batch]
        _append(call, drafts, recording.allow_secret)


def _append(call: Call, drafts: list[tuple[str, Json | Fault]], allow_secret: bool) -> None:
    from coord_run import mine

    runs = Runs(call)
    if any("name" in draft["body"] for _, draft in drafts if not isinstance(draft, Fault)):
        runs.jobs()  # the first time it may take long: not under the lock

    def add(t: Transaction, draft: Json) -> Event:
        mine.refuse_taken(call, runs, t, draft)
        return mine.add(call.journal.store, t, draft)

    call.append_each(drafts, allow_secret, add)


def _line(call: Call, raw: bytes) -> Json | Fault:
    from coord_run.request import line

    try:
        return line(call, raw)
    except Fault as fault:
        return fault


def worker(call: Call, capacity: g.Capacity, once: o.Once = False) -> None:
    """Run free jobs, and those that come.

    In the foreground. On SIGTERM it takes no more jobs, waits for those that run, and exits; on a
    second one it kills and releases them. It prints the events of its attempts.
    """
    from coord_run.substrate import chosen
    from coord_run.worker import Worker

    chosen(capacity.substrate)
    Worker(call, capacity).work(once)


def exec_(
    call: Call,
    execution: g.Execution,
    recording: g.Recording,
    argv: o.Argv,
    here: g.Here,
) -> int:
    """Request a job and run it here and now, once.

    Prints its output as it comes, and exits with its status. If this process dies, so does the
    command. With --detach it goes on without this terminal, and is followed with `run attach`.
    """
    from coord_run import foreground
    from coord_run import request as requests

    scheduling = g.Scheduling(max_attempts=1)
    draft = requests.described(call, argv, execution, scheduling, recording)
    return foreground.run(call, draft, here, recording.allow_secret)


def poll(call: Call, ids: o.Ids = None) -> None:
    """Show jobs, and exit with their status.

    0 if all ended with 0, otherwise the first other status; 75 for a job that has not ended.
    """
    runs = Runs(call)

    def polled(text: str) -> Iterable[Json]:
        jobs = runs.jobs()
        state = runs.named(text, jobs)
        status = exit_status(state, jobs.now_ms)
        call.status = call.status or (NOT_ENDED if status is None else status)
        return [{**jobs.row(state)}]

    call.each(ids, RUN, polled)


def attach(call: Call, id_: o.Id) -> int:
    """Follow a job's output, and exit with its status.

    From the attempt that runs now, or the last, through all that follow.
    """
    from coord_run.attach import follow, passed_on

    runs = Runs(call)
    run = runs.named(id_, runs.jobs())["request"]["id"]
    return passed_on(call, runs, follow(call, runs, run))


def logs(call: Call, id_: o.Id, part: g.Part, follow: o.Follow = False) -> None:
    """Print a job's output, byte for byte.

    Both streams, in the order in which they were written. Exit 1 if it is not in this store.
    """
    from coord_run import attach as output
    from coord_run.logs import BOTH

    if part.stdout and part.stderr:
        raise Usage("--stdout cannot be used with --stderr", todo="leave out both")
    stream = "stdout" if part.stdout else "stderr" if part.stderr else BOTH
    runs = Runs(call)
    run = runs.named(id_, runs.jobs())["request"]["id"]
    if follow and part.attempt:
        raise Usage("-f follows the newest attempt", todo="omit --attempt")
    if follow:
        output.follow(call, runs, run, {stream: 1})
    else:
        output.show(call, runs.named(id_, runs.jobs()), stream, part.attempt)


def ls(call: Call, selection: g.Selection, lines: o.Lines = None, at: o.At = None) -> None:
    """List jobs that are not over, oldest first."""
    wanted = _statuses(selection.status)
    jobs = Runs(call).jobs(at)
    everything = selection.all_ or not set(OPEN).issuperset(wanted)
    states = jobs.listed(everything, selection.work and call.resolve(selection.work))
    matching = (state for state in states if not wanted or jobs.is_one_of(state, wanted))
    call.put({**jobs.row(state)} for state in islice(matching, lines))


def _statuses(given: Sequence[str] | None) -> Sequence[str]:
    for status in given or ():
        if status not in STATUSES:
            valid = ", ".join(STATUSES)
            raise Usage(f"--status {status}: not a valid status", todo=f"use one of {valid}")
    return given or ()


def show(call: Call, ids: o.Ids = None, at: o.At = None) -> None:
    """Show jobs: their state, attempts and results.

    Exit 1 if there is no such job.
    """
    runs = Runs(call)
    then = runs.jobs(at) if at else None

    def shown(text: str) -> Iterable[Json]:
        jobs = then or runs.jobs()
        return [jobs.shown(runs.named(text, jobs))]

    call.each(ids, RUN, shown)


def cancel(call: Call, ids: o.Ids = None, reason: o.Reason = "not wanted any more") -> None:
    """Cancel jobs.

    Waiting jobs never run, running ones are ended. Repeating it has no effect. Exit 1 for a job
    that is over.
    """
    if draft.reason(reason) != reason:
        raise BadData("exceeds 500 bytes", where="--reason")
    runs = Runs(call)

    def cancelled(text: str) -> Iterable[Event]:
        call.journal.index.refresh()  # the first time it may take long: not under the lock
        with runs.change() as (t, jobs):
            state = runs.named(text, jobs)
            first = call.event(next(iter(state["cancels"]))) if state["cancels"] else None
            if first:
                t.repeat(first)
            elif not state["cancels"]:
                if jobs.status(state) in OVER:
                    raise No(f"is {jobs.status(state)}", where=text, code="closed")
                t.add(draft.cancelled(state, reason))
        return t.events

    call.each(ids, RUN, cancelled)


def retry(call: Call, ids: o.Ids = None) -> None:
    """Request jobs again that are over.

    Each becomes a new job with the same request. A retry that is not over is the answer itself.
    Exit 1 for a job that is not over.
    """
    from coord_run import again

    runs = Runs(call)

    def retried(text: str) -> Iterable[Event]:
        call.journal.index.refresh()  # the first time it may take long: not under the lock
        with runs.change() as (t, jobs):
            again.retry(call, t, jobs, runs.named(text, jobs))
        return t.events

    call.each(ids, RUN, retried)


def signal_(call: Call, id_: o.Id, signal: o.SignalName) -> None:
    """Send a signal to a running job's command.

    Exit 1 if it does not run.
    """
    from coord_run.again import signal_named

    runs, name = Runs(call), signal_named(signal).name.removeprefix("SIG")
    call.journal.index.refresh()
    with runs.change() as (t, jobs):
        state = runs.named(id_, jobs)
        claim, status = fold.holder(state, jobs.now_ms), jobs.status(state)
        if claim is None:
            raise No(f"is {status}, not running", where=id_, code="wrong_state")
        t.add(draft.signalled(state, claim, name))
    call.put(t.events)


def prune(call: Call, older: o.Older) -> None:
    """Remove the output of jobs that are over.

    The journal keeps how each ended, and the last 4 KiB of its output.
    """
    from coord_run.again import pruned

    before = world.format_ts(world.now_ms() - call.span(older, "--older"))
    call.put(pruned(call, Runs(call).jobs(), before))


def watch(call: Call, wanted: Filter, status: o.Statuses = None) -> None:
    """Print job events as they come, from now on."""
    from coord_kernel.cli.deliver import deliver
    from coord_run.watch import Became

    statuses = _statuses(status)
    events = Within("run", wanted)
    deliver(call, call.journal.end(), Became(Runs(call), events, statuses) if statuses else events)


COMMANDS = (
    *(request, worker, exec_, poll, attach, logs, ls, show),
    *(cancel, retry, signal_, prune, watch),
)
ABOUT = "Jobs: request, run, follow, cancel."


def main() -> None:
    from coord_run.argv import TABLE

    process.run("run", ABOUT, COMMANDS, "coord_run.options", TABLE)
