"""The commands of msg that change the state of a message, or of a group."""

from __future__ import annotations

import os

from coord_envelope import Fault, No, Usage
from coord_envelope.event import LONGEST_NAME, agent_ok
from coord_kernel.store.blobs import Blobs
from coord_kernel.store.disk import fault_of, write_all
from coord_msg import draft, fold
from coord_msg.names import plain_names
from coord_msg.post import MSG, Post

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.journal.transaction import Transaction
    from coord_msg import options as o
    from coord_msg.fold import MessageState
    from coord_msg.mail import Mail

KINDS = {"agent": "ai", "human": "human", "bridge": "bridge"}
"""The kind of an agent, by the kind of its address."""


def ack(call: Call, ids: o.Ids = None) -> None:
    """Acknowledge mail as done; it is not printed again.

    Without ids, reads JSON lines as `msg recv` prints them. Acking again changes nothing. Exits 1
    for a message that is not yours.
    """
    _ack(call, ids, "done")


def read(call: Call, ids: o.Ids = None) -> None:
    """Mark mail as read; it still waits for its ack.

    `msg hook` does not report it any more, and `msg ls` shows who read it. Exits 1 for a message
    that is not yours.
    """
    _ack(call, ids, "read")


def unread(call: Call, ids: o.Ids = None) -> None:
    """Mark mail as unread again.

    Exits 1 for a message that is not yours.
    """
    _ack(call, ids, "unread")


def _ack(call: Call, ids: list[str] | None, kind: str) -> None:
    me, post = call.actor()["agent_id"], Post(call)

    def acked(state: MessageState, mail: Mail) -> Json:
        claim = fold.delivery(state, me)
        if me not in state["mail"]["to"] and not claim:
            raise No(f"not mail for {me}", code="not_found")
        cited = claim["id"] if claim and kind == "done" else None
        return draft.ack(state["mail"]["id"], cited, kind)

    _write_each(call, post, ids, acked)


def nack(
    call: Call, ids: o.Ids = None, delay: o.Delay = None, reason: o.Reason = "given back"
) -> None:
    """Give back messages that you took from a queue.

    Each is delivered again, at once or after --delay, unless that was its last delivery. Exits 1
    for a message that you have not claimed.
    """
    me, post = call.actor()["agent_id"], Post(call)
    delay_ms = 0 if delay is None else call.span(delay, "--delay")

    def nacked(state: MessageState, mail: Mail) -> Json:
        claim = fold.delivery(state)
        if not claim or mail.holder(state) != me or fold.processed(state):
            raise No(f"not claimed by {me}", code="not_held")
        return draft.nacked(state["mail"]["id"], claim["id"], delay_ms, reason)

    _write_each(call, post, ids, nacked)


def _write_each(
    call: Call, post: Post, ids: list[str] | None, draft_of: Callable[[MessageState, Mail], Json]
) -> None:
    for batch in call.ids(ids or [], *MSG):
        mail = post.mail()
        drafts: list[tuple[str, Json | Fault]] = []
        for text in batch:
            try:
                state = mail.state(call.resolve(text))
                if state is None:  # the same answer as for another agent's message
                    raise No(f"not mail for {call.actor()['agent_id']}", code="not_found")
                drafts.append((text, draft_of(state, mail)))
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


def join(call: Call, groups: o.Groups = None) -> None:
    """Register yourself, and join groups.

    From then on mail can be sent to you. Prints what it wrote, nothing if nothing changed.
    """
    names, post, agent = _groups(groups), Post(call), call.actor()["agent_id"]
    post.mail()
    with call.transaction() as t:
        if call.journal.last_seen(agent) is None:
            kind = KINDS[agent.partition(":")[0]]
            t.add({"type": "agent.registered", "body": {"kind": kind}})
        members = post.mail().members
        _update(t, post, agent, "add", [name for name in names if agent not in members(name)])
    call.put(t.events)


def leave(call: Call, groups: o.Groups = None) -> None:
    """Leave groups."""
    names, post, agent = _groups(groups), Post(call), call.actor()["agent_id"]
    if not names:
        raise Usage("no group given", todo="name the groups to leave")
    post.mail()
    with call.transaction() as t:
        members = post.mail().members
        _update(t, post, agent, "rm", [name for name in names if agent in members(name)])
    call.put(t.events)


def _groups(words: list[str] | None) -> list[str]:
    names = [word.removeprefix("group:") for word in words or []]
    for name in names:
        if not agent_ok(name):
            todo = f"use a-z 0-9 . _ - /, at most {LONGEST_NAME} characters"
            raise Usage(f"not a valid group name: {name!r}", todo=todo)
    return list(dict.fromkeys(names))


def _update(t: Transaction, post: Post, agent: str, how: str, names: list[str]) -> None:
    if names:
        body = {how: {"groups": names}}
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
