"""What a verb answers: an object for --json, lines for people, what failed, the exit status."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coord_envelope import Fault


class Answer:
    """The answer of a verb."""

    def __init__(self, obj: Any, lines: list[str], note: str = "") -> None:
        """`obj`: a list is printed bare, an object with a schema version, a str as it is."""
        self.obj, self.lines, self.note = obj, lines, note
        self.failures: list[str] = []
        self.status = 0

    def fail(self, name: str, fault: Fault) -> None:
        """Report the failure of one of several ids."""
        self.failures.append(f"Error: {name}: {said(fault, name)}")

    def judged(self) -> Answer:
        """Exit 1 if no id worked; the object is an error then."""
        if self.failures and not self.obj:
            self.status, self.lines = 1, []
            self.obj = {"error": self.failures[0].split(": ", 2)[2]}
        return self


def said(fault: Fault, name: str = "") -> str:
    """A failure in bd's words, where its callers look for them."""
    if fault.code == "not_found":
        return f"no issue found matching {fault.where or name}"
    where = f"{fault.where}: " if fault.where else ""
    return f"{where}{fault.what}{f'; {fault.todo}' if fault.todo else ''}"


def cut(found: list[Any], most: int | None) -> tuple[list[Any], str]:
    """At most so many, and the note about the others."""
    if most is None or len(found) <= most:
        return found, ""
    return found[:most], f"Showing {most} of {len(found)}; use --limit 0 for all"
