"""The commands of wk: look, decide, append, print."""

from __future__ import annotations

from itertools import islice

from coord_envelope import BadData, Fault, Filter, No, Usage, inputs, tool
from coord_wk import draft, fold
from coord_wk.apply import Batch
from coord_wk.change import artifact, claim, close, comment, dep, release, reopen, update
from coord_wk.items import conflicts as conflicts_of
from coord_wk.transfer import export, import_
from coord_wk.work import WORK, Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord_envelope.codec import Json
    from coord_envelope.tool import Call
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
) -> None:
    """Make a work item, or those on stdin.

    Without TITLE it reads JSON lines: {"title", "desc", "kind", "priority", "labels", "deps", "parent", "assignee",
    "fields", "idempotency_key"}.
    """
    work = Work(call)
    if title in (None, "-"):
        if any(
            option is not None for option in (desc, kind, priority, label, parent, blocked_by, assignee, field, key)
        ):
            raise Usage("options for one item, and no TITLE", todo="give a TITLE, or JSON lines without options")
        for batch in call.lines(asked=title == "-"):
            _apply(work, batch, {"op": "new"})
        return
    items = work.items()
    waits = [{"rel": "blocked_by", "to": work.resolve(one, items)} for one in blocked_by or ()]
    above = parent and work.resolve(parent, items)
    for wait in waits:
        if above and (wait["to"] == above or items.waits(wait["to"], above)):
            raise BadData(f"{above} would wait on its part, which waits on it", where="--parent")
    given = {
        "title": title,
        "desc": desc and inputs.text(desc, "--desc"),
        "kind": kind,
        "priority": priority,
        "labels": label,
        "deps": waits or None,
        "parent": above,
        "assignee": assignee and tool.agent_id(assignee, "--assignee"),
        "fields": draft.fields(field or []) or None,
        **({} if key is None else {"idempotency_key": key}),
    }
    call.put(call.journal.append(call.actor(), [draft.created(given)]))


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
    items = Work(call).items(at)
    closed = all_ or set(status or ()) & set(draft.RESOLUTIONS)
    rows = map(items.row, items.everything() if closed else items.ranked("open"))
    wanted = (
        row
        for row in rows
        if (not status or row["status"] in status)
        and set(label or ()) <= set(row.get("labels", ()))
        and (not kind or row["kind"] == kind)
        and (not assignee or row.get("assignee") == tool.agent_id(assignee, "--assignee"))
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
) -> None:
    """List what can be begun, the most urgent first.

    With --claim: take the first, under one lock; exit 1 if there is none. With --explain: the open items that are
    not ready, and why.
    """
    work = Work(call)
    if claim:
        call.put(event.noted(level="local") for event in work.change(lambda items: [_first(items, label or [])]))
        return
    items = work.items(at)
    if explain:
        rows = map(items.row, items.ranked("open"))
        call.put(islice((row | _why(items, row) for row in rows if row["status"] != "ready"), lines))
        return
    call.put(islice(map(items.row, _ready(items, label or [])), lines))


def _ready(items: Items, labels: list[str]) -> Iterator[str]:
    for item in items.ranked("free"):
        if items.status(item) == "ready" and set(labels) <= fold.present(items.known(item), "labels").keys():
            yield item


def _first(items: Items, labels: list[str]) -> Json:
    for item in _ready(items, labels):
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

    work.each(call.ids(ids or [], *WORK), shown)


def tree(call: Call, id_: o.MaybeId = None, at: o.At = None) -> None:
    """List work items with their parts below them."""
    work = Work(call)
    items = work.items(at)
    tops = [work.resolve(id_, items)] if id_ else [one for one in items.ranked("open") if not items.ancestors(one)]

    def below(item: str, depth: int, above: tuple[str, ...]) -> Iterator[Json]:
        row = items.row(item)
        indent = "  " * depth if call.out.form == "table" else ""
        yield {"depth": depth, **row, "title": f"{indent}{row['title']}"}
        for child in items.children(item):
            if child not in above:
                yield from below(child, depth + 1, (*above, item))

    call.put(row for top in tops for row in below(top, 0, ()))


def mine(call: Call) -> None:
    """List what you hold."""
    items = Work(call).items()
    call.put(map(items.row, items.owned(call.actor()["agent_id"])))


def status(call: Call, at: o.At = None) -> None:
    """Count the open work items by status."""
    items = Work(call).items(at)
    counts = dict.fromkeys(("ready", "active", "blocked", "held"), 0)
    for item in items.ranked("open"):
        counts[items.status(item)] += 1
    call.put([counts])


def apply(call: Call) -> None:
    """Make many changes at once, from JSON lines.

    {"op": "new", "as": "$a", "title": …}, then $a in place of an id in {"op": "dep", "id": "$a", "to": …}, and in
    update, comment, close, reopen. One lock, one write; what is bad is named by its line, the others are done.
    """
    _apply(Work(call), [line for batch in call.lines() for line in batch], {})


def _apply(work: Work, lines: list[inputs.Line], given: Json) -> None:
    def decide(items: Items) -> list[tuple[str, Json | Fault]]:
        batch = Batch(items, lambda text: work.resolve(text, items), work.mine)
        return [(f"line {number}", _operation(batch, raw, given)) for number, raw in lines]

    work.change_each(decide)


def _operation(batch: Batch, raw: bytes, given: Json) -> Json | Fault:
    try:
        return batch.draft(inputs.record(raw) | given)
    except Fault as fault:
        return fault


def watch(call: Call) -> None:
    """Print work events as they come, from now on."""
    from coord_envelope.deliver import deliver

    deliver(call, call.journal.end(), Filter(types=["work.*"]))


COMMANDS = (
    *(new, ls, ready, show, claim, release, close, reopen, update, comment, artifact, dep),
    *(tree, mine, status, apply, import_, export, watch),
)
ABOUT = "Work items: find, claim, do and close them."


def main() -> None:
    tool.main("wk", ABOUT, COMMANDS, "coord_wk.options")
