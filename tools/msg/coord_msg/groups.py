"""Options of msg that go together."""

from __future__ import annotations

from coord_kernel.cli.groups import Group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Shared(Group):
    """Fields of a message that all lines on stdin may share."""

    to: Sequence[str] | None = None
    thread: str | None = None
    work: str | None = None
    severity: str | None = None
    fingerprint: str | None = None
    expires: str | None = None
    visibility: str | None = None
    max_deliveries: int | None = None


class Content(Group):
    """The content of one message."""

    subject: str | None = None
    body: str | None = None
    attach: Sequence[str] | None = None
    key: str | None = None


class Overrides(Group):
    """Checks that are left out on request."""

    force: bool = False
    allow_secret: bool = False


class Reading(Group):
    """How long and how much to receive, and in what form."""

    follow: bool = False
    wait: str | None = None
    max_: int | None = None
    ack: bool = False
    text: bool = False
    min_trust: str | None = None


class FromQueue(Group):
    """Options for receiving from a queue only."""

    visibility: str | None = None
    require: str | None = None


class FromChannel(Group):
    """Options for receiving from a channel only."""

    cursor: str | None = None
    ack_fd: int | None = None


class Description(Group):
    """How an agent describes itself."""

    kind: str | None = None
    model: str | None = None
    cap: Sequence[str] | None = None


class Selection(Group):
    """Which messages to list."""

    from_: str | None = None
    work: str | None = None
    unread: bool = False
    all_: bool = False
    lines: int | None = None
