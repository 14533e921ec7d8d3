"""The commands of wk that change items. Each item is looked at and changed under one lock."""

from __future__ import annotations

from coord_envelope import BadData, No, Usage
from coord_kernel.rules import claims
from coord_wk import draft, fold
from coord_wk import groups as g
from coord_wk.work import WORK, Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from coord_envelope import Event, Fault
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.journal.transaction import Transaction
    from coord_wk import options as o
    from coord_wk.items import Items

    Change = Callable[[Transaction, Items, str], No | None]

AT_ONCE = 500
"""Most items that are changed in one transaction."""


def reopen(
    call: Call, ids: o.Ids = None, reason: o.Reason = None, allow_secret: o.AllowSecret = False
) -> None:
    """Reopen closed work items."""

    def change(t: Transaction, items: Items, item: str) -> None:
        status = items.status(item)
        if status not in draft.RESOLUTIONS:
            raise No(f"is {status}, not closed", code="wrong_state")
        draft.refuse_answered(item, items.known(item))
        body = {"reason": reason} if reason else {}
        t.add(draft.change("reopened", item, items.known(item), body))

    change_all(call, Work(call, allow_secret), ids, change)


def update(
    call: Call, fields: g.Fields, changes: g.Changes, override: g.Override, ids: o.Ids = None
) -> None:
    """Change work items. Empty values remove old ones."""
    if changes.title == "":
        raise BadData("title is missing or not text")
    words: Json = {
        "desc": fields.desc and call.text(fields.desc, "--desc", draft.LONGEST_TEXT),
        "kind": fields.kind,
        "priority": fields.priority,
        "hold": changes.hold,
        "title": changes.title,
        "assignee": fields.assignee and call.agent_id(fields.assignee, "--assignee"),
        "defer_until": changes.defer_until and call.moment(changes.defer_until, ahead=True),
    }
    own = draft.fields(fields.field or [])
    words |= {f"fields.{name}": value for name, value in own.items()}
    lists = {"add": fields.label, "rm": changes.rm_label}
    parts: Json = {how: {"labels": labels} for how, labels in lists.items() if labels}
    if fields.parent is None and all(value is None for value in words.values()) and not parts:
        raise Usage("nothing to change", todo="see `wk update --help`")
    draft.check({name: value for name, value in words.items() if value not in (None, "")})
    work = Work(call, override.allow_secret)
    blob = work.shortened(words, "desc")
    draft.check({"labels": [*(fields.label or []), *(changes.rm_label or [])]})

    def change(t: Transaction, items: Items, item: str) -> None:
        status = items.status(item)
        if status in draft.RESOLUTIONS and not override.force:
            raise No(f"is {status}", todo="`wk reopen` it first, or --force", code="closed")
        parent = items.resolve(fields.parent) if fields.parent else fields.parent
        new = {
            name: value for name, value in {**words, "parent": parent}.items() if value is not None
        }
        written = {name: value for name, value in new.items() if value != ""}
        body = {"set": dict.fromkeys(new) | written, **parts} if new else parts
        body = body | blob
        write(call, t, items, item, body)

    # A parent must not be a part: that looks at what the others of it write.
    each = change_all if fields.parent is None else change_each
    each(call, work, ids, change, "has these values already")


def write(call: Call, t: Transaction, items: Items, item: str, body: Json) -> None:
    """Add an update, or repeat the event that made its values hold already."""
    standing = fold.standing(items.known(item), body)
    event = call.event(standing) if standing else None
    if event:
        t.repeat(event)
        return
    items.refuse_cycle(item, *draft.waits(body))
    state = items.known(item)
    t.add(draft.assigning(draft.change("updated", item, state, body), state, call.actor()))


def comment(call: Call, id_: o.OneId, text: o.Comment, allow_secret: o.AllowSecret = False) -> None:
    """Comment on a work item."""
    if id_ == text == "-":
        raise Usage("ID and TEXT cannot both be read from standard input")
    work = Work(call, allow_secret)
    body: Json = {"text": call.text(text, "TEXT", draft.LONGEST_TEXT)}
    body |= work.shortened(body, "text")

    def change(t: Transaction, items: Items, item: str) -> None:
        t.add(draft.change("commented", item, items.known(item), body))

    change_each(call, work, [id_], change)


def artifact(
    call: Call, artifact: g.Artifact, id_: o.OneId, allow_secret: o.AllowSecret = False
) -> None:
    """Add a result to a work item.

    By reference: a commit, a branch, a log, a link.
    """
    if artifact.kind not in draft.ARTIFACTS:
        todo = f"valid values: {' '.join(draft.ARTIFACTS)}"
        raise BadData(f"not a valid kind: {artifact.kind!r}", where="--kind", todo=todo)
    if not artifact.uri:
        raise Usage("--uri is missing")
    about = {"uri": artifact.uri, **({"name": artifact.name} if artifact.name else {})}
    draft.check(about)

    def change(t: Transaction, items: Items, item: str) -> None:
        base = claims.base(items.known(item))
        body = {"kind": artifact.kind, "on": item, **about}
        t.add({"type": "artifact.added", "refs": {"work_id": item}, "base": base, "body": body})

    change_each(call, Work(call, allow_secret), [id_], change)


def dep(call: Call, relation: g.Relation, id_: o.WaitingId, to: o.BlockerId) -> None:
    """Make a work item depend on another.

    A dependency cycle is refused.
    """
    if relation.rel not in draft.RELATIONS:
        todo = f"valid values: {' '.join(draft.RELATIONS)}"
        raise BadData(f"not a valid relation: {relation.rel!r}", where="--rel", todo=todo)

    def change(t: Transaction, items: Items, item: str) -> None:
        other = items.resolve(to, relation.allow_missing)
        deps = {"deps": [{"rel": relation.rel, "to": other}]}
        write(call, t, items, item, {"rm": deps} if relation.rm else {"add": deps})

    change_each(call, Work(call), [id_], change, "is so already")


def change_each(
    call: Call,
    work: Work,
    ids: Sequence[str] | None,
    change: Change,
    repeated: str = "",
    before: Callable[[str], None] | None = None,
) -> None:
    """Change each item in a transaction of its own. A refusal it returns is raised once printed.

    `repeated` is said of an item that was not changed; `before` is called before the transaction.
    """

    def act(text: str) -> Iterable[Event]:
        if before:
            before(text)
        with work.transaction() as (t, items):
            refusal = change(t, items, items.resolve(text))
        _warn_of_repeated(call, text, t.events, repeated)
        if refusal:
            call.put(t.events)
            raise refusal
        return t.events

    call.each(ids, WORK, act, work.refused)


def change_all(
    call: Call, work: Work, ids: Sequence[str] | None, change: Change, repeated: str = ""
) -> None:
    """As `change_each`, up to AT_ONCE items in a transaction.

    For changes that look at the item alone: they do not see what the others of it write.
    """
    for group in call.ids(ids or (), *WORK, refused=work.refused):
        left = list(group)
        while left:
            answers: list[tuple[str, list[Event], Fault | None]] = []
            with call.printing_accepted(), work.transaction() as (t, items):
                changed = set[str]()
                while left and len(answers) < AT_ONCE:
                    answer = _changed(t, items, left[0], change, changed)
                    if answer is None:
                        break  # it was changed just now: that is seen in the next transaction
                    answers.append((left.pop(0), *answer))
            for text, events, fault in answers:
                _warn_of_repeated(call, text, events, repeated if fault is None else "")
                for event in events:
                    call.out.put(event)
                if fault:
                    call.fail(fault, fault.where or text)
            call.out.flush()


def _changed(
    t: Transaction, items: Items, text: str, change: Change, changed: set[str]
) -> tuple[list[Event], Fault | None] | None:
    """The events of one change, and the refusal; None if the item is in `changed` already."""
    begin = len(t.events)
    fault: Fault | None
    try:
        item = items.resolve(text)
        if item in changed:
            return None
        changed.add(item)
        fault = change(t, items, item)
    except (No, Usage, BadData) as refusal:
        fault = refusal
    return t.events[begin:], fault


def _warn_of_repeated(call: Call, text: str, events: Sequence[Event], repeated: str) -> None:
    if repeated and not any("$dup" not in event for event in events):
        call.warn(f"{text}: nothing to do: {repeated}")
