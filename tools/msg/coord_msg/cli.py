"""The commands of msg: look, decide, append, print."""

from __future__ import annotations

import os
import stat
import sys
from itertools import islice

from coord_envelope import BadData, Fault, No, Usage, world
from coord_envelope.event import direct, recipient
from coord_kernel.cli import process, stdin
from coord_kernel.cli.call import Call
from coord_kernel.cli.command import elsewhere, name_of
from coord_kernel.store.blobs import Blobs
from coord_msg import draft
from coord_msg import groups as g
from coord_msg.post import MSG, Post

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Filter
    from coord_envelope.codec import Json
    from coord_msg import options as o


def send(call: Call, shared: g.Shared, content: g.Content, overrides: g.Overrides) -> None:
    """Send a message, or the messages on standard input.

    Recipients: a NAME known here, human:NAME, group:NAME, queue:NAME, chan:NAME or all. Without
    --subject, --body and --attach, reads JSON lines: {"to", "subject", "text", "thread", "work",
    "idempotency_key"}, or whole events, which are forwarded, each once to the same recipients.
    """
    post, fields = Post(call), _shared(call, shared)
    if content.subject is None and content.body is None and not content.attach:
        if content.key:
            raise Usage("--key needs a message", todo="give --subject or --body")
        if stat.S_ISCHR(os.fstat(0).st_mode):
            raise Usage("no message", todo="give --subject or --body, or JSON lines on stdin")
        _send_lines(call, post, fields, overrides)
        return
    message = draft.message(fields | _fields(content))
    full = post.complete(message, overrides, content.attach or ())
    if "fingerprint" in full["body"]:
        call.append_each([("", full)], overrides.allow_secret, post.add)
    else:
        call.append([full], overrides.allow_secret)


def _shared(call: Call, shared: g.Shared) -> Json:
    expires, hidden = shared.expires, shared.visibility
    return {
        "to": shared.to,
        "thread": shared.thread and call.resolve(shared.thread),
        "work": shared.work and call.resolve(shared.work),
        "severity": shared.severity,
        "fingerprint": shared.fingerprint,
        "expires_at": expires and world.later(call.span(expires, "--expires")),
        "vis_ms": None if hidden is None else call.span(hidden, "--visibility"),
        "max_deliveries": shared.max_deliveries,
    }


def _fields(content: g.Content) -> Json:
    fields = {
        "subject": content.subject,
        "text": _text(content),
        "idempotency_key": content.key,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _text(content: g.Content) -> str | None:
    """The text of a message: of --body, else what is piped in, as mail(1) does."""
    if content.body is not None:
        return Call.text(content.body, "--body", Blobs.LARGEST)
    piped = stdin.piped("the body")
    return (piped and Call.text("-", "standard input", Blobs.LARGEST)) or None


def _send_lines(call: Call, post: Post, shared: Json, overrides: g.Overrides) -> None:
    call.actor()

    def drafted(raw: bytes) -> Json | Fault:
        try:
            return post.complete(_drafted(call, post, raw, shared), overrides)
        except Fault as fault:
            return fault

    for batch in call.lines():
        drafts = [(f"line {number}", drafted(raw)) for number, raw in batch]
        call.append_each(drafts, overrides.allow_secret, post.add)


def _drafted(call: Call, post: Post, raw: bytes, shared: Json) -> Json:
    try:
        record = stdin.record(raw)
    except BadData as fault:
        fault.todo = fault.todo or "use --body - to send it as text"
        raise
    if record.get("event_id") is not None:
        return draft.forward(record, shared, post.whole(record))
    record.pop("event_id", None)
    fields = shared | record
    for name in ("thread", "work"):
        text = fields.get(name)
        # msg-k3f9x2ab; a bare ending may be a foreign id
        if isinstance(text, str) and "-" in text:
            fields[name] = call.resolve(text)
    return call.with_hops(draft.message(fields))


def reply(call: Call, content: g.Content, overrides: g.Overrides, id_: o.OneId) -> None:
    """Answer a message: to its sender, in its thread.

    This does not acknowledge it.
    """
    fields = _fields(content)
    if "text" not in fields and not content.attach:
        raise Usage("empty reply", todo="give --body, --attach, or a text on standard input")
    post = Post(call)
    message = post.stored(post.found(id_, post.mail()), id_)
    full = post.complete(draft.reply(message, fields), overrides, content.attach or ())
    call.append([full], overrides.allow_secret)


def recv(
    call: Call,
    reading: g.Reading,
    from_queue: g.FromQueue,
    from_channel: g.FromChannel,
    address: o.Source = None,
) -> None:
    """Print your waiting mail; with -f, follow.

    Mail waits until it is acked, however often it is printed: nothing is lost if the reader dies
    before its `msg ack`. From queue:NAME, takes one message, or up to --max, which no other
    consumer gets meanwhile. From chan:NAME and all, prints what came since the last time.
    """
    from coord_msg import receive  # only this command needs it

    source = _source(address)
    kind = source.partition(":")[0]
    for given, option, kinds in (
        (from_queue.visibility is not None, "--visibility", ("queue",)),
        (from_queue.require is not None, "--require", ("queue",)),
        (from_channel.cursor is not None, "--cursor", ("chan", "all")),
        (from_channel.ack_fd is not None, "--ack-fd", ("chan", "all")),
        (reading.ack, "--ack", ("", "queue")),
    ):
        if given and kind not in kinds:
            raise Usage(
                f"{option} cannot be used with {source or 'your own mail'}",
                todo="see `msg recv --help`",
            )
    if reading.follow and reading.wait is not None:
        raise Usage("--wait cannot be used with -f", todo="leave out either option")
    me, post = call.actor()["agent_id"], Post(call)
    from coord_msg.show import Printer

    printer = Printer(call, reading.text, me)
    if kind in ("chan", "all"):
        receive.broadcast(post, source, printer, reading, from_channel)
    elif kind == "queue":
        from coord_msg.queue import Queue

        at_once = 1 if reading.follow else reading.max_ or 1
        queue = Queue(call, post, source, from_queue, at_once)
        queue.wanted = printer.least(reading.min_trust)
        if not receive.receive(call, queue, printer, reading) and queue.lost:
            raise queue.lost
    else:
        inbox = receive.Inbox(post, me, printer.least(reading.min_trust))
        receive.receive(call, inbox, printer, reading)


def _source(address: str | None) -> str:
    if address is None or address == "all":
        return address or ""
    source = _address(address)
    if not source.startswith(("queue:", "chan:")):
        raise Usage(
            f"not a queue or channel: {address}",
            todo="use queue:NAME, chan:NAME or all; to read an agent's mail, use --as",
        )
    return source


def _address(text: str) -> str:
    try:
        return recipient(text)
    except ValueError as reason:
        raise BadData(str(reason)) from None


def ls(call: Call, selection: g.Selection, address: o.Address = None, at: o.At = None) -> None:
    """List messages and their status.

    By default lists what waits, for everybody; with an address or a sender, also messages that
    need no ack. Changes nothing.
    """
    if selection.unread and selection.all_:
        raise Usage("--unread cannot be used with --all", todo="leave out either")
    post = Post(call)
    mail, recipient = post.mail(at), None if address is None else _address(address)
    sender = None if selection.from_ is None else call.agent_id(selection.from_, "--from")
    work = None if selection.work is None else call.resolve(selection.work)
    if selection.unread and work:
        raise Usage("--unread cannot be used with --work", todo="leave out either")
    if selection.unread:
        states = mail.unread(_reader(call, recipient), sender)
    else:
        states = mail.listed(recipient, sender, selection.all_, work)
    if recipient and recipient.startswith("chan:") and not selection.all_:
        since = post.since(recipient)
        states = (state for state in states if state["mail"]["ts"] >= since())
    call.put(islice(map(mail.row, states), selection.lines))


def _reader(call: Call, recipient: str | None) -> str:
    reader: str = recipient or call.actor()["agent_id"]
    if not direct(reader):
        raise Usage(f"--unread cannot be used with {reader}", todo="it is of an agent's own mail")
    return reader


def search(call: Call, text: o.Words, lines: o.Lines = None) -> None:
    """Find messages by words in subject and text.

    The newest first, also what is done. Every word must occur; "several words" in quotes stand side
    by side; a word with * begins so.
    """
    from coord_kernel.views.text import Texts, words
    from coord_msg import fold

    asked = words(" ".join(text))
    if not asked:
        raise Usage("no word to search for", todo="give letters or digits")
    mail = Post(call).mail()
    matches = Texts(call.journal.store, fold).refresh().matching(mail, asked)
    states = (state for state in map(mail.state, matches) if state)
    call.put(islice(map(mail.row, states), lines))


def show(call: Call, ids: o.Ids = None, text: o.AsText = False, at: o.At = None) -> None:
    """Show messages and their status.

    Exits 1 if a message does not exist.
    """
    from coord_msg import fold
    from coord_msg.show import Printer

    post, printer = Post(call), Printer(call, text)
    then = post.mail(at) if at else None

    def shown(which: str) -> list[Json]:
        mail = then or post.mail()
        state = post.found(which, mail)
        parts = {
            "acks": state.get("acks"),
            "claims": state.get("claims"),
            "nacks": state.get("nacks"),
            "ended": state.get("ended"),
            "firm": state.get("confirmed"),
        }
        known: Json = {name: part for name, part in parts.items() if part}
        events = post.events([state])
        return [
            printer.annotated(
                event, status=mail.status(state), **known, waits_for=fold.waits_for(state)
            )
            for event in events
        ]

    call.each(ids, MSG, shown)


def thread(call: Call, id_: o.ThreadId, text: o.AsText = False, at: o.At = None) -> None:
    """Print the messages of a thread, oldest first.

    The id is that of the thread, or of a message in it.
    """
    from coord_msg.show import Printer

    post, printer = Post(call), Printer(call, text)
    mail, full = post.mail(at), call.resolve(id_)
    state = mail.state(full)
    states = list(mail.thread(state["mail"]["thread"] if state else full))
    if not states:
        raise No("no such thread", where=id_, code="not_found")
    call.put(map(printer.annotated, post.events(states)))


def dead(call: Call, queue: o.Queues = None, at: o.At = None) -> None:
    """List messages that no consumer processed.

    Each was delivered as often as it may be and never acked. `msg requeue` sends it again.
    """
    mail = Post(call).mail(at)
    address = None if queue is None else _address(queue if ":" in queue else f"queue:{queue}")
    if address and not address.startswith("queue:"):
        raise Usage(f"not a queue: {queue}", todo="use queue:NAME, or NAME")
    call.put(map(mail.row, mail.dead(address)))


def watch(call: Call, wanted: Filter) -> None:
    """Print mail events as they come, from now on."""
    from coord_envelope.filter import Within
    from coord_kernel.cli.deliver import deliver

    deliver(call, call.journal.end(), Within("msg", wanted))


def hook(call: Call, program: o.Program, event: o.Event = None, wait: o.Wait = None) -> None:
    """Print waiting mail for a coding agent's hook.

    In the form that the program shows to its model: ids, senders and subjects, newest first, each
    message once per session; {} if nothing is new. Always exits 0. With --wait, for a hook in the
    background at the end of a turn: waits for mail, then exits 2, which wakes Claude Code.
    """
    if wait is None:
        from coord_msg.hook import answer

        answer(call, program, event)
    else:
        from coord_msg import waiter

        waiter.wait(call, program, event, call.span(wait, "--wait"))


ack, join, leave, nack, read, requeue, save, unread = elsewhere(
    "coord_msg.answer", "ack", "join", "leave", "nack", "read", "requeue", "save", "unread"
)
COMMANDS = (
    *(send, recv, ack, nack, read, unread, reply, ls, search, show, thread, dead, requeue),
    *(join, leave, save, hook, watch),
)
ABOUT = "Mail between agents and people."


def main() -> None:
    from coord_msg.argv import TABLE

    def act() -> int:
        return process.act("msg", ABOUT, COMMANDS, "coord_msg.options", TABLE)

    names = {name_of(command) for command in COMMANDS}
    command = next((word for word in sys.argv[1:] if word in names), None)
    process.end("msg", act, hook=command == "hook")
