"""The tools as processes: JSON lines in, JSON lines out, and a failure as a sentence for a model to read.

Nothing is remembered from one call to the next. What a client says goes in as JSON on standard input, or behind an
`=` or `--`: so no text of its is taken for an option, and none for the name of a file.
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
"""The tools are beside the Python that runs this, wherever the client's own PATH leads."""


AT_ONCE = 8
"""Processes under way, but for those that wait for something: 64 at once kept each other from the store's lock."""


class Failed(ToolError):
    """A tool said no. `status` is its exit status."""

    def __init__(self, what: str, status: int) -> None:
        super().__init__(what)
        self.status = status


class Kernel:
    """The five tools, for one agent."""

    def __init__(self, agent: str) -> None:
        self.agent = agent
        self._env = os.environ | {"COORD_AGENT": agent}
        self._slots = anyio.CapacityLimiter(AT_ONCE)

    async def run(self, *argv: str, given: Iterable[Json] = (), text: str = "") -> list[Json]:
        """The lines a command prints for these lines, or this text, on its standard input. Raises Failed.

        If the client hangs up, the command is killed: what it said it had written is written.
        """
        tool, verb, *rest = argv
        data = text or "".join(json.dumps(one) + "\n" for one in given)
        command = [shutil.which(tool, path=PATH) or tool, verb, "--errors=json", *rest]
        waits = any(word.startswith("--wait=") for word in rest)
        try:
            async with nullcontext() if waits else self._slots:
                done = await anyio.run_process(
                    command, input=data.encode(), env=self._env, check=False
                )
        except (
            OSError,
            ValueError,
        ) as error:  # it is not there, or an argument is no text, or too long
            raise Failed(f"{tool} {verb} cannot be run: {error}", 74) from None
        found = [json.loads(line) for line in done.stdout.split(b"\n") if line]
        if done.returncode:
            what = said(done.stderr) or f"{tool} {verb}: status {done.returncode}"
            raise Failed(what + _done_before(found), done.returncode)
        return found


def _done_before(found: list[Json]) -> str:
    events = (one for one in found if "event_id" in one)
    written = [f"{one['type']} {one['id']}" for one in map(rows.written, events)]
    return f"\nThe rest of it was done: {', '.join(written)}" if written else ""


def said(stderr: bytes) -> str:
    """What a tool complained of, in one sentence each."""
    return "\n".join(
        _sentence(line) for line in stderr.decode("utf-8", "replace").split("\n") if line
    )


def _sentence(line: str) -> str:
    try:
        fault = json.loads(line)
        where = "" if fault["where"].startswith("line ") else fault["where"]
        todo = f"; {fault['todo']}" if fault["todo"] else ""
        return f"{where}: {fault['what']}{todo}" if where else f"{fault['what']}{todo}"
    except (ValueError, TypeError, KeyError):
        return line


def options(**given: object) -> list[str]:
    """What is given, as `--name=value`: None and False are not, of a list each."""
    found: list[str] = []
    for name, value in given.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            found.append(option)
        elif value is not None and value is not False:
            found += [f"{option}={one}" for one in (value if isinstance(value, list) else [value])]
    return found
