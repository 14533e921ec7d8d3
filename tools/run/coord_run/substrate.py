"""Where commands run: each substrate says which command to start here so that the job's runs there.

What is started here is in the attempt's process group, its output is the job's, its exit status is the job's, and
when it is ended, so is the job's command.
"""

from __future__ import annotations

import os

from coord_envelope import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Substrate = Callable[["Command"], "Command"]

PASSED = ("PATH", "HOME", "LANG", "TMPDIR", "TZ")
"""Variables of the worker that a command has too, and all LC_*."""


class Command:
    """What is started: words, environment, directory, input; and the status that says that the substrate failed."""

    def __init__(self, argv: Sequence[str], env: dict[str, str], cwd: str, stdin: bytes = b"") -> None:
        self.argv, self.env, self.cwd, self.stdin = list(argv), env, cwd, stdin
        self.failed: int | None = None


def chosen(text: str) -> Substrate:
    """The substrate of that name. Raises Usage, CannotRun if what it needs is not here."""
    if text == "local":
        return lambda command: command
    raise Usage(f"--substrate {text}: no such substrate", todo="one of local, tmux, ssh:HOST, container:IMAGE")


def environment() -> dict[str, str]:
    """What of the worker's environment a command has."""
    return {name: value for name, value in os.environ.items() if name in PASSED or name.startswith("LC_")}
