"""Where commands run: a substrate changes a command so that, started here, it runs there.

What is started here is in the attempt's process group. Its output and exit status are those of the
job, and the job's command ends with it.
"""

from __future__ import annotations

import os
import sys

from coord_envelope import Unreachable, Usage
from coord_run.failure import CannotRun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Substrate = Callable[["Command"], None]
    """Changes a command in place, into the command to start here."""

PASSED = ("PATH", "HOME", "LANG", "TMPDIR", "TZ")
"""Variables that a command inherits from the worker, besides all LC_*."""
SPRITES = {"sprites": [], "sprites+checkpoint": ["checkpoint"]}
"""Its names, and what they ask for."""
SPRITES_PASSED = "SPRITES_TOKEN", "SPRITES_TOKEN_FILE", "SPRITES_URL"
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
"""On the other host: standard input brings variables, then the input; when it ends, so does the
command."""


class Command:
    """A command to start: words, its own variables, directory, input."""

    failed: int | None = None
    """The status of a failure of the substrate, not of the job."""
    lifeline = False
    """Must standard input stay open behind the input, until the command is over?"""
    after: Sequence[str] = ()
    """Words of a command to run when it is over."""
    survives = False
    """Does it go on without the attempt, so that the next one may take it over?"""
    resumes = False
    """Was the attempt before given back, so that what it started may go on?"""

    def __init__(
        self, argv: Sequence[str], env: dict[str, str], directory: tuple[str, str], stdin: bytes
    ) -> None:
        """`directory` is a root, and where the command runs below it."""
        self.argv, self.env, self.stdin = list(argv), env, stdin
        self.root, self.below = directory

    @property
    def label(self) -> str:
        """A unique name of this attempt."""
        return f"run-{self.env['RUN_ID'].lower()}-{self.env['RUN_ATTEMPT']}"


def environment() -> dict[str, str]:
    """The variables that a command inherits."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in PASSED or name.startswith("LC_")
    }


def chosen(text: str) -> Substrate:
    """The substrate of that name. Raises Usage, or Unreachable if its program is not installed."""
    kind, _, where = text.partition(":")
    if text not in ("local", "tmux") and (
        kind not in ("ssh", "container", *SPRITES) or not where or where.startswith("-")
    ):
        raise Usage(
            f"--substrate {text}: not a valid substrate",
            todo="use local, tmux, ssh:HOST[:DIR], container:IMAGE or sprites[+checkpoint]:NAME",
        )
    programs = {"tmux": ("tmux",), "ssh": ("ssh",), "container": ("podman", "docker")}.get(kind, ())
    program = ""
    if programs:
        from shutil import which  # 6 ms

        program = next(filter(which, programs), "")
        if not program:
            raise Unreachable(
                f"{' or '.join(programs)} is not installed", todo=f"--substrate {kind} needs it"
            )
    if kind in SPRITES:
        from importlib.util import find_spec

        if not find_spec("sprites"):
            raise Unreachable(
                "sprites-py is not installed", todo="pip install 'coord-kernel[sprites]'"
            )

    def change(command: Command) -> None:
        if kind == "tmux":
            _tmux(command)
        elif kind == "ssh":
            _ssh(command, where)
        elif kind == "container":
            _container(command, program, where)
        elif kind in SPRITES:
            _sprites(command, where, SPRITES[kind])

    return change


def _tmux(command: Command) -> None:
    """In its own terminal, which anybody here may watch: `tmux -L LABEL attach`."""
    if command.stdin:
        raise CannotRun("--input is not supported in tmux: standard input is a terminal")
    command.argv = [sys.executable, "-PE", "-m", "coord_run.tmux", command.label, *command.argv]


def _ssh(command: Command, where: str) -> None:
    """On another host, in DIR there (the home directory).

    Its variables are sent over standard input, so that no process list shows them.
    """
    host, _, directory = where.partition(":")
    if any("\n" in value for value in command.env.values()):
        raise CannotRun("variables with a line feed are not supported over ssh")
    variables = "".join(f"{name}={value}\n" for name, value in command.env.items())
    words = ["sh", "-c", REMOTE, "sh", os.path.join(directory or ".", command.below), *command.argv]
    options = ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"]
    command.stdin = (
        f"{variables}\n{len(command.stdin)}\n".encode(errors="surrogateescape") + command.stdin
    )
    import shlex  # 6 ms

    command.argv = ["ssh", *options, "--", host, shlex.join(words)]
    command.lifeline, command.failed, command.env = True, 255, {}


def _container(command: Command, program: str, image: str) -> None:
    """In a new container, with the root as /work. No process list shows values of its variables."""
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


def _sprites(command: Command, where: str, flags: list[str]) -> None:
    """In a Sprite, in DIR there (the home directory); it goes on while the link is down.

    Its words and variables are sent as standard input, so that no URL has them.
    """
    import json

    name, _, directory = where.partition(":")
    label, n = f"run-{command.env['RUN_ID'].lower()}", command.env["RUN_ATTEMPT"]
    ours = [sys.executable, "-PE", "-m", "coord_sprites"]
    place = os.path.normpath(os.path.join(directory or ".", command.below))
    flags = [*flags, *(["resume"] if command.resumes else [])]
    first = json.dumps({"argv": command.argv, "env": command.env})
    command.stdin = f"{first}\n".encode() + command.stdin
    command.argv = [*ours, "run", name, place, label, n, *flags]
    command.after = [*ours, "end", name, label, n]
    passed = {name: os.environ[name] for name in SPRITES_PASSED if name in os.environ}
    command.env = {name: command.env[name] for name in ("RUN_ID", "RUN_ATTEMPT")} | passed
    command.failed, command.survives = 255, True
