"""Who holds a claim or a lease: one rule for every tool. Pure.

1. Another agent is another holder.
2. The same agent is the same holder, unless both sides name a session, and not the same one.
   One agent acts through several doors (a shell, a hook, MCP), and not each has a session.
3. Another session of the same agent may take over (`--resume`), without force.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json


def same(actor: Json, agent: str, session: str | None) -> bool:
    """Is the actor the holder? `actor` is {agent_id, session_id?}."""
    own = actor.get("session_id")
    return agent == actor["agent_id"] and (not own or not session or own == session)


def named(actor: Json, agent: str, session: str | None) -> str:
    """The holder, as it is named to the caller."""
    if agent != actor["agent_id"]:
        return f"{agent} (session {session})" if session else agent
    return "you" if same(actor, agent, session) else f"your session {session}"
