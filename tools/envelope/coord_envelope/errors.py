"""Failures, as a small tree: each class is one exit status, each instance one line on stderr."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class Fault(Exception):
    """A failure a user can act on. `where`, `what`, `todo` become `tool: where: what; todo`."""

    status = 70

    def __init__(self, what: str, where: str = "", todo: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.todo = what, where, todo

    def __str__(self) -> str:
        return (
            (f"{self.where}: " if self.where else "")
            + self.what
            + (f"; {self.todo}" if self.todo else "")
        )


class No(Fault):
    """What was asked for is not so: an id that is not there, a claim that another holds."""

    status = 1


class Usage(Fault):
    """The command line cannot be understood, or does not say who acts."""

    status = 2


class BadData(Fault):
    """An input is not what it must be; nothing of it was written."""

    status = 65


class NoAddressee(Fault):
    """Nobody of that name is known; nothing was sent."""

    status = 67


class Unreachable(Fault):
    """A store, remote or feature that is not there."""

    status = 69


class DiskFault(Fault):
    """Writing failed. `accepted` are the events that are on the disk all the same."""

    status = 74

    def __init__(
        self, what: str, where: str = "", todo: str = "", accepted: Sequence[dict[str, Any]] = ()
    ) -> None:
        super().__init__(what, where, todo)
        self.accepted = accepted


class TryAgain(Fault):
    """Another process is in the way; nothing was written."""

    status = 75


class Refused(Fault):
    """Not allowed here: an unsafe store, a credential in an event."""

    status = 77
