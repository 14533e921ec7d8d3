"""The mail of this call's store: its recipients, what an id names, and messages as stored."""

from __future__ import annotations

import os

from coord_envelope import BadData, Event, Fault, No, Usage, world
from coord_envelope.errors import NoAddressee
from coord_envelope.event import direct
from coord_kernel.cli.call import Call
from coord_kernel.store.blobs import Blobs
from coord_msg import draft as drafts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coord_envelope.codec import Json
    from coord_kernel.journal.transaction import Transaction
    from coord_kernel.views.view import View
    from coord_msg import groups as g
    from coord_msg.fold import MessageState
    from coord_msg.mail import Mail
    from coord_msg.raising import Raising

MSG = ("event_id", "msg_id")
"""The fields of a line on stdin that may hold a message's id."""
MOST = 64
"""Recipients of one message."""


class Post:
    """Mail of one store."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self._opened: View | None = None
        self._known: dict[str, bool] = {}
        self._raising: Raising | None = None

    @property
    def _view(self) -> View:
        if self._opened is None:
            from coord_kernel.views.view import View  # who only sends needs none
            from coord_msg import fold

            self._opened = View(self.call.journal.store, fold)
        return self._opened

    def mail(self, at: str | None = None) -> Mail:
        """The mail as it is, or as it was at a time. Reads what is new."""
        from coord_msg.mail import Mail

        if at is None:
            return Mail.current(self._view)
        then = self.call.moment(at)
        return Mail.past(self._view, then)

    def heads(self, agent: str) -> list[str]:
        """The newest of an agent's own updates: the `base` of the next."""
        from coord_kernel.rules import claims

        state = self._view.get(agent)
        return state["heads"][-claims.HEADS :] if state and "groups" in state else []

    def retained_ms(self, agent: str, channel: str) -> int | None:
        """How old what the agent reads of a channel may be, as of the last `mail`."""
        from coord_msg import fold

        return fold.retained_ms(self._view.get(agent), channel)

    def since(self, channel: str) -> Callable[[], str]:
        """The time from which the caller reads a channel, each time as it is then.

        Without an agent name, and without `msg join --retain`, that is from the beginning.
        """
        try:
            agent = self.call.actor()["agent_id"]
        except Usage:
            return str
        self.mail()
        ms = self.retained_ms(agent, channel)
        return str if ms is None else lambda: world.format_ts(world.now_ms() - ms)

    def event(self, message: str) -> Event | None:
        """A message as it is stored; None if its line was damaged since."""
        return self._view.event(message)

    def stored(self, state: MessageState, text: str) -> Event:
        """A message as it is stored. Raises No if its line was damaged since."""
        message = self.event(state["mail"]["id"])
        if message is None:
            raise No("its line is damaged", where=text, todo="see `ev verify`")
        return message

    def events(self, states: Iterable[MessageState]) -> list[Event]:
        """As `event`, for many."""
        return [event for state in states if (event := self.event(state["mail"]["id"]))]

    def found(self, text: str, mail: Mail) -> MessageState:
        """The state of the message that a full or short id names.

        Raises No if there is none, Usage if the id is ambiguous.
        """
        state: MessageState | None = mail.state(self.call.resolve(text))
        if state is None:
            raise No("no such message", where=text, code="not_found")
        return state

    def addressed(self, draft: Json, force: bool) -> Json:
        """The draft with its final recipients: groups become their members, without the sender.

        Raises NoAddressee if a recipient is unknown, unless `force`, or if a group has no other
        member.
        """
        if "to" not in draft:  # it only raises an alert
            return draft
        me = self.call.actor()["agent_id"]
        agents = [address for address in draft["to"] if direct(address)]
        unknown = [agent for agent in agents if not self._knows(agent, me)]
        if unknown and not force:
            raise NoAddressee(
                f"unknown agent: {' '.join(unknown)}", todo="see `ev agents`, or use --force"
            )
        groups = [address for address in draft["to"] if address.startswith("group:")]
        if not groups:
            return draft
        draft = draft | {"body": {**draft["body"], "via": groups[0]}}
        return draft | {"to": self._recipients_before(draft) or self._expanded(draft["to"], me)}

    def add(self, t: Transaction, draft: Json) -> Event:
        """Add a message to a transaction; see `alert` about one with a severity."""
        if "fingerprint" not in draft["body"]:
            return t.add(draft)
        if self._raising is None:
            from coord_msg.raising import Raising  # few messages raise an alert

            self._raising = Raising(self.call)
        return self._raising.add(t, draft)

    def _knows(self, agent: str, me: str) -> bool:
        if agent not in self._known:
            self._known[agent] = agent == me or self.call.journal.last_seen(agent) is not None
        return self._known[agent]

    def _recipients_before(self, draft: Json) -> list[str] | None:
        """The recipients of the message that was sent with the draft's key.

        An agent that joined the group since does not make it another message.
        """
        key = draft.get("idempotency_key")
        place = isinstance(key, str) and self.call.journal.index.refresh().by_key("msg.sent", key)
        same = place and place.event["body"].get("via") == draft["body"]["via"]
        return place.event["to"] if place and same else None

    def _expanded(self, to: list[str], me: str) -> list[str]:
        mail, recipients = self.mail(), dict[str, None]()
        for address in to:
            if not address.startswith("group:"):
                recipients[address] = None
                continue
            members = [agent for agent in mail.members(address.partition(":")[2]) if agent != me]
            if not members:
                raise NoAddressee(
                    f"{address}: no other member", todo="agents join it with `msg join`"
                )
            recipients |= dict.fromkeys(members)
        if len(recipients) > MOST:
            raise BadData(
                f"{len(recipients)} recipients; at most {MOST} are allowed",
                todo="use a channel: chan:NAME",
            )
        return list(recipients)

    def complete(self, draft: Json, overrides: g.Overrides, paths: Iterable[str] = ()) -> Json:
        """The draft with its recipients and files, its text in a blob if it is long.

        Raises as `addressed`, and OSError, BadData, Refused.
        """
        draft = self.addressed(draft, overrides.force)
        body = draft["body"]
        if len(body.get("text", "")) > drafts.INLINE_BYTES // 4:  # of UTF-8, that may be too long
            from coord_kernel.store.blobs import Blobs

            store, most = self.call.journal.store, drafts.INLINE_BYTES
            text = Blobs(store, overrides.allow_secret).text("text", body["text"], most)
            body = {name: body[name] for name in body if name != "text"} | text
            _warn_of_size("the text", body.get("blob", {}).get("bytes", 0))
        attach = [self._attached(path) for path in paths]
        return draft | {"body": body | ({"attach": attach} if attach else {})}

    def whole(self, event: Json) -> Json | None:
        """The body of an event, if it is in a blob. Raises No, BadData."""
        body = event.get("body")
        if not isinstance(body, dict) or "blob" not in body:
            return None
        from coord_kernel.store.blobs import Blobs

        return Blobs(self.call.journal.store).whole(body)

    def _attached(self, path: str) -> Json:
        with open(path, "rb") as file:
            data = file.read(Blobs.LARGEST + 1)
        name = os.path.basename(path).encode("utf-8", "replace")[:200].decode("utf-8", "ignore")
        try:
            stored = Blobs(self.call.journal.store).put(data)
        except Fault as fault:
            fault.where = path
            raise
        _warn_of_size(path, len(data))
        return {**stored, "name": name}


def _warn_of_size(what: str, size: int) -> None:
    if size > Blobs.SYNCED:
        Call.warn(f"{what} exceeds {Blobs.SYNCED:,} bytes; it will not be synced")
