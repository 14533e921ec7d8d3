"""Drafts of job events, from what a user gives and the state of the job. Pure."""

from __future__ import annotations

from coord_envelope import SELF, BadData, ids, world
from coord_envelope.event import name_ok
from coord_kernel.rules import claims
from coord_run import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_run.jobs import Jobs
    from coord_run.types import Job

ARGV_MOST = 256
REASON_BYTES = 500
ENVELOPE = ("idempotency_key", "cause", "hops", "on_behalf_of")
_HEX = "0123456789abcdef"
_NUMBERS = (
    *((name, 0, fold.LONGEST_MS) for name in ("timeout_ms", "grace_ms", "backoff_ms")),
    ("max_attempts", 1, fold.MOST_ATTEMPTS),
)
OURS = ("RUN_ID", "RUN_ATTEMPT", "RUN_TOKEN")
"""Variables that every command has, and no request sets."""


def requested(body: Json, work: str | None = None, **envelope: object) -> Json:
    """The `run.requested` of a body and of other fields of its envelope. Raises BadData."""
    check(body)
    refs = {"run_id": SELF, **({"work_id": work} if work else {})}
    return {"type": "run.requested", "refs": refs, "body": body, **_present(envelope)}


def check(body: Json) -> None:
    """Raise BadData for what no worker may run: also of a body that was pushed by others."""
    _check_argv(body.get("argv"))
    _check_variables(body.get("env", {}), body.get("secrets", ()))
    for capability in body.get("needs", ()):
        if not name_ok(capability, most=64):
            raise BadData(
                f"not a valid capability: {capability!r}",
                where="needs",
                todo="use up to 64 of a-z 0-9 . _ -",
            )
    cwd = body.get("cwd", ".")
    if cwd.startswith("/") or ".." in cwd.split("/") or "\0" in cwd:
        raise BadData(f"not below the root of the work tree: {cwd[:80]!r}", where="cwd")
    for name, least, most in _NUMBERS:
        value = body.get(name, least)
        if type(value) is not int or not least <= value <= most:
            raise BadData(f"{name} is not a whole number from {least} to {most:,}")
    for name, field, lengths in (("stdin", "sha256", (64,)), ("repo", "commit", (40, 64))):
        digest = body[name].get(field) if name in body else "0" * 64
        if not isinstance(digest, str) or len(digest) not in lengths or digest.strip(_HEX):
            raise BadData(f"{name}.{field} is not a full digest in hexadecimal")
    if not name_ok(body.get("name", "x")):
        todo = "use up to 63 of a-z 0-9 . _ -"
        raise BadData(f"not a valid name: {body['name'][:80]!r}", where="name", todo=todo)
    if not all(ids.valid(run) for run in body.get("after", ())):
        raise BadData("not a list of full ids", where="after")
    if "start_by" in body and not _is_ts(body["start_by"]):
        raise BadData("start_by is not a time such as 2026-01-17T12:00:00.000Z")


def _is_ts(value: object) -> bool:
    try:
        return isinstance(value, str) and world.format_ts(world.parse_ts(value)) == value
    except (ValueError, OverflowError):
        return False


def _check_argv(argv: object) -> None:
    if (
        not isinstance(argv, list)
        or not all(isinstance(word, str) for word in argv)
        or not argv
        or not argv[0]
    ):
        raise BadData(
            "argv must be a list of strings that starts with a command",
            todo='{"argv": ["make", "test"]}',
        )
    if len(argv) > ARGV_MOST:
        raise BadData(
            f"argv has {len(argv)} words; the limit is {ARGV_MOST}",
            todo="pass them in a file: --input",
        )
    if any("\0" in word for word in argv):
        raise BadData("argv contains a zero byte")


def _check_variables(env: dict[str, str], secrets: list[str]) -> None:
    for name, value in env.items():
        if not variable(name) or name in OURS or "\0" in value:
            raise BadData(f"cannot set variable {name!r}", where="env")
    for name in secrets:
        if not variable(name) or name in OURS or name in env:
            raise BadData(f"cannot set variable {name!r}", where="secrets")


def variable(name: str) -> bool:
    """Does a shell accept this as a variable's name?"""
    return name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit()


def _present(fields: dict[str, object]) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def _about(kind: str, state: Job, body: Json) -> Json:
    """An event about a job, by a writer that has seen all of this state."""
    refs = {"run_id": state["request"]["id"]}
    return {"type": f"run.{kind}", "refs": refs, "base": claims.base(state), "body": body}


def claimed(state: Job, runner: str, lease_ms: int, about: Json | None = None) -> Json:
    """The claim of the next attempt. It takes the job from a holder whose claim lapsed.

    `about` may have the `agent` that the job runs, the `pool` it runs in, and its `work_id`.
    """
    body: Json = {
        "n": fold.used(state) + 1,
        "lease_ms": lease_ms,
        "runner": runner,
        "gen": claims.next_gen(state),
    }
    body |= {"steal": True} if fold.open_claims(state) else {}
    about = dict(about or {})
    work = {"work_id": about.pop("work_id")} if "work_id" in about else {}
    draft = _about("claimed", state, body | about)
    return draft | {"refs": draft["refs"] | work}


def progress(kind: str, state: Job, claim: str, **fields: object) -> Json:
    """What happens to an attempt: `started`, `heartbeat`, `completed` or `released`."""
    return _about(kind, state, {"claim": claim, **_present(fields)})


def reason(text: str) -> str:
    """The first 500 bytes of UTF-8, cut between characters."""
    return text.encode("utf-8", "replace")[:REASON_BYTES].decode("utf-8", "ignore")


def expired(state: Job) -> Json:
    """The note that a job was not started in time. Its key makes it one."""
    request = state["request"]
    start_by = request["body"].get("start_by")
    body = {"start_by": start_by} if _is_ts(start_by) else {}
    return _about("expired", state, body) | {"idempotency_key": f"expired:{request['id']}"}


def decided(state: Job, jobs: Jobs) -> Json | None:
    """What a job that waits for others is to become: queued, cancelled, or None: it still waits."""
    pending, failed = jobs.before(state)
    if failed:
        older = failed < state["request"]["id"]
        how = "did not succeed" if older else "is not older, and cannot be waited for"
        return cancelled(state, f"{ids.short('run', failed)} {how}")
    if pending:
        return None
    run = state["request"]["id"]
    return _about("queued", state, {}) | {"idempotency_key": f"queued:{run}"}


def signalled(state: Job, claim: str, signal: str) -> Json:
    """A signal to the command of an attempt."""
    return _about("signalled", state, {"claim": claim, "signal": signal})


def again(state: Job, after: list[str]) -> Json:
    """The request of a job once more, without the time by which that had to start: after these."""
    request = state["request"]
    fresh = {"after": after} if after else {}
    kept = {k: v for k, v in request["body"].items() if k not in ("start_by", "after")}
    draft = requested(kept | fresh, request.get("work"), idempotency_key=retry_key(state))
    return draft | {"refs": {**draft["refs"], "retry_of": request["id"]}}


def retry_key(state: Job) -> str:
    """The idempotency key of the retry of a job: it is retried once, and then its retry."""
    return f"retry:{state['request']['id']}"


def cancelled(state: Job, why: str) -> Json:
    """The cancellation of a job."""
    return _about("cancelled", state, {"reason": why})
