"""The mail of this call's store: whom it can go to, what an id names, and what is read of it."""

from __future__ import annotations

import os

from coord_envelope import BadData, Event, Fault, No, world
from coord_envelope.errors import NoAddressee
from coord_kernel.cli import complaints, values
from coord_kernel.store import blobs
from coord_kernel.views.view import Snapshot, View
from coord_msg import fold
from coord_msg.mail import Mail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call

MSG = ("event_id", "msg_id")
"""Where a line on stdin has a message's id."""


class Post:
    """Mail of one store."""

    def __init__(self, call: Call) -> None:
        self._call, self._view = call, View(call.journal.store, fold)
        self._known: dict[str, bool] = {}

    def mail(self, at: str | None = None) -> Mail:
        """The mail as it is, or as it was at a time."""
        if at is None:
            return Mail(self._view.refresh(), world.now_ms())
        then = values.moment(at)
        return Mail(Snapshot(fold, self._call.journal.replay(until=then)), world.parse_ts(then))

    def agent(self, agent: str) -> Json | None:
        """What an agent's own changes are folded to; None if it made none."""
        state = self._view.get(agent)
        return state if state and "groups" in state else None

    def event(self, message: str) -> Event | None:
        """A message as it is stored; None if its line was damaged since."""
        return self._view.event(message)

    def events(self, states: Iterable[Json]) -> list[Event]:
        """As `event`, for many."""
        return [one for one in (self.event(state["mail"]["id"]) for state in states) if one]

    def found(self, text: str, mail: Mail) -> Json:
        """The state of the message an id names. Raises No, Usage: never a guess."""
        state = mail.state(self._call.resolve(text))
        if state is None:
            raise No("no such message", where=text)
        return state

    def addressed(self, draft: Json, force: bool) -> Json:
        """The draft, to everyone it is for: groups become their members, without the sender.

        Raises NoAddressee if one of them is not known; with `force` a name nobody has is taken all the same.
        """
        me = self._call.actor()["agent_id"]
        unknown = [
            one for one in draft["to"] if one.startswith(fold.DIRECT) and not self._knows(one, me)
        ]
        if unknown and not force:
            what = f"{' '.join(unknown)}: nobody of that name is known"
            raise NoAddressee(what, todo="look at `ev agents`, or --force")
        groups = [one for one in draft["to"] if one.startswith("group:")]
        if not groups:
            return draft
        draft = draft | {"body": {**draft["body"], "via": groups[0]}}
        return draft | {"to": self._before(draft) or self._expanded(draft["to"], me)}

    def _knows(self, agent: str, me: str) -> bool:
        if agent not in self._known:
            self._known[agent] = agent == me or self._call.journal.last_seen(agent) is not None
        return self._known[agent]

    def _before(self, draft: Json) -> list[str] | None:
        """Whom the message with this key went to: who joined a group since does not make it another message."""
        key = draft.get("idempotency_key")
        place = isinstance(key, str) and self._call.journal.index.refresh().by_key("msg.sent", key)
        same = place and place.event["body"].get("via") == draft["body"]["via"]
        return place.event["to"] if place and same else None

    def _expanded(self, to: list[str], me: str) -> list[str]:
        mail, found = self.mail(), list[str]()
        for one in to:
            if not one.startswith("group:"):
                found.append(one)
                continue
            members = [agent for agent in mail.members(one.partition(":")[2]) if agent != me]
            if not members:
                raise NoAddressee(f"{one}: has no other member", todo="`msg join` makes one")
            found += members
        if len(set(found)) > _MOST:
            raise BadData(
                f"{len(set(found))} addressees, more than {_MOST}", todo="use a channel: chan:NAME"
            )
        return list(dict.fromkeys(found))

    def attached(self, paths: Iterable[str]) -> list[Json]:
        """The files as blobs of this store. Raises OSError, BadData."""
        return [self._attached(path) for path in paths]

    def _attached(self, path: str) -> Json:
        with open(path, "rb") as file:
            data = file.read(blobs.LARGEST + 1)
        if len(data) > blobs.SYNCED:
            complaints.warn(f"{path} is larger than {blobs.SYNCED:,} bytes: it stays in this store")
        name = os.path.basename(path).encode("utf-8", "replace")[:200].decode("utf-8", "ignore")
        try:
            return {**blobs.put(self._call.journal.store, data), "name": name}
        except Fault as fault:
            fault.where = path
            raise


_MOST = 64
