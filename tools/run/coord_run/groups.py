"""Options of run's commands that go together."""

from __future__ import annotations

from coord_kernel.cli.groups import Group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Execution(Group):
    """How the command runs: where, for how long, and with what."""

    timeout: str | None = None
    grace: str | None = None
    env: Sequence[str] | None = None
    secret: Sequence[str] | None = None
    cwd: str | None = None
    repo: str | None = None
    input_: str | None = None
    name: str | None = None


class Scheduling(Group):
    """Which workers may take the job, when, and how often."""

    needs: Sequence[str] | None = None
    retry: str | None = None
    max_attempts: int | None = None
    backoff: str | None = None
    start_by: str | None = None
    after: Sequence[str] | None = None
    publish_log: bool = False


class Recording(Group):
    """What the event of the request has beside its body, and whether it may be written."""

    key: str | None = None
    work: str | None = None
    cause: str | None = None
    allow_secret: bool = False


class Capacity(Group):
    """What a worker takes, and where it runs that."""

    slots: int = 1
    max_: int | None = None
    cap: Sequence[str] | None = None
    only: bool = False
    slots_of: str | None = None
    substrate: str = "local"


class Here(Group):
    """How `exec` runs its command."""

    substrate: str = "local"
    detach: bool = False


class Part(Group):
    """Which part of a job's output is printed."""

    stdout: bool = False
    stderr: bool = False
    attempt: int | None = None


class Selection(Group):
    """Which jobs are listed."""

    all_: bool = False
    status: Sequence[str] | None = None
    work: str | None = None
