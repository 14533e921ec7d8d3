"""What a shell completes: ids with titles, agents, labels, statuses, types, remotes.

The values come from the tools themselves, run as processes: a completion never fails, writes
nothing, and asks no remote.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from coord_envelope.codec import Json
from coord_kernel.cli import words

MOST = 200
"""Rows that are looked at: the first of a list."""
SECONDS = 5.0
LISTS = {
    "wk": ("wk", "ls", f"-n{MOST}"),
    "msg": ("msg", "ls", f"-n{MOST}"),
    "run": ("run", "ls", "--all"),
    "lease": ("lease", "ls"),
    "ev": ("ev", "tail", f"-n{MOST}"),
}
STATUSES = {"wk": "coord_wk.draft", "run": "coord_run.jobs"}
"""Tool → the module that has its STATUSES."""
WORK = ("work", "parent", "blocked_by", "dup_of", "item", "blocker")
"""Parameters that name a work item, in any tool."""

Value = tuple[str, str]
"""A value, and what a shell shows beside it."""
Complete = Callable[[str], list[Value]]


def completer(tool: str, name: str, metavar: str) -> Complete | None:
    """What completes a parameter, by its name and what its help calls it; None if nothing does."""
    plain = metavar.strip("[]. ")
    if name in WORK or (plain == "ID" and tool in LISTS):
        source = _ids("wk" if name in WORK else tool)
    elif plain in _SOURCES:
        source = _SOURCES[plain](tool)
    else:
        return None

    def complete(incomplete: str) -> list[Value]:
        return [value for value in dict.fromkeys(source()) if value[0].startswith(incomplete)]

    return complete


def _printed(command: Iterable[str]) -> Iterator[str]:
    # What asks for a completion is not for the program that is asked here.
    env = {name: text for name, text in os.environ.items() if not name.endswith("_COMPLETE")}
    pipe = subprocess.PIPE
    try:
        ended = subprocess.run(
            [*command], env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, timeout=SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return iter(())
    return iter(ended.stdout.decode("utf-8", "replace").splitlines()[:MOST])


def _rows(command: Iterable[str]) -> Iterator[Json]:
    for text in _printed(command):
        try:
            row: Any = json.loads(text)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row


def _ids(tool: str) -> Callable[[], Iterator[Value]]:
    def ids() -> Iterator[Value]:
        for row in _rows(LISTS[tool]):
            if "event_id" in row:
                yield row["event_id"][-8:].lower(), words.line(row["type"], 60)
            else:
                yield str(row.get("id", "")), words.line(words.titled(row), 60)

    return ids


def _agents(_: str) -> Callable[[], Iterator[Value]]:
    return lambda: ((words.who(row.get("agent_id", "")), "") for row in _rows(("ev", "agents")))


def _labels(_: str) -> Callable[[], Iterator[Value]]:
    return lambda: ((label, "") for row in _rows(LISTS["wk"]) for label in row.get("labels", ()))


def _options(_: str) -> Callable[[], Iterator[Value]]:
    questions = ("wk", "ls", "--kind=question", f"-n{MOST}")
    return lambda: (
        (option, words.line(words.titled(row), 60))
        for row in _rows(questions)
        for option in row.get("options", ())
    )


def _statuses(tool: str) -> Callable[[], Iterator[Value]]:
    module = STATUSES.get(tool)
    known = importlib.import_module(module).STATUSES if module else ()
    return lambda: ((status, "") for status in known)


def _types(_: str) -> Callable[[], Iterator[Value]]:
    return lambda: (
        (name, "") for row in _rows(("ev", "stats")) for name in sorted(row.get("types", ()))
    )


def _remotes(_: str) -> Callable[[], Iterator[Value]]:
    return lambda: ((name, "") for name in _printed(("git", "remote")))


_SOURCES = {
    "AGENT": _agents,
    "ADDRESS": _agents,
    "LABEL": _labels,
    "OPTION": _options,
    "STATUS": _statuses,
    "TYPE": _types,
    "GLOB": _types,
    "REMOTE": _remotes,
    "NAME|URL": _remotes,
}
