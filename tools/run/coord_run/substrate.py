"""Where commands run: each substrate says what to start here so that the job's command runs there.

What is started here is in the attempt's process group. Its output is the job's, its exit status is the job's, and
when it is ended, so is the job's command.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys

from coord_envelope import Unreachable, Usage
from coord_run.failure import CannotRun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Substrate = Callable[["Command"], None]
    """It changes the command into the one that is started here."""

PASSED = ("PATH", "HOME", "LANG", "TMPDIR", "TZ")
"""Variables of the worker that a command has too, and all LC_*."""
REMOTE = """
d=$1; shift
while IFS= read -r v && [ -n "$v" ]; do export "$v"; done
read -r n; t=$(mktemp) && head -c "$n" >"$t" && exec 3<&0 && cd "$d" || exit 255
setsid "$@" <"$t" 3<&- & p=$!
(cat <&3; kill -s TERM -- "-$p"; sleep 5; kill -s KILL -- "-$p") >/dev/null 2>&1 & w=$!
wait "$p"; s=$?
kill -s KILL "$w"; kill -s KILL -- "-$p" 2>/dev/null
rm -f "$t"; exit $s
"""
"""On the other host: variables, then the input, come on standard input; when that ends, so does the command."""


class Command:
    """What is started: words, variables of its own, directory, input."""

    failed: int | None = None
    """The status by which the substrate says that it failed, not the job."""
    lifeline = False
    """Is its standard input to stay open behind the input, until the command is over?"""
    after: Sequence[str] = ()
    """What is run when it is over."""

    def __init__(
        self, argv: Sequence[str], env: dict[str, str], root: str, below: str, stdin: bytes = b""
    ) -> None:
        """It runs in the directory `below` the root."""
        self.argv, self.env, self.root, self.below, self.stdin = list(argv), env, root, below, stdin

    @property
    def label(self) -> str:
        """A name for this attempt that no other has."""
        return f"run-{self.env['RUN_ID'].lower()}-{self.env['RUN_ATTEMPT']}"


def environment() -> dict[str, str]:
    """What of the worker's environment a command has."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in PASSED or name.startswith("LC_")
    }


def chosen(text: str) -> Substrate:
    """The substrate of that name. Raises Usage, or Unreachable if the program it needs is not here."""
    kind, _, where = text.partition(":")
    if text not in ("local", "tmux") and (
        kind not in ("ssh", "container") or not where or where.startswith("-")
    ):
        raise Usage(
            f"--substrate {text}: no such substrate",
            todo="one of local, tmux, ssh:HOST[:DIR], container:IMAGE",
        )
    programs = {"tmux": ("tmux",), "ssh": ("ssh",), "container": ("podman", "docker")}.get(kind, ())
    program = next(filter(shutil.which, programs), "")
    if programs and not program:
        raise Unreachable(
            f"{' or '.join(programs)} is not installed", todo=f"--substrate {kind} needs it"
        )

    def change(command: Command) -> None:
        if kind == "tmux":
            _tmux(command)
        elif kind == "ssh":
            _ssh(command, where)
        elif kind == "container":
            _container(command, program, where)

    return change


def _tmux(command: Command) -> None:
    """In a terminal of its own, which anybody here may watch: `tmux -L LABEL attach`."""
    if command.stdin:
        raise CannotRun("in tmux the input is a terminal: no --input")
    command.argv = [sys.executable, "-PE", "-m", "coord_run.tmux", command.label, *command.argv]


def _ssh(command: Command, where: str) -> None:
    """On another host, in DIR there (the home directory). Its variables go over standard input: no process list."""
    host, _, directory = where.partition(":")
    if any("\n" in value for value in command.env.values()):
        raise CannotRun("a variable with a line feed cannot be sent by ssh")
    variables = "".join(f"{name}={value}\n" for name, value in command.env.items())
    words = ["sh", "-c", REMOTE, "sh", os.path.join(directory or ".", command.below), *command.argv]
    options = ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"]
    command.stdin = (
        f"{variables}\n{len(command.stdin)}\n".encode(errors="surrogateescape") + command.stdin
    )
    command.argv = ["ssh", *options, "--", host, shlex.join(words)]
    command.lifeline, command.failed, command.env = True, 255, {}


def _container(command: Command, program: str, image: str) -> None:
    """In a new container, with the root as /work. The values of its variables are not in the process list."""
    variables = [word for name in command.env for word in ("-e", name)]
    user = (
        ["--userns=keep-id"]
        if program == "podman"
        else ["--user", f"{os.geteuid()}:{os.getegid()}"]
    )
    place = ["-v", f"{command.root}:/work", "-w", os.path.normpath(f"/work/{command.below}")]
    options = ["--rm", "-i", "--init", "--name", command.label, *user, *place, *variables]
    command.argv = [program, "run", *options, "--", image, *command.argv]
    command.failed, command.after = 125, [program, "rm", "-f", command.label]
