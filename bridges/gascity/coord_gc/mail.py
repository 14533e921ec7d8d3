"""The mail provider: mail of msg(1), by its own names of senders and readers.

unread     waits for its reader, who has not marked it as read
read       marked as read, still in `all`
archived   acked, also what `delete` does
"""

from __future__ import annotations

from coord_envelope import No
from coord_gc.cli import call, given
from coord_kernel.views.view import View
from coord_msg.mail import Mail
from coord_wk.desk import agent_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from coord_envelope import Event
    from coord_envelope.codec import Json

DONE = "done"


class Box:
    """The mail of the store at one moment."""

    def __init__(self) -> None:
        self.call = call()
        self.mail = Mail.current(View(self.call.journal.store, Mail.fold))

    def event(self, message: str) -> Event:
        """The event of a message. Raises No."""
        found = self.call.event(message)
        if found is None or not found.get("to") or not self.mail.state(found.id):
            raise No(f"not found: {message}", code="not_found")
        event: Event = found
        return event

    def shown(self, event: Event) -> Json:
        """A message. Of a notice, such as that an item was closed, its type is the subject."""
        body, refs = event["body"], event.get("refs", {})
        to = event["to"][0]
        state = self.mail.state(event.id)
        seen = state and to in Mail.fold.read_by(state)
        work = refs.get("work_id") if event["type"] != "msg.sent" else None
        message = {
            "id": event.id,
            "from": body.get("gc_from") or event["actor"]["agent_id"].removeprefix("agent:"),
            "to": body.get("gc_to") or to.removeprefix("agent:"),
            "subject": str(body.get("subject", event["type"] if work else "")),
            "body": str(body.get("text", f"about {work}" if work else "")),
            "created_at": event["ts"],
            "read": bool(seen),
            "thread_id": refs.get("thread_id", event.id),
            "reply_to": body.get("re"),
        }
        return {name: each for name, each in message.items() if each is not None}

    def archived(self, event: Event) -> bool:
        """Does it wait for nobody any more?"""
        state = self.mail.state(event.id)
        return not state or not self.mail.waits(state, event["to"][0])

    def all(self, states: Iterable[Any]) -> list[Json]:
        """The messages of states."""
        return [self.shown(self.event(state["mail"]["id"])) for state in states]

    def add(self, agent: str, draft: Json) -> Event:
        """Write an event of an agent."""
        with self.call.journal.transaction({"agent_id": agent}) as t:
            event: Event = t.add(draft)
        return event

    def mark(self, message: str, kind: str) -> Event:
        """Write what its reader did with a message: the mailbox is found from the message."""
        event = self.event(message)
        if self.archived(event):
            raise No(f"already archived: {message}", code="wrong_state")
        body = {"kind": kind}
        self.add(event["to"][0], {"type": "msg.acked", "refs": {"msg_id": event.id}, "body": body})
        return event


def _sent(box: Box, record: Json, draft: Json) -> Json:
    sender = str(record.get("from") or "gascity")
    named = {"gc_from": sender, "gc_to": draft["body"].pop("gc_to")}
    draft["body"] |= named | {"text": str(record.get("body") or "")}
    event = box.add(agent_of(sender), draft)
    return Box().shown(event)


def send(args: list[str]) -> Json:
    """send TO {from, subject, body}"""
    record = given()
    body = {"subject": str(record.get("subject") or "")[:200] or "(no subject)", "gc_to": args[0]}
    if not record.get("subject"):
        body["subject"] = ""
    return _sent(Box(), record, {"type": "msg.sent", "to": [agent_of(args[0])], "body": body})


def reply(args: list[str]) -> Json:
    """reply ID {from, subject, body}: to the sender, in the thread"""
    record, box = given(), Box()
    first = box.event(args[0])
    to = box.shown(first)["from"]
    subject = str(record.get("subject") or "") or first["body"].get("subject", "")
    draft = {
        "type": "msg.sent",
        "to": [agent_of(to)],
        "refs": {"thread_id": first.get("refs", {}).get("thread_id", first.id)},
        "body": {"subject": subject, "re": first.id, "gc_to": to},
    }
    return _sent(box, record, draft)


def inbox(args: list[str]) -> list[Json] | None:
    """inbox TO, check TO: unread; nothing is printed for none"""
    box = Box()
    return box.all(box.mail.unread(agent_of(args[0]), None)) or None


def all_(args: list[str]) -> list[Json] | None:
    """all TO: read ones, too"""
    box = Box()
    return box.all(box.mail.waiting(agent_of(args[0]))) or None


def get(args: list[str]) -> Json:
    """get ID"""
    box = Box()
    return box.shown(box.event(args[0]))


def read(args: list[str]) -> Json:
    """read ID: marks it, and prints it"""
    box = Box()
    event = box.event(args[0])
    if not box.shown(event)["read"]:
        box.mark(args[0], "read")
    return {**box.shown(event), "read": True}


def mark_read(args: list[str]) -> None:
    """mark-read ID"""
    read(args)


def mark_unread(args: list[str]) -> None:
    """mark-unread ID"""
    Box().mark(args[0], "unread")


def archive(args: list[str]) -> None:
    """archive ID, delete ID: the second time fails with `already archived`"""
    Box().mark(args[0], DONE)


def thread(args: list[str]) -> list[Json] | None:
    """thread TID: nothing is printed for an unknown thread"""
    from coord_envelope.filter import Filter

    box = Box()
    wanted = Filter(types=["msg.sent"], thread=args[0])
    found = {event.id: event for event in box.call.journal.replay(wanted)}
    first = box.call.event(args[0])
    if first is not None and first["type"] == "msg.sent":
        found = {first.id: first, **found}
    return [box.shown(found[name]) for name in sorted(found)] or None


def count(args: list[str]) -> Json:
    """count TO"""
    box, agent = Box(), agent_of(args[0])
    total = sum(1 for _ in box.mail.waiting(agent))
    return {"total": total, "unread": sum(1 for _ in box.mail.unread(agent, None))}


def ready(args: list[str]) -> None:
    """ensure-running: there is no process. Raises Unreachable without a store"""
    Box()


OPERATIONS: dict[str, tuple[Callable[[list[str]], object], int]] = {
    "ensure-running": (ready, 0),
    "send": (send, 1),
    "reply": (reply, 1),
    "inbox": (inbox, 1),
    "check": (inbox, 1),
    "all": (all_, 1),
    "get": (get, 1),
    "read": (read, 1),
    "mark-read": (mark_read, 1),
    "mark-unread": (mark_unread, 1),
    "archive": (archive, 1),
    "delete": (archive, 1),
    "thread": (thread, 1),
    "count": (count, 1),
}
