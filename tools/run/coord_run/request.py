"""What is asked for: the body of a request, from options or from a line on standard input."""

from __future__ import annotations

import os

from coord_envelope import BadData, Usage, world
from coord_kernel.cli import stdin, values
from coord_kernel.store import locate
from coord_run import draft

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call

RETRY = ("lost", "any")
_LINE = ("work", "work_id", "key", "cause", *draft.ENVELOPE)
"""What a line may have besides the body's fields."""


def body(
    call: Call,
    argv: Sequence[str],
    needs: Sequence[str] | None,
    timeout: str | None,
    grace: str | None,
    retry: str | None,
    max_attempts: int | None,
    backoff: str | None,
    start_by: str | None,
    env: Sequence[str] | None,
    secret: Sequence[str] | None,
    cwd: str | None,
    repo: str | None,
    input_: str | None,
    publish_log: bool,
) -> Json:
    """The body that the options describe. Raises Usage, BadData, OSError."""
    if retry not in (None, *RETRY):
        raise Usage(f"--retry {retry}: no such case", todo=f"one of {', '.join(RETRY)}")
    given = {
        "argv": list(argv),
        "cwd": _below_root(cwd),
        "stdin": input_ and _stored(call, input_),
        "repo": repo and _commit(repo),
        "env": env and dict(_pair(one) for one in env),
        "secrets": secret and list(secret),
        "needs": needs and list(needs),
        "timeout_ms": timeout and values.span(timeout, "--timeout"),
        "max_attempts": max_attempts,
        "retry": retry,
        "backoff_ms": None if backoff is None else values.span(backoff, "--backoff", least=0),
        "grace_ms": None if grace is None else values.span(grace, "--grace", least=0),
        "publish_log": publish_log or None,
        "start_by": start_by
        and world.format_ts(world.now_ms() + values.span(start_by, "--start-by")),
    }
    return {name: value for name, value in given.items() if value is not None}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Usage(f"--env {text}: is not K=V")
    return name, value


def _below_root(cwd: str | None) -> str | None:
    """The directory as it is called from the work tree's root; None for the root itself, and outside of any."""
    root = locate.work_tree()
    if root is None:
        if cwd is not None:
            raise Usage(
                "--cwd: this is no work tree, and it has no root", todo="change into the repository"
            )
        return None
    found = os.path.relpath(
        os.path.realpath(os.path.join(os.getcwd(), cwd or ".")), os.path.realpath(root)
    )
    if found.split("/")[0] == os.pardir:
        raise BadData("is not below the work tree's root", where=cwd or os.getcwd())
    return None if found == os.curdir else found


def _stored(call: Call, path: str) -> Json:
    from coord_kernel.store import blobs

    fd = 0 if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with open(fd, "rb", closefd=fd != 0) as file:
        return blobs.put(call.journal.store, file.read(blobs.LARGEST + 1))


def _commit(ref: str) -> Json:
    from coord_run.worktree import reference  # subprocess: 18 ms

    return reference(ref)


def line(call: Call, raw: bytes) -> Json:
    """The draft that a line on standard input describes: a body, and `key`, `work`, `cause` beside it."""
    from coord_envelope.bodies import check_body, names

    record = stdin.record(raw)
    said = {name: record.pop(name) for name in _LINE if name in record}
    for name in record:
        if name not in (known := names("run.requested")):
            raise BadData(
                f"field {name!r} is none of a job's", todo=f"it has {', '.join((*known, *_LINE))}"
            )
    check_body("run.requested", record)
    work = said.pop("work", None) or said.pop("work_id", None)
    said.pop("work_id", None)
    if "key" in said:
        said["idempotency_key"] = said.pop("key")
    if work is not None and not isinstance(work, str):
        raise BadData("work is no id")
    return call.with_hops(draft.requested(record, work and call.resolve(work), **said))
