"""The tools as processes: JSON lines in, JSON lines out, and errors as sentences for a model.

Nothing is remembered between calls. A client's text is passed as JSON on standard input, or after
`=` or `--`, so it cannot be taken for an option or for the name of a file.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import anyio
from mcp.server.mcpserver.exceptions import ToolError

from coord_mcp import rows

Json = dict[str, Any]
PATH = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
"""The tools are beside the Python that runs this, whatever the client's own PATH is."""
AT_ONCE = 8
"""Most processes at a time, besides those that wait for something.

With 64 they kept each other from the store's lock."""


class Failed(ToolError):
    """A tool failed. `status` is its exit status."""

    def __init__(self, what: str, status: int) -> None:
        super().__init__(what)
        self.status = status


class Kernel:
    """The five tools, for one agent."""

    def __init__(self, agent: str) -> None:
        self.agent = agent
        self._env = os.environ | {"COORD_AGENT": agent}
        self._slots = anyio.CapacityLimiter(AT_ONCE)

    async def run(self, *argv: str, lines: Iterable[Json] = (), text: str = "") -> list[Json]:
        """The lines that a command prints for these lines, or this text, on stdin. Raises Failed.

        If the client hangs up, the command is killed. What it had printed by then is written.
        """
        tool, verb, *rest = argv
        stdin = text or "".join(json.dumps(line) + "\n" for line in lines)
        command = [shutil.which(tool, path=PATH) or tool, verb, "--errors=json", *rest]
        waits = any(word.startswith("--wait=") for word in rest)
        try:
            async with nullcontext() if waits else self._slots:
                done = await anyio.run_process(
                    command, input=stdin.encode(), env=self._env, check=False
                )
        except (OSError, ValueError) as error:  # no such program, or an argument is not allowed
            raise Failed(f"{tool} {verb} cannot be run: {error}", 74) from None
        printed = [json.loads(line) for line in done.stdout.split(b"\n") if line]
        if done.returncode:
            what = sentences(done.stderr) or f"{tool} {verb}: status {done.returncode}"
            raise Failed(what + _written(printed), done.returncode)
        return printed


def _written(printed: list[Json]) -> str:
    """A sentence about the events that a failed command wrote, or nothing."""
    events = map(rows.written, (event for event in printed if "event_id" in event))
    names = [f"{event['type']} {event['id']}" for event in events]
    return f"\nThe rest of it was done: {', '.join(names)}" if names else ""


def sentences(stderr: bytes) -> str:
    """The errors of a tool, one sentence each."""
    lines = stderr.decode("utf-8", "replace").split("\n")
    return "\n".join(_sentence(line) for line in lines if line)


def _sentence(line: str) -> str:
    try:
        fault = json.loads(line)
        where = "" if fault["where"].startswith("line ") else fault["where"]
        todo = f"; {fault['todo']}" if fault["todo"] else ""
        return f"{where}: {fault['what']}{todo}" if where else f"{fault['what']}{todo}"
    except (ValueError, TypeError, KeyError):
        return line


def options(**values: object) -> list[str]:
    """The values as `--name=value`; None and False are left out."""
    words: list[str] = []
    for name, value in values.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            words.append(f"{option}={value}")
    return words
