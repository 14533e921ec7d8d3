"""How mail reaches a session that lives: by which way, or why not now. Pure.

1. What a program is given is a pointer, never the text of the mail, and nothing that others wrote
   but their name.
2. A program at work is given nothing that would stop it: only where its record says that it queues
   what is typed, or takes it up. Its hooks show it the mail at its next step.
3. A program that waits for a person is given nothing: it would be taken for the answer.
4. A message is delivered to a session once; every other outcome is noted once.
"""

from __future__ import annotations

from coord_agents.record import DRIVEN
from coord_envelope import ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import TypedDict

    from coord_agents.record import Record
    from coord_envelope.codec import Json

    class Mail(TypedDict):
        """What waits for an agent, unread."""

        count: int
        newest: str
        """Message id."""
        sender: str

    class Target(TypedDict):
        """A session that mail may be delivered to."""

        session: str
        via: str
        status: str
        """idle, busy, waiting, or empty if its runtime does not say."""
        lives: bool
        provider: str | None


LINES = ("tmux", *DRIVEN)
"""Ways in which a program can be given a line."""
RESULTS = ("delivered", "busy", "gone", "unknown")


def choose(target: Target, record: Record | None) -> tuple[str | None, str]:
    """The way to use now, else None and the outcome: busy, gone or unknown.

    A way is queue, tmux, or the protocol of a driver.
    """
    if not target["lives"]:
        return None, "gone"
    if record is None:
        return None, "unknown"
    if target["status"] == "waiting":
        return None, "busy"
    idle, via = target["status"] == "idle", target["via"]
    if idle and record.queue and target["provider"] and via not in DRIVEN:
        return "queue", ""
    way = record.ways.get(via)
    if via in LINES and way and (idle or way.busy in ("steers", "queues")):
        return via, ""
    return None, "unknown" if idle else "busy"


def pointer(mail: Mail) -> str:
    """What the program is given: one line."""
    count = mail["count"]
    waits = "1 message waits" if count == 1 else f"{count} messages wait"
    newest = f"the newest from {mail['sender']}, {ids.short('msg', mail['newest'])}"
    return f"coord: {waits} for you, {newest}. Read: msg recv --text"


def key(session: str, mail: Mail, result: str) -> str:
    """The idempotency key of an outcome."""
    return ids.key(f"nudge:{session}:{mail['newest']}:{result}")


def is_due(session: str, mail: Mail, told: Collection[str]) -> bool:
    """Is there mail that the session was not told of yet?"""
    return mail["count"] > 0 and key(session, mail, "delivered") not in told


def nudged(target: Target, agent: str, mail: Mail, way: str | None, result: str) -> Json:
    """The event of an outcome."""
    body: Json = {"agent": agent, "session": target["session"], "mail": mail["newest"]}
    body |= {"count": mail["count"], "result": result, **({"via": way} if way else {})}
    return {
        "type": "session.nudged",
        "body": body,
        "idempotency_key": key(target["session"], mail, result),
    }
