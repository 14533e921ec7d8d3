"""Drafts of job events, from what a user gives and the job's state. Pure."""

from __future__ import annotations

from coord_envelope import SELF, BadData
from coord_envelope.codec import Json
from coord_envelope.event import Made, name_ok
from coord_kernel.rules import claims
from coord_kernel.store import machine
from coord_run import fold

ARGV_MOST = 256
REASON_BYTES = 500
ENVELOPE = ("idempotency_key", "cause", "hops", "on_behalf_of")
OURS = ("RUN_ID", "RUN_ATTEMPT", "RUN_TOKEN")
"""Variables that every command has, and no request sets."""


def requested(body: Json, work: str | None = None, **rest: object) -> Json:
    """The `run.requested`; `rest` is its envelope's. Raises BadData."""
    _check(body)
    refs = {"run_id": SELF, **({"work_id": work} if work else {})}
    given = {name: value for name, value in rest.items() if value is not None}
    return {"type": "run.requested", "refs": refs, "body": body, **given}


def _check(body: Json) -> None:
    argv = body.get("argv")
    if (
        not isinstance(argv, list)
        or not argv
        or not all(isinstance(one, str) for one in argv)
        or not argv[0]
    ):
        raise BadData(
            "argv is no list of texts, the first one a command", todo='{"argv": ["make", "test"]}'
        )
    if len(argv) > ARGV_MOST:
        raise BadData(
            f"argv has {len(argv)} words, more than {ARGV_MOST}",
            todo="put them into a file: --input",
        )
    if any("\0" in one for one in argv):
        raise BadData("argv holds a zero byte")
    for name, value in body.get("env", {}).items():
        if not variable(name) or name in OURS or "\0" in value:
            raise BadData(f"{name!r} is no variable that a request can set", where="env")
    for name in body.get("secrets", ()):
        if not variable(name) or name in OURS or name in body.get("env", {}):
            raise BadData(f"{name!r} is no name of a secret", where="secrets")
    for one in body.get("needs", ()):
        if not name_ok(one, most=64):
            raise BadData(f"{one!r} is no name of a-z 0-9 . _ -", where="needs")
    cwd = body.get("cwd", ".")
    if cwd.startswith("/") or ".." in cwd.split("/") or "\0" in cwd:
        raise BadData(f"{cwd!r} is not below the work tree's root", where="cwd")


def variable(name: str) -> bool:
    """Is this what a shell takes for a variable's name?"""
    return name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit()


def about(kind: str, run: str, base: list[str], body: Json) -> Json:
    """An event about a job, from one who has seen these."""
    return {"type": f"run.{kind}", "refs": {"run_id": run}, "base": base, "body": body}


def claimed(state: Json, runner: str, lease_ms: int) -> Json:
    """The next attempt; it takes the job from whoever held it and lapsed."""
    body: Json = {
        "n": fold.used(state) + 1,
        "lease_ms": lease_ms,
        "runner": runner,
        "gen": claims.next_gen(state),
    }
    body |= {"steal": True} if fold.open_claims(state) else {}
    return about("claimed", state["request"]["id"], claims.base(state), body)


def said(kind: str, state: Json, claim: str, **body: object) -> Json:
    """What becomes of an attempt: started, heartbeat, completed, released."""
    given = {name: value for name, value in body.items() if value is not None}
    return about(kind, state["request"]["id"], claims.base(state), {"claim": claim, **given})


def started(refs: Json) -> Json:
    """What follows a draft of a claim that has `$as` claim: from here on the command may have run."""
    claim = Made("claim")
    body = {"claim": claim, "host": machine.host()}
    return {"type": "run.started", "refs": refs, "base": [claim], "body": body}


def reason(text: str) -> str:
    """At most so many bytes of UTF-8, cut between characters."""
    return text.encode("utf-8", "replace")[:REASON_BYTES].decode("utf-8", "ignore")


def cancelled(state: Json, why: str) -> Json:
    """The end of a job that is not wanted any more."""
    return about("cancelled", state["request"]["id"], claims.base(state), {"reason": why})
