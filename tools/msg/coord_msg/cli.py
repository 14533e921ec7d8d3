"""The commands of msg: look, decide, append, print."""

from __future__ import annotations

import sys
from itertools import islice

from coord_envelope import BadData, Fault, Filter, No, Usage, world
from coord_envelope.event import recipient
from coord_kernel.cli import process, stdin, values
from coord_kernel.store.disk import write_all
from coord_msg import draft, fold, receive
from coord_msg.answer import ack, join, leave, nack, requeue, save
from coord_msg.post import MSG, Post
from coord_msg.queue import Queue, firm
from coord_msg.show import Printer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_msg import options as o


def send(
    call: Call,
    to: o.To = None,
    subject: o.Subject = None,
    body: o.Body = None,
    thread: o.Thread = None,
    work: o.Work = None,
    attach: o.Attach = None,
    expires: o.Expires = None,
    visibility: o.Visibility = None,
    max_deliveries: o.Deliveries = None,
    key: o.Key = None,
    force: o.Force = False,
    allow_secret: o.AllowSecret = False,
) -> None:
    """Send a message, or those on stdin.

    To a NAME that is known here, human:NAME, group:NAME, queue:NAME, chan:NAME or all. Without --subject, --body
    and --attach it reads JSON lines: {"to", "subject", "text", "thread", "work", "idempotency_key"}, or whole
    events, which are forwarded, each once to the same recipients.
    """
    post = Post(call)
    shared = {
        "to": to,
        "thread": thread and call.resolve(thread),
        "work": work and call.resolve(work),
        "expires_at": expires
        and world.format_ts(world.now_ms() + values.span(expires, "--expires")),
        "vis_ms": None if visibility is None else values.span(visibility, "--visibility"),
        "max_deliveries": max_deliveries,
    }
    given = {name: value for name, value in shared.items() if value is not None}
    if subject is None and body is None and not attach:
        if key:
            raise Usage(
                "--key is for one message, and there is none", todo="give --subject or --body"
            )
        _send_lines(call, post, given, force, allow_secret)
        return
    given |= _content(subject, body, key)
    one = post.addressed(draft.message(given, post.attached(attach or [])), force)
    call.put(call.journal.append(call.actor(), [one], allow_secret))


def _content(subject: str | None, body: str | None, key: str | None) -> Json:
    try:
        text = body and values.text(body, "--body")
    except BadData as fault:
        fault.todo = fault.todo and draft.ROOM
        raise
    given = {"subject": subject, "text": text, "idempotency_key": key}
    return {name: value for name, value in given.items() if value is not None}


def _send_lines(call: Call, post: Post, shared: Json, force: bool, allow_secret: bool) -> None:
    call.actor()

    def drafted(raw: bytes) -> Json | Fault:
        try:
            return post.addressed(_drafted(call, raw, shared), force)
        except Fault as fault:
            return fault

    for batch in call.lines():
        call.write_each([(f"line {number}", drafted(raw)) for number, raw in batch], allow_secret)


def _drafted(call: Call, raw: bytes, shared: Json) -> Json:
    try:
        record = stdin.record(raw)
    except BadData as fault:
        fault.todo = fault.todo or "--body - sends it as text"
        raise
    if record.get("event_id") is not None:
        return draft.forward(record, shared)
    record.pop("event_id", None)
    fields = shared | record
    for name in ("thread", "work"):
        given = fields.get(name)
        if (
            isinstance(given, str) and "-" in given
        ):  # msg-k3f9x2ab; a bare ending may be a foreign id
            fields[name] = call.resolve(given)
    return call.with_hops(draft.message(fields))


def reply(
    call: Call,
    id_: o.OneId,
    subject: o.Subject = None,
    body: o.Body = None,
    attach: o.Attach = None,
    key: o.Key = None,
    force: o.Force = False,
    allow_secret: o.AllowSecret = False,
) -> None:
    """Answer a message: to its sender, in its thread.

    It is not acked by that.
    """
    if body is None and not attach:
        raise Usage("nothing to say", todo="give --body or --attach")
    post = Post(call)
    message = post.event(post.found(id_, post.mail())["mail"]["id"])
    if message is None:
        raise No("its line is damaged", where=id_, todo="see `ev verify`")
    one = draft.reply(message, _content(subject, body, key), post.attached(attach or []))
    call.put(call.journal.append(call.actor(), [post.addressed(one, force)], allow_secret))


def recv(
    call: Call,
    address: o.Source = None,
    follow: o.Follow = False,
    wait: o.Wait = None,
    max_: o.Most = None,
    ack: o.Ack = False,
    visibility: o.Visibility = None,
    require: o.Require = None,
    cursor: o.Cursor = None,
    ack_fd: o.AckFd = None,
    text: o.AsText = False,
) -> None:
    """Print the mail that waits for you; with -f, go on.

    Mail waits until it is acked, however often it is printed: nothing is lost if the reader dies before its
    `msg ack`. From queue:NAME it takes one message, or --max, which nobody else gets meanwhile. From chan:NAME
    and all it prints what came since the last time.
    """
    source = _source(address)
    kind = source.partition(":")[0]
    for given, option, kinds in (
        (visibility is not None, "--visibility", ("queue",)),
        (require is not None, "--require", ("queue",)),
        (cursor is not None, "--cursor", ("chan", "all")),
        (ack_fd is not None, "--ack-fd", ("chan", "all")),
        (ack, "--ack", ("", "queue")),
    ):
        if given and kind not in kinds:
            raise Usage(
                f"{option} does not go with {source or 'your own mail'}",
                todo="see `msg recv --help`",
            )
    if follow and wait is not None:
        raise Usage("--wait does not go with -f", todo="leave out one of them")
    me, post, wait_ms = (
        call.actor()["agent_id"],
        Post(call),
        None if wait is None else values.span(wait, "--wait"),
    )
    printer = Printer(call, text, me)
    if kind in ("chan", "all"):
        receive.broadcast(call, source, printer, follow, wait_ms, max_, cursor, ack_fd)
    elif kind == "queue":
        vis_ms = None if visibility is None else values.span(visibility, "--visibility")
        queue = Queue(call, post, source, vis_ms, 1 if follow else max_ or 1, firm(call, require))
        most = max_ or (receive.MANY if follow else 1)
        if not receive.receive(call, queue, printer, follow, wait_ms, most, ack) and queue.lost:
            raise queue.lost
    else:
        receive.receive(
            call, receive.Inbox(post, me), printer, follow, wait_ms, max_ or receive.MANY, ack
        )


def _source(address: str | None) -> str:
    if address is None or address == "all":
        return address or ""
    found = _address(address)
    if not found.startswith(("queue:", "chan:")):
        raise Usage(
            f"{address}: is no queue and no channel",
            todo="queue:NAME, chan:NAME, all; or --as for an agent",
        )
    return found


def _address(text: str) -> str:
    try:
        return recipient(text)
    except ValueError as reason:
        raise BadData(str(reason)) from None


def ls(
    call: Call,
    address: o.Address = None,
    from_: o.From = None,
    all_: o.All = False,
    lines: o.Lines = None,
    at: o.At = None,
) -> None:
    """List mail and what became of it.

    What waits, of everybody; to an address, or from an agent, also what nobody has to ack. It marks nothing.
    """
    mail = Post(call).mail(at)
    sender = None if from_ is None else values.agent_id(from_, "--from")
    found = mail.listed(None if address is None else _address(address), sender, all_)
    call.put(islice(map(mail.row, found), lines))


def show(call: Call, ids: o.Ids = None, text: o.AsText = False, at: o.At = None) -> None:
    """Show messages, and what became of them.

    Exit 1 if one is not there.
    """
    post, printer = Post(call), Printer(call, text)
    then = post.mail(at) if at else None

    def shown(which: str) -> list[Json]:
        mail = then or post.mail()
        state = post.found(which, mail)
        notes = {
            part: state[part]
            for part in ("acks", "claims", "nacks", "ended", "firm")
            if state.get(part)
        }
        notes["waits_for"] = fold.waits_for(state)
        return [
            printer.annotated(one, status=mail.status(state), **notes)
            for one in post.events([state])
        ]

    call.each(ids, MSG, shown)


def thread(call: Call, id_: o.ThreadId, text: o.AsText = False, at: o.At = None) -> None:
    """Print the mail of a thread, oldest first.

    The id is the thread's, or that of a message in it.
    """
    post, printer = Post(call), Printer(call, text)
    mail, full = post.mail(at), call.resolve(id_)
    state = mail.state(full)
    found = list(mail.thread(state["mail"]["thread"] if state else full))
    if not found:
        raise No("no such thread", where=id_)
    call.put(map(printer.noted, post.events(found)))


def dead(call: Call, queue: o.Queues = None, at: o.At = None) -> None:
    """List what no consumer of its queue processed.

    It was given out as often as it may be, and not acked. `msg requeue` sends it anew.
    """
    mail = Post(call).mail(at)
    given = None if queue is None else _address(queue if ":" in queue else f"queue:{queue}")
    if given and not given.startswith("queue:"):
        raise Usage(f"{queue}: is no queue", todo="queue:NAME, or its NAME")
    call.put(map(mail.row, mail.dead(given)))


def watch(call: Call) -> None:
    """Print mail events as they come, from now on."""
    from coord_kernel.cli.deliver import deliver

    deliver(call, call.journal.end(), Filter(types=["msg.*"]))


def hook(call: Call, program: o.Program, event: o.Event = None) -> None:
    """Tell a coding agent's hook what mail waits.

    It prints the JSON that hooks of claude and codex answer with: ids, senders and subjects, the newest first, each
    once a session; {} if there is nothing new. Always exit 0.
    """
    from coord_msg.hook import answer

    answer(call, program, event)


COMMANDS = (
    *(send, recv, ack, nack, reply, ls, show, thread, dead, requeue),
    *(join, leave, save, hook, watch),
)
ABOUT = "Mail between agents and people."


def main() -> None:
    from coord_msg.argv import TABLE

    try:
        process.run("msg", ABOUT, COMMANDS, "coord_msg.options", TABLE)
    except SystemExit as end:
        names = {name_of(command) for command in COMMANDS}
        if not end.code or next((word for word in sys.argv[1:] if word in names), None) != "hook":
            raise
        write_all(
            1, b"{}\n"
        )  # what is wrong has been said; a status of 2 would stop what the agent is doing
        sys.exit(0)
