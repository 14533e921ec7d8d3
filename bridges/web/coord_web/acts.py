"""What can be done from a page: each the command line of a tool. All but `Runner` is pure.

What a person typed is passed on standard input, after `--`, or after `=`: so it can be taken
neither for an option nor for the name of a file.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

from coord_envelope.errors import Fault, Usage
from coord_kernel.cli.session import VARIABLES
from coord_kernel.cli.tools import failure
from coord_kernel.proc import beside

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from coord_envelope.codec import Json

TIMEOUT_S = 60.0
"""How long a command may take: with a remote it asks the arbiter."""
AT_ONCE = 8
"""Commands at a time."""


class Act(NamedTuple):
    """One command: its words, and what it reads on standard input."""

    words: tuple[str, ...]
    text: str = ""


class Form:
    """The fields that a page sent."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def __call__(self, name: str) -> str:
        """A field without blanks around it. Raises Usage if it is empty."""
        text = self.maybe(name)
        if not text:
            raise Usage(f"nothing was given for {name}")
        return text

    def maybe(self, name: str) -> str:
        """A field, or nothing."""
        return self._fields.get(name, "").strip().replace("\r\n", "\n")


def _on(tool: str, verb: str, *options: str) -> Callable[[Form], Act]:
    return lambda form: Act((tool, verb, *options, "--", form("id")))


def _handoff(form: Form) -> Act:
    note = (f"--note={form('note')}",) if form.maybe("note") else ()
    return Act(("wk", "handoff", f"--to={form('agent')}", "--force", *note, "--", form("id")))


def _close(form: Form) -> Act:
    note = (f"--note={form('note')}",) if form.maybe("note") else ()
    return Act(("wk", "close", *note, "--", form("id")))


def _new(form: Form) -> Act:
    desc = ("--desc=-",) if form.maybe("desc") else ()
    priority = f"--priority={form.maybe('priority') or 2}"
    return Act(("wk", "new", priority, *desc, "--", form("title")), form.maybe("desc"))


def _send(form: Form) -> Act:
    words = ("msg", "send", f"--to={form('to')}", f"--subject={form('subject')}", "--body=-")
    return Act(words, form.maybe("text"))


ACTS: dict[str, Callable[[Form], Act]] = {
    "answer": lambda form: Act(("wk", "answer", "--", form("id"), form("option"))),
    "claim": _on("wk", "claim"),
    "steal": lambda form: Act(
        ("wk", "claim", "--steal", "--force", f"--reason={form('reason')}", "--", form("id"))
    ),
    "release": _on("wk", "release", "--force", "--reason=given back by a person"),
    "handoff": _handoff,
    "assign": lambda form: Act(
        ("wk", "update", f"--assignee={form.maybe('agent')}", "--", form("id"))
    ),
    "priority": lambda form: Act(
        ("wk", "update", f"--priority={form('priority')}", "--", form("id"))
    ),
    "comment": lambda form: Act(("wk", "comment", "--", form("id"), "-"), form("text")),
    "close": _close,
    "reopen": _on("wk", "reopen"),
    "new": _new,
    "send": _send,
    "reply": lambda form: Act(("msg", "reply", "--body=-", "--", form("id")), form("text")),
    "ack": _on("msg", "ack"),
    "cancel": _on("run", "cancel"),
    "retry": _on("run", "retry"),
}
"""Verb → the command of its form. Each raises Usage for a field that is missing."""
DONE = {
    "answer": "Answered",
    "claim": "Claimed",
    "steal": "Taken over",
    "release": "Given back",
    "handoff": "Handed over",
    "assign": "Assigned",
    "priority": "Priority changed",
    "comment": "Commented",
    "close": "Closed",
    "reopen": "Reopened",
    "new": "Created",
    "send": "Sent",
    "reply": "Sent",
    "ack": "Done",
    "cancel": "Cancelled",
    "retry": "Requested again",
}
"""Verb → what a page says when it is done."""


class Runner:
    """Runs acts in one store, as one agent."""

    def __init__(self, path: str, agent: str) -> None:
        known = {name: text for name, text in os.environ.items() if name not in VARIABLES}
        self._env = {**known, "COORD_DIR": path, "COORD_AGENT": agent}
        self._cwd = os.path.dirname(path)
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def run(self, act: Act) -> list[Json]:
        """The lines that it printed. Raises the Fault that the tool reported."""
        tool, verb, *rest = act.words
        program = shutil.which(tool, path=beside.path()) or tool
        argv = (program, verb, "--errors=json", "--output=jsonl", *rest)
        async with self._slots:
            try:
                process = await asyncio.create_subprocess_exec(
                    *argv,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    env=self._env,
                    cwd=self._cwd,
                )
            except (OSError, ValueError) as error:
                raise Fault(f"{tool} {verb} cannot be run: {error}") from None
            try:
                ended = process.communicate(act.text.encode("utf-8", "replace"))
                out, err = await asyncio.wait_for(ended, TIMEOUT_S)
            except TimeoutError:
                process.kill()
                await process.wait()
                raise Fault(f"{tool} {verb} took longer than {TIMEOUT_S:.0f} s") from None
        if process.returncode:
            raise failure(err, process.returncode)
        return [json.loads(line) for line in out.split(b"\n") if line]
