"""What a program reads on its standard input, and says on its standard output. Pure.

A protocol is given what the program says, and collects what is to be done in `out`, `asks` and
`settled`. It reads and writes nothing itself, and passes over what it does not know.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope.codec import Json

LONGEST_TITLE, LONGEST_DETAIL, LONGEST_OPTION = 160, 2_000, 80


class Opening:
    """How a conversation begins."""

    def __init__(self, cwd: str, prompt: str, resume: str | None, busy: str) -> None:
        """`resume`: the conversation that goes on. `busy`: what a prompt does to one at work."""
        self.cwd, self.prompt, self.resume, self.busy = cwd, prompt, resume, busy

    @property
    def takes_more(self) -> bool:
        """May it be given a prompt while it is at work?"""
        return self.busy in ("steers", "queues")


class Question:
    """A permission that the program asks for: what a person is asked, and may answer."""

    def __init__(self, key: str, title: str, detail: str, options: Sequence[str]) -> None:
        self.key, self.options = key, labels(options)
        self.title, self.detail = plain(title, LONGEST_TITLE), plain(detail, LONGEST_DETAIL)


class Protocol:
    """One conversation with a program."""

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.out: list[Json] = []
        """What the program is to be sent."""
        self.asks: list[Question] = []
        self.settled: list[tuple[str, int | None, str]] = []
        """Questions that are over: key, the number of the option that somebody took, and who."""
        self.is_ready = False
        """Has it shown that it takes input?"""
        self.is_busy = False
        self.provider = ""
        """The program's id of the conversation, as soon as it is known."""
        self.failure = ""
        """Why it cannot go on."""

    def begin(self) -> None:
        """Say what comes first."""
        raise NotImplementedError

    def received(self, message: Json) -> None:
        """Take what the program said."""
        raise NotImplementedError

    def say(self, text: str) -> bool:
        """Give it a line; False if it is at work and would be stopped by that."""
        raise NotImplementedError

    def answered(self, key: str, choice: int | None) -> None:
        """Take the answer to a question: the number of its option; None if nobody will answer."""


def table(value: object) -> Json:
    """The value if it is an object; else an empty one."""
    return value if isinstance(value, dict) else {}


def text_of(value: object) -> str:
    """The value if it is text; else none."""
    return value if isinstance(value, str) else ""


def labels(names: Sequence[str]) -> list[str]:
    """The names of options as a person may choose them: short, each its own."""
    made: list[str] = []
    for number, name in enumerate(names, 1):
        label = plain(name, LONGEST_OPTION) or f"option {number}"
        made.append(label if label not in made else f"{label[: LONGEST_OPTION - 8]} ({number})")
    return made


def plain(text: str, most: int) -> str:
    """A text of a program in one line, without control characters, cut."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: most * 4]).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
