"""Mail as it stands at a time: what waits for whom, what a queue gives out, what is dead. Pure, given the states."""

from __future__ import annotations

import heapq

from coord_envelope import ids, world
from coord_kernel.views.view import whole
from coord_msg import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope.codec import Json
    from coord_kernel.views.view import Source


class Mail:
    """The mail of a source, as it is at `now_ms`."""

    def __init__(self, source: Source, now_ms: int) -> None:
        self._source, self._now_ms, self._now = source, now_ms, world.format_ts(now_ms)
        self._ahead = world.format_ts(now_ms + ids.AHEAD_MS)

    def state(self, message: str) -> Json | None:
        """The folded state; None if there is no such message. Messages with one key are one: the oldest's."""
        state = self._source.get(message)
        if not state or "mail" not in state:
            return None
        return whole(self._source, state, state["mail"].get("key"), fold.united)

    def _of(self, facet: str, about: str) -> Iterator[Json]:
        """Messages that have the facet, in its order, each once."""
        return self._those(self._source.find(facet, f"{about} ", f"{about}!"))

    def _those(self, found: Iterable[tuple[str, str]]) -> Iterator[Json]:
        seen = set[str]()
        for _, message in found:
            state = None if message in seen else self.state(message)
            seen.add(message)
            if state and state["mail"]["id"] == message:  # else it is another's twin
                yield state

    def waiting(self, agent: str) -> Iterator[Json]:
        """What an agent has not acked and is not too late for, oldest first."""
        return (state for state in self._of("wait", agent) if self.waits(state, agent))

    def waits(self, state: Json, agent: str) -> bool:
        """Does it wait for this address?"""
        return agent in fold.waits_for(state) and not self.expired(state)

    def expired(self, state: Json) -> bool:
        """Is its time over?"""
        return "expires" in state["mail"] and bool(state["mail"]["expires"] <= self._now)

    def queued(self, queue: str) -> Iterator[Json]:
        """What a queue gives out now: what was given out before stands behind what waited for longer."""
        find = self._source.find
        again = find("again", f"{queue} ", f"{queue} {self._now}~")
        # A claim from a clock that runs far ahead hides nothing.
        ahead = find("claimed", f"{queue} {self._ahead}~", f"{queue}!")
        found = heapq.merge(find("fresh", f"{queue} ", f"{queue}!"), again, ahead)
        return (one for one in self._those(found) if self.waits(one, queue) and self._free(one))

    def _free(self, state: Json) -> bool:
        return not self.held(state) and not fold.exhausted(state)

    def held(self, state: Json) -> bool:
        """Has a consumer claimed it, or is it given back until later?"""
        claim = fold.delivery(state)
        return (
            claim is not None
            and claim["ts"] <= self._ahead
            and fold.hidden_until(state) > self._now
        )

    def holder(self, state: Json) -> str | None:
        """Who has it out of a queue; None if nobody, or if it is given back."""
        claim = fold.delivery(state)
        given_back = claim is None or claim["id"] in state.get("nacks", {})
        return None if claim is None or given_back or not self.held(state) else str(claim["agent"])

    def next_ms(self, queue: str) -> float:
        """How many ms from now a queue may give out something again by itself."""
        for value, _ in self._source.find("again", f"{queue} {self._now}~", f"{queue}!"):
            return max(1.0, world.parse_ts(value.split(" ")[1]) - self._now_ms)
        return float("inf")

    def dead(self, queue: str | None = None) -> Iterator[Json]:
        """What no consumer processed in as many deliveries as it had, of one queue or all."""
        begin, end = (f"{queue} ", f"{queue}!") if queue else ("", "~")
        return (
            one
            for one in self._those(self._source.find("last", begin, end))
            if self.status(one) == "dead"
        )

    def status(self, state: Json) -> str:
        """done | expired | dead | claimed | waiting; `sent` where nobody has to ack."""
        mail, waits = state["mail"], fold.waits_for(state)
        if not waits:
            asked = mail["wants"] and any(
                not one.startswith(("chan:", "all", "group:")) for one in mail["to"]
            )
            return "done" if asked else "sent"
        if self.expired(state):
            return "expired"
        if any(one.startswith("queue:") for one in waits):
            if self.holder(state):
                return "claimed"
            return "dead" if fold.exhausted(state) else "waiting"
        return "waiting"

    def listed(self, address: str | None, sender: str | None, closed: bool) -> Iterator[Json]:
        """Messages, oldest first: to one address, from one sender, or all; with `closed` not only what waits."""
        if address:
            found = self._of("to", address)
        elif sender:
            found = self._of("from", sender)
        else:
            found = self._those(self._source.find("id" if closed else "open"))
        kept = found if not sender else (one for one in found if one["mail"]["from"] == sender)
        return (one for one in kept if closed or self.status(one) not in ("done", "expired"))

    def thread(self, thread: str) -> Iterator[Json]:
        """The messages of a thread, oldest first."""
        return self._of("thread", thread)

    def members(self, group: str) -> list[str]:
        """Who is in a group."""
        return [agent for _, agent in self._source.find("member", group, group + "\0")]

    def row(self, state: Json) -> Json:
        """The message in a line."""
        mail, claim = state["mail"], fold.delivery(state)
        given = {
            "waits_for": fold.waits_for(state),
            "deliveries": claim and claim["n"],
            "holder": self.holder(state),
            "reason": claim and state.get("nacks", {}).get(claim["id"], {}).get("reason"),
        }
        some = {name: what for name, what in given.items() if what}
        head = {"id": ids.short("msg", mail["id"]), "status": self.status(state)}
        said = {name: mail[name] for name in ("from", "to", "subject", "ts")}
        return {**head, **said, "msg_id": mail["id"], **some}  # what a person looks for stands left
