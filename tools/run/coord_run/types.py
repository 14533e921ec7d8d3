"""The shapes of run's data, for the type checker: nothing imports this at run time."""

from __future__ import annotations

from typing import Any, NotRequired, Required, TypedDict

from coord_kernel.rules import claims


class Output(TypedDict, total=False):
    """What `run.completed` says of a stream."""

    sha256: Required[str]
    bytes: Required[int]
    tail: Required[str]
    truncated: bool


class Body(TypedDict, total=False):
    """The body of a request. The fold checks what a worker relies on; the rest may be anything."""

    argv: Required[list[str]]
    env: dict[str, str]
    secrets: list[str]
    needs: list[str]
    cwd: str
    stdin: dict[str, Any]
    repo: dict[str, Any]
    timeout_ms: Any
    grace_ms: Any
    backoff_ms: Any
    max_attempts: Any
    retry: Any
    start_by: Any
    publish_log: Any
    after: list[str]
    name: str


class Request(TypedDict):
    """A `run.requested` as the state keeps it."""

    id: str
    by: str
    ts: str
    body: Body
    work: NotRequired[str]
    key: NotRequired[str]
    trace: NotRequired[str]
    """Where it is not that of the item or of the job itself."""


class Attempt(TypedDict):
    """A claim as an attempt."""

    n: int
    lease_ms: int
    at: str
    """The time of its last sign of life."""
    started: str | None
    host: NotRequired[str]
    why: NotRequired[str]


class Result(TypedDict):
    """A `run.completed`. The fold checks its claim and outcome; the rest may be anything."""

    claim: str
    outcome: str
    ts: str
    by: str
    id: NotRequired[str]
    code: NotRequired[Any]
    signal: NotRequired[Any]
    reason: NotRequired[Any]
    dur_ms: NotRequired[Any]
    stdout: NotRequired[Any]
    stderr: NotRequired[Any]


class Cancellation(TypedDict):
    by: str
    ts: str
    reason: str


class Signal(TypedDict):
    """What is to be sent to the command of an attempt."""

    claim: str
    signal: str


class Job(claims.ClaimsState):
    """The state of a job, as the fold has it."""

    request: Request
    """None until it came (`fold.made`): only then the state counts as a job."""
    attempts: dict[str, Attempt]
    """By claim."""
    results: dict[str, Result]
    """By event, like cancels."""
    cancels: dict[str, Cancellation]
    expiries: dict[str, str]
    """By event: when it was noted; like queued."""
    queued: dict[str, str]
    signals: dict[str, Signal]
    """By event."""
    unsigned: NotRequired[bool]
    """Was it requested by another store, and has nobody signed that?"""


class AttemptRow(TypedDict, total=False):
    """An attempt as `run show` prints it."""

    n: Required[int]
    claim: Required[str]
    runner: Required[str | None]
    started: str
    host: str
    why: str
    outcome: str
    code: Any
    signal: Any


class Row(TypedDict, total=False):
    """A job as `run ls` prints it; `run show` adds to that."""

    id: Required[str]
    status: Required[str]
    outcome: str
    code: Any
    signal: Any
    attempt: int
    runner: str
    not_before: str
    waits_for: list[str]
    cancelled: str
    argv: Required[list[str]]
    by: Required[str]
    ts: Required[str]
    run_id: Required[str]
    work_id: str
