"""The commands of msg that change what becomes of a message, and who gets it."""

from __future__ import annotations

import os

from coord_envelope import Fault, No, Usage
from coord_envelope.event import name_ok
from coord_kernel.cli import values
from coord_kernel.rules.claims import base
from coord_kernel.store import blobs
from coord_kernel.store.disk import fault_of, write_all
from coord_msg import draft, fold
from coord_msg.post import MSG, Post

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.views.index import Index
    from coord_msg import options as o
    from coord_msg.mail import Mail

KINDS = {"agent": "ai", "human": "human", "bridge": "bridge"}
"""What an agent is, by the kind of its address."""


def ack(call: Call, ids: o.Ids = None) -> None:
    """Say that mail is done with; it is printed no more.

    Without ids it reads JSON lines, as `msg recv` prints them. Acking twice is acking once. Exit 1 for what
    is no mail of yours.
    """
    me, post = call.actor()["agent_id"], Post(call)

    def acked(text: str, mail: Mail) -> Json:
        state = _found(post, text, mail, me)
        claim = fold.delivery(state, me)
        if me not in state["mail"]["to"] and not claim:
            raise No(f"is no mail of {me}", where=text)
        return draft.ack(state["mail"]["id"], claim["id"] if claim else None)

    _write_each(call, post, ids, acked)


def nack(
    call: Call, ids: o.Ids = None, delay: o.Delay = None, reason: o.Reason = "given back"
) -> None:
    """Give what you took from a queue back to it.

    It is given out again, at once or after --delay, unless that was its last delivery. Exit 1 for what is not out
    with you.
    """
    me, post = call.actor()["agent_id"], Post(call)
    delay_ms = 0 if delay is None else values.span(delay, "--delay")

    def nacked(text: str, mail: Mail) -> Json:
        state = _found(post, text, mail, me)
        claim = fold.delivery(state)
        if not claim or mail.holder(state) != me or fold.processed(state):
            raise No(f"is not out with {me}", where=text)
        return draft.nacked(state["mail"]["id"], claim["id"], delay_ms, reason)

    _write_each(call, post, ids, nacked)


def _found(post: Post, text: str, mail: Mail, me: str) -> Json:
    try:
        return post.found(text, mail)
    except No:
        raise No(f"is no mail of {me}", where=text) from None


def _write_each(
    call: Call, post: Post, ids: list[str] | None, decide: Callable[[str, Mail], Json]
) -> None:
    for group in call.ids(ids or [], *MSG):
        mail = post.mail()
        found: list[tuple[str, Json | Fault]] = []
        for text in group:
            try:
                found.append((text, decide(text, mail)))
            except Fault as fault:
                found.append((text, fault))
        call.write_each(found)


def requeue(call: Call, ids: o.Ids = None) -> None:
    """Send dead messages anew to their queue.

    Each becomes a new message, once, and is dead no more. Exit 1 for what is not dead.
    """
    post = Post(call)

    def sent(text: str) -> list[Event]:
        def decide(_: Index) -> list[Json]:
            mail = post.mail()
            state = post.found(text, mail)
            message, claim = post.event(state["mail"]["id"]), fold.delivery(state)
            if mail.status(state) != "dead" or not message or not claim:
                raise No(f"is {mail.status(state)}, not dead", where=text)
            queues = [one for one in fold.waits_for(state) if one.startswith("queue:")]
            return draft.requeued(message, queues, claim["id"])

        return call.journal.append(call.actor(), decide, allow_secret=True)[:1]

    call.each(ids, MSG, sent)


def join(call: Call, groups: o.Groups = None) -> None:
    """Make yourself known, and join groups.

    Mail can be sent to you from then on, and to group:NAME for all who joined it. Whoever wrote any event is known.
    """
    actor = call.actor()
    names, post = _groups(groups), Post(call)
    post.mail()

    def decide(_: Index) -> list[Json]:
        found = []
        if call.journal.last_seen(actor["agent_id"]) is None:
            kind = KINDS[actor["agent_id"].partition(":")[0]]
            found.append({"type": "agent.registered", "body": {"kind": kind}})
        fresh = [one for one in names if actor["agent_id"] not in post.mail().members(one)]
        return found + _updated(post, actor["agent_id"], "add", fresh)

    call.put(call.journal.append(actor, decide))


def leave(call: Call, groups: o.Groups = None) -> None:
    """Leave groups."""
    actor = call.actor()
    names, post = _groups(groups), Post(call)
    if not names:
        raise Usage("no group is given", todo="say which groups")
    post.mail()

    def decide(_: Index) -> list[Json]:
        return _updated(
            post,
            actor["agent_id"],
            "rm",
            [one for one in names if actor["agent_id"] in post.mail().members(one)],
        )

    call.put(call.journal.append(actor, decide))


def _groups(given: list[str] | None) -> list[str]:
    names = [one.removeprefix("group:") for one in given or []]
    for one in names:
        if not name_ok(one):
            raise Usage(f"{one!r} is no group's name", todo="use a-z 0-9 . _ -, up to 63")
    return list(dict.fromkeys(names))


def _updated(post: Post, agent: str, how: str, names: list[str]) -> list[Json]:
    if not names:
        return []
    known = post.agent(agent)
    return [
        {
            "type": "agent.updated",
            "base": base(known) if known else [],
            "body": {how: {"groups": names}},
        }
    ]


def save(call: Call, id_: o.OneId, dir_: o.Dir = ".") -> None:
    """Save the files that came with a message.

    Under their own names, without directories, in DIR; none that is there is overwritten. Exit 1 if one could not
    be saved.
    """
    post = Post(call)
    message = post.event(post.found(id_, post.mail())["mail"]["id"])
    attach = message["body"].get("attach") if message else None
    found = [one for one in attach if isinstance(one, dict)] if isinstance(attach, list) else []
    if not found:
        raise No("has no files", where=id_)
    for one in found:
        try:
            call.put(_saved(call, one, dir_))
        except (Fault, OSError) as error:
            call.fail(
                error if isinstance(error, Fault) else fault_of(error),
                os.path.join(dir_, _file_name(one)),
            )


def _saved(call: Call, blob: Json, directory: str) -> Iterator[Json]:
    data, path = (
        blobs.get(call.journal.store, blob.get("sha256")),
        os.path.join(directory, _file_name(blob)),
    )
    try:
        fd = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
    except FileExistsError:
        raise No("is there already", todo="give another DIR") from None
    try:
        write_all(fd, data)
    except OSError:
        os.unlink(path)  # a part of it would be in the way of the next try
        raise
    finally:
        os.close(fd)
    yield {"path": path, "bytes": len(data), "sha256": blob["sha256"]}


def _file_name(blob: Json) -> str:
    """A name that is one plain component and hides nothing, whatever its sender called it."""
    given = blob.get("name")
    name = given.rpartition("/")[2] if isinstance(given, str) else ""
    plain = "".join(c if c.isprintable() else "_" for c in name).lstrip(".-").strip()
    return (
        plain.encode("utf-8", "replace")[:200].decode("utf-8", "ignore")
        or str(blob.get("sha256"))[:16]
    )
