"""The tools as processes: JSON lines in, JSON lines out, and errors as sentences for a model.

Nothing is remembered between calls. A client's text is passed as JSON on standard input, or after
`=` or `--`, so it cannot be taken for an option or for the name of a file.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from typing import Any

import anyio
from mcp.server.mcpserver.exceptions import ToolError

from coord_envelope import Fault
from coord_kernel import Journal, find
from coord_kernel.cli.session import VARIABLES
from coord_kernel.journal.beat import beat
from coord_kernel.proc import beside
from coord_mcp import rows

Json = dict[str, Any]
AT_ONCE = 8
"""Most processes at a time, besides those that wait for something.

With 64 they kept each other from the store's lock."""


class Failed(ToolError):
    """A tool failed. `status` is its exit status, `code` that of its first error."""

    def __init__(self, what: str, status: int, code: str) -> None:
        super().__init__(what)
        self.status, self.code = status, code


class Kernel:
    """The five tools, for one agent in one session."""

    def __init__(self, actor: Json) -> None:
        self.agent: str = actor["agent_id"]
        self._actor = actor
        # What says which session acts was read once: a tool below might read it as a child's.
        self._env = {name: text for name, text in os.environ.items() if name not in VARIABLES}
        self._env["COORD_AGENT"] = self.agent
        if "session_id" in actor:
            self._env["COORD_SESSION"] = actor["session_id"]
        self._slots = anyio.CapacityLimiter(AT_ONCE)

    async def run(self, *argv: str, lines: Iterable[Json] = (), text: str = "") -> list[Json]:
        """The lines that a command prints for these lines, or this text, on stdin. Raises Failed.

        If the client hangs up, the command is killed. What it had printed by then is written.
        """
        tool, verb, *rest = argv
        await anyio.to_thread.run_sync(self._seen, f"mcp {tool} {verb}")
        stdin = text or "".join(json.dumps(line) + "\n" for line in lines)
        command = [shutil.which(tool, path=beside.path()) or tool, verb, "--errors=json", *rest]
        waits = any(word.startswith("--wait=") for word in rest)
        try:
            async with nullcontext() if waits else self._slots:
                done = await anyio.run_process(
                    command, input=stdin.encode(), env=self._env, check=False
                )
        except (OSError, ValueError) as error:  # no such program, or an argument is not allowed
            raise Failed(f"{tool} {verb} cannot be run: {error}", 74, "io") from None
        printed = [json.loads(line) for line in done.stdout.split(b"\n") if line]
        if done.returncode:
            what = sentences(done.stderr) or f"{tool} {verb}: status {done.returncode}"
            raise Failed(what + _written(printed), done.returncode, first_code(done.stderr))
        return printed

    def _seen(self, tool: str) -> None:
        """Write that the client's session lives: what only reads is a sign of life, too.

        Only of a session that has an id.
        """
        if "session_id" in self._actor:
            with suppress(Fault, OSError):  # the call itself reports what is wrong
                beat(Journal(find()), self._actor, "busy", tool=tool)


def _written(printed: list[Json]) -> str:
    """A sentence about the events that a failed command wrote, or nothing."""
    events = map(rows.written, (event for event in printed if "event_id" in event))
    names = [f"{event['type']} {event['id']}" for event in events]
    return f"\nThe rest of it was done: {', '.join(names)}" if names else ""


def sentences(stderr: bytes) -> str:
    """The errors of a tool, one sentence each."""
    lines = stderr.decode("utf-8", "replace").split("\n")
    return "\n".join(_sentence(line) for line in lines if line)


def first_code(stderr: bytes) -> str:
    """The code of a tool's first error; `bug` if it printed none."""
    for line in stderr.split(b"\n"):
        try:
            fault = json.loads(line)
            if fault["status"]:
                return str(fault["code"])
        except (ValueError, TypeError, KeyError):
            continue
    return "bug"


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
