"""The commands of wk that change items. Each item is looked at and changed under one lock."""

from __future__ import annotations

from coord_envelope import BadData, No, Usage
from coord_kernel.cli import values
from coord_kernel.rules import claims
from coord_wk import draft
from coord_wk import groups as g
from coord_wk.work import WORK, Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.journal.transaction import Transaction
    from coord_kernel.rules.claims import Owner
    from coord_wk import options as o
    from coord_wk.items import Items

    Change = Callable[[Transaction, Items, str], No | None]


def claim(
    call: Call,
    takeover: g.Takeover,
    strength: g.Strength,
    override: g.Override,
    ids: o.Ids = None,
) -> None:
    """Claim work items: nobody else works on them then.

    Of several who claim at once one wins; the others exit 1 and learn who. Claiming what you hold
    exits 0. --force also claims held and blocked items, and with --steal those of an owner who is
    not silent. With a remote its arbiter confirms the claim; if it cannot be reached, the claim is
    tentative.
    """
    if takeover.steal and not takeover.reason:
        raise Usage("--steal needs --reason")
    if takeover.reason and not (takeover.steal or takeover.resume):
        raise Usage("--reason needs --steal or --resume")
    from coord_wk.confirm import Confirm

    work = Work(call, override.allow_secret)
    confirm = Confirm(call, work, strength)

    def take(text: str) -> Iterable[Event]:
        with work.transaction() as (t, items):
            item = items.resolve(text)
            state, status = items.known(item), items.status(item)
            holder = claims.owner(state) if status == "active" else None
            mine = call.event(holder["id"]) if holder and work.mine(holder) else None
            if mine:
                t.repeat(mine)
            elif holder:
                refuse_holder(holder)
                t.add(draft.claimed(item, state, True, takeover.reason or "resumed"))
            else:
                refuse_status(items, item)
                t.add(draft.claimed(item, state, False, None))
        return [confirm.settle(event, text) for event in t.events]

    def refuse_holder(holder: Owner) -> None:
        ours = holder["agent"] == call.actor()["agent_id"]
        if takeover.resume and ours:
            return
        if not takeover.steal:
            wait = "wait, or when its owner has been silent for 30 minutes: --steal --reason WHY"
            raise No(
                f"is held by {holder['agent']} since {holder['ts']}",
                todo="your other session holds it: --resume" if ours else wait,
            )
        if not (override.force or work.silent(holder["agent"])):
            what = f"{holder['agent']} has written an event in the last 30 minutes"
            raise No(what, todo="--force steals it anyway")

    def refuse_status(items: Items, item: str) -> None:
        status = items.status(item)
        if status in draft.RESOLUTIONS:
            raise No(f"is {status}", todo="`wk reopen` it first")
        if status != "ready" and not override.force:
            by = f" by {' '.join(items.blockers(item))}" if status == "blocked" else ""
            raise No(f"is {status}{by}", todo="--force claims held and blocked items")

    call.each(ids, WORK, take)


def release(call: Call, override: g.Override, ids: o.Ids = None, reason: o.Reason = None) -> None:
    """Release work items that you claimed.

    Releasing again with the same reason exits 0 and prints the first event.
    """
    work = Work(call, override.allow_secret)

    def change(t: Transaction, items: Items, item: str) -> None:
        state = items.known(item)
        holder = claims.owner(state)
        ours = holder is not None and work.mine(holder)
        if holder and (ours or override.force):
            how = "released" if ours else "forced"
            t.add(draft.given_back(item, state, holder["id"], how, reason))
            return
        last = max((at for at, claim in state["claims"].items() if work.mine(claim)), default="")
        repeated = draft.given_back(item, state, last, note=reason)
        event = work.again(state["ended"][last], repeated) if last in state["ended"] else None
        if not event:
            raise _held(holder) if holder else No("is held by nobody")
        t.repeat(event)

    _change_each(call, work, ids, change)


def _held(holder: Owner) -> No:
    return No(f"is held by {holder['agent']}", todo="--force overrides its claim")


def close(call: Call, closing: g.Closing, override: g.Override, ids: o.Ids = None) -> None:
    """Close work items that nobody else holds.

    If your claim was taken over meanwhile, the item stays as it is, your note is kept as a comment,
    and the exit status is 1. Closing again with the same note exits 0 and prints the first event.
    """
    usual = "done" if closing.dup_of is None else "duplicate"
    resolution, note = closing.resolution or usual, closing.note
    if closing.dup_of is not None and resolution != "duplicate":
        raise Usage(f"--dup-of with --resolution {resolution}", todo="leave one of them out")
    work = Work(call, override.allow_secret)

    def change(t: Transaction, items: Items, item: str) -> No | None:
        state, status = items.known(item), items.status(item)
        holder = claims.owner(state)
        body: Json = {"resolution": resolution, **({"note": note} if note else {})}
        if closing.dup_of is not None:
            body["dup_of"] = items.resolve(closing.dup_of)
            if body["dup_of"] == item:
                raise BadData("cannot be a duplicate of itself")
        robbed = any(
            work.mine(claim) and claims.stolen(state, at) for at, claim in state["claims"].items()
        )
        if status in draft.RESOLUTIONS:
            refusal = No(f"is {status} already", todo="`wk comment` adds to it")
            first = max(state["registers"]["closed"])
            event = work.again(first, draft.change("closed", item, state, body))
            if event and not robbed:
                t.repeat(event)
                return None
        elif holder and not override.force and not work.mine(holder):
            refusal = _held(holder)
        else:
            cited = {"claim": holder["id"]} if holder else {}
            t.add(draft.change("closed", item, state, body | cited))
            return None
        if not robbed:
            raise refusal
        kept = note or f"closed as {resolution} after its claim was taken over"
        me = call.actor()["agent_id"]
        if (me, kept) not in [(comment["by"], comment["text"]) for comment in state["comments"]]:
            t.add(draft.change("commented", item, state, {"text": kept}))
        return refusal

    _change_each(call, work, ids, change)


def reopen(
    call: Call, ids: o.Ids = None, reason: o.Reason = None, allow_secret: o.AllowSecret = False
) -> None:
    """Reopen closed work items."""

    def change(t: Transaction, items: Items, item: str) -> None:
        status = items.status(item)
        if status not in draft.RESOLUTIONS:
            raise No(f"is {status}, not closed")
        body = {"reason": reason} if reason else {}
        t.add(draft.change("reopened", item, items.known(item), body))

    _change_each(call, Work(call, allow_secret), ids, change)


def update(
    call: Call, fields: g.Fields, changes: g.Changes, override: g.Override, ids: o.Ids = None
) -> None:
    """Change work items. Empty values remove old ones."""
    from coord_envelope.bodies import check_body

    if changes.title == "":
        raise BadData("title is missing or not text")
    words: Json = {
        "desc": fields.desc and values.text(fields.desc, "--desc"),
        "kind": fields.kind,
        "priority": fields.priority,
        "hold": changes.hold,
        "title": changes.title,
        "assignee": fields.assignee and values.agent_id(fields.assignee, "--assignee"),
        "defer_until": changes.defer_until and values.moment(changes.defer_until, ahead=True),
    }
    own = draft.fields(fields.field or [])
    words |= {f"fields.{name}": value for name, value in own.items()}
    lists = {"add": fields.label, "rm": changes.rm_label}
    parts: Json = {how: {"labels": labels} for how, labels in lists.items() if labels}

    def change(t: Transaction, items: Items, item: str) -> None:
        status = items.status(item)
        if status in draft.RESOLUTIONS and not override.force:
            raise No(f"is {status}", todo="`wk reopen` it first, or --force")
        parent = items.resolve(fields.parent) if fields.parent else fields.parent
        new = {
            name: value for name, value in {**words, "parent": parent}.items() if value is not None
        }
        written = {name: value for name, value in new.items() if value != ""}
        body = {"set": dict.fromkeys(new) | written, **parts} if new else parts
        if not body:
            raise Usage("nothing to change", todo="see `wk update --help`")
        draft.check(written | {"labels": fields.label or []})
        check_body("work.updated", body)
        items.refuse_cycle(item, *draft.waits(body))
        t.add(draft.change("updated", item, items.known(item), body))

    _change_each(call, Work(call, override.allow_secret), ids, change)


def comment(call: Call, id_: o.OneId, text: o.Comment, allow_secret: o.AllowSecret = False) -> None:
    """Comment on a work item."""
    if id_ == text == "-":
        raise Usage("ID and TEXT cannot both be read from standard input")
    body = {"text": values.text(text, "TEXT")}

    def change(t: Transaction, items: Items, item: str) -> None:
        t.add(draft.change("commented", item, items.known(item), body))

    _change_each(call, Work(call, allow_secret), [id_], change)


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

    _change_each(call, Work(call, allow_secret), [id_], change)


def dep(call: Call, id_: o.OneId, to: o.OneId, rel: o.Rel = "blocked_by", rm: o.Rm = False) -> None:
    """Make a work item depend on another.

    A dependency cycle is refused.
    """
    if rel not in draft.RELATIONS:
        todo = f"valid values: {' '.join(draft.RELATIONS)}"
        raise BadData(f"not a valid relation: {rel!r}", where="--rel", todo=todo)

    def change(t: Transaction, items: Items, item: str) -> None:
        deps = {"deps": [{"rel": rel, "to": items.resolve(to)}]}
        body = {"rm": deps} if rm else {"add": deps}
        items.refuse_cycle(item, *draft.waits(body))
        t.add(draft.change("updated", item, items.known(item), body))

    _change_each(call, Work(call), [id_], change)


def _change_each(call: Call, work: Work, ids: Sequence[str] | None, change: Change) -> None:
    """Change each item in a transaction of its own. A refusal it returns is raised once printed."""

    def act(text: str) -> Iterable[Event]:
        with work.transaction() as (t, items):
            refusal = change(t, items, items.resolve(text))
        if refusal:
            call.put(t.events)
            raise refusal
        return t.events

    call.each(ids, WORK, act)
