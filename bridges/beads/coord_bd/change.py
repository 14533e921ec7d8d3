"""The verbs of bd that change an issue's status: update, close, reopen, delete."""

from __future__ import annotations

from coord_bd.answer import Answer, said
from coord_bd.issue import GONE, HOLDS, OWN, STATUSES, Issues, name_of
from coord_bd.query import Query, kind, moment, priority, ready
from coord_bd.write import as_set, metadata_of, own_fields, text_of, touch, touched
from coord_envelope import BadData, No, Usage, world
from coord_wk.desk import agent_of, owner_of, spread, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.journal.transaction import Transaction
    from coord_wk.desk import Desk, Wish
    from coord_wk.items import Items

    Values = dict[str, Any]

UNCHANGED = ("claim", "stdin", "session", "json", "actor", "format", "quiet", "verbose", "ignored")


def update(desk: Desk, args: list[str], values: Values) -> Answer:
    """update"""
    if not values.keys() - {*UNCHANGED} and not values.get("claim") and not values.get("stdin"):
        return Answer([], ["No updates specified"])
    words = _words(values)
    names = args or [touched(desk)]
    answer = Answer([], [])
    for name in names:
        claim: Event | None = None
        try:
            with desk.transaction() as (t, items):
                item = desk.resolve(items, name)
                issues = Issues(desk, items)
                if values.get("claim"):
                    claim = _claim(desk, t, issues, item)
                wish = _wish(desk, items, item, values, words)
                if claim is None or wish != {"set": {}}:
                    _after(desk, t, items, item, wish, claim)
            if claim:
                desk.secure(claim)
        except (No, BadData, Usage) as fault:
            answer.fail(name, fault)
            continue
        touch(desk, item)
        now = Issues(desk, desk.items())
        answer.obj.append({**now.issue(item), **now.labels(item)})
        answer.lines.append(f"✓ Updated issue: {now.id(item)} — {answer.obj[-1]['title']}")
    if answer.failures and not answer.obj:
        answer.status, answer.obj = 1, None
    return answer


def _claim(desk: Desk, t: Transaction, issues: Issues, item: str) -> Event | None:
    """The claim of the caller on an open item; None: it holds it. Raises No: it is refused."""
    items, me = issues.items, str(desk.actor()["agent_id"])
    holder, status = owner_of(items.known(item)), issues.status(item)
    if holder and desk.mine(holder):
        return None
    if holder:
        raise No(
            f"issue {issues.id(item)} already claimed by {name_of(desk.named(holder))}", code="held"
        )
    if status != "open":
        raise No(f"issue {issues.id(item)} not claimable: status is {status}", code="wrong_state")
    assignee = value(items.known(item), "assignee")
    if assignee not in (None, me):
        raise No(f"issue {issues.id(item)} already claimed by {issues.assignee(item)}", code="held")
    desk.refuse_second(items)
    wish: Wish = {"status": "in_progress", "set": {"assignee": me}}
    return desk.bring(t, items, item, wish)[-1]


def _after(
    desk: Desk, t: Transaction, items: Items, item: str, wish: Wish, claim: Event | None
) -> None:
    """Add the other changes; after a claim their base is the claim."""
    if claim is None:
        desk.bring(t, items, item, wish)
        return
    # The items do not know the claim yet: what concerns it is added by hand.
    who = wish["set"].pop("assignee", None)
    if who not in (None, desk.actor()["agent_id"]):
        raise Usage("--claim with --assignee of another agent: leave one of them out")
    if wish.get("status", "in_progress") != "in_progress":
        raise Usage("--claim with --status: leave one of them out")
    wish.pop("status", None)
    desk.bring(t, items, item, wish, base=[claim.id])


def _words(values: Values) -> Json:
    """The registers that the options set."""
    words: Json = as_set({**own_fields(values), **metadata_of(values)})
    desc = text_of(values)
    if desc is not None:
        words["desc"] = desc or None
    if "title" in values:
        words["title"] = values["title"]
    if "type" in values:
        words["kind"] = kind(values["type"])
    if "priority" in values:
        words["priority"] = priority(values["priority"])
    if "assignee" in values:
        words["assignee"] = agent_of(values["assignee"]) if values["assignee"] else None
    if "session" in values:
        words |= as_set({f"{OWN}closed_by_session": values["session"] or None})
    return words


def _wish(desk: Desk, items: Items, item: str, values: Values, words: Json) -> Wish:
    """What the options want an item to be. Raises Usage, No."""
    words = dict(words)
    wish: Wish = {"set": words}
    if "append_notes" in values:
        notes = Issues(desk, items).fields(item).get(f"{OWN}notes")
        text = f"{notes}\n{values['append_notes']}" if notes else values["append_notes"]
        words |= as_set(spread(f"{OWN}notes", text))
    if "parent" in values:
        words["parent"] = desk.resolve(items, values["parent"]) if values["parent"] else None
    _labels(items, item, values, wish)
    status = values.get("status")
    if status is not None:
        _status(status, wish)
    if "defer" in values:
        then = moment(values["defer"]) if values["defer"] else None
        late = then is not None and then > items.now
        if late or Issues(desk, items).status(item) == "deferred":
            wish.setdefault("status", "held" if late else "open")
        words["defer_until"] = then
        words.setdefault("hold", None)
    return wish


def _status(status: str, wish: Wish) -> None:
    if status not in STATUSES:
        raise Usage(f"invalid status {status!r} (valid: {', '.join(STATUSES)})")
    wish["status"] = "held" if status in HOLDS else status
    if status in HOLDS:
        wish["set"]["hold"] = status
    if status == "closed":
        wish["closing"] = {"resolution": "done"}


def _labels(items: Items, item: str, values: Values, wish: Wish) -> None:
    add, rm = list(values.get("add_label", ())), list(values.get("remove_label", ()))
    if "set_labels" in values:
        add = values["set_labels"]
        rm = [label for label in items.row(item).get("labels", []) if label not in add]
    if add:
        wish["add"] = {"labels": add}
    if rm:
        wish["rm"] = {"labels": rm}


def close(desk: Desk, args: list[str], values: Values) -> Answer:
    """close, done: every id is looked up before any is closed"""
    names = args or [touched(desk)]
    reasons = values.get("reason", [])
    if "reason_file" in values:
        reasons = [text_of({"file": values["reason_file"]}, "reason") or ""]
    if len(reasons) > 1 and len(reasons) != len(names):
        raise Usage(f"{len(reasons)} reasons for {len(names)} issues: give one, or one each")
    found = [desk.resolve(desk.items(), name) for name in names]
    answer = Answer([], [])
    closed: list[str] = []
    for at, (name, item) in enumerate(zip(names, found, strict=True)):
        reason = reasons[at] if len(reasons) > 1 else (reasons or [""])[0]
        try:
            with desk.transaction() as (t, items):
                issues = Issues(desk, items)
                if not values.get("force"):
                    _refuse_close(issues, item)
                _refuse_robbed(desk, issues, item)
                by = values.get("session") or world.getenv("CLAUDE_SESSION_ID")
                session = {"closed_by_session": by} if by else {}
                wish: Wish = {"status": "closed", "set": _prefixed(session)}
                wish["closing"] = {"resolution": "done"} | ({"note": reason} if reason else {})
                desk.bring(t, items, item, wish)
        except (No, BadData, Usage) as fault:
            answer.fail(name, fault)
            continue
        closed.append(item)
        touch(desk, item)
    now = Issues(desk, desk.items())
    answer.obj = [{**now.issue(item), **now.labels(item)} for item in closed]
    answer.lines = [f"✓ Closed {row['id']}: {row['close_reason']}" for row in answer.obj]
    if answer.failures and not closed:
        answer.status, answer.obj = 1, None
        return answer
    return _then(desk, answer, now, closed, values)


def _prefixed(fields: Json) -> Json:
    return as_set({f"{OWN}{name}": each for name, each in fields.items()})


def _refuse_close(issues: Issues, item: str) -> None:
    """Raise No for what bd closes with --force only."""
    if issues.status(item) == "closed":
        return
    if open_ := issues.blockers(item):
        by = ", ".join(map(issues.id, open_))
        raise No(
            f"cannot close {issues.id(item)}: blocked by open issues: {by}",
            todo="--force overrides",
            code="wrong_state",
        )
    total, closed = issues.parts(item)
    if issues.items.kind(item) == "epic" and total > closed:
        raise No(
            f"cannot close epic {issues.id(item)}: {total - closed} open child issue(s)",
            todo="--force overrides",
            code="wrong_state",
        )
    if issues.status(item) == "pinned":
        raise No(
            f"cannot close pinned issue {issues.id(item)}",
            todo="--force overrides",
            code="wrong_state",
        )


def _refuse_robbed(desk: Desk, issues: Issues, item: str) -> None:
    """Raise No if another agent took the item over from the caller: what it did is not lost."""
    state = issues.items.known(item)
    holder = owner_of(state)
    if holder and not desk.mine(holder) and desk.robbed(state):
        raise No(
            f"{issues.id(item)} was taken over by {name_of(holder['agent'])}",
            todo=f"keep your result with `bd comment {issues.id(item)} …`",
            code="held",
        )


def _then(desk: Desk, answer: Answer, now: Issues, closed: list[str], values: Values) -> Answer:
    """What --suggest-next and --claim-next add."""
    if values.get("suggest_next"):
        waiting = {other for item in closed for other, _ in now.up(item)}
        free = [item for item in ready(Query(now, {}), {}) if item in waiting]
        if free:
            answer.obj = {"closed": answer.obj, "unblocked": [now.issue(item) for item in free]}
            answer.lines += ["", "Newly unblocked:", *(f"  {now.id(item)}" for item in free)]
    if values.get("claim_next") and (claimed := claim_first(desk, {})):
        answer.obj = {"closed": answer.obj, "claimed": claimed}
        answer.lines.append(f"✓ Claimed {claimed['id']}: {claimed['title']}")
    return answer


def claim_first(desk: Desk, values: Values) -> Json | None:
    """The first ready issue that nobody is to do, claimed; None if there is none."""
    while True:
        with desk.transaction() as (t, items):
            issues = Issues(desk, items)
            wanted = {**values, "unassigned": True}
            deep = {"deep": True} if "parent" in values else {}
            names = ready(Query(issues, {**wanted, **deep}), values)
            item = next(iter(names), None)
            if item is None:
                return None
            claim = _claim(desk, t, issues, item)
        try:
            if claim:
                desk.secure(claim)
        except No:
            continue  # another store has it
        touch(desk, item)
        return Issues(desk, desk.items()).counted(item)


def each(desk: Desk, names: list[str], act: Callable[[Transaction, Issues, str], str]) -> Answer:
    """The issues after `act` on each, under a lock of its own; `act` returns the line."""
    answer = Answer([], [])
    for name in names:
        try:
            with desk.transaction() as (t, items):
                item = desk.resolve(items, name)
                line = act(t, Issues(desk, items), item)
        except (No, BadData, Usage) as fault:
            answer.failures.append(f"Error: {said(fault, name)}")
            answer.status = 1
            continue
        touch(desk, item)
        now = Issues(desk, desk.items())
        answer.obj.append({**now.issue(item), **now.labels(item)})
        answer.lines.append(line)
    return answer


def reopen(desk: Desk, args: list[str], values: Values) -> Answer:
    """reopen: 1 if any failed; what is open already is noted"""

    def act(t: Transaction, issues: Issues, item: str) -> str:
        if issues.items.is_open(item):
            return f"{issues.id(item)} is already open"
        desk.bring(t, issues.items, item, {"status": "open", "set": _prefixed({GONE[3:]: None})})
        if values.get("reason"):
            desk.comment(t, issues.items, item, values["reason"])
        return f"↻ Reopened {issues.id(item)}"

    return each(desk, args, act)


def delete(desk: Desk, args: list[str], values: Values) -> Answer:
    """delete: cancelled, and shown by bd no more"""
    issues = Issues(desk, desk.items())
    found = [desk.resolve(issues.items, name) for name in args]
    if values.get("cascade"):
        for item in found:
            found += [up for up, _ in issues.up(item) if up not in found]
    if not values.get("force") or values.get("dry_run"):
        names = [f"  {issues.id(item)}: {issues.issue(item)['title']}" for item in found]
        return Answer(None, ["DELETE PREVIEW", *names, "", "To proceed, use --force"])
    links = sum(len(issues.down(item)) + len(issues.up(item)) for item in found)
    names = [issues.id(item) for item in found]
    with desk.transaction() as (t, items):
        for item in found:
            wish: Wish = {"status": "closed", "set": _prefixed({GONE[3:]: True})}
            wish["closing"] = {"resolution": "cancelled", "note": "deleted"}
            desk.bring(t, items, item, wish)
    gone: Any = names[0] if len(names) == 1 else names
    obj: Json = {"deleted": gone, "dependencies_removed": links, "references_updated": 0}
    return Answer(obj, [f"✓ Deleted {', '.join(names)}"])


def close_eligible(desk: Desk, args: list[str], values: Values) -> Answer:
    """epic close-eligible"""
    done: list[str] = []
    with desk.transaction() as (t, items):
        issues = Issues(desk, items)
        for item in list(Query(issues, {"type": "epic"}).names(False)):
            total, closed = issues.parts(item)
            if total and total == closed:
                done.append(issues.id(item))
                note = "All children completed"
                closing = {"resolution": "done", "note": note}
                if not values.get("dry_run"):
                    desk.bring(t, items, item, {"status": "closed", "closing": closing})
    return Answer({"closed": done, "count": len(done)}, [f"✓ Closed epic {id_}" for id_ in done])


__all__ = ["close", "close_eligible", "delete", "reopen", "update"]
