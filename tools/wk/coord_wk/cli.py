"""The commands of wk: look, decide, append, print."""

from __future__ import annotations

from itertools import islice

from coord_envelope import SELF, Fault, Filter, No, Usage
from coord_kernel.cli import process, stdin, values
from coord_kernel.cli.call import attempted
from coord_wk import draft, fold
from coord_wk import groups as g
from coord_wk.change import artifact, claim, close, comment, dep, release, reopen, update
from coord_wk.items import conflicts
from coord_wk.transfer import export, import_
from coord_wk.work import WORK, Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.journal.transaction import Transaction
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
        if fields.given() or making.given():
            raise Usage("options for one item, but no TITLE", todo="leave them out, or add a TITLE")
        for batch in call.lines(asked=title == "-"):
            _apply(call, work, batch, {"op": "new"})
        return
    words: Json = {
        "title": title,
        "desc": fields.desc and values.text(fields.desc, "--desc"),
        "kind": fields.kind,
        "priority": fields.priority,
        "labels": fields.label,
        "assignee": _assignee(fields.assignee),
        "fields": draft.fields(fields.field or []) or None,
        **({} if making.key is None else {"idempotency_key": making.key}),
    }
    if not making.blocked_by and fields.parent is None:
        call.append([draft.created(words)], allow_secret)
        return
    with work.transaction() as (t, items):
        words["deps"] = [
            {"rel": "blocked_by", "to": items.resolve(text)} for text in making.blocked_by or ()
        ] or None
        words["parent"] = None if fields.parent is None else items.resolve(fields.parent)
        created = draft.created(words)
        items.refuse_cycle(SELF, *draft.waits(created["body"]))
        t.add(created)
    call.put(t.events)


def _assignee(name: str | None) -> str | None:
    return None if name is None else values.agent_id(name, "--assignee")


def ls(call: Call, selection: g.Selection, listing: g.Listing) -> None:
    """List work items, the most urgent first.

    Open ones; with --all, or a --status that is closed, closed ones, too, oldest first.
    """
    kinds = [selection.kind] if selection.kind else []
    for name, words, valid in (
        ("status", selection.status or (), draft.STATUSES),
        ("kind", kinds, draft.KINDS),
    ):
        for word in words:
            if word not in valid:
                todo = f"valid values: {' '.join(valid)}"
                raise Usage(f"--{name}: not a valid {name}: {word}", todo=todo)
    assignee, statuses = _assignee(selection.assignee), set(selection.status or draft.STATUSES)
    items = Work(call).items(listing.at)
    closed = selection.all_ or (selection.status and statuses & set(draft.RESOLUTIONS))
    rows = (
        row
        for row in map(items.row, items.everything() if closed else items.ranked("open"))
        if row["status"] in statuses
        and (not selection.kind or row["kind"] == selection.kind)
        and (not assignee or row.get("assignee") == assignee)
        and (not selection.conflicts or conflicts(items.known(row["work_id"])))
    )
    call.put(_listed(rows, listing))


def _listed(rows: Iterator[Row], listing: g.Listing) -> Iterator[Row]:
    labels = set(listing.label or ())
    return islice((row for row in rows if labels <= set(row.get("labels", ()))), listing.lines)


def ready(
    call: Call,
    listing: g.Listing,
    strength: g.Strength,
    claim: o.Claim = False,
    explain: o.Explain = False,
) -> None:
    """List the ready work items, the most urgent first.

    With --claim: claim the first, under one lock; exit 1 if there is none. With --explain: list the
    open items that are not ready, and why.
    """
    if claim and (explain or listing.lines is not None or listing.at is not None):
        raise Usage(
            "--claim takes the first that is ready now", todo="leave out --explain, -n and --at"
        )
    if not claim and (strength.require or strength.no_sync):
        raise Usage("--require and --no-sync need --claim")
    work = Work(call)
    if claim:
        from coord_wk.confirm import Confirm

        confirm = Confirm(call, work, strength)
        call.put([_claim_first(work, set(listing.label or ()), confirm)])
        return
    items = work.items(listing.at)
    call.put(_listed(_waiting(items) if explain else map(items.row, _ready(items)), listing))


def _ready(items: Items) -> Iterator[str]:
    return (item for item in items.ranked("free") if items.status(item) == "ready")


def _waiting(items: Items) -> Iterator[Row]:
    for row in map(items.row, items.ranked("open")):
        item = row["work_id"]
        if row["status"] == "blocked":
            row["blockers"] = items.blockers(item)
        if row["status"] == "held":
            row["held_by"] = list(filter(items.holds, (item, *items.ancestors(item))))
        if row["status"] != "ready":
            yield row


def _claim_first(work: Work, labels: set[str], confirm: Confirm) -> Event:
    """The claim on the first ready item that no other store turns out to hold."""
    while True:
        with work.transaction() as (t, items):
            item = next(
                (
                    item
                    for item in _ready(items)
                    if labels <= fold.present(items.known(item), "labels").keys()
                ),
                None,
            )
            if item is None:
                raise No("nothing is ready")
            claim = t.add(draft.claimed(item, items.known(item), steal=False, reason=None))
        try:
            return confirm.settle(claim, item)
        except No:
            continue  # conceded: the item is not ready any more


def show(call: Call, ids: o.Ids = None, at: o.At = None) -> None:
    """Show everything about work items.

    Exit 1 if one does not exist.
    """
    work = Work(call)
    past = work.items(at) if at else None

    def shown(text: str) -> list[Detail]:
        items = past or work.items()  # looked at again for each: a line may come later
        return [items.detail(items.resolve(text))]

    call.each(ids, WORK, shown)


def tree(call: Call, id_: o.MaybeId = None, at: o.At = None) -> None:
    """List work items with their parts below them."""
    items = Work(call).items(at)
    tops = filter(items.top, items.ranked("open")) if id_ is None else [items.resolve(id_)]
    indent = "  " if call.out.form == "table" else ""
    call.put(row for top in tops for row in _below(items, top, indent))


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
    items = Work(call).items(at)
    counts = dict.fromkeys(("ready", "active", "blocked", "held"), 0)
    for item in items.ranked("open"):
        counts[items.status(item)] += 1
    call.put([counts])


def apply(call: Call, allow_secret: o.AllowSecret = False) -> None:
    """Make many changes at once, from JSON lines.

    {"op": "new", "as": "$a", "title": …}, then $a in place of an id in {"op": "dep", "id": "$a",
    "to": …}, and in update, comment, close, reopen. One lock, one write; errors are reported by
    line, and the other lines are done.
    """
    lines = [line for batch in call.lines() for line in batch]
    _apply(call, Work(call, allow_secret), lines, {})


def _apply(call: Call, work: Work, lines: list[stdin.Line], fixed: Json) -> None:
    """Do the operations on these lines. `fixed` are fields of all of them."""
    from coord_wk.apply import Batch

    operations = [_operation(raw, fixed) for _, raw in lines]
    with call.printing_accepted(), work.transaction() as (t, items):
        batch = Batch(items, work.mine)

        def add(t: Transaction, operation: Json) -> Event:
            event = t.add(batch.draft(operation))
            batch.record(operation, event)
            return event

        answers = [attempted(t, operation, add) for operation in operations]
    call.tell_each(zip((f"line {number}" for number, _ in lines), answers, strict=True))


def _operation(raw: bytes, fixed: Json) -> Json | Fault:
    try:
        return stdin.record(raw) | fixed
    except Fault as fault:
        return fault


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
