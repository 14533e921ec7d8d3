"""The commands of wk: look, decide, append, print."""

from __future__ import annotations

from itertools import islice

from coord_envelope import SELF, Fault, Filter, No, Usage
from coord_kernel.cli import process, stdin, values
from coord_wk import draft, fold
from coord_wk.apply import Batch
from coord_wk.change import artifact, claim, close, comment, dep, release, reopen, update
from coord_wk.confirm import Confirm
from coord_wk.items import conflicts as conflicts_of
from coord_wk.transfer import export, import_
from coord_wk.work import WORK, Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_wk import options as o
    from coord_wk.items import Items

    Decide = Callable[[str, Items], list[Json]]


def new(
    call: Call,
    title: o.Title = None,
    desc: o.Desc = None,
    kind: o.Kind = None,
    priority: o.Priority = None,
    label: o.Label = None,
    parent: o.Parent = None,
    blocked_by: o.BlockedBy = None,
    assignee: o.Assignee = None,
    field: o.Field = None,
    key: o.Key = None,
    allow_secret: o.AllowSecret = False,
) -> None:
    """Make a work item, or those on stdin.

    Without TITLE it reads JSON lines: {"title", "desc", "kind", "priority", "labels", "deps", "parent", "assignee",
    "hold", "defer_until", "fields", "idempotency_key"}.
    """
    work = Work(call, allow_secret)
    if title in (None, "-"):
        if any(
            option is not None
            for option in (desc, kind, priority, label, parent, blocked_by, assignee, field, key)
        ):
            raise Usage(
                "options for one item, and no TITLE",
                todo="give a TITLE, or JSON lines without options",
            )
        for batch in call.lines(asked=title == "-"):
            _apply(work, batch, {"op": "new"})
        return
    given = {
        "title": title,
        "desc": desc and values.text(desc, "--desc"),
        "kind": kind,
        "priority": priority,
        "labels": label,
        "assignee": None if assignee is None else values.agent_id(assignee, "--assignee"),
        "fields": draft.fields(field or []) or None,
        **({} if key is None else {"idempotency_key": key}),
    }

    def decide(items: Items) -> list[Json]:
        waits = [{"rel": "blocked_by", "to": work.resolve(one, items)} for one in blocked_by or ()]
        links = {
            "deps": waits or None,
            "parent": None if parent is None else work.resolve(parent, items),
        }
        made = draft.created(given | links)
        items.suppose(SELF, *draft.waits(made["body"]))
        return [made]

    if blocked_by or parent is not None:
        call.put(work.change(decide))
    else:
        call.put(call.journal.append(call.actor(), [draft.created(given)], allow_secret))


def ls(
    call: Call,
    status: o.Status = None,
    label: o.Label = None,
    kind: o.Kind = None,
    assignee: o.Assignee = None,
    all_: o.All = False,
    conflicts: o.Conflicts = False,
    lines: o.Most = None,
    at: o.At = None,
) -> None:
    """List work items, the most urgent first.

    Open ones; with --all, or a --status that is closed, those too, oldest first.
    """
    for given, words, what in (
        (status, draft.STATUSES, "status"),
        ([kind] if kind else [], draft.KINDS, "kind"),
    ):
        for word in given or ():
            if word not in words:
                raise Usage(f"--{what} {word}: no such {what}", todo=f"one of {' '.join(words)}")
    who = None if assignee is None else values.agent_id(assignee, "--assignee")
    items = Work(call).items(at)
    closed = all_ or set(status or ()) & set(draft.RESOLUTIONS)
    rows = map(items.row, items.everything() if closed else items.ranked("open"))
    wanted = (
        row
        for row in rows
        if (not status or row["status"] in status)
        and set(label or ()) <= set(row.get("labels", ()))
        and (not kind or row["kind"] == kind)
        and (not who or row.get("assignee") == who)
        and (not conflicts or conflicts_of(items.known(row["work_id"])))
    )
    call.put(islice(wanted, lines))


def ready(
    call: Call,
    label: o.Label = None,
    claim: o.Claim = False,
    explain: o.Explain = False,
    lines: o.Most = None,
    at: o.At = None,
    require: o.Require = None,
    no_sync: o.NoSync = False,
) -> None:
    """List what can be begun, the most urgent first.

    With --claim: take the first, under one lock; exit 1 if there is none. With --explain: the open items that are
    not ready, and why.
    """
    if claim and (explain or lines is not None or at is not None):
        raise Usage(
            "--claim takes the first that is ready now", todo="leave out --explain, -n and --at"
        )
    if not claim and (require or no_sync):
        raise Usage("--require and --no-sync are of a claim", todo="give --claim, too")
    work, wanted = Work(call), set(label or ())
    if claim:
        call.put([_taken(work, wanted, Confirm(call, work, require, no_sync))])
        return
    items = work.items(at)
    found = _waiting(items) if explain else map(items.row, _ready(items))
    call.put(islice((row for row in found if wanted <= set(row.get("labels", ()))), lines))


def _ready(items: Items) -> Iterator[str]:
    return (item for item in items.ranked("free") if items.status(item) == "ready")


def _waiting(items: Items) -> Iterator[Json]:
    rows = map(items.row, items.ranked("open"))
    return (row | _why(items, row) for row in rows if row["status"] != "ready")


def _taken(work: Work, labels: set[str], confirm: Confirm) -> Event:
    """The claim on the first that nobody elsewhere turns out to hold."""
    while True:
        (claim,) = work.change(lambda items: [_first(items, labels)])
        try:
            return confirm.settle(claim, claim["refs"]["work_id"])
        except No:
            continue  # conceded: it is not ready any more


def _first(items: Items, labels: set[str]) -> Json:
    for item in _ready(items):
        if labels <= fold.present(items.known(item), "labels").keys():
            return draft.claimed(item, items.known(item), steal=False, reason=None)
    raise No("nothing is ready")


def _why(items: Items, row: Json) -> Json:
    item = row["work_id"]
    if row["status"] == "blocked":
        return {"blockers": items.blockers(item)}
    if row["status"] == "held":
        return {"held_by": [one for one in (item, *items.ancestors(item)) if items.holds(one)]}
    return {}


def show(call: Call, ids: o.Ids = None, at: o.At = None) -> None:
    """Show everything about work items.

    Exit 1 if one is not there.
    """
    work = Work(call)
    then = work.items(at) if at else None

    def shown(text: str) -> list[Json]:
        items = then or work.items()  # anew for each: a line may come later than what it is about
        return [items.detail(work.resolve(text, items))]

    call.each(ids, WORK, shown)


def tree(call: Call, id_: o.MaybeId = None, at: o.At = None) -> None:
    """List work items with their parts below them."""
    work = Work(call)
    items = work.items(at)
    tops = filter(items.top, items.ranked("open")) if id_ is None else [work.resolve(id_, items)]
    call.put(
        row for top in tops for row in _below(items, top, "  " if call.out.form == "table" else "")
    )


def _below(items: Items, top: str, indent: str) -> Iterator[Json]:
    todo, seen = [(top, 0)], {top}
    while todo:
        item, depth = todo.pop()
        row = items.row(item)
        yield {"depth": depth, **row, "title": f"{indent * depth}{row['title']}"}
        parts = [one for one in items.children(item) if one not in seen]
        seen.update(parts)
        todo += [(one, depth + 1) for one in reversed(parts)]


def mine(call: Call, at: o.At = None) -> None:
    """List what you hold."""
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

    {"op": "new", "as": "$a", "title": …}, then $a in place of an id in {"op": "dep", "id": "$a", "to": …}, and in
    update, comment, close, reopen. One lock, one write; what is bad is named by its line, the others are done.
    """
    _apply(Work(call, allow_secret), [line for batch in call.lines() for line in batch], {})


def _apply(work: Work, lines: list[stdin.Line], given: Json) -> None:
    def decide(items: Items) -> list[tuple[str, Json | Fault]]:
        batch = Batch(items, lambda text: work.resolve(text, items), work.mine)
        return [(f"line {number}", _operation(batch, raw, given)) for number, raw in lines]

    work.change_each(decide)


def _operation(batch: Batch, raw: bytes, given: Json) -> Json | Fault:
    try:
        return batch.draft(stdin.record(raw) | given)
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
