"""Reading the output of jobs: what is there, and with a follow what comes, until the job is over."""

from __future__ import annotations

import contextlib
import os

from coord_envelope import BadData, Filter, No, world
from coord_kernel.cli import complaints
from coord_kernel.store import blobs
from coord_kernel.store.disk import write_all
from coord_kernel.streams.follow import POLL_MS, Watcher
from coord_run import fold
from coord_run.jobs import OVER
from coord_run.logs import CHUNK, STREAMS, attempts, place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Store
    from coord_kernel.cli.call import Call
    from coord_run.store import Runs


class Reader:
    """The logs of one attempt, each from where it was left."""

    def __init__(self, store: Store, run: str, n: int, streams: Iterable[str]) -> None:
        self.n, self._store, self._run = n, store, run
        self._left = dict.fromkeys(streams, 0)

    def pump(self, both: bool) -> None:
        """Print what came: with `both` each stream to its own descriptor, else all to standard output."""
        for stream, offset in self._left.items():
            try:
                fd = self._store.open(*place(self._run, str(self.n), f"{stream}.log"))
            except FileNotFoundError:
                continue
            try:
                while chunk := os.pread(fd, CHUNK, offset):
                    write_all(2 if both and stream == "stderr" else 1, chunk)
                    offset += len(chunk)
            finally:
                os.close(fd)
                self._left[stream] = offset


def show(call: Call, state: Json, stream: str, n: int | None) -> None:
    """Print a log as it is now. Raises No if it is not in this store."""
    store, run = call.journal.store, state["request"]["id"]
    found = attempts(store, run)
    wanted = n or max(found, default=0)
    if wanted in found:
        Reader(store, run, wanted, [stream]).pump(both=False)
        return
    published = _published(store, fold.result(state), stream)
    if n or published is None:
        what = f"attempt {n} has no log here" if n else "has no log here"
        raise No(what, where=run, todo="it may not have begun, or in another store: see `run show`")
    _foreign(1, published)


def follow(
    call: Call,
    runs: Runs,
    run: str,
    streams: Sequence[str] = STREAMS,
    both: bool = True,
    heed: Callable[[list[Event]], None] | None = None,
) -> Json:
    """Print the output of the newest attempt and of those that come; the job's state when it is over.

    `heed` is told what is said of jobs meanwhile, and asked now and then when nothing is.
    """
    store = call.journal.store
    follower = call.journal.follow(call.journal.end(live=False), live=False)
    watcher, reader = Watcher(store.path), None
    deaf = (lambda: float(POLL_MS)) if watcher.fd is None else None
    with contextlib.closing(
        follower.batches(Filter(types=["run.*"]), also=watcher.fd, within=deaf)
    ) as batches:
        for number, batch in enumerate(batches):
            news = list(batch)
            if news or not number:
                state = _state(runs, run)
            if heed:
                heed(news)
            watcher.drain()
            watcher.watch(_directories(store, run))
            over = fold.status(state, world.now_ms()) in OVER
            for n in attempts(store, run)[-1:] if reader is None else attempts(store, run):
                if reader is None or n > reader.n:
                    if reader:
                        reader.pump(both)
                        complaints.warn(f"{run}: attempt {n}")
                    reader = Reader(store, run, n, streams)
            if reader:
                reader.pump(both)
            if over:
                break
    if reader is None:
        _elsewhere(store, state, streams, both)
    return state


def _state(runs: Runs, run: str) -> Json:
    state = runs.jobs().state(run)
    assert state, run
    return state


def _directories(store: Store, run: str) -> list[str]:
    os.close(
        store.directory("local", "runs", run, make=True)
    )  # so that the first attempt is heard of, too
    return [
        "/".join(names)
        for names in (place(run), *(place(run, str(n)) for n in attempts(store, run)[-1:]))
    ]


def _elsewhere(store: Store, state: Json, streams: Sequence[str], both: bool) -> None:
    """Of a job that ran in another store the output is known if it was published, else its end."""
    result = fold.result(state)
    for stream in streams:
        fd = 2 if both and stream == "stderr" else 1
        said = (result or {}).get(stream)
        published = _published(store, result, stream)
        if published is not None:
            _foreign(fd, published)
        elif isinstance(said, dict) and isinstance(said.get("tail"), str):
            _foreign(fd, said["tail"].encode())


def _foreign(fd: int, data: bytes) -> None:
    """Print what another store says was printed: anybody who can push may have written it, so it steers no terminal."""
    if os.isatty(fd):
        from coord_kernel.cli.terminal import visible

        data = "\n".join(map(visible, data.decode("utf-8", "replace").split("\n"))).encode()
    write_all(fd, data)


def _published(store: Store, result: Json | None, stream: str) -> bytes | None:
    said = (result or {}).get(stream)
    with contextlib.suppress(No, BadData):
        return blobs.get(store, said.get("sha256")) if isinstance(said, dict) else None
    return None
