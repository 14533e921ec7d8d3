"""The commands of wk that change an item: each looks, decides and appends under one lock, for every id given."""

from __future__ import annotations

from coord_envelope import BadData, No, Usage
from coord_envelope.bodies import check_body
from coord_kernel.cli import values
from coord_kernel.rules import claims
from coord_wk import draft
from coord_wk.confirm import Confirm
from coord_wk.work import WORK, Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_wk import options as o
    from coord_wk.items import Items

    Decide = Callable[[str, Items], list[Json]]


def claim(
    call: Call,
    ids: o.Ids = None,
    steal: o.Steal = False,
    resume: o.Resume = False,
    reason: o.Reason = None,
    force: o.Force = False,
    require: o.Require = None,
    no_sync: o.NoSync = False,
    allow_secret: o.AllowSecret = False,
) -> None:
    """Claim work items: you do them, nobody else.

    One of those who claim at once wins; the others exit 1 and learn who. What you hold already is yours, exit 0.
    --force claims what is held or blocked, too, and with --steal what is not silent. With a remote, its arbiter
    confirms the claim; if it cannot be reached, the claim is tentative.
    """
    if steal and not reason:
        raise Usage("--steal needs a --reason")
    if reason and not (steal or resume):
        raise Usage("--reason says why you take it over", todo="give --steal or --resume, too")
    work = Work(call, allow_secret)
    confirm = Confirm(call, work, require, no_sync)

    def take(text: str) -> Iterable[Event]:
        with work.transaction() as (t, items):
            item = work.resolve(text, items)
            state, status = items.known(item), items.status(item)
            holder = claims.owner(state) if status == "active" else None
            mine = call.event(holder["id"]) if holder and work.mine(holder) else None
            if mine:
                t.repeat(mine)
            else:
                refuse(text, items, item, holder)
                t.add(draft.claimed(item, state, holder is not None, reason or "resumed"))
        return [confirm.settle(event, text) for event in t.events]

    def refuse(text: str, items: Items, item: str, holder: Json | None) -> None:
        status = items.status(item)
        if holder:
            ours = holder["agent"] == call.actor()["agent_id"]
            if not (steal or (resume and ours)):
                raise _held(text, holder, ours)
            if not (force or (resume and ours) or work.silent(holder["agent"])):
                what = f"{holder['agent']} was heard of in the last 30 minutes"
                raise No(what, where=text, todo="--force, if you must")
        elif status in draft.RESOLUTIONS:
            raise No(f"is {status}", where=text, todo="`wk reopen` it first")
        elif status != "ready" and not force:
            why = f" by {' '.join(items.blockers(item))}" if status == "blocked" else ""
            raise No(f"is {status}{why}", where=text, todo="--force claims what is held or blocked")

    call.each(ids, WORK, take)


def _held(text: str, holder: Json, ours: bool) -> No:
    todo = "wait, or once its owner is silent for 30 minutes: --steal --reason WHY"
    what = f"is held by {holder['agent']} since {holder['ts']}"
    return No(what, where=text, todo="it is your other session's: --resume" if ours else todo)


def release(
    call: Call,
    ids: o.Ids = None,
    reason: o.Reason = None,
    force: o.Force = False,
    allow_secret: o.AllowSecret = False,
) -> None:
    """Give back what you claimed.

    To give it back again is no failure: the first event is printed.
    """
    work = Work(call, allow_secret)

    def decide(text: str, items: Items) -> list[Json]:
        item = work.resolve(text, items)
        state, holder = items.known(item), claims.owner(items.known(item))

        if holder and (force or work.mine(holder)):
            how = "released" if work.mine(holder) else "forced"
            return [draft.given_back(item, state, holder["id"], how, reason)]
        mine = max((one for one, claim in state["claims"].items() if work.mine(claim)), default="")
        given = draft.given_back(item, state, mine, note=reason)
        if mine in state["ended"] and (again := work.again(state["ended"][mine], given)):
            return again
        if holder is None:
            raise No("is held by nobody", where=text)
        raise No(f"is held by {holder['agent']}", where=text, todo="--force, if you must")

    _change_each(call, work, ids, decide)


def close(
    call: Call,
    ids: o.Ids = None,
    resolution: o.Resolution = None,
    dup_of: o.DupOf = None,
    note: o.Note = None,
    force: o.Force = False,
    allow_secret: o.AllowSecret = False,
) -> None:
    """Close work items: what you hold, or nobody does.

    If your claim was taken over meanwhile, the item stays as it is, your note is kept as a comment, and it is exit 1.
    To close again with the same words is no failure: the first event is printed.
    """
    if dup_of is not None and resolution not in (None, "duplicate"):
        raise Usage(
            f"--dup-of is a duplicate's, not of what is {resolution}", todo="leave one of them out"
        )
    work = Work(call, allow_secret)
    body: Json = {"resolution": resolution or ("done" if dup_of is None else "duplicate")}
    body |= {"note": note} if note else {}

    def finish(text: str) -> Iterable[Event]:
        lost: list[No] = []

        def decide(items: Items) -> list[Json]:
            item = work.resolve(text, items)
            state, status, holder = (
                items.known(item),
                items.status(item),
                claims.owner(items.known(item)),
            )
            said = body | _duplicate(work, items, item, dup_of)
            robbed = any(
                work.mine(claim) and claims.stolen(state, one)
                for one, claim in state["claims"].items()
            )
            if status in draft.RESOLUTIONS:
                fault = No(f"is {status} already", where=text, todo="`wk comment` adds to it")
                last = max(state["registers"]["closed"])
                if not robbed and (
                    again := work.again(last, draft.change("closed", item, state, said))
                ):
                    return again
            elif holder and not force and not work.mine(holder):
                fault = No(f"is held by {holder['agent']}", where=text, todo="--force, if you must")
            else:
                cited = {"claim": holder["id"]} if holder else {}
                return [draft.change("closed", item, state, said | cited)]
            if not robbed:
                raise fault
            lost.append(fault)
            kept = note or f"closed as {said['resolution']} after its claim was taken over"
            me = call.actor()["agent_id"]
            there = any((one["by"], one["text"]) == (me, kept) for one in state["comments"])
            return [] if there else [draft.change("commented", item, state, {"text": kept})]

        done = work.change(decide)
        for fault in lost:
            call.put(done)
            raise fault
        return done

    call.each(ids, WORK, finish)


def _duplicate(work: Work, items: Items, item: str, dup_of: str | None) -> Json:
    if dup_of is None:
        return {}
    other = work.resolve(dup_of, items)
    if other == item:
        raise BadData("is no duplicate of itself")
    return {"dup_of": other}


def reopen(
    call: Call, ids: o.Ids = None, reason: o.Reason = None, allow_secret: o.AllowSecret = False
) -> None:
    """Open closed work items again."""
    work = Work(call, allow_secret)

    def decide(text: str, items: Items) -> list[Json]:
        item = work.resolve(text, items)
        if items.status(item) not in draft.RESOLUTIONS:
            raise No(f"is {items.status(item)}, not closed", where=text)
        return [
            draft.change("reopened", item, items.known(item), {"reason": reason} if reason else {})
        ]

    _change_each(call, work, ids, decide)


def update(
    call: Call,
    ids: o.Ids = None,
    title: o.NewTitle = None,
    desc: o.Desc = None,
    kind: o.Kind = None,
    priority: o.Priority = None,
    label: o.Label = None,
    rm_label: o.RmLabel = None,
    parent: o.Parent = None,
    assignee: o.Assignee = None,
    hold: o.Hold = None,
    defer_until: o.Defer = None,
    field: o.Field = None,
    force: o.Force = False,
    allow_secret: o.AllowSecret = False,
) -> None:
    """Change work items. An empty value takes it away."""
    if title == "":
        raise BadData("title is missing or no text")
    given: Json = {
        "desc": desc and values.text(desc, "--desc"),
        "kind": kind,
        "priority": priority,
        "hold": hold,
    }
    given |= {"title": title, "assignee": assignee and values.agent_id(assignee, "--assignee")}
    given["defer_until"] = defer_until and values.moment(defer_until, ahead=True)
    given |= {f"fields.{name}": what for name, what in draft.fields(field or []).items()}
    work = Work(call, allow_secret)

    def decide(text: str, items: Items) -> list[Json]:
        item = work.resolve(text, items)
        if items.status(item) in draft.RESOLUTIONS and not force:
            raise No(f"is {items.status(item)}", where=text, todo="--force, or `wk reopen` it")
        said = given | {"parent": work.resolve(parent, items) if parent else parent}
        written = {
            name: None if what == "" else what for name, what in said.items() if what is not None
        }
        body: Json = {"set": written} if written else {}
        body |= {"add": {"labels": label}} if label else {}
        body |= {"rm": {"labels": rm_label}} if rm_label else {}
        if not body:
            raise Usage("nothing to change", todo="see `wk update --help`")
        draft.check(
            {name: what for name, what in written.items() if what is not None}
            | {"labels": label or []}
        )
        check_body("work.updated", body)
        items.suppose(item, *draft.waits(body))
        return [draft.change("updated", item, items.known(item), body)]

    _change_each(call, work, ids, decide)


def comment(call: Call, id_: o.OneId, text: o.Said, allow_secret: o.AllowSecret = False) -> None:
    """Say something about a work item."""
    if id_ == text == "-":
        raise Usage("ID and TEXT cannot both be read from standard input")
    said = values.text(text, "TEXT")
    work = Work(call, allow_secret)

    def decide(which: str, items: Items) -> list[Json]:
        item = work.resolve(which, items)
        return [draft.change("commented", item, items.known(item), {"text": said})]

    _change_each(call, work, [id_], decide)


def artifact(
    call: Call,
    id_: o.OneId,
    kind: o.ArtifactKind = "url",
    uri: o.Uri = None,
    name: o.Name = None,
    allow_secret: o.AllowSecret = False,
) -> None:
    """Add what came out of a work item.

    A commit, a branch, a log, a link: it is kept as a reference.
    """
    if kind not in draft.ARTIFACTS:
        raise BadData(f"{kind!r} is none of {' '.join(draft.ARTIFACTS)}", where="--kind")
    if not uri:
        raise Usage("--uri is missing", todo="say where it is")
    work = Work(call, allow_secret)
    about: Json = {"uri": uri, **({"name": name} if name else {})}
    draft.check(about)

    def decide(which: str, items: Items) -> list[Json]:
        item = work.resolve(which, items)
        base = claims.base(items.known(item))
        body = {"kind": kind, "on": item, **about}
        return [{"type": "artifact.added", "refs": {"work_id": item}, "base": base, "body": body}]

    _change_each(call, work, [id_], decide)


def dep(call: Call, id_: o.OneId, to: o.OneId, rel: o.Rel = "blocked_by", rm: o.Rm = False) -> None:
    """Make one work item depend on another.

    A circle of waiting is refused.
    """
    if rel not in draft.RELATIONS:
        raise BadData(f"{rel!r} is none of {' '.join(draft.RELATIONS)}", where="--rel")
    work = Work(call)

    def decide(which: str, items: Items) -> list[Json]:
        item = work.resolve(which, items)
        body: Json = {
            "rm" if rm else "add": {"deps": [{"rel": rel, "to": work.resolve(to, items)}]}
        }
        items.suppose(item, *draft.waits(body))
        return [draft.change("updated", item, items.known(item), body)]

    _change_each(call, work, [id_], decide)


def _change_each(call: Call, work: Work, ids: list[str] | None, decide: Decide) -> None:
    def act(text: str) -> Iterable[Event]:
        return work.change(lambda items: decide(text, items))

    call.each(ids, WORK, act)
