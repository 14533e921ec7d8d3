"""The five tools, run as processes that work at the same time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

from coord_envelope.errors import Fault, Unreachable
from coord_kernel.cli.tools import failure
from coord_kernel.proc.beside import path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coord_envelope.codec import Json

NAMES = ("wk", "lease", "msg", "ev", "run")
MOST = 2_000
"""Rows of one command that are read; the rest is left out."""


class Answer:
    """What a command printed: at most `MOST` rows, or why it failed."""

    def __init__(self, rows: list[Json], cut: bool = False, fault: Fault | None = None) -> None:
        self.rows, self.cut, self.fault = rows, cut, fault


def found(name: str) -> str | None:
    """The file of a command, or None."""
    return shutil.which(name, path=path())


def on_path(name: str) -> str | None:
    """The file that the caller's own PATH finds for a command, or None."""
    return shutil.which(name)


def same(one: str, other: str) -> bool:
    """Are these two paths one file?"""
    return os.path.realpath(one) == os.path.realpath(other)


def bridges() -> list[str]:
    """The names NAME of the commands coord-NAME that can be run, sorted."""
    names = set()
    for directory in path().split(os.pathsep):
        try:
            entries = os.listdir(directory or ".")
        except OSError:
            continue
        names |= {name[6:] for name in entries if name.startswith("coord-")}
    return sorted(name for name in names if is_name(name) and found(f"coord-{name}"))


def is_name(word: str) -> bool:
    """May this be the NAME of a command coord-NAME? A path may not."""
    plain = word.replace("-", "").replace("_", "")
    return word[:1].isalpha() and plain.isascii() and plain.isalnum()


def ask(commands: Mapping[str, Sequence[str]]) -> dict[str, Answer]:
    """Run commands that print JSON lines, all at once; the answer to each, by its name."""
    started = {name: _started(argv) for name, argv in commands.items()}
    return {name: _answer(process) for name, process in started.items()}


def _started(argv: Sequence[str]) -> subprocess.Popen[bytes] | Fault:
    tool, verb, *rest = argv
    command = [found(tool) or tool, verb, "--errors=json", "--output=jsonl", *rest]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        return subprocess.Popen(command, **streams)  # type: ignore[call-overload, no-any-return]
    except OSError as error:
        return not_run(tool, error)


def not_run(command: str, error: OSError) -> Unreachable:
    """A program that could not be started."""
    what = f"cannot be run: {(error.strerror or '').lower()}"
    return Unreachable(what, where=command, todo="install it again")


def _answer(process: subprocess.Popen[bytes] | Fault) -> Answer:
    if isinstance(process, Fault):
        return Answer([], fault=process)
    assert process.stdout and process.stderr
    rows: list[Json] = []
    with process.stdout as lines:
        for line in lines:
            if len(rows) == MOST:
                break
            rows.append(json.loads(line))
        else:
            line = b""
    with process.stderr as errors:  # a few lines: they fit into the pipe
        said = errors.read()
    status = process.wait()
    failed = status and not line
    return Answer(rows, cut=bool(line), fault=failure(said, status) if failed else None)
