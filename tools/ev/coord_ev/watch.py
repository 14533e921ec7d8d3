"""`ev watch -- CMD`: an event when what a command says has changed.

    CMD ──stdout, status──▶ the same as in this watch's newest event? ──no──▶ the next event of it

What was said last is looked up in the journal, so nothing else is kept, and a restart goes on where it was.
"""

from __future__ import annotations

import hashlib
import os
import select
import subprocess

from coord_envelope import BadData, Fault, Filter, codec
from coord_envelope.event import KERNEL, type_fault
from coord_kernel.store import blobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Store
    from coord_kernel.cli.call import Call

CHUNK = 1 << 16
IN_LINE = 48 << 10
"""Bytes of output, as JSON, that stand in the event itself; more of it is a blob."""


class NotStarted(Fault):
    """The command could not be started: nothing was observed."""

    def __init__(self, error: OSError, program: str) -> None:
        super().__init__((error.strerror or str(error)).lower(), where=program)
        self.status = 127 if isinstance(error, FileNotFoundError) else 126


def own_type(kind: str, where: str) -> str:
    """The type, which a user may write by this name. Raises BadData."""
    reason = type_fault(kind)
    if reason:
        raise BadData(reason, where)
    if kind.partition(".")[0] in KERNEL:
        raise BadData(f"{kind} is the kernel's", where, todo="take a type of your own, as ci.diff")
    return kind


def watch(
    call: Call, kind: str, argv: Sequence[str], interval_ms: int, every: bool, once: bool
) -> None:
    """Run argv now and `interval_ms` after each end, until stdout's reader is gone; `once`: now only.

    Appends and prints an event of this type when stdout or the status is not that of the watch's newest event,
    with `every` each time. Raises NotStarted. What else fails is said, and tried again with the next run.
    """
    observer = Observer(call, own_type(kind, "--type"), argv)
    poll = select.poll()
    poll.register(1, 0)  # POLLERR and POLLHUP come unasked
    while True:
        try:
            call.put(observer.look(every))
        except Fault as fault:
            if once or isinstance(fault, NotStarted):
                raise
            call.fail(fault)
            call.status = 0  # the next run may do better
        if once or poll.poll(interval_ms):
            return


class Observer:
    """One watch: a command in a directory, for a type, by an agent."""

    def __init__(self, call: Call, kind: str, argv: Sequence[str]) -> None:
        self._journal, self._actor = call.journal, call.actor()
        self._kind, self._argv = kind, list(argv)
        self._replicas = self._journal.store.replicas()
        said = os.fsencode("\0".join([kind, self._actor["agent_id"], os.getcwd(), *argv]))
        self._refs = {"watch": hashlib.sha256(said).hexdigest()[:16]}
        self._last = self._newest()

    def look(self, every: bool) -> list[Event]:
        """Run the command; the event of what it said, if that is to be told."""
        body = self._observed()
        last = self._last["body"] if self._last else {}
        if not every and all(last.get(name) == body[name] for name in ("status", "sha256")):
            return []
        draft: Json = {"type": self._kind, "refs": self._refs, "body": body}
        if not every:  # two of the same watch tell of a change once
            before = self._last.id if self._last else "".join(self._replicas[-1:])
            draft["idempotency_key"] = (
                f"{self._refs['watch']} {before} {body['status']} {body['sha256']}"
            )
        (self._last,) = found = self._journal.append(self._actor, [draft])
        return found

    def _newest(self) -> Event | None:
        """This watch's newest event; what the same one saw in another clone is another matter."""
        return next(iter(self._journal.tail(1, _Told(self._refs, self._replicas))), None)

    def _observed(self) -> Json:
        try:
            child = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        except OSError as error:
            raise NotStarted(error, self._argv[0]) from None
        assert child.stdout
        digest, kept, size = hashlib.sha256(), b"", 0
        with child:
            while chunk := os.read(child.stdout.fileno(), CHUNK):
                digest.update(chunk)
                size += len(chunk)
                kept += chunk[: blobs.SYNCED - len(kept)]
        code = child.returncode
        body: Json = {"argv": self._argv, "status": 128 - code if code < 0 else code}
        body |= {
            "sha256": digest.hexdigest(),
            "bytes": size,
            **told(self._journal.store, "stdout", kept),
        }
        return body | ({"truncated": True} if size > len(kept) else {})


def told(store: Store, name: str, data: bytes) -> Json:
    """What a body says of the bytes: they as text by this name, or the blob they are where they are too many."""
    text = data.decode("utf-8", "replace")
    if len(codec.dumps(text)) <= IN_LINE:
        return {name: text}
    return {"blob": blobs.put(store, data) | {"media": "text/plain"}}


class _Told(Filter):
    """The events of one watch in this store."""

    def __init__(self, refs: Json, replicas: Sequence[str]) -> None:
        super().__init__()
        self._watch, self._replicas = refs, replicas

    def __call__(self, event: Event) -> bool:
        return (
            event.get("refs") == self._watch
            and event["writer"].rpartition("~")[2] in self._replicas
        )
