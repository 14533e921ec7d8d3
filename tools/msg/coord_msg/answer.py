"""The commands of msg that change the state of a message, or of a group."""

from __future__ import annotations

import os

from coord_envelope import Event, Fault, No, Usage
from coord_envelope.codec import Json
from coord_envelope.event import LONGEST_NAME, agent_ok, name_ok, recipient
from coord_kernel.store.blobs import Blobs
from coord_kernel.store.disk import fault_of, write_all
from coord_msg import draft, fold
from coord_msg import groups as g
from coord_msg.names import plain_names
from coord_msg.post import MSG, Post
from coord_msg.show import Printer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord_kernel.cli.call import Call
    from coord_kernel.journal.transaction import Transaction
    from coord_msg import options as o
    from coord_msg.fold import MessageState
    from coord_msg.mail import Mail

CHANNEL = "chan:"
AT_ONCE = 2_000
"""Messages that `ack --all` acks in one transaction."""
KINDS = {"agent": "ai", "human": "human", "bridge": "bridge"}
"""The kind of an agent, by the kind of its address."""


def ack(call: Call, ids: o.Ids = None, all_: o.AllMine = False) -> None:
    """Acknowledge mail as done; it is not printed again.

    Without ids, reads JSON lines as `msg recv` prints them. Acking again changes nothing. Exits 1
    for a message that is not yours.
    """
    if not all_:
        _ack(call, ids, "done")
        return
    if ids:
        raise Usage("--all cannot be used with ids", todo="leave out either")
    waiting = Post(call).mail().waiting(call.actor()["agent_id"])
    ids = [state["mail"]["id"] for state in waiting]
    if not ids:
        call.warn("nothing to do: no mail waits for you")
    for begin in range(0, len(ids), AT_ONCE):
        _ack(call, ids[begin : begin + AT_ONCE], "done")


def read(call: Call, ids: o.Ids = None, text: o.AsText = False) -> None:
    """Print mail and mark it as read.

    It still waits for its ack, but `msg hook` does not report it any more, and `msg ls` shows who
    read it. Exits 1 for a message that is not yours.
    """
    me, post = call.actor()["agent_id"], Post(call)
    printer = Printer(call, text, me)
    for batch in call.ids(ids or [], *MSG):
        mail, messages, acks = post.mail(), list[Event](), list[Json]()
        for name in batch:
            try:
                state = _mine(call, mail, name)
                messages.append(printer.annotated(post.stored(state, name)))
            except Fault as fault:
                call.fail(fault, name)
                continue
            message = messages[-1].id
            if me not in fold.read_by(state) and message not in printer.incomplete:
                acks.append(draft.ack(message, kind="read"))
        if acks:
            call.journal.append(call.actor(), acks)
        call.put(messages)


def _mine(call: Call, mail: Mail, text: str) -> MessageState:
    """The state of a message to the caller, or taken from a queue by it. Raises No, Usage."""
    state, me = _known(call, mail, text), call.actor()["agent_id"]
    if me not in state["mail"]["to"] and not fold.delivery(state, me):
        raise No(f"not mail for {me}", code="not_found")
    return state


def _known(call: Call, mail: Mail, text: str) -> MessageState:
    state: MessageState | None = mail.state(call.resolve(text))
    if state is None:  # the same answer as for another agent's message
        raise No(f"not mail for {call.actor()['agent_id']}", code="not_found")
    return state


def unread(call: Call, ids: o.Ids = None) -> None:
    """Mark mail as unread again.

    Exits 1 for a message that is not yours.
    """
    _ack(call, ids, "unread")


def _ack(call: Call, ids: list[str] | None, kind: str) -> None:
    me, post = call.actor()["agent_id"], Post(call)

    def acked(text: str, mail: Mail) -> Json:
        state = _mine(call, mail, text)
        claim, message = fold.delivery(state, me), None
        cited = claim["id"] if claim and kind == "done" else None
        if kind == "done" and "severity" in state["mail"]:
            message = post.event(state["mail"]["id"])
        return draft.ack(state["mail"]["id"], cited, kind, **_acknowledges(message))

    _write_each(call, post, ids, acked)


def _acknowledges(message: Event | None) -> dict[str, str]:
    if message is None:
        return {}
    from coord_msg.alert import acknowledges  # of few messages

    return acknowledges(message)


def nack(
    call: Call, ids: o.Ids = None, delay: o.Delay = None, reason: o.Reason = "given back"
) -> None:
    """Give back messages that you took from a queue.

    Each is delivered again, at once or after --delay, unless that was its last delivery. Exits 1
    for a message that you have not claimed.
    """
    me, post = call.actor()["agent_id"], Post(call)
    delay_ms = 0 if delay is None else call.span(delay, "--delay")

    def nacked(text: str, mail: Mail) -> Json:
        state = _known(call, mail, text)
        claim = fold.delivery(state)
        if not claim or mail.holder(state) != me or fold.processed(state):
            raise No(f"not claimed by {me}", code="not_held")
        return draft.nacked(state["mail"]["id"], claim["id"], delay_ms, reason)

    _write_each(call, post, ids, nacked)


def _write_each(
    call: Call, post: Post, ids: list[str] | None, draft_of: Callable[[str, Mail], Json]
) -> None:
    for batch in call.ids(ids or [], *MSG):
        mail = post.mail()
        drafts: list[tuple[str, Json | Fault]] = []
        for text in batch:
            try:
                drafts.append((text, draft_of(text, mail)))
            except Fault as fault:
                drafts.append((text, fault))
        call.append_each(drafts)


def requeue(call: Call, ids: o.Ids = None) -> None:
    """Send dead messages to their queue again.

    Each becomes a new message, once, and the dead one is done. Exits 1 for a message that is not
    dead.
    """
    post = Post(call)

    def requeued(text: str) -> list[Event]:
        post.mail()
        with call.transaction(allow_secret=True) as t:
            mail = post.mail()
            state = post.found(text, mail)
            message, claim = post.event(state["mail"]["id"]), fold.delivery(state)
            if mail.status(state) != "dead" or not message or not claim:
                raise No(f"is {mail.status(state)}, not dead", where=text, code="wrong_state")
            queues = [to for to in fold.waits_for(state) if to.startswith("queue:")]
            fresh = t.add(draft.requeued(message, queues))
            t.add(draft.ack(message.id, claim["id"], result="fail", note="requeued"))
        return [fresh]

    call.each(ids, MSG, requeued)


def join(
    call: Call, describe: g.Description, groups: o.Groups = None, retain: o.Retain = None
) -> None:
    """Register yourself, and join groups.

    From then on mail can be sent to you. Prints what it wrote, nothing if nothing changed. --kind,
    --model and --cap describe you, as `ev agents NAME` shows it. A channel needs no joining; with
    --retain you read nothing older in it, without, all again.
    """
    described = _described(describe)
    channels, names = _channels(groups), _groups(groups)
    post, agent = Post(call), call.actor()["agent_id"]
    if retain is not None and not channels:
        raise Usage("--retain needs a channel", todo="msg join chan:NAME --retain 7d")
    ms = None if retain is None else call.span(retain, "--retain")
    post.mail()
    with call.transaction() as t:
        if call.journal.last_seen(agent) is None:
            kind = KINDS[agent.partition(":")[0]]
            t.add({"type": "agent.registered", "body": {"kind": kind, **described}})
        elif described:
            body = {"set": described}
            t.add({"type": "agent.updated", "base": post.heads(agent), "body": body})
        members = post.mail().members
        _update(t, post, agent, "add", [name for name in names if agent not in members(name)])
        _retain(t, post, agent, dict.fromkeys(channels, ms))
    call.put(t.events)


def _described(describe: g.Description) -> Json:
    """The fields of a description. Raises Usage."""
    kinds = sorted({*KINDS.values(), "bot"})
    if describe.kind not in (None, *kinds):
        raise Usage(f"not a valid kind: {describe.kind}", todo=f"use {', '.join(kinds)}")
    for word in describe.cap or ():
        if not name_ok(word):
            raise Usage(f"not a valid capability: {word!r}", todo="use a-z 0-9 . _ -")
    caps = list(dict.fromkeys(describe.cap or ()))
    fields = {"kind": describe.kind, "model": describe.model, "caps": caps or None}
    return {name: value for name, value in fields.items() if value is not None}


def leave(call: Call, groups: o.Groups = None, retire: o.Retire = False) -> None:
    """Leave groups, or retire.

    Of channels, read all again. With --retire your name is marked as retired, until it joins again
    with a description.
    """
    channels, names = _channels(groups), _groups(groups)
    post, agent = Post(call), call.actor()["agent_id"]
    if not names and not channels and not retire:
        raise Usage("no group given", todo="name the groups to leave")
    post.mail()
    with call.transaction() as t:
        members = post.mail().members
        _update(t, post, agent, "rm", [name for name in names if agent in members(name)])
        _retain(t, post, agent, dict.fromkeys(channels))
        if retire:
            t.add({"type": "agent.retired", "body": {}})
    call.put(t.events)


def _channels(words: list[str] | None) -> list[str]:
    try:
        return [recipient(word) for word in words or [] if word.startswith(CHANNEL)]
    except ValueError as reason:
        raise Usage(str(reason)) from None


def _groups(words: list[str] | None) -> list[str]:
    others = (word for word in words or [] if not word.startswith(CHANNEL))
    names = [word.removeprefix("group:") for word in others]
    for name in names:
        if not agent_ok(name):
            todo = f"use a-z 0-9 . _ - /, at most {LONGEST_NAME} characters"
            raise Usage(f"not a valid group name: {name!r}", todo=todo)
    return list(dict.fromkeys(names))


def _update(t: Transaction, post: Post, agent: str, how: str, names: list[str]) -> None:
    if names:
        body = {how: {"groups": names}}
        t.add({"type": "agent.updated", "base": post.heads(agent), "body": body})


def _retain(t: Transaction, post: Post, agent: str, channels: dict[str, int | None]) -> None:
    changed = {
        channel: ms for channel, ms in channels.items() if post.retained_ms(agent, channel) != ms
    }
    if changed:
        body = {"set": {"retain_ms": changed}}
        t.add({"type": "agent.updated", "base": post.heads(agent), "body": body})


def save(call: Call, id_: o.OneId, dir_: o.Dir = ".") -> None:
    """Save the files attached to a message.

    Writes them to DIR under their own names, made plain and visible. Overwrites no file. Exits 1 if
    a file could not be saved.
    """
    post = Post(call)
    message = post.event(post.found(id_, post.mail())["mail"]["id"])
    attach = message["body"].get("attach") if message else None
    files = [blob for blob in attach if isinstance(blob, dict)] if isinstance(attach, list) else []
    if not files:
        raise No("no files attached", where=id_, code="empty")
    for blob, name in zip(files, plain_names(files), strict=True):
        path = os.path.join(dir_, name)
        try:
            call.put(_saved(call, blob, path))
        except (Fault, OSError) as error:
            call.fail(fault_of(error), path)


def _saved(call: Call, blob: Json, path: str) -> Iterator[Json]:
    data = Blobs(call.journal.store).fetch(blob)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o600)
    except FileExistsError:
        raise No("file exists", todo="choose another DIR", code="duplicate") from None
    try:
        write_all(fd, data)
    except OSError:
        os.unlink(path)  # a partial file would be in the way of the next attempt
        raise
    finally:
        os.close(fd)
    yield {"path": path, "bytes": len(data), "sha256": blob["sha256"]}
