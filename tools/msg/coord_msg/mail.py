"""Mail at one moment: what waits for whom, what a queue delivers, what is dead. Pure."""

from __future__ import annotations

import heapq

from coord_envelope import ids, world
from coord_kernel.views.entities import Entities
from coord_msg import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Any, ClassVar, NotRequired, TypedDict

    from coord_kernel.views.view import Source
    from coord_msg.fold import MessageState

    Row = TypedDict(
        "Row",
        {
            "id": str,
            "status": str,
            "from": str,
            "to": list[str],
            "subject": str,
            "ts": str,
            "msg_id": str,
            "waits_for": NotRequired[list[str]],
            "deliveries": NotRequired[int],
            "holder": NotRequired[str],
            "reason": NotRequired[str],
            "severity": NotRequired[str],
            "trust": NotRequired[str],
            "read_by": NotRequired[list[str]],
        },
    )


def _id(found: tuple[str, str]) -> str:
    return found[1]


class Mail(Entities):
    """The mail of a source, as it is at `now_ms`."""

    fold: ClassVar[Any] = fold

    def __init__(self, source: Source, now_ms: int) -> None:
        super().__init__(source, now_ms)
        self._ahead = world.format_ts(now_ms + ids.AHEAD_MS)

    def waiting(self, agent: str) -> Iterator[MessageState]:
        """What an agent has not acked and what has not expired, oldest first."""
        lasting = self._source.find("wait", f"{agent} ", f"{agent}!")
        expiring = sorted(self._source.find(*self._expiring(agent)), key=_id)
        states = self.each(heapq.merge(lasting, expiring, key=_id))
        return (state for state in states if self.waits(state, agent))

    def newest(self, agent: str) -> Iterator[MessageState]:
        """As `waiting`, newest first: costs only what is taken, and what expires."""
        lasting = self._source.newest("wait", f"{agent} ", f"{agent}!")
        expiring = sorted(self._source.find(*self._expiring(agent)), key=_id, reverse=True)
        states = self.each(heapq.merge(lasting, expiring, key=_id, reverse=True))
        return (state for state in states if self.waits(state, agent))

    def count(self, agent: str, most: int) -> int:
        """How many messages wait for an agent, up to `most`.

        Those that are one by their key count each.
        """
        lasting = self._source.count("wait", f"{agent} ", f"{agent}!", most)
        return min(most, lasting + self._source.count(*self._expiring(agent), most))

    def unread(self, agent: str, sender: str | None) -> Iterator[MessageState]:
        """Of `waiting`, and from a sender if there is one, what the agent has not read."""
        for state in self.waiting(agent):
            if sender in (None, state["mail"]["from"]) and agent not in fold.read_by(state):
                yield state

    def untold(self, agent: str, sessions: Collection[str]) -> Iterator[MessageState]:
        """Of `unread`, what no hook has shown to one of these sessions of the agent."""
        for state in self.unread(agent, None):
            acks = state.get("acks", {}).values()
            shown = (ack for ack in acks if ack.get("kind") == "delivered")
            if not any(ack["agent"] == agent and ack["session"] in sessions for ack in shown):
                yield state

    def _expiring(self, agent: str) -> tuple[str, str, str]:
        """Where the index has what waits for an agent and will expire."""
        return "until", f"{agent} {self.now}~", f"{agent}!"

    def waits(self, state: MessageState, address: str) -> bool:
        """Does it wait for this address?"""
        return address in fold.waits_for(state) and not self.expired(state)

    def expired(self, state: MessageState) -> bool:
        """Is its time over?"""
        return "expires" in state["mail"] and state["mail"]["expires"] <= self.now

    def queued(self, queue: str) -> Iterator[MessageState]:
        """What a queue delivers now.

        In order of the time since when each message could be had: a redelivery comes after what has
        waited for longer.
        """
        find = self._source.find
        fresh = find("fresh", f"{queue} ", f"{queue}!")
        again = find("again", f"{queue} ", f"{queue} {self.now}~")
        # A claim from a clock that runs far ahead hides nothing.
        ahead = find("claimed", f"{queue} {self._ahead}~", f"{queue}!")
        for state in self.each(heapq.merge(fresh, again, ahead)):
            if self.waits(state, queue) and not self.held(state) and not fold.exhausted(state):
                yield state

    def held(self, state: MessageState) -> bool:
        """Has a consumer claimed it, or was it given back with a delay that is not over?"""
        claim = fold.delivery(state)
        if claim is None or claim["ts"] > self._ahead:
            return False
        return fold.hidden_until(state) > self.now

    def holder(self, state: MessageState) -> str | None:
        """The agent whose claim from a queue counts now, if it was not nacked."""
        claim = fold.delivery(state)
        if claim is None or claim["id"] in state.get("nacks", {}) or not self.held(state):
            return None
        return claim["agent"]

    def next_ms(self, queue: str) -> float:
        """How many ms from now a queue may deliver something again without a new event."""
        for value, _ in self._source.find("again", f"{queue} {self.now}~", f"{queue}!"):
            return max(1.0, world.parse_ts(value.split(" ")[1]) - self.now_ms)
        return float("inf")

    def dead(self, queue: str | None = None) -> Iterator[MessageState]:
        """What was delivered as often as it may be and never acked, of one queue or all."""
        begin, end = (f"{queue} ", f"{queue}!") if queue else ("", "~")
        for state in self.each(self._source.find("last", begin, end)):
            if self.status(state) == "dead":
                yield state

    def status(self, state: MessageState) -> str:
        """done | expired | dead | claimed | waiting; `sent` where no ack is expected."""
        mail, waits = state["mail"], fold.waits_for(state)
        if not waits:
            acked = [to for to in mail["to"] if not to.startswith(("chan:", "all", "group:"))]
            return "done" if mail["wants"] and acked else "sent"
        if self.expired(state):
            return "expired"
        if any(address.startswith("queue:") for address in waits):
            if self.holder(state):
                return "claimed"
            return "dead" if fold.exhausted(state) else "waiting"
        return "waiting"

    def listed(
        self, address: str | None, sender: str | None, closed: bool, work: str | None = None
    ) -> Iterator[MessageState]:
        """Messages, oldest first: about a work item, to one address, from one sender, or all.

        With `closed` also those that are done or expired.
        """
        if work:
            states = self.having("work", work)
        elif address:
            states = self.having("to", address)
        elif sender:
            states = self.having("from", sender)
        else:
            states = self.each(self._source.find("id" if closed else "open"))
        for state in states:
            mail = state["mail"]
            wanted = sender in (None, mail["from"]) and (not address or address in mail["to"])
            if wanted and (closed or self.status(state) not in ("done", "expired")):
                yield state

    def thread(self, thread: str) -> Iterator[MessageState]:
        """The messages of a thread, oldest first."""
        return self.having("thread", thread)

    def members(self, group: str) -> list[str]:
        """The agents in a group."""
        return [agent for _, agent in self._source.find("member", group, group + "\0")]

    def row(self, state: MessageState) -> Row:
        """The message in one line, beginning with what a person looks for."""
        mail, claim = state["mail"], fold.delivery(state)
        nack = state.get("nacks", {}).get(claim["id"]) if claim else None
        more = {
            "waits_for": fold.waits_for(state),
            "deliveries": claim and claim["n"],
            "holder": self.holder(state),
            "reason": nack and nack.get("reason"),
            "severity": mail.get("severity"),
            "trust": mail.get("trust"),
            "read_by": fold.read_by(state),
        }
        row: Row = {
            "id": ids.short("msg", mail["id"]),
            "status": self.status(state),
            "from": mail["from"],
            "to": mail["to"],
            "subject": mail["subject"],
            "ts": mail["ts"],
            "msg_id": mail["id"],
        }
        known: Any = {name: value for name, value in more.items() if value}
        return row | known  # type: ignore[no-any-return]
