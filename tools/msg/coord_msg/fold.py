"""Whose mail is waiting. Pure and total."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope import Event


class Inbox:
    """One agent's mail: any event addressed to it that wants an ack and has none of its own.

    Sessions of one agent share it. `read` and `delivered` acks are news for the sender, and change nothing here.
    """

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self._mail: dict[str, Event] = {}
        self._acked: set[str] = set()
        self._taken: set[str] = set()

    def add(self, events: Iterable[Event]) -> None:
        """Take in events, in any order, each any number of times."""
        for event in events:
            if self._acks(event):
                self._acked.add(event["refs"]["msg_id"])
            elif addressed(event, self._agent) and event["body"].get("ack") != "none":
                self._mail[event.id] = event

    def take(self, now: str) -> list[Event]:
        """What waits at `now` (an RFC 3339 stamp) and was not taken yet, oldest first."""
        fresh = self._mail.keys() - self._acked - self._taken
        mail = [self._mail[event_id] for event_id in sorted(fresh) if not _expired(self._mail[event_id], now)]
        self._taken |= fresh
        for event_id in self._acked | self._taken:
            self._mail.pop(event_id, None)
        return mail

    def _acks(self, event: Event) -> bool:
        if event["type"] != "msg.acked" or event["actor"]["agent_id"] != self._agent:
            return False
        refs = event.get("refs")
        return event["body"].get("kind") == "done" and isinstance(refs, dict) and isinstance(refs.get("msg_id"), str)


def addressed(event: Event, agent: str) -> bool:
    """Is this mail for the agent?"""
    to = event.get("to")
    return isinstance(to, list) and agent in to


def _expired(event: Event, now: str) -> bool:
    expires = event["body"].get("expires_at")
    return isinstance(expires, str) and expires <= now
