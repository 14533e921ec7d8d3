"""What each program reads, and what of it is ours: a file, and two functions of its text. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from coord_coord import merge, texts
from coord_envelope.errors import Usage
from coord_kernel.cli.dialects import HOOKED

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_envelope.codec import Json

PROGRAMS = tuple(HOOKED)
ALLOWED = "enabledMcpjsonServers"
"""The servers of .mcp.json that Claude Code starts without asking."""


class Entry(NamedTuple):
    """Our part of a settings file. The functions raise BadData for a text they cannot change."""

    path: str
    add: Callable[[str], str]
    remove: Callable[[str], str]


def entries(program: str, agent: str, printed: str, server: bool) -> list[Entry]:
    """The entries for a program whose agent has this name: hooks, and with `server` MCP, too.

    `printed`: what `coord-hooks settings` prints for it. Raises Usage for another program.
    """
    if program not in PROGRAMS:
        raise Usage(f"unknown program: {program}", todo=f"use {', '.join(PROGRAMS)}")
    path, form = HOOKED[program]
    if form == "file":
        return [Entry(path, lambda text: texts.whole(text, printed), texts.without_whole)]
    if form == "toml":
        return [Entry(path, lambda text: texts.with_tables(text, printed), texts.without_tables)]
    hooks = json.loads(printed)["hooks"]
    if program == "claude":
        return [_claude(hooks, server), *([_claude_server(agent)] if server else ())]
    return [_hooks(path, hooks), *([_codex_server(agent)] if server and program == "codex" else ())]


def _hooks(path: str, hooks: Json) -> Entry:
    return Entry(
        path,
        lambda text: texts.changed_json(text, lambda known: merge.with_hooks(known, hooks)),
        lambda text: texts.changed_json(text, lambda known: merge.without_hooks(known, hooks)),
    )


def _claude(hooks: Json, server: bool) -> Entry:
    def add(known: Json) -> Json:
        known = merge.with_hooks(known, hooks)
        return merge.with_word(known, ALLOWED, merge.SERVER) if server else known

    def remove(known: Json) -> Json:
        known = merge.without_hooks(known, hooks)
        return merge.without_word(known, ALLOWED, merge.SERVER)

    return Entry(
        HOOKED["claude"][0],
        lambda text: texts.changed_json(text, add),
        lambda text: texts.changed_json(text, remove),
    )


def _claude_server(agent: str) -> Entry:
    key, entry = "mcpServers", _server(agent)
    return Entry(
        ".mcp.json",
        lambda text: texts.changed_json(text, lambda known: merge.with_server(known, key, entry)),
        lambda text: texts.changed_json(text, lambda known: merge.without_server(known, key)),
    )


def _server(agent: str) -> Json:
    """Claude Code's entry. Another name may be set where the program is started."""
    return {
        "command": "coord-mcp",
        "args": ["stdio"],
        "alwaysLoad": True,
        "env": {"COORD_AGENT": f"${{COORD_AGENT:-{agent}}}"},
    }


def _codex_server(agent: str) -> Entry:
    return Entry(
        ".codex/config.toml",
        lambda text: texts.with_toml_server(text, agent),
        texts.without_toml_server,
    )
