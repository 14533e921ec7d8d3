"""Failures, as a small tree: each class is an exit status, each instance one line on stderr."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class Fault(Exception):
    """A failure a user can act on. `where`, `what`, `todo` become `tool: where: what; todo`.

    `code` is a word for programs, from the table in spec/exit-codes.md.
    """

    status = 70
    code = "bug"

    def __init__(self, what: str, where: str = "", todo: str = "", code: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.todo = what, where, todo
        self.code = code or self.code

    def __str__(self) -> str:
        return (
            (f"{self.where}: " if self.where else "")
            + self.what
            + (f"; {self.todo}" if self.todo else "")
        )


class No(Fault):
    """The answer is no: an id is not there, a claim is held by another."""

    status = 1
    code = "no"


class Usage(Fault):
    """The command line is wrong, or there is no agent name."""

    status = 2
    code = "usage"


class BadData(Fault):
    """An input is invalid; nothing of it was written."""

    status = 65
    code = "bad_input"


class NoAddressee(Fault):
    """An addressee is unknown; nothing was sent."""

    status = 67
    code = "unknown_addressee"


class Unreachable(Fault):
    """A store, remote or feature is not there."""

    status = 69
    code = "unreachable"


class DiskFault(Fault):
    """Writing failed. `accepted` are the events that are on the disk nevertheless."""

    status = 74
    code = "io"

    def __init__(
        self, what: str, where: str = "", todo: str = "", accepted: Sequence[dict[str, Any]] = ()
    ) -> None:
        super().__init__(what, where, todo)
        self.accepted = accepted


class TryAgain(Fault):
    """Another process holds what is needed; nothing was written."""

    status = 75
    code = "busy"


class Refused(Fault):
    """Not allowed here: an unsafe store, a credential in an event."""

    status = 77
    code = "refused"
