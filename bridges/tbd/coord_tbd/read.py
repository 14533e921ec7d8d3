"""The verbs of tbd that only read."""

from __future__ import annotations

import os
from collections import Counter

from coord_envelope import VERSION, Usage, world
from coord_kernel.store import locate
from coord_tbd import text
from coord_tbd.issue import KINDS, STATUSES
from coord_wk.desk import NOT_WORK, agent_of, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from coord_envelope.codec import Json
    from coord_tbd.issue import Issues

    Values = dict[str, Any]
    Answer = tuple[object, list[str]]
    """What --json prints, and lines for people."""

DAY_MS = 86_400_000
CLOSED = [["status done", "status cancelled", "status duplicate", "status wontfix"]]


def priority(word: str) -> int:
    """0-4 or P0-P4. Raises Usage."""
    digit = word.strip().upper().removeprefix("P")
    if digit not in ("0", "1", "2", "3", "4"):
        raise Usage(f"Invalid priority: {word}. Use P0-P4 or 0-4.")
    return int(digit)


def cut(rows: list[Any], values: Values) -> list[Any]:
    """At most --limit of them."""
    limit = values.get("limit", "")
    return rows[: int(limit)] if limit.isdecimal() and int(limit) > 0 else rows


def list_(issues: Issues, args: list[str], values: Values) -> Answer:
    """list"""
    found = _sorted(issues, _listed(issues, values), values.get("sort", "priority"))
    rows = [issues.row(item) for item in cut(found, values)]
    if values.get("count"):
        return {"count": len(rows)}, [str(len(rows))]
    if not rows:
        return rows, ["No issues found"]
    long, draw = bool(values.get("long")), text.tree if values.get("pretty") else text.table
    lines = _by_spec(rows, draw, long) if values.get("specs") else draw(rows, long)
    return rows, [*lines, "", f"{len(rows)} issue(s)"]


def _by_spec(
    rows: list[Json], draw: Callable[[list[Json], bool], list[str]], long: bool
) -> list[str]:
    groups: dict[str, list[Json]] = {}
    for row in rows:
        groups.setdefault(row.get("spec_path", ""), []).append(row)
    lines: list[str] = []
    for spec in [name for name in groups if name] + [name for name in groups if not name]:
        title = f"Spec: {spec}" if spec else "(No spec)"
        blank = [""] if lines else []
        lines += [*blank, f"{title} ({len(groups[spec])})", "", *draw(groups[spec], long)]
    return lines


def _listed(issues: Issues, values: Values) -> Iterator[str]:
    wanted = [[f"label {label}"] for label in values.get("label", ())]
    status = values.get("status")
    if "parent" in values:
        try:
            parent = issues.find(values["parent"])
        except Exception:
            return
        wanted.append([f"parent {each}" for each in issues.items.look(parent)[1]])
    if status == "closed":
        wanted += CLOSED
    if status == "in_progress":
        wanted.append(["status active"])
    level = priority(values["priority"]) if "priority" in values else None
    who = agent_of(values["assignee"]).removeprefix("agent:") if values.get("assignee") else None
    closed = bool(values.get("all")) or status == "closed"
    for item in issues.desk.selected(issues.items, wanted, closed):
        fits = (
            (not status or issues.status(item) == status)
            and ("type" not in values or issues.kind(item) == values["type"])
            and level in (None, issues.priority(item))
            and (who is None or issues.assignee(item) == who)
            and (not values.get("deferred") or issues.status(item) == "deferred")
            and ("spec" not in values or _is_spec(issues, item, values["spec"]))
        )
        if fits:
            yield item


def _is_spec(issues: Issues, item: str, asked: str) -> bool:
    """Is this its spec: the whole path, or its end?"""
    path = str(issues.fields(item).get("spec_path") or "")
    asked = asked.removeprefix("./").rstrip("/")
    return bool(path) and (path == asked or path.endswith(f"/{asked}"))


def _sorted(issues: Issues, found: Iterator[str], by: str) -> list[str]:
    names = sorted(found)  # ids rise with time
    if by == "created":
        return names[::-1]
    if by == "updated":
        return sorted(names, key=lambda item: _last(issues, item), reverse=True)
    return sorted(names, key=issues.priority)


def _last(issues: Issues, item: str) -> str:
    return str(issues.items.known(item)["last"]["ts"])


def ready(issues: Issues, args: list[str], values: Values) -> Answer:
    """ready: open, assigned to nobody, with no open blocker of its own"""
    kind = values.get("type")
    if kind is not None and kind not in KINDS:
        raise Usage(f"Invalid type: {kind}")
    found = [
        item
        for item in issues.items.ranked("free")
        if issues.status(item) == "open"
        and issues.items.kind(item) not in NOT_WORK
        and not value(issues.items.known(item), "assignee")
        and not issues.blockers(item)
        and kind in (None, issues.kind(item))
    ]
    rows = [issues.brief(item) for item in cut(_sorted(issues, iter(found), ""), values)]
    return rows, text.table(rows, bool(values.get("long"))) if rows else []


def blocked(issues: Issues, args: list[str], values: Values) -> Answer:
    """blocked"""
    rows, lines = [], [text.HEAD]
    names = [
        item
        for item in issues.items.ranked("open")
        if issues.status(item) == "blocked" or issues.blockers(item)
    ]
    for item in cut(_sorted(issues, iter(names), ""), values):
        by = [text.compact(issues.brief(other), 20) for other in issues.blockers(item)]
        row = {**issues.brief(item), "blockedBy": by or ["(explicitly blocked)"]}
        rows.append(row)
        lines += text.table([row], bool(values.get("long")))[1:]
        lines.append(f"      blocked by: {', '.join(row['blockedBy'])}")
    return rows, lines if rows else []


def stale(issues: Issues, args: list[str], values: Values) -> Answer:
    """stale"""
    days = values.get("days", "7")
    if not days.isdecimal():
        raise Usage("Invalid days value. Must be a positive number.")
    asked = [word.strip() for word in values.get("status", "open,in_progress").split(",")]
    for word in asked:
        if word not in STATUSES:
            raise Usage(f"Invalid status: {word}")
    now, rows = world.now_ms(), []
    for item in issues.desk.selected(issues.items, [], "closed" in asked):
        age = max(0, now - world.parse_ts(_last(issues, item))) // DAY_MS
        if issues.status(item) in asked and age >= int(days):
            row = {"id": issues.id(item), "days": age, "status": issues.status(item)}
            rows.append((-age, item, row | {"title": issues.brief(item)["title"]}))
    found = [row for _, _, row in cut(sorted(rows, key=lambda each: each[:2]), values)]
    lines = [f"{'ISSUE':12}{'DAYS':6}{'STATUS':14}TITLE"]
    lines += [f"{r['id']:12}{r['days']!s:6}{r['status']:14}{r['title']}" for r in found]
    return found, lines if found else []


def show(issues: Issues, args: list[str], values: Values) -> Answer:
    """show"""
    item = issues.find(args[0])
    parent = None if values.get("no_parent") else issues.parent(item)
    if values.get("json"):
        return issues.shown(item, parent is not None), []
    lines = _truncated(text.page(issues, item), values.get("max_lines", ""))
    if parent:
        lines += ["", "The parent of this bead is:"]
        lines += _truncated(text.page(issues, parent), str(text.PARENT_LINES))
    if values.get("show_order"):
        order = [f"  - {issues.id(part)}" for part in issues.order(item)]
        lines += ["", "child_order_hints:", *(order or ["  (none)"])]
    return {}, lines


def _truncated(lines: list[str], most: str) -> list[str]:
    if not most.isdecimal() or len(lines) <= int(most):
        return lines
    left = len(lines) - int(most)
    return [*lines[: int(most)], f"… [{left} line{'' if left == 1 else 's'} omitted]"]


def search(issues: Issues, args: list[str], values: Values) -> Answer:
    """search"""
    status = values.get("status")
    if status is not None and status not in STATUSES:
        raise Usage(f"Invalid status: {status}")
    rows: list[Json] = []
    for item in sorted(issues.desk.selected(issues.items, [], True)):
        if status in (None, issues.status(item)) and (match := _match(issues, item, args, values)):
            row = issues.brief(item)
            row.pop("description", None)
            rows.append({**row, "matchField": match[0], "match": match[1]})
    rows = cut(rows, values)
    lines = [f"Found {len(rows)} result{'' if len(rows) == 1 else 's'}:", ""]
    for row in rows:
        lines += [text.compact(row), f"  [{row['matchField']}] {row['match']}", ""]
    return rows, lines if rows else []


def _match(issues: Issues, item: str, args: list[str], values: Values) -> tuple[str, str] | None:
    """The first field in which the text stands, and where."""
    plain: Callable[[str], str] = str if values.get("case") else str.lower
    issue, query = issues.issue(item), plain(args[0])
    for field in [values["field"]] if "field" in values else ("title", "description", "notes"):
        words = issue.get(field)
        if isinstance(words, str) and query in plain(words):
            return field, words if field == "title" else _snippet(
                words, plain(words).index(query), query
            )
    if values.get("field", "labels") == "labels":
        for label in issue["labels"]:
            if query in plain(label):
                return "labels", f"label: {label}"
    return None


def _snippet(words: str, at: int, query: str) -> str:
    begin, end = max(0, at - 20), min(len(words), at + len(query) + 40)
    before, after = "..." if begin else "", "..." if end < len(words) else ""
    return f"{before}{words[begin:end]}{after}".replace("\n", " ")


def dep_list(issues: Issues, args: list[str], values: Values) -> Answer:
    """dep list"""
    item = issues.find(args[0])
    blocks, by = ([issues.id(to) for to in f(item)] for f in (issues.blocks, issues.blocked_by))
    pairs = (("Blocks", blocks), ("Blocked by", by))
    lines = [f"{word}: {', '.join(others)}" for word, others in pairs if others]
    return {"blocks": blocks, "blockedBy": by}, lines or ["No dependencies"]


def labels(issues: Issues, args: list[str], values: Values) -> Answer:
    """label list"""
    counted: Counter[str] = Counter()
    for item in issues.items.everything():
        counted.update(issues.row(item)["labels"])
    names = sorted(counted, key=lambda label: (-counted[label], label))
    lines = [f"{'LABEL':24}COUNT", *(f"{label:24}{counted[label]}" for label in names)]
    return [{"label": each, "count": counted[each]} for each in names], lines if names else []


def stats(issues: Issues, args: list[str], values: Values) -> Answer:
    """stats"""
    by: dict[str, Counter[object]] = {}
    numbers: Counter[object] = Counter()
    for item in issues.items.everything():
        status = issues.status(item)
        how = "Closed" if status == "closed" else "Active"
        numbers[status] += 1
        by.setdefault(f"byKind{how}", Counter())[issues.kind(item)] += 1
        by.setdefault(f"byPriority{how}", Counter())[issues.priority(item)] += 1
    counts: Json = {
        "total": sum(numbers.values()),
        "active": sum(numbers.values()) - numbers["closed"],
        "closed": numbers["closed"],
        "byStatus": {status: numbers[status] for status in STATUSES},
    }
    for name, keys in (("byKind", KINDS), ("byPriority", range(5))):
        for how in ("Active", "Closed"):
            here = by.get(f"{name}{how}", Counter())
            counts[f"{name}{how}"] = {str(key): here[key] for key in keys}
    return counts, text.stats(counts)


def status(issues: Issues, args: list[str], values: Values) -> Answer:
    """status"""
    path = issues.desk.call.journal.store.path
    found = locate.repository(os.path.dirname(path))
    facts = {
        "initialized": True,
        "tbd_version": f"coord-kernel {VERSION}",
        "working_directory": os.getcwd(),
        "git_repository": found is not None,
        "display_prefix": issues.desk.prefix or "wk",
        "remote": locate.remote(issues.desk.call.journal.store),
    }
    git = "  ✓ Git repository" if found else "  ✗ No git repository"
    lines = [f"tbd (coord-kernel {VERSION})", f"Repository: {os.getcwd()}"]
    lines += ["  ✓ Initialized (.coord/)", git, "", f"Remote: {facts['remote'] or '(none)'}"]
    return facts, [*lines, f"ID prefix: {facts['display_prefix']}-"]


READING: dict[str, Callable[[Issues, list[str], Values], Answer]] = {
    "list": list_,
    "ready": ready,
    "blocked": blocked,
    "stale": stale,
    "show": show,
    "search": search,
    "dep list": dep_list,
    "label list": labels,
    "stats": stats,
    "status": status,
}
