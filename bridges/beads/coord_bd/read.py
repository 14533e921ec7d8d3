"""The verbs of bd that only read."""

from __future__ import annotations

from coord_bd import text
from coord_bd.answer import Answer, cut
from coord_bd.expression import Expression
from coord_bd.issue import name_of
from coord_bd.query import Query, kind, listed, number, ordered, ready
from coord_bd.write import touched
from coord_envelope import No, Usage, world
from coord_envelope.event import address
from coord_wk.desk import agent_of, owner_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coord_bd.issue import Issues
    from coord_envelope.codec import Json

    Values = dict[str, Any]

LIMIT, READY, AGENT = 50, 100, 20
DAY_MS = 86_400_000


def _limit(values: Values, usual: int) -> int | None:
    if "limit" in values:
        return number(values["limit"]) or None
    return None if values.get("all") else usual


def list_(issues: Issues, _: list[str], values: Values) -> Answer:
    """list"""
    usual = AGENT if world.getenv("BD_AGENT_MODE") == "1" else LIMIT
    found, note = cut(listed(Query(issues, values), values), _limit(values, usual))
    rows = [issues.counted(item) for item in found]
    lines = text.flat(rows, issues) if values.get("flat") else text.tree(rows, values)
    return Answer(rows, lines, note=note)


def ready_(issues: Issues, _: list[str], values: Values) -> Answer:
    """ready"""
    top = values.get("mol") or values.get("parent")
    deep = {"deep": True, "parent": top} if top else {}
    found, note = cut(ready(Query(issues, {**values, **deep}), values), _limit(values, READY))
    rows = [issues.counted(item) for item in found]
    return Answer(rows, text.ready(rows), note=note)


def show(issues: Issues, args: list[str], values: Values) -> Answer:
    """show: an array, also for one id"""
    asked = [*args, *values.get("id", ())]
    if values.get("current"):
        asked.append(touched(issues.desk))
    if not asked:
        raise Usage("at least one issue ID is required")
    answer = Answer([], [])
    for name in asked:
        try:
            item = issues.desk.resolve(issues.items, name)
        except (No, Usage) as fault:
            answer.fail(name, fault)
            continue
        if values.get("children"):
            parts = [part for part in issues.items.children(item) if not issues.gone(part)]
            answer.obj += [issues.counted(part) for part in parts]
            answer.lines += text.tree([issues.counted(part) for part in parts], values)
            continue
        row = issues.shown(item, bool(values.get("dependents")), bool(values.get("comments")))
        answer.obj.append(row)
        whole = issues.shown(item, True, True)
        answer.lines += [text.line(row)] if values.get("short") else text.page(whole)
    return answer.judged()


def blocked(issues: Issues, _: list[str], values: Values) -> Answer:
    """blocked"""
    deep = {"deep": True} if "parent" in values else {}
    query = Query(issues, {**values, **deep})
    names = (item for item in query.names(False) if issues.blockers(item))
    rows = []
    for item in ordered(query, names)[: _limit(values, 0) or None]:
        by = [issues.id(each) for each in issues.blockers(item)]
        rows.append({**issues.issue(item), "blocked_by_count": len(by), "blocked_by": by})
    return Answer(rows, text.blocked(rows))


def search(issues: Issues, args: list[str], values: Values) -> Answer:
    """search: title, description, id"""
    words = (values.get("query") or " ".join(args)).lower()
    if not words:
        raise Usage("search query is required")
    query = Query(issues, values)

    def says(item: str) -> bool:
        texts = (query.text(item, "title"), query.text(item, "desc"), issues.id(item).lower())
        return any(words in each for each in texts)

    everything = {"closed", "all"} & set(values.get("status", ()))
    names = (item for item in query.names(bool(everything)) if says(item))
    found = ordered(query, names, values.get("sort", ""), bool(values.get("reverse")))
    found, note = cut(found, _limit(values, LIMIT))
    rows = [issues.counted(item, brief=True) for item in found]
    return Answer(rows, text.tree(rows, values), note=note)


def query(issues: Issues, args: list[str], values: Values) -> Answer:
    """query: an expression"""
    named: list[str] = []

    def issue(asked: str) -> str:
        named.append(issues.desk.resolve(issues.items, asked))
        return issues.id(named[-1])

    parsed = Expression(
        " ".join(args),
        {
            "id": issue,
            "parent": lambda asked: issues.id(issues.desk.resolve(issues.items, asked)),
            "assignee": lambda asked: name_of(address(agent_of(asked))),
        },
    )
    closed = bool(values.get("all")) or not parsed.fields.isdisjoint(("status", "closed"))
    mine = Query(issues, {})
    # A closed issue that is named is there, too, as with `list --id`.
    items = {*mine.names(closed), *(item for item in named if not issues.gone(item))}
    names = ordered(mine, iter(items), values.get("sort", ""), bool(values.get("reverse")))
    rows = [row for row in map(issues.counted, names) if parsed.fits(row)]
    rows, note = cut(rows, _limit({k: v for k, v in values.items() if k != "all"}, LIMIT))
    return Answer(rows, text.tree(rows, values), note=note)


def children(issues: Issues, args: list[str], values: Values) -> Answer:
    """children: parts of any status"""
    query = Query(issues, {"parent": args[0]})
    rows = [issues.counted(item) for item in ordered(query, query.names(True))]
    return Answer(rows, text.tree(rows, values))


def count(issues: Issues, _: list[str], values: Values) -> Answer:
    """count: of all statuses"""
    found = listed(Query(issues, values), {**values, "infra": True}, everything=True)
    groups: Json = {
        "by_status": lambda item: [issues.status(item)],
        "by_priority": lambda item: [f"P{issues.issue(item)['priority']}"],
        "by_type": lambda item: [issues.items.kind(item)],
        "by_assignee": lambda item: [issues.assignee(item) or "(unassigned)"],
        "by_label": lambda item: issues.labels(item).get("labels", []) or ["(no labels)"],
    }
    by = next((groups[name] for name in groups if values.get(name)), None)
    if by is None:
        return Answer({"count": len(found)}, [str(len(found))])
    numbers: dict[str, int] = {}
    for item in found:
        for group in by(item):
            numbers[group] = numbers.get(group, 0) + 1
    rows = [{"group": group, "count": numbers[group]} for group in sorted(numbers)]
    lines = [f"Total: {len(found)}", *(f"{row['group']}: {row['count']}" for row in rows)]
    return Answer({"total": len(found), "groups": rows}, lines)


def status(issues: Issues, _: list[str], values: Values) -> Answer:
    """status, stats"""
    query = Query(issues, {})
    names = list(query.names(True))
    by = [issues.status(item) for item in names]
    opened = [item for item in names if issues.items.is_open(item)]
    hours = [_hours(issues, item) for item in names if not issues.items.is_open(item)]
    summary = {
        "total_issues": len(names),
        "open_issues": by.count("open"),
        "in_progress_issues": by.count("in_progress"),
        "closed_issues": by.count("closed"),
        "blocked_issues": sum(bool(issues.blockers(item)) for item in opened),
        "deferred_issues": by.count("deferred"),
        "ready_issues": len(ready(Query(issues, {}), {})),
        "pinned_issues": by.count("pinned"),
        "epics_eligible_for_closure": len(_eligible(issues)),
        "average_lead_time_hours": round(sum(hours) / len(hours), 2) if hours else 0,
    }
    return Answer({"summary": summary}, text.summary(summary))


def _hours(issues: Issues, item: str) -> float:
    issue = issues.issue(item)
    begin, end = world.parse_ts(issue["created_at"]), world.parse_ts(issue["closed_at"])
    return (end - begin) / 3_600_000


def stale(issues: Issues, _: list[str], values: Values) -> Answer:
    """stale: open, not touched for days"""
    since = world.format_ts(world.now_ms() - number(values.get("days", "30"), "--days") * DAY_MS)
    query = Query(issues, {"status": values["status"]} if values.get("status") else {})
    found = [item for item in issues.items.untouched(since) if query.fits(item)]
    found, note = cut([item for item in found if not issues.gone(item)], _limit(values, LIMIT))
    rows = [{**issues.issue(item), **issues.labels(item)} for item in found]
    return Answer(rows, text.tree(rows, values), note=note)


def _epics(issues: Issues) -> list[Json]:
    query = Query(issues, {"type": "epic"})
    rows = []
    for item in ordered(query, query.names(False)):
        total, closed = issues.parts(item)
        done = total > 0 and total == closed
        counts = {"total_children": total, "closed_children": closed, "eligible_for_close": done}
        rows.append({"epic": {**issues.issue(item), **issues.labels(item)}, **counts})
    return rows


def _eligible(issues: Issues) -> list[Json]:
    return [row for row in _epics(issues) if row["eligible_for_close"]]


def epic_status(issues: Issues, _: list[str], values: Values) -> Answer:
    """epic status"""
    rows = _eligible(issues) if values.get("eligible") else _epics(issues)
    return Answer(rows, text.epics(rows))


def dep_list(issues: Issues, args: list[str], values: Values) -> Answer:
    """dep list: Linked of one id, Deps of several"""
    up = values.get("direction", "down") == "up"
    kinds = [kind(word) for word in values.get("type", "").split(",") if word]
    if len(args) == 1 or up:
        item = issues.desk.resolve(issues.items, args[0])
        links = issues.up(item) if up else issues.down(item)
        rows = issues.linked([link for link in links if not kinds or link[1] in kinds])
        return Answer(rows, text.links(rows))
    answer = Answer([], [])
    for name in args:
        try:
            item = issues.desk.resolve(issues.items, name)
        except (No, Usage) as fault:
            answer.fail(name, fault)
            continue
        deps = [dep for dep in issues.deps(item) if not kinds or dep["type"] in kinds]
        answer.obj += deps
        answer.lines += [f"{dep['issue_id']} {dep['type']} {dep['depends_on_id']}" for dep in deps]
    return answer


def dep_tree(issues: Issues, args: list[str], values: Values) -> Answer:
    """dep tree: depth first, each with its depth and parent"""
    top = issues.desk.resolve(issues.items, args[0])
    most = number(values.get("depth", "50"), "--max-depth")
    way = "up" if values.get("reverse") else values.get("direction", "down")
    if way not in ("up", "down", "both"):
        raise Usage(f"invalid direction {way!r} (valid: up, down, both)")
    rows: list[Json] = []
    met = set[str]()
    todo = [(top, 0, "", "")]
    while todo:
        item, depth, above, edge = todo.pop()
        if item in met or issues.items.state(item) is None:
            continue
        met.add(item)
        links = [] if way == "up" else issues.down(item)
        links = links + ([] if way == "down" else issues.up(item))
        row = {**issues.issue(item), "depth": depth, "parent_id": above}
        row |= {"edge_from_parent": edge} if edge else {}
        rows.append(row | {"truncated": depth >= most and bool(links)})
        if depth < most:
            todo += [(to, depth + 1, issues.id(item), by) for to, by in reversed(links)]
    return Answer(rows, [f"{'  ' * row['depth']}{text.line(row)}" for row in rows])


def dep_cycles(issues: Issues, _: list[str], values: Values) -> Answer:
    """dep cycles: those that two stores made before they met"""
    found = [item for item in issues.items.ranked("open") if issues.items.cyclic(item)]
    rows = [[issues.id(item), *map(issues.id, issues.items.cyclic(item))] for item in found]
    return Answer(rows, [" -> ".join(row) for row in rows] or ["No dependency cycles detected"])


def labels(issues: Issues, args: list[str], values: Values) -> Answer:
    """label list"""
    item = issues.desk.resolve(issues.items, args[0])
    found = issues.labels(item).get("labels", [])
    return Answer(found, [f"{args[0]} has no labels"] if not found else [f"- {x}" for x in found])


def all_labels(issues: Issues, _: list[str], values: Values) -> Answer:
    """label list-all"""
    numbers: dict[str, int] = {}
    for item in Query(issues, {}).names(True):
        for label in issues.labels(item).get("labels", ()):
            numbers[label] = numbers.get(label, 0) + 1
    rows = [{"label": label, "count": numbers[label]} for label in sorted(numbers)]
    return Answer(rows, [f"{row['label']}: {row['count']}" for row in rows])


def comments(issues: Issues, args: list[str], values: Values) -> Answer:
    """comments"""
    rows = issues.comments(issues.desk.resolve(issues.items, args[0]))
    return Answer(rows, text.comments(rows))


def next_for(issues: Issues) -> list[str]:
    """Ready items that nobody is to do."""
    found = ready(Query(issues, {"unassigned": True}), {"unassigned": True})
    return [item for item in found if not owner_of(issues.items.known(item))]


READING = {
    "list": list_,
    "ready": ready_,
    "show": show,
    "blocked": blocked,
    "search": search,
    "query": query,
    "children": children,
    "count": count,
    "status": status,
    "stale": stale,
    "epic status": epic_status,
    "dep list": dep_list,
    "dep tree": dep_tree,
    "dep cycles": dep_cycles,
    "label list": labels,
    "label list-all": all_labels,
    "comments": comments,
}
