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

    Change = Callable[[Json], Json]

PROGRAMS = tuple(HOOKED)
ALLOWED = "enabledMcpjsonServers"
"""The servers of .mcp.json that Claude Code starts without asking."""


_WORDS = ("stdio", merge.DEFAULT, "{agent}")
_PLAIN: Json = {"command": "coord-mcp", "args": [*_WORDS]}
SERVERS: dict[str, tuple[str, str, Json]] = {
    "gemini": (".gemini/settings.json", "mcpServers", _PLAIN),
    "qwen": (".qwen/settings.json", "mcpServers", _PLAIN),
    "droid": (".factory/mcp.json", "mcpServers", {"type": "stdio", **_PLAIN}),
    "copilot": (".github/mcp.json", "mcpServers", {"type": "local", **_PLAIN, "tools": ["*"]}),
    "kimi": (".kimi-code/mcp.json", "mcpServers", _PLAIN),
    "opencode": ("opencode.json", "mcp", {"type": "local", "command": ["coord-mcp", *_WORDS]}),
}
"""Program → where it reads its MCP servers, the key of their table there, and our entry.

The program starts the server with its own environment, so a name that is set where it is started
counts; {agent} is the one without. Claude Code and Codex do not: theirs are below.
"""
SERVED = ("claude", "codex", *SERVERS)
"""Programs that are set up with the MCP server, too; pi has no such client."""


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
    own = [_hooks(program, agent, printed, server)]
    if not server or program not in SERVED or _is_shared(program):
        return own
    if program == "claude":
        return [*own, _claude_server(agent)]
    if program == "codex":
        return [*own, _codex_server(agent)]
    place, key, entry = _of_agent(program, agent)
    return [*own, _json(place, *_served(key, entry))]


def _hooks(program: str, agent: str, printed: str, server: bool) -> Entry:
    """The entry with the hooks; also with the server, if they share a file."""
    path, form = HOOKED[program]
    if form == "file":
        return Entry(path, lambda text: texts.whole(text, printed), texts.without_whole)
    if form == "toml":
        return Entry(path, lambda text: texts.with_tables(text, printed), texts.without_tables)
    hooks = json.loads(printed)["hooks"]
    if program == "claude":
        return _claude(hooks, server)
    add: Change = lambda known: merge.with_hooks(known, hooks)  # noqa: E731
    remove: Change = lambda known: merge.without_hooks(known, hooks)  # noqa: E731
    if not (server and _is_shared(program)):
        return _json(path, add, remove)
    _, key, entry = _of_agent(program, agent)
    also, not_any_more = _served(key, entry)
    return _json(path, lambda known: also(add(known)), lambda known: not_any_more(remove(known)))


def _is_shared(program: str) -> bool:
    """Has it hooks and servers in one file?"""
    return program in SERVERS and SERVERS[program][0] == HOOKED[program][0]


def _of_agent(program: str, agent: str) -> tuple[str, str, Json]:
    """Where a program has its servers, the key there, and our entry for this agent."""
    path, key, entry = SERVERS[program]
    return (
        path,
        key,
        {
            field: [agent if word == "{agent}" else word for word in value]
            if isinstance(value, list)
            else value
            for field, value in entry.items()
        },
    )


def _served(key: str, entry: Json) -> tuple[Change, Change]:
    return (
        lambda known: merge.with_server(known, key, entry),
        lambda known: merge.without_server(known, key),
    )


def _json(path: str, add: Change, remove: Change) -> Entry:
    return Entry(
        path,
        lambda text: texts.changed_json(text, add),
        lambda text: texts.changed_json(text, remove),
    )


def _claude(hooks: Json, server: bool) -> Entry:
    def add(known: Json) -> Json:
        known = merge.with_hooks(known, hooks)
        return merge.with_word(known, ALLOWED, merge.SERVER) if server else known

    def remove(known: Json) -> Json:
        known = merge.without_hooks(known, hooks)
        return merge.without_word(known, ALLOWED, merge.SERVER)

    return _json(HOOKED["claude"][0], add, remove)


def _claude_server(agent: str) -> Entry:
    return _json(".mcp.json", *_served("mcpServers", _server(agent)))


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
