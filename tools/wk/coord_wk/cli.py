"""The commands of wk: look, decide, append, print."""

from __future__ import annotations

from itertools import islice

from coord_envelope import SELF, Fault, No, Usage
from coord_kernel.cli import process
from coord_kernel.cli.call import Call
from coord_kernel.cli.command import elsewhere
from coord_kernel.rules import claims
from coord_wk import draft, fold
from coord_wk import groups as g
from coord_wk.items import conflicts
from coord_wk.listing import checked, detailed, listed, statuses_of
from coord_wk.selection import by_status, groups, select
from coord_wk.work import WORK, Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_wk import options as o
    from coord_wk.confirm import Confirm
    from coord_wk.items import Detail, Items
    from coord_wk.selection import Groups


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
        if fields.given() or making.given().keys() - {"allow_missing"}:
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
        "hold": making.hold or None,
        "defer_until": making.defer_until and call.moment(making.defer_until, ahead=True),
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
    statuses, closed = statuses_of(selection.status, listing)
    work = Work(call)
    items = work.items(listing.at)
    wanted = groups(items, listing) + by_status(statuses)
    stuck = _stuck(call, items) if selection.stalled else {}
    names = (
        item
        for item in select(items, wanted, closed or selection.all_)
        if items.status(item) in statuses
        and (not selection.conflicts or conflicts(items.known(item)))
        and (not selection.stalled or item in stuck)
    )
    rows = listed(call, work, items, names, listing)
    call.put({**row, **stuck[row["work_id"]]} for row in rows) if stuck else call.put(rows)
    if call.out.terminal and not call.journal.size():
        from coord_kernel.cli.invite import invite

        invite(call.journal.store)


def _stuck(call: Call, items: Items) -> dict[str, Json]:
    """The items whose holders are stuck or gone: how, and by which evidence."""
    from coord_kernel.rules.health import STUCK

    found = _healths(call, items)
    return {item: how for item, how in found.items() if how["health"] in STUCK}


def _healths(call: Call, items: Items) -> dict[str, Json]:
    """How the sessions of this store are that hold items, and by which evidence."""
    from coord_kernel.cli.health import of_work

    return {
        items.name(item): {"health": how["state"], "age_ms": how["age_ms"], "why": how["why"]}
        for item, how in of_work(call.journal.store)
    }


def ready(
    call: Call,
    listing: g.Listing,
    strength: g.Strength,
    first: g.First,
    explain: o.Explain = False,
) -> None:
    """List the ready work items, the most urgent first.

    Not those of a kind that is not work, such as message, unless --kind names it. With --claim:
    claim the first that is not assigned to another agent, nor unsigned where signers are known,
    under one lock; exit 1 if there is none.
    With --explain: list the open items that are not ready, and why.
    """
    shows = explain or listing.full or listing.lines is not None or listing.at is not None
    if first.claim and shows:
        raise Usage(
            "--claim takes the first that is ready now",
            todo="leave out --explain, --full, -n and --at",
        )
    if not first.claim and (strength.require or strength.no_sync or first.anyone):
        raise Usage("--require, --no-sync and --anyone need --claim")
    checked(listing)
    work = Work(call)
    if first.claim:
        from coord_wk.confirm import Confirm

        confirm = Confirm(call, work, strength)
        for_me = None if first.anyone else call.actor()["agent_id"]
        call.put([_claim_first(work, listing, confirm, for_me)])
        return
    items = work.items(listing.at)
    wanted = groups(items, listing)
    if not explain:
        call.put(listed(call, work, items, _ready(items, listing, wanted), listing))
        return
    names = (item for item in select(items, wanted) if _reason(items, item))
    rows = listed(call, work, items, names, listing)
    call.put({**row, **_reason(items, row["work_id"])} for row in rows)


def _ready(items: Items, listing: g.Listing, wanted: Groups) -> Iterator[str]:
    left_out = {*(() if listing.kind else draft.NOT_WORK), *(listing.not_kind or ())}
    return (
        item
        for item in select(items, wanted, rest="free")
        if items.kind(item) not in left_out and items.status(item) == "ready"
    )


def _reason(items: Items, item: str) -> Json:
    """Why an open item is not ready to be worked on; empty if it is."""
    status = items.status(item)
    why: Json = {"status": status} if status != "ready" else {}
    if status == "blocked":
        why["blockers"] = items.blockers(item)
        if unknown := items.unknown(item):
            why["unknown_here"] = unknown
    if status == "held":
        why["held_by"] = items.held_by(item)
        if hold := fold.value(items.known(item), "hold"):
            why["hold"] = hold
    if items.kind(item) in draft.NOT_WORK:
        why["not_work"] = True
    return why


def _claim_first(work: Work, listing: g.Listing, confirm: Confirm, me: str | None) -> Event:
    """The claim on the first ready item that no other store turns out to hold.

    With `me`, items assigned to other agents are left out.
    """
    mine = [] if me is None else [[f"assignee {me}", "assignee "]]
    while True:
        with work.transaction() as (t, items):
            wanted = groups(items, listing)
            item = next(_takeable(items, listing, wanted + mine), None)
            if item is None:
                raise _nothing_ready(items, _ready(items, listing, wanted))
            work.refuse_second(items)
            claim = t.add(draft.claimed(item, items.known(item)))
        try:
            return work.described(confirm.settle(claim, item), items, item)
        except No:
            continue  # conceded: the item is not ready any more


def _takeable(items: Items, listing: g.Listing, wanted: Groups) -> Iterator[str]:
    """The ready items but questions, which are answered, and what a stranger may have written."""
    return (item for item in _ready(items, listing, wanted) if _is_takeable(items, item))


def _is_takeable(items: Items, item: str) -> bool:
    return items.kind(item) != "question" and not items.unsigned(item)


def _nothing_ready(items: Items, ready: Iterable[str]) -> No:
    """Why nothing of this is taken."""
    left = [item for item in ready if items.kind(item) != "question"]
    others = [item for item in left if not items.unsigned(item)]
    if not left:
        return No("nothing is ready", code="empty")
    if not others:
        what = f"nothing is ready that somebody has signed ({len(left)} are unsigned)"
        return No(what, todo="`wk claim ID` takes one", code="empty")
    what = f"nothing is ready that is not assigned to another agent ({len(others)} are)"
    return No(what, todo="--anyone takes what is assigned to others", code="empty")


def show(call: Call, ids: o.Ids = None, at: o.At = None) -> None:
    """Show everything about work items.

    Exit 1 if one does not exist.
    """
    work = Work(call)
    past = work.items(at) if at else None

    def shown(text: str) -> list[Detail]:
        items = past or work.items()  # looked at again for each: a line may come later
        return [detailed(call, work, items, items.resolve(text))]

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
        row, progress = items.row(item), items.progress(item)
        counted = f" ({progress['closed']}/{progress['of']})" if indent and progress else ""
        shown = {"depth": depth, **row, "title": f"{indent * depth}{row['title']}{counted}"}
        yield shown if progress is None else {**shown, "progress": progress}
        parts = [part for part in items.children(item) if part not in seen]
        seen.update(parts)
        todo += [(part, depth + 1) for part in reversed(parts)]


def mine(call: Call, at: o.At = None) -> None:
    """List the work items that you hold.

    In any session and any store: each with the session that claimed it, and how that is.
    """
    items = Work(call).items(at)
    names = list(items.owned(call.actor()["agent_id"]))
    healths: dict[str, Json] = {}
    if names and at is None:
        try:
            healths = _healths(call, items)
        except Fault as fault:  # of the settings of the patrol, which hide no work
            call.warn(str(fault))
    call.put(
        {**items.row(item), **_holder(call, items, item), **healths.get(item, {})} for item in names
    )


def _holder(call: Call, items: Items, item: str) -> Json:
    """The session that holds an item, and the replica if that is another one."""
    holder = claims.owner(items.known(item))
    if holder is None:
        return {}
    own = holder["replica"] in call.journal.store.replicas()
    found = {"session": holder["session"], "replica": None if own else holder["replica"]}
    return {name: text for name, text in found.items() if text}


def status(call: Call, at: o.At = None) -> None:
    """Count the open work items by status."""
    call.put([Work(call).items(at).counts()])


def apply(
    call: Call,
    allow_missing: o.AllowMissing = False,
    allow_secret: o.AllowSecret = False,
    atomic: o.Atomic = False,
) -> None:
    """Make many changes at once, from JSON lines.

    {"op": "new", "as": "$a", "title": …}, then $a in place of an id in {"op": "dep", "id": "$a",
    "to": …}, and in update, comment, claim, close, reopen. All are written at once, of very many
    5,000 at a time; errors are reported by line, and the other lines are done. With --atomic: all
    or none.
    """
    from coord_wk.apply import Changes

    lines = [line for batch in call.lines() for line in batch]
    changes = Changes(call, Work(call, allow_secret), allow_missing)
    if atomic:
        changes.make_all(lines)
    else:
        changes.make(lines, {})


artifact, comment, dep, reopen, update = elsewhere(
    "coord_wk.change", "artifact", "comment", "dep", "reopen", "update"
)
claim, close, handoff, release = elsewhere("coord_wk.claim", "claim", "close", "handoff", "release")
log, search, stale, watch = elsewhere("coord_wk.questions", "log", "search", "stale", "watch")
export, import_ = elsewhere("coord_wk.transfer", "export", "import_")
(edit,) = elsewhere("coord_wk.edit", "edit")
answer, ask, check = elsewhere("coord_wk.asking", "answer", "ask", "check")
COMMANDS = (
    *(new, ls, ready, show, claim, release, handoff, close, reopen, update, edit, comment),
    *(artifact, dep, ask, answer, check, tree, mine, status, search, log, stale),
    *(apply, import_, export, watch),
)
ABOUT = "Work items: find, claim, do and close them."


def main() -> None:
    from coord_wk.argv import TABLE

    process.run("wk", ABOUT, COMMANDS, "coord_wk.options", TABLE)
