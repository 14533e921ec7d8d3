"""What is requested: a draft, from options or from a line on standard input."""

from __future__ import annotations

import os

from coord_envelope import BadData, No, Usage, ids, world
from coord_envelope.platform import suppress
from coord_kernel.cli import stdin
from coord_kernel.store import locate
from coord_run import draft

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.store.blobs import BlobRef
    from coord_run.groups import Execution, Recording, Scheduling

RETRY = ("lost", "any")
_LINE = ("work", "work_id", "key", "cause", *draft.ENVELOPE)
"""The fields of a line besides those of the body."""


def described(
    call: Call, argv: Sequence[str], how: Execution, when: Scheduling, recording: Recording
) -> Json:
    """The draft that the options describe. Raises Usage, BadData, OSError."""
    if when.retry not in (None, *RETRY):
        raise Usage(f"--retry {when.retry}: not a valid case", todo=f"use {' or '.join(RETRY)}")
    root = locate.tree(call.journal.store)
    start_by = when.start_by and call.span(when.start_by, "--start-by")
    fields = {
        "argv": list(argv),
        "cwd": _below(root, how.cwd),
        "stdin": how.input_ and _stored(call, how.input_),
        "repo": how.repo and _commit(root, how.repo),
        "env": how.env and dict(map(_pair, how.env)),
        "secrets": how.secret and list(how.secret),
        "needs": when.needs and list(when.needs),
        "timeout_ms": how.timeout and call.span(how.timeout, "--timeout"),
        "max_attempts": when.max_attempts,
        "retry": when.retry,
        "backoff_ms": None
        if when.backoff is None
        else call.span(when.backoff, "--backoff", least=0),
        "grace_ms": None if how.grace is None else call.span(how.grace, "--grace", least=0),
        "publish_log": when.publish_log or None,
        "name": how.name,
        "after": when.after and _before(call, when.after),
        "start_by": start_by and world.later(start_by),
    }
    body = {name: value for name, value in fields.items() if value is not None}
    work = call.resolve(recording.work) if recording.work else None
    return call.with_hops(
        draft.requested(body, work, idempotency_key=recording.key, cause=recording.cause)
    )


def warn_of_one_word(call: Call, argv: Sequence[str]) -> None:
    """Warn of what looks like a line for a shell: a worker runs none."""
    if len(argv) == 1 and " " in argv[0].strip() and not os.path.exists(argv[0]):
        import shlex  # 2 ms

        todo = f"pass its words apart, or use: sh -c {shlex.quote(argv[0])}"
        call.warn(f"the program is {argv[0]!r}, with the blanks; {todo}")


def _before(call: Call, names: Iterable[str]) -> list[str]:
    """The ids of the jobs to come after. Raises No, BadData, or Usage if an id is ambiguous."""
    runs = dict[str, None]()
    for text in names:
        event = call.event(text)
        if event is None or event["type"] != "run.requested":
            raise No("no such job", where=text, code="not_found")
        if ids.ahead(ids.stamp_of(event.id), world.now_ms()):
            raise BadData("was requested by a clock that is far ahead", where=text)
        runs[event.id] = None
    return list(runs)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Usage(f"--env {text}: not of the form K=V")
    return name, value


def _below(root: str, cwd: str | None) -> str | None:
    """The directory below the root of the work tree; None for the root itself.

    Without `cwd` it is the current one, or the root if that is outside of it, or gone.
    """
    if cwd is None:
        return locate.here(root)
    here = root
    with suppress(FileNotFoundError):
        here = os.getcwd()
    path = os.path.realpath(os.path.join(here, cwd))
    below = os.path.relpath(path, os.path.realpath(root))
    if below.split("/")[0] == os.pardir:
        raise BadData(f"not below the root of the work tree, {root}", where=cwd)
    return None if below == os.curdir else below


def _stored(call: Call, path: str) -> BlobRef:
    from coord_kernel.store.blobs import Blobs

    fd = 0 if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with open(fd, "rb", closefd=fd != 0) as file:
        return Blobs(call.journal.store).put(file.read(Blobs.LARGEST + 1))


def _commit(root: str, ref: str) -> Json:
    from coord_run.worktree import reference  # subprocess: 18 ms

    return reference(root, ref)


def line(call: Call, raw: bytes) -> Json:
    """The draft that a line describes: a body, and `key`, `work`, `cause` beside it.

    Raises BadData.
    """
    from coord_envelope.bodies import check_body, names

    record = stdin.record(raw)
    beside = {name: record.pop(name) for name in _LINE if name in record}
    for name in record:
        if name not in (known := names("run.requested")):
            valid = ", ".join((*known, *_LINE))
            raise BadData(f"unknown field {name!r}", todo=f"valid fields: {valid}")
    check_body("run.requested", record)
    if "after" in record:
        record["after"] = _before(call, record["after"])
    work = beside.pop("work", None) or beside.pop("work_id", None)
    beside.pop("work_id", None)
    if "key" in beside:
        beside["idempotency_key"] = beside.pop("key")
    if work is not None and not isinstance(work, str):
        raise BadData("work must be a string")
    return call.with_hops(draft.requested(record, work and call.resolve(work), **beside))
