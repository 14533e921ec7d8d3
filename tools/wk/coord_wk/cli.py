"""The commands of wk: look, decide, append, print."""

from __future__ import annotations

from itertools import islice

from coord_envelope import SELF, Filter, No, Usage
from coord_kernel.cli import process
from coord_kernel.cli.call import Call
from coord_wk import draft, fold
from coord_wk import groups as g
from coord_wk.change import artifact, comment, dep, reopen, update
from coord_wk.claim import claim, close, release
from coord_wk.items import conflicts
from coord_wk.transfer import export, import_, imported
from coord_wk.work import WORK, Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_wk import options as o
    from coord_wk.confirm import Confirm
    from coord_wk.items import Detail, Items, Row


def new(
    call: Call,
    fields: g.Fields,
    making: g.Making,
    title: o.Title = None,
    allow_secret: o.AllowSecret = False,
) -> None:
    """Create a work item, or those on stdin.

    Without TITLE it reads JSON lines: {"title", "desc", "kind", "priority", "labels", "deps",
    "parent", "assignee", "hold", "defer_until", "fields", "idempotency_key"}.
    """
    work = Work(call, allow_secret)
    if title in (None, "-"):
        if fields.given() or making.key is not None or making.blocked_by:
            raise Usage("options for one item, but no TITLE", todo="leave them out, or add a TITLE")
        from coord_wk.apply import FEW, Changes

        changes = Changes(call, work, making.allow_missing, FEW)
        for batch in call.lines(asked=title == "-"):
            changes.make(batch, {"op": "new"})
        return
    words: Json = {
        "title": title,
        "desc": fields.desc and call.text(fields.desc, "--desc", draft.LONGEST_TEXT),
        "kind": fields.kind,
        "priority": fields.priority,
        "labels": fields.label,
        "assignee": _assignee(fields.assignee),
        "fields": draft.fields(fields.field or []) or None,
        **({} if making.key is None else {"idempotency_key": making.key}),
    }
    blob = work.shortened(words, "desc")
    if not making.blocked_by and fields.parent is None:
        call.append([draft.created(words, blob)], allow_secret)
        return
    with work.transaction() as (t, items):
        words["deps"] = [
            {"rel": "blocked_by", "to": items.resolve(text, making.allow_missing)}
            for text in making.blocked_by or ()
        ] or None
        words["parent"] = None if fields.parent is None else items.resolve(fields.parent)
        created = draft.created(words, blob)
        items.refuse_cycle(SELF, *draft.waits(created["body"]))
        t.add(created)
    call.put(t.events)


def _assignee(name: str | None) -> str | None:
    return None if name is None else Call.agent_id(name, "--assignee")


def ls(call: Call, selection: g.Selection, listing: g.Listing) -> None:
    """List work items, the most urgent first.

    Open ones; with --all, or a --status that is closed, closed ones, too, oldest first.
    """
    for word in selection.status or ():
        if word not in draft.STATUSES:
            todo = f"valid values: {' '.join(draft.STATUSES)}"
            raise Usage(f"--status: not a valid status: {word}", todo=todo)
    _refuse_kinds(listing)
    assignee, statuses = _assignee(selection.assignee), set(selection.status or draft.STATUSES)
    items = Work(call).items(listing.at)
    closed = selection.all_ or (selection.status and statuses & set(draft.RESOLUTIONS))
    rows = (
        row
        for row in map(items.row, items.everything() if closed else items.ranked("open"))
        if row["status"] in statuses
        and (not assignee or row.get("assignee") == assignee)
        and (not selection.conflicts or conflicts(items.known(row["work_id"])))
    )
    call.put(_listed(rows, listing))
    if call.out.terminal and not call.journal.size():
        from coord_kernel.cli.invite import invite

        invite(call.journal.store)


def _listed(rows: Iterator[Row], listing: g.Listing) -> Iterator[Row]:
    labels = set(listing.label or ())
    wanted = (
        row
        for row in rows
        if labels <= set(row.get("labels", ())) and _of_kind(row["kind"], listing)
    )
    return islice(wanted, listing.lines)


def _refuse_kinds(listing: g.Listing) -> None:
    """Raise Usage for what cannot be a kind, and so would match nothing."""
    for kind in (*(listing.kind or ()), *(listing.not_kind or ())):
        if not draft.kind_ok(kind):
            raise Usage(f"not a valid kind: {kind!r}", todo=draft.KIND)


def _of_kind(kind: str, listing: g.Listing, leave_out: Sequence[str] = ()) -> bool:
    """Is this kind asked for? `leave_out` are those that must be asked for by name."""
    asked = kind in listing.kind if listing.kind else kind not in leave_out
    return asked and kind not in (listing.not_kind or ())


def ready(
    call: Call,
    listing: g.Listing,
    strength: g.Strength,
    first: g.First,
    explain: o.Explain = False,
) -> None:
    """List the ready work items, the most urgent first.

    Not those of a kind that is not work, such as message, unless --kind names it. With --claim:
    claim the first that is not assigned to another agent, under one lock; exit 1 if there is none.
    With --explain: list the open items that are not ready, and why.
    """
    if first.claim and (explain or listing.lines is not None or listing.at is not None):
        raise Usage(
            "--claim takes the first that is ready now", todo="leave out --explain, -n and --at"
        )
    if not first.claim and (strength.require or strength.no_sync or first.anyone):
        raise Usage("--require, --no-sync and --anyone need --claim")
    _refuse_kinds(listing)
    work = Work(call)
    if first.claim:
        from coord_wk.confirm import Confirm

        confirm = Confirm(call, work, strength)
        for_me = None if first.anyone else call.actor()["agent_id"]
        call.put([_claim_first(work, listing, confirm, for_me)])
        return
    items = work.items(listing.at)
    rows = _waiting(items) if explain else map(items.row, _ready(items, listing))
    call.put(_listed(rows, listing))


def _ready(items: Items, listing: g.Listing) -> Iterator[str]:
    return (
        item
        for item in items.ranked("free")
        if _of_kind(items.kind(item), listing, draft.NOT_WORK) and items.status(item) == "ready"
    )


def _waiting(items: Items) -> Iterator[Row]:
    for row in map(items.row, items.ranked("open")):
        item = row["work_id"]
        if row["status"] == "blocked":
            row["blockers"] = items.blockers(item)
            if unknown := items.unknown(item):
                row["unknown_here"] = unknown
        if row["status"] == "held":
            row["held_by"] = items.held_by(item)
        if row["kind"] in draft.NOT_WORK:
            row["not_work"] = True
        if row["status"] != "ready" or "not_work" in row:
            yield row


def _claim_first(work: Work, listing: g.Listing, confirm: Confirm, me: str | None) -> Event:
    """The claim on the first ready item that no other store turns out to hold.

    With `me`, items assigned to other agents are left out.
    """
    labels = set(listing.label or ())
    while True:
        with work.transaction() as (t, items):
            others = 0
            for item in _ready(items, listing):
                state = items.known(item)
                if not labels <= fold.present(state, "labels").keys():
                    continue
                if me is None or fold.text(state, "assignee") in (None, me):
                    break
                others += 1
            else:
                raise _nothing_ready(others)
            claim = t.add(draft.claimed(item, state))
        try:
            return confirm.settle(claim, item)
        except No:
            continue  # conceded: the item is not ready any more


def _nothing_ready(others: int) -> No:
    if not others:
        return No("nothing is ready", code="empty")
    what = f"nothing is ready that is not assigned to another agent ({others} are)"
    return No(what, todo="--anyone takes what is assigned to others", code="empty")


def show(call: Call, ids: o.Ids = None, at: o.At = None) -> None:
    """Show everything about work items.

    Exit 1 if one does not exist.
    """
    work = Work(call)
    past = work.items(at) if at else None

    def shown(text: str) -> list[Detail]:
        items = past or work.items()  # looked at again for each: a line may come later
        item = items.resolve(text)
        detail = work.leveled(items.detail(item))
        if origin := imported(call, items, item):
            detail["imported"] = origin
        return [detail]

    call.each(ids, WORK, shown)


def tree(call: Call, id_: o.MaybeId = None, lines: o.Lines = None, at: o.At = None) -> None:
    """List work items with their parts below them."""
    items = Work(call).items(at)
    tops = filter(items.top, items.ranked("open")) if id_ is None else [items.resolve(id_)]
    indent = "  " if call.out.form == "table" else ""
    call.put(islice((row for top in tops for row in _below(items, top, indent)), lines))


def _below(items: Items, top: str, indent: str) -> Iterator[Json]:
    todo, seen = [(top, 0)], {top}
    while todo:
        item, depth = todo.pop()
        row = items.row(item)
        yield {"depth": depth, **row, "title": f"{indent * depth}{row['title']}"}
        parts = [part for part in items.children(item) if part not in seen]
        seen.update(parts)
        todo += [(part, depth + 1) for part in reversed(parts)]


def mine(call: Call, at: o.At = None) -> None:
    """List the work items that you hold."""
    items = Work(call).items(at)
    call.put(map(items.row, items.owned(call.actor()["agent_id"])))


def status(call: Call, at: o.At = None) -> None:
    """Count the open work items by status."""
    call.put([Work(call).items(at).counts()])


def apply(
    call: Call, allow_missing: o.AllowMissing = False, allow_secret: o.AllowSecret = False
) -> None:
    """Make many changes at once, from JSON lines.

    {"op": "new", "as": "$a", "title": …}, then $a in place of an id in {"op": "dep", "id": "$a",
    "to": …}, and in update, comment, close, reopen. All are written at once, of very many 5,000 at
    a time; errors are reported by line, and the other lines are done.
    """
    from coord_wk.apply import Changes

    lines = [line for batch in call.lines() for line in batch]
    Changes(call, Work(call, allow_secret), allow_missing).make(lines, {})


def watch(call: Call) -> None:
    """Print work events as they come, from now on."""
    from coord_kernel.cli.deliver import deliver

    deliver(call, call.journal.end(), Filter(types=["work.*"]))


COMMANDS = (
    *(new, ls, ready, show, claim, release, close, reopen, update, comment, artifact, dep),
    *(tree, mine, status, apply, import_, export, watch),
)
ABOUT = "Work items: find, claim, do and close them."


def main() -> None:
    from coord_wk.argv import TABLE

    process.run("wk", ABOUT, COMMANDS, "coord_wk.options", TABLE)
