"""The commands of run: look, decide, append, print."""

from __future__ import annotations

from itertools import islice

from coord_envelope import BadData, Fault, Filter, No, Usage
from coord_kernel.cli import process
from coord_run import draft
from coord_run.jobs import OVER, STATUSES, exit_status, passed_on
from coord_run.mine import witness
from coord_run.store import RUN, Runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_run import options as o
    from coord_run.jobs import Jobs

NOT_ENDED = 75


def request(
    call: Call,
    argv: o.MaybeArgv = None,
    key: o.Key = None,
    needs: o.Needs = None,
    timeout: o.Timeout = None,
    grace: o.Grace = None,
    retry: o.Retry = None,
    max_attempts: o.Attempts = None,
    backoff: o.Backoff = None,
    start_by: o.StartBy = None,
    work: o.Work = None,
    env: o.Env = None,
    secret: o.Secret = None,
    cwd: o.Cwd = None,
    repo: o.Repo = None,
    input_: o.Input = None,
    publish_log: o.PublishLog = False,
    cause: o.Cause = None,
    allow_secret: o.AllowSecret = False,
) -> None:
    """Request a job, or those on stdin.

    A worker runs it: `run worker`. Without ARGV it reads JSON lines: {"argv": […], "timeout_ms", "env", "key", "work",
    "cause", …}.
    """
    from coord_run import request as asked

    call.out.id_ref = "run_id"
    options = (
        needs,
        timeout,
        grace,
        retry,
        max_attempts,
        backoff,
        start_by,
        env,
        secret,
        cwd,
        repo,
        input_,
        publish_log,
    )
    if argv:
        one = asked.body(call, argv, *options)
        drafts = [_drafted(call, one, work, key, cause)]
        call.put(
            call.journal.append(call.actor(), drafts, allow_secret, witness(call.journal.store))
        )
        return
    if any(one not in (None, False) for one in (*options, key, work, cause)):
        raise Usage("there is no command", todo="run request [options] -- ARGV...")
    call.actor()
    for batch in call.lines():
        found = [(f"line {number}", _line(call, raw)) for number, raw in batch]
        call.write_each(found, allow_secret, witness(call.journal.store))


def _line(call: Call, raw: bytes) -> Json | Fault:
    from coord_run import request as asked

    try:
        return asked.line(call, raw)
    except Fault as fault:
        return fault


def _drafted(call: Call, body: Json, work: str | None, key: str | None, cause: str | None) -> Json:
    full = call.resolve(work) if work else None
    return call.with_hops(draft.requested(body, full, idempotency_key=key, cause=cause))


def worker(
    call: Call,
    slots: o.Slots = 1,
    once: o.Once = False,
    max_: o.Most = None,
    cap: o.Cap = None,
    only: o.Only = False,
    substrate: o.Substrate = "local",
) -> None:
    """Run the jobs that are free, and those that come.

    In the foreground. SIGTERM: it takes no more, and ends when what runs has ended; a second one ends that at once,
    and gives it back. It prints the events of what it runs.
    """
    from coord_run.substrate import chosen
    from coord_run.worker import Worker

    chosen(substrate)
    Worker(call, slots, cap or (), substrate, max_, only).work(once)


def exec_(
    call: Call,
    argv: o.Argv,
    key: o.Key = None,
    timeout: o.Timeout = None,
    grace: o.Grace = None,
    work: o.Work = None,
    env: o.Env = None,
    secret: o.Secret = None,
    cwd: o.Cwd = None,
    repo: o.Repo = None,
    input_: o.Input = None,
    cause: o.Cause = None,
    substrate: o.Substrate = "local",
    allow_secret: o.AllowSecret = False,
) -> int:
    """Request a job and run it here and now, once.

    Its output is printed while it is made, and its exit status passed on. If this process dies, so does the command.
    """
    from coord_run import foreground
    from coord_run import request as asked

    body = asked.body(
        call, argv, None, timeout, grace, None, 1, None, None, env, secret, cwd, repo, input_, False
    )
    return foreground.run(call, _drafted(call, body, work, key, cause), substrate, allow_secret)


def poll(call: Call, ids: o.Ids = None) -> None:
    """Say how jobs stand, and end with their status.

    0 if all ended with 0; else the status of the first that did not; 75 if one has not ended.
    """
    runs = Runs(call)

    def polled(text: str) -> Iterable[Json]:
        jobs = runs.jobs()
        state = runs.found(text, jobs)
        status = exit_status(state, jobs.now)
        call.status = call.status or (NOT_ENDED if status is None else status)
        return [jobs.row(state)]

    call.each(ids, RUN, polled)


def attach(call: Call, id_: o.Id) -> int:
    """Follow a job's output, and end with its status.

    Of all attempts from the one that runs now, or the last.
    """
    from coord_run.attach import follow

    runs = Runs(call)
    run = runs.found(id_, runs.jobs())["request"]["id"]
    return passed_on(runs.jobs(), follow(call, runs, run))


def logs(
    call: Call,
    id_: o.Id,
    stderr: o.Stderr = False,
    attempt: o.Attempt = None,
    follow: o.Follow = False,
) -> None:
    """Print what a job wrote, byte for byte.

    Exit 1 if it is not in this store.
    """
    from coord_run import attach as output

    runs = Runs(call)
    run, stream = runs.found(id_, runs.jobs())["request"]["id"], "stderr" if stderr else "stdout"
    if follow and attempt:
        raise Usage("-f follows the newest attempt", todo="leave out --attempt")
    if follow:
        output.follow(call, runs, run, [stream], both=False)
    else:
        output.show(call, runs.found(id_, runs.jobs()), stream, attempt)


def ls(
    call: Call,
    all_: o.All = False,
    status: o.Status = None,
    work: o.ForWork = None,
    lines: o.Lines = None,
    at: o.At = None,
) -> None:
    """List jobs that are not over, oldest first."""
    for one in status or ():
        if one not in STATUSES:
            raise Usage(f"--status {one}: no such status", todo=f"one of {', '.join(STATUSES)}")
    jobs = Runs(call).jobs(at)
    found = jobs.listed(
        all_ or any(one in OVER for one in status or ()), work and call.resolve(work)
    )
    call.put(
        map(
            jobs.row,
            islice((one for one in found if not status or jobs.status(one) in status), lines),
        )
    )


def show(call: Call, ids: o.Ids = None, at: o.At = None) -> None:
    """Show jobs: their state, attempts and results.

    Exit 1 if one is not there.
    """
    runs = Runs(call)
    then = runs.jobs(at) if at else None

    def shown(text: str) -> Iterable[Json]:
        jobs = then or runs.jobs()
        return [jobs.shown(runs.found(text, jobs))]

    call.each(ids, RUN, shown)


def cancel(call: Call, ids: o.Ids = None, reason: o.Reason = "not wanted any more") -> None:
    """Cancel jobs.

    What waits never runs, what runs is ended. Twice is once. Exit 1 for a job that is over.
    """
    if draft.reason(reason) != reason:
        raise BadData("is longer than 500 bytes", where="--reason")
    runs = Runs(call)

    def cancelled(text: str) -> Iterable[Event]:
        before: list[str] = []

        def decide(jobs: Jobs) -> list[Json]:
            state = runs.found(text, jobs)
            before.extend(state["cancels"])
            if not before and jobs.status(state) in OVER:
                raise No(f"is {jobs.status(state)}", where=text)
            return [] if before else [draft.cancelled(state, reason)]

        done = runs.change(decide)
        first = call.event(before[0]) if before else None
        return [first.annotated(dup=True)] if first else done

    call.each(ids, RUN, cancelled)


def watch(call: Call) -> None:
    """Print job events as they come, from now on."""
    from coord_kernel.cli.deliver import deliver

    deliver(call, call.journal.end(), Filter(types=["run.*"]))


COMMANDS = (request, worker, exec_, poll, attach, logs, ls, show, cancel, watch)
ABOUT = "Jobs: request, run, follow, cancel."


def main() -> None:
    from coord_run.argv import TABLE

    process.run("run", ABOUT, COMMANDS, "coord_run.options", TABLE)
