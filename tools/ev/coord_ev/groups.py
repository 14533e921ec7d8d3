"""Options of ev's commands that go together."""

from __future__ import annotations

from coord_kernel.cli.groups import Group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Fields(Group):
    """The fields of one event."""

    body: str | None = None
    ref: Sequence[str] | None = None
    to: Sequence[str] | None = None
    key: str | None = None
    cause: str | None = None
    live: bool = False


class Part(Group):
    """Which part of the history to print, and how."""

    after: str | None = None
    until: str | None = None
    most: int | None = None
    grep: str | None = None
    pos: bool = False
    live: bool = False


class Position(Group):
    """Where a reader goes on, and which events it has done."""

    after: str | None = None
    cursor_: str | None = None
    ack_fd: int | None = None


class Repeat(Group):
    """When a watched command runs, and which runs are events."""

    interval: str | None = None
    every: bool = False
    once: bool = False


class Action(Group):
    """What `ev sync` does; by default one exchange with the remote."""

    with_: str | None = None
    watch: bool = False
    status: bool = False
    archive: bool = False
    repair_arbiter: bool = False
    move_arbiter: str | None = None
    take_arbiter: str | None = None
    forget: str | None = None


class Signing(Group):
    """Whether a sync signs what this store gives, and the key that does it from then on."""

    sign: bool = False
    next_key: str | None = None


class Timing(Group):
    """How long a sync may take, and the pause between two."""

    interval: str | None = None
    budget: str = "60s"
