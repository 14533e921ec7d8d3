"""The commands of wk that change an item: each looks, decides and appends under one lock, for every id given."""

from __future__ import annotations

from coord_envelope import BadData, No, Usage, inputs, tool
from coord_envelope.bodies import check_body
from coord_wk import draft, fold
from coord_wk.work import WORK, Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_envelope.tool import Call
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
) -> None:
    """Claim work items: you do them, nobody else.

    One of those who claim at once wins; the others exit 1 and learn who. What you hold already is yours, exit 0.
    --force claims what is held or blocked, too.
    """
    if steal and not reason:
        raise Usage("--steal needs a --reason")
    work = Work(call)

    def take(text: str) -> Iterable[Event]:
        kept: list[Event] = []

        def decide(items: Items) -> list[Json]:
            item = work.resolve(text, items)
            state, status, holder = items.known(item), items.status(item), fold.owner(items.known(item))
            if holder and work.mine(holder):
                found = call.event(holder["id"])
                kept.extend([found.noted(dup=True)] if found else [])
                return []
            if holder and not (steal or (resume and holder["agent"] == call.actor()["agent_id"])):
                todo = "wait, or once its owner is silent for 30 minutes: --steal --reason WHY"
                raise No(f"is held by {holder['agent']} since {holder['ts']}", where=text, todo=todo)
            if holder and steal and not (force or work.silent(holder["agent"])):
                what = f"{holder['agent']} was heard of in the last 30 minutes"
                raise No(what, where=text, todo="--force, if you must")
            if not holder and status != "ready" and not force:
                why = f" by {' '.join(items.blockers(item))}" if status == "blocked" else ""
                raise No(f"is {status}{why}", where=text, todo="--force claims what is held or blocked")
            if not holder and status in draft.RESOLUTIONS:
                raise No(f"is {status}", where=text, todo="`wk reopen` it first")
            why_taken = reason or ("resumed" if holder else None)
            return [draft.claimed(item, state, steal=holder is not None, reason=why_taken)]

        return [event.noted(level="local") for event in work.change(decide)] + kept

    work.each(call.ids(ids or [], *WORK), take)


def release(call: Call, ids: o.Ids = None, reason: o.Reason = None, force: o.Force = False) -> None:
    """Give back what you claimed."""
    work = Work(call)

    def decide(text: str, items: Items) -> list[Json]:
        item = work.resolve(text, items)
        holder = fold.owner(items.known(item))
        if holder is None:
            raise No("is held by nobody", where=text)
        if not (work.mine(holder) or force):
            raise No(f"is held by {holder['agent']}", where=text, todo="--force, if you must")
        how = "released" if work.mine(holder) else "forced"
        body = {"claim": holder["id"], "reason": how, **({"note": reason} if reason else {})}
        return [draft.change("released", item, items.known(item), body)]

    _change_each(call, work, ids, decide)


def close(
    call: Call,
    ids: o.Ids = None,
    resolution: o.Resolution = "done",
    dup_of: o.DupOf = None,
    note: o.Note = None,
    force: o.Force = False,
) -> None:
    """Close work items: what you hold, or nobody does.

    If your claim was taken over meanwhile, the item stays as it is, your note is kept as a comment, and it is exit 1.
    """
    work = Work(call)

    def finish(text: str) -> Iterable[Event]:
        lost: list[No] = []

        def decide(items: Items) -> list[Json]:
            item = work.resolve(text, items)
            state, holder = items.known(item), fold.owner(items.known(item))
            if items.status(item) in draft.RESOLUTIONS:
                raise No(f"is {items.status(item)} already", where=text)
            if holder and not work.mine(holder) and not force:
                fault = No(f"is held by {holder['agent']}", where=text, todo="--force, if you must")
                stolen = [one for one, how in state["ended"].items() if how == "stolen"]
                if not any(work.mine(state["claims"][one]) for one in stolen if one in state["claims"]):
                    raise fault
                lost.append(fault)
                said = note or f"closed as {resolution} after its claim was taken over"
                return [draft.change("commented", item, state, {"text": said})]
            body: Json = {"resolution": resolution, **({"note": note} if note else {})}
            body |= {"claim": holder["id"]} if holder else {}
            body |= {"dup_of": work.resolve(dup_of, items)} if dup_of else {}
            return [draft.change("closed", item, state, body)]

        done = work.change(decide)
        for fault in lost:
            call.put(done)
            raise fault
        return done

    work.each(call.ids(ids or [], *WORK), finish)


def reopen(call: Call, ids: o.Ids = None, reason: o.Reason = None) -> None:
    """Open closed work items again."""
    work = Work(call)

    def decide(text: str, items: Items) -> list[Json]:
        item = work.resolve(text, items)
        if items.status(item) not in draft.RESOLUTIONS:
            raise No(f"is {items.status(item)}, not closed", where=text)
        return [draft.change("reopened", item, items.known(item), {"reason": reason} if reason else {})]

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
) -> None:
    """Change work items. An empty value takes it away."""
    given: Json = {"desc": desc and inputs.text(desc, "--desc"), "kind": kind, "priority": priority, "hold": hold}
    given |= {"title": title, "assignee": assignee and tool.agent_id(assignee, "--assignee")}
    given["defer_until"] = defer_until and tool.moment(defer_until)
    given |= {f"fields.{name}": what for name, what in draft.fields(field or []).items()}
    work = Work(call)

    def decide(text: str, items: Items) -> list[Json]:
        item = work.resolve(text, items)
        if items.status(item) in draft.RESOLUTIONS and not force:
            raise No(f"is {items.status(item)}", where=text, todo="--force, or `wk reopen` it")
        new_parent = work.resolve(parent, items) if parent else parent
        if new_parent and (new_parent == item or item in items.ancestors(new_parent)):
            raise BadData(f"{new_parent} is a part of it", where=text)
        if new_parent and items.waits(item, new_parent):
            raise BadData(f"it waits on {new_parent}, which would wait on its part", where=text)
        written = {
            name: None if what == "" else what
            for name, what in (given | {"parent": new_parent}).items()
            if what is not None
        }
        body: Json = {"set": written} if written else {}
        body |= {"add": {"labels": label}} if label else {}
        body |= {"rm": {"labels": rm_label}} if rm_label else {}
        if not body:
            raise Usage("nothing to change", todo="see `wk update --help`")
        check_body("work.updated", body)
        return [draft.change("updated", item, items.known(item), body)]

    _change_each(call, work, ids, decide)


def comment(call: Call, id_: o.OneId, text: o.Said) -> None:
    """Say something about a work item."""
    work = Work(call)
    said = inputs.text(text, "TEXT")

    def decide(which: str, items: Items) -> list[Json]:
        item = work.resolve(which, items)
        return [draft.change("commented", item, items.known(item), {"text": said})]

    _change_each(call, work, [id_], decide)


def artifact(call: Call, id_: o.OneId, kind: o.ArtifactKind = "url", uri: o.Uri = None, name: o.Name = None) -> None:
    """Add what came out of a work item.

    A commit, a branch, a log, a link: it is kept as a reference.
    """
    if kind not in draft.ARTIFACTS:
        raise BadData(f"{kind!r} is none of {' '.join(draft.ARTIFACTS)}", where="--kind")
    if not uri:
        raise Usage("--uri is missing", todo="say where it is")
    work = Work(call)

    def decide(which: str, items: Items) -> list[Json]:
        item = work.resolve(which, items)
        body = {"kind": kind, "on": item, "uri": uri, **({"name": name} if name else {})}
        return [
            {"type": "artifact.added", "refs": {"work_id": item}, "base": fold.heads(items.known(item)), "body": body}
        ]

    _change_each(call, work, [id_], decide)


def dep(call: Call, id_: o.OneId, to: o.OneId, rel: o.Rel = "blocked_by", rm: o.Rm = False) -> None:
    """Make one work item depend on another.

    A circle of waiting is refused.
    """
    if rel not in draft.RELATIONS:
        raise BadData(f"{rel!r} is none of {' '.join(draft.RELATIONS)}", where="--rel")
    work = Work(call)

    def decide(which: str, items: Items) -> list[Json]:
        item, other = work.resolve(which, items), work.resolve(to, items)
        if rel == "blocked_by" and not rm and (item == other or items.waits(other, item)):
            raise BadData(f"{to} waits on it already: they would wait on each other for ever", where=which)
        deps = {"deps": [{"rel": rel, "to": other}]}
        return [draft.change("updated", item, items.known(item), {"rm" if rm else "add": deps})]

    _change_each(call, work, [id_], decide)


def _change_each(call: Call, work: Work, ids: list[str] | None, decide: Decide) -> None:
    def act(text: str) -> Iterable[Event]:
        return work.change(lambda items: decide(text, items))

    work.each(call.ids(ids or [], *WORK), act)
