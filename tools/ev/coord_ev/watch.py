"""`ev watch -- CMD`: an event when the output or the status of a command has changed.

    1. run CMD to its end; hash its stdout, and keep the first MiB
    2. compare status and hash with this watch's newest event in the journal
    3. if they differ, append the next event; its key holds the event before it, so that of two
       equal watches one appends
    4. wait for the interval, and start again

A watch is a type, an agent, a directory and a command line, in one store. Its state is its newest
event, so a restart continues where it was.
"""

from __future__ import annotations

import hashlib
import os
import select
import subprocess

from coord_envelope import Fault, Filter
from coord_ev.draft import own_type
from coord_ev.payload import text_or_blob
from coord_ev.sync import INTERVAL
from coord_kernel.proc import spawn
from coord_kernel.store.blobs import Blobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_ev import groups as g
    from coord_kernel.cli.call import Call


class NotStarted(Fault):
    """The command could not be started, so nothing was observed."""

    def __init__(self, error: OSError, program: str) -> None:
        what = (error.strerror or str(error)).lower()
        super().__init__(what, where=program, code="not_started")
        self.status = 127 if isinstance(error, FileNotFoundError) else 126


def watch(call: Call, kind: str, argv: Sequence[str], repeat: g.Repeat) -> None:
    """Run argv now and after each interval, until stdout's reader is gone; `once`: only now.

    Appends and prints an event of this type when stdout or the status differs from the watch's
    newest event, with `every` after each run. Raises NotStarted. Any other failure is reported, and
    the next run is another try.
    """
    pause_ms = call.span(repeat.interval or INTERVAL, "--interval")
    observer = Observer(call, own_type(kind, "--type"), argv)
    poll = select.poll()
    poll.register(1, 0)  # POLLERR and POLLHUP come unasked
    while True:
        try:
            call.put(observer.look(repeat.every))
        except Fault as fault:
            if repeat.once or isinstance(fault, NotStarted):
                raise
            call.fail(fault)
            call.status = 0  # the next run may succeed
        if repeat.once or poll.poll(pause_ms):
            return


class Observer:
    """One watch: a command in a directory, for a type, by an agent."""

    def __init__(self, call: Call, kind: str, argv: Sequence[str]) -> None:
        self._journal, self._actor = call.journal, call.actor()
        self._kind, self._argv = kind, list(argv)
        self._replicas = self._journal.store.replicas()
        identity = "\0".join([kind, self._actor["agent_id"], os.getcwd(), *argv])
        self._refs = {"watch": hashlib.sha256(os.fsencode(identity)).hexdigest()[:16]}
        self._last = self._newest()

    def look(self, every: bool) -> list[Event]:
        """Run the command. Returns the event of a change, or with `every` of this run."""
        body = self._observed()
        last = self._last["body"] if self._last else {}
        if not every and all(last.get(name) == body[name] for name in ("status", "sha256")):
            return []
        draft: Json = {"type": self._kind, "refs": self._refs, "body": body}
        if not every:
            before = self._last.id if self._last else "".join(self._replicas[-1:])
            draft["idempotency_key"] = (
                f"{self._refs['watch']} {before} {body['status']} {body['sha256']}"
            )
        (self._last,) = events = self._journal.append(self._actor, [draft])
        return events

    def _newest(self) -> Event | None:
        """This watch's newest event in this store. The same watch in another clone is another."""
        return next(iter(self._journal.tail(1, _OfWatch(self._refs, self._replicas))), None)

    def _observed(self) -> Json:
        """Run the command; the event's body."""
        try:
            child = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        except OSError as error:
            raise NotStarted(error, self._argv[0]) from None
        assert child.stdout
        digest, kept, size = hashlib.sha256(), b"", 0
        with child:
            for chunk in spawn.chunks(child.pid, child.stdout.fileno()):
                digest.update(chunk)
                size += len(chunk)
                kept += chunk[: Blobs.SYNCED - len(kept)]
        code = child.returncode
        return {
            "argv": self._argv,
            "status": 128 - code if code < 0 else code,
            "sha256": digest.hexdigest(),
            "bytes": size,
            **text_or_blob(self._journal.store, "stdout", kept),
            **({"truncated": True} if size > len(kept) else {}),
        }


class _OfWatch(Filter):
    """The events of one watch in this store."""

    def __init__(self, refs: Json, replicas: Sequence[str]) -> None:
        super().__init__()
        self._watch, self._replicas = refs, replicas

    def __call__(self, event: Event) -> bool:
        return (
            event.get("refs") == self._watch
            and event["writer"].rpartition("~")[2] in self._replicas
        )
