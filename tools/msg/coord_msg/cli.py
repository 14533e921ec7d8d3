"""The commands of msg: look, decide, append, print."""

from __future__ import annotations

from coord_envelope import Cursor, Fault, No, Usage, inputs, tool, world
from coord_msg import draft
from coord_msg.fold import Inbox, addressed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_envelope.tool import Call
    from coord_msg import options as o


def send(
    call: Call,
    to: o.To = None,
    subject: o.Subject = None,
    body: o.Body = None,
    thread: o.Thread = None,
    work: o.Work = None,
    key: o.Key = None,
    allow_secret: o.AllowSecret = False,
) -> None:
    """Send a message, or those on stdin.

    Without --subject and --body it reads JSON lines: {"to", "subject", "text", "thread", "work",
    "idempotency_key"}, or whole events, which are forwarded, each once to the same recipients.
    """
    shared = {"to": to, "thread": thread and call.resolve(thread), "work": work and call.resolve(work)}
    if subject is None and body is None:
        if key:
            raise Usage("--key is for one message, and there is none", todo="give --subject or --body")
        _send_lines(call, {name: value for name, value in shared.items() if value}, allow_secret)
        return
    given = {**shared, "subject": subject, "text": body and inputs.text(body, "--body"), "idempotency_key": key}
    one = draft.message({name: value for name, value in given.items() if value is not None})
    call.put(call.journal.append(call.actor(), [one], allow_secret))


def _send_lines(call: Call, shared: Json, allow_secret: bool) -> None:
    call.actor()
    for batch in call.lines():
        call.write_each([(f"line {number}", _drafted(call, raw, shared)) for number, raw in batch], allow_secret)


def _drafted(call: Call, raw: bytes, shared: Json) -> Json | Fault:
    try:
        record = inputs.record(raw)
        if record.get("event_id") is not None:
            return draft.forward(record, shared)
        record.pop("event_id", None)
        fields = shared | record
        for name in ("thread", "work"):
            given = fields.get(name)
            if isinstance(given, str) and "-" in given:  # msg-k3f9x2ab; a bare ending may be a foreign id
                fields[name] = call.resolve(given)
        return call.with_hops(draft.message(fields))
    except Fault as fault:
        return fault


def recv(call: Call, follow: o.Follow = False, ack: o.Ack = False) -> None:
    """Print the mail that waits for you; with -f, go on.

    Mail waits until it is acked, however often it is printed: there is no cursor, and nothing is lost if the
    reader dies before its `msg ack`. With --ack, what it had in its pipe when it died is lost to it.
    """
    actor = call.actor()
    inbox = Inbox(actor["agent_id"])
    journal = call.journal
    for batch in journal.follow(Cursor(), live=False).batches() if follow else [journal.replay()]:
        inbox.add(batch)
        mail = inbox.take(world.format_ts(world.now_ms()))
        call.put(mail)
        if ack and mail:
            journal.append(actor, [draft.ack(one.id) for one in mail])


def ack(call: Call, ids: o.Ids = None) -> None:
    """Say that mail is done with; it is printed no more.

    Without ids it reads JSON lines, as `msg recv` prints them. Acking twice is acking once. Exit 1 for what
    is no mail of yours.
    """
    me = call.actor()["agent_id"]
    for group in call.ids(ids or [], "event_id"):
        call.write_each([(text, _ack_of(call, text, me)) for text in group])


def _ack_of(call: Call, text: str, me: str) -> Json | Fault:
    try:
        found = call.event(text)
    except Usage as ambiguous:
        return ambiguous
    return draft.ack(found.id) if found and addressed(found, me) else No(f"is no mail of {me}")


COMMANDS = (send, recv, ack)
ABOUT = "Mail between agents and people."


def main() -> None:
    from coord_msg.argv import TABLE

    tool.main("msg", ABOUT, COMMANDS, "coord_msg.options", TABLE)
