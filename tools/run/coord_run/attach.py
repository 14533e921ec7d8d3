"""Printing the output of jobs: what is there and, if followed, what comes until the job is over."""

from __future__ import annotations

import os

from coord_envelope import BadData, Filter, No, world
from coord_envelope.platform import suppress
from coord_kernel.proc.notify import Notify
from coord_kernel.store.blobs import Blobs
from coord_kernel.store.disk import write_all
from coord_kernel.streams.follow import POLL_MS, Watcher
from coord_run import fold
from coord_run.jobs import OVER, exit_status
from coord_run.logs import BOTH, CHUNK, STREAMS, attempts, place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from coord_envelope import Event
    from coord_kernel import Store
    from coord_kernel.cli.call import Call
    from coord_run.store import Runs
    from coord_run.types import Job

    Targets = Mapping[str, int]
    """Stream → the descriptor that it is printed to."""

APART: Targets = {"stdout": 1, "stderr": 2}


class Reader:
    """The logs of one attempt, each from where the last `pump` left it."""

    def __init__(self, store: Store, run: str, n: int, targets: Targets) -> None:
        self.n, self._store, self._run, self._targets = n, store, run, targets
        self._offsets = dict[str, int]()

    def pump(self) -> None:
        """Print what came."""
        logs = self._store.listdir(*place(self._run, str(self.n)))
        for stream, target in self._targets.items():
            # Attempts of earlier versions have no log of both.
            for part in (stream,) if f"{stream}.log" in logs else _parts(stream):
                self._print(part, target)

    def _print(self, stream: str, target: int) -> None:
        offset = self._offsets.get(stream, 0)
        try:
            fd = self._store.open(*place(self._run, str(self.n), f"{stream}.log"))
        except FileNotFoundError:
            return
        try:
            while chunk := os.pread(fd, CHUNK, offset):
                write_all(target, chunk)
                offset += len(chunk)
        finally:
            os.close(fd)
            self._offsets[stream] = offset


def show(call: Call, state: Job, stream: str, n: int | None) -> None:
    """Print a log as it is now, by default of the last attempt. Raises No if it is not here."""
    store, run = call.journal.store, state["request"]["id"]
    logged = attempts(store, run)
    wanted = n or max(logged, default=0)
    if wanted in logged:
        Reader(store, run, wanted, {stream: 1}).pump()
        return
    result: Any = fold.result(state) or {}
    found = [_published(store, result.get(part)) for part in _parts(stream)]
    published = None if None in found else b"".join(filter(None, found))
    if n or published is None:
        what = f"no log of attempt {n} in this store" if n else "no log in this store"
        todo = "it may not have begun, or in another store: see `run show`"
        raise No(what, where=run, todo=todo, code="not_found")
    _print_foreign(1, published)


def _parts(stream: str) -> Sequence[str]:
    """The streams in one: `output` is both, one after the other, where no log has their order."""
    return STREAMS if stream == BOTH else (stream,)


def follow(
    call: Call,
    runs: Runs,
    run: str,
    targets: Targets = APART,
    on_events: Callable[[list[Event]], None] | None = None,
) -> Job:
    """Print output from the newest attempt on, until the job is over; its state then.

    `on_events` is called with new events about jobs, and from time to time with none. Notifies
    systemd, as `notify` says, when the command has started, and that this process is alive.
    """
    store = call.journal.store
    follower = call.journal.follow(call.journal.end(live=False), live=False)
    watcher, reader = Watcher(store.path), None
    notify, most = Notify(), float("inf") if watcher.fd is not None else float(POLL_MS)
    batches = follower.batches(
        Filter(types=["run.*"]), also=watcher.fd, within=lambda: min(most, notify.alive())
    )
    try:
        for number, batch in enumerate(batches):
            events = list(batch)
            if events or not number:
                state = _state(runs, run)
            if on_events:
                on_events(events)
            watcher.drain()
            watcher.watch(_directories(store, run))
            over = fold.status(state, world.now_ms()) in OVER
            if any(each["started"] for each in state["attempts"].values()):
                notify.ready()
            for n in attempts(store, run)[-1:] if reader is None else attempts(store, run):
                if reader is None or n > reader.n:
                    if reader:
                        reader.pump()
                        call.warn(f"{run}: attempt {n}")
                    reader = Reader(store, run, n, targets)
            if reader:
                reader.pump()
            if over:
                break
    finally:
        batches.close()
    if reader is None:
        _print_elsewhere(store, state, targets)
    return state


def _state(runs: Runs, run: str) -> Job:
    state: Job | None = runs.jobs().state(run)
    assert state, run
    return state


def _directories(store: Store, run: str) -> list[str]:
    # It is made here, so that the first attempt is noticed, too.
    os.close(store.directory("local", "runs", run, make=True))
    newest = attempts(store, run)[-1:]
    return ["/".join(names) for names in (place(run), *(place(run, str(n)) for n in newest))]


def _print_elsewhere(store: Store, state: Job, targets: Targets) -> None:
    """Print the output of a job of another store: all if it was published, otherwise the tail."""
    result: Any = fold.result(state) or {}
    for stream, fd in [(part, fd) for name, fd in targets.items() for part in _parts(name)]:
        output = result.get(stream)
        data = _published(store, output)
        if data is None and isinstance(output, dict) and isinstance(output.get("tail"), str):
            data = output["tail"].encode()
        _print_foreign(fd, data or b"")


def _print_foreign(fd: int, data: bytes) -> None:
    """Print what came from another store: anybody with push access may have written it.

    So it must not control a terminal.
    """
    if os.isatty(fd):
        from coord_kernel.cli.escape import visible

        data = "\n".join(map(visible, data.decode("utf-8", "replace").split("\n"))).encode()
    write_all(fd, data)


def _published(store: Store, output: object) -> bytes | None:
    """The log that `run.completed` describes so, if a blob of it is here."""
    with suppress(No, BadData):
        return Blobs(store).get(output.get("sha256")) if isinstance(output, dict) else None
    return None


def passed_on(call: Call, runs: Runs, state: Job) -> int:
    """The exit status of a job that is over, else 0. Without one of its own, stderr says why."""
    jobs = runs.jobs()
    row, status = jobs.row(state), exit_status(state, jobs.now_ms)
    if status is None:
        return 0
    if row.get("outcome") not in ("exit", "signal"):
        why = jobs.shown(state).get("reason") or row.get("cancelled")
        outcome = f"{row['id']}: {row.get('outcome', row['status'])}"
        call.warn(f"{outcome}: {why}" if why else outcome)
    return status
