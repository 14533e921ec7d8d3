"""Which agent and which session acts: by the environment, and by the programs that run agents.

A program (Claude Code, Codex) gives the shell commands of a session its own variable. The hook at
its start makes them act for the agent, and notes in COORD_SHELL whose shell it is: the session, and
those of programs around it. A program that is started in that shell inherits COORD_AGENT and
COORD_SESSION, but is another session: it is a child, and has a name of its own.
"""

from __future__ import annotations

import os

from coord_envelope import world
from coord_envelope.event import address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json

CLAUDE = "CLAUDE_CODE_SESSION_ID"
OTHERS = (
    "CODEX_SESSION_ID",
    "QWEN_CODE_SESSION_ID",
    "PI_SESSION_ID",
    "COPILOT_AGENT_SESSION_ID",
    "GEMINI_SESSION_ID",
)
OWNER = "COORD_SHELL"
VARIABLES = ("COORD_SESSION", OWNER, CLAUDE, *OTHERS)
"""All that says which session acts."""
LONGEST = 256
"""Characters of a session's id."""


def actor(agent: str) -> Json:
    """The agent and its session, as events have them: {agent_id, session_id?, traceparent?}."""
    programs, around = list(_values(CLAUDE, *OTHERS)), _around()
    foreign = [session for session in programs if session not in around] if around else []
    if foreign:
        return of_session(agent, foreign[0]) | _traced()
    session = world.getenv("COORD_SESSION") or next(iter(programs), None)
    return {
        "agent_id": agent,
        **({"session_id": session[:LONGEST]} if session else {}),
        **_traced(),
    }


def _traced() -> Json:
    """The span in which this process runs, if `$TRACEPARENT` says so."""
    text = world.getenv("TRACEPARENT")
    if not text:
        return {}
    from coord_kernel.rules import tracing  # only in a trace

    return {tracing.FIELD: text} if tracing.parsed(text) else {}


def of_hook(agent: str, fields: Json) -> Json:
    """The agent and session of a program's hook, by its input: that goes before the environment.

    Of a child, under the name of its own.
    """
    session = fields.get("session_id")
    if not isinstance(session, str) or not session:
        return actor(agent)
    around = _around() or list(_values(*OTHERS))
    if around and session not in around:
        return of_session(agent, session)
    return {"agent_id": agent, "session_id": session[:LONGEST]}


def is_subagent(fields: Json) -> bool:
    """Does a hook's input come from a subagent, which has no session of its own?"""
    return bool(fields.get("agent_id"))


def of_session(agent: str, session: str) -> Json:
    """The child that runs this session, or an agent that --as names in place of COORD_AGENT."""
    return {"agent_id": _child(agent, session), "session_id": session[:LONGEST]}


def _child(agent: str, session: str) -> str:
    try:
        if agent != address(world.getenv("COORD_AGENT") or ""):
            return agent
    except ValueError:
        return agent
    import zlib  # 1 ms, only in a child

    kind, _, name = agent.partition(":")
    number = zlib.crc32(session.encode("utf-8", "replace")) % 1_000_000
    for sign in "/.":
        top = name.partition(f"{sign}child-")[0]  # a child's child stands beside it
        try:
            return address(f"{kind}:{top}{sign}child-{number}")
        except ValueError:
            continue
    return agent


def _around() -> list[str]:
    return (world.getenv(OWNER) or "").split()


def _values(*names: str) -> Iterator[str]:
    return (os.environ[name] for name in names if os.environ.get(name))
