"""What bd prints for people. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coord_bd.issue import Issues
    from coord_envelope.codec import Json

ICONS = {
    "open": "○",
    "in_progress": "◐",
    "blocked": "●",
    "closed": "✓",
    "deferred": "❄",
    "pinned": "📌",
    "hooked": "◇",
}


def line(row: Json) -> str:
    """`○ ID ● P2 [bug] TITLE`. Field 2 is the id."""
    icon = ICONS.get(row["status"], "○")
    kind = "" if row["issue_type"] == "task" else f"[{row['issue_type']}] "
    return f"{icon} {row['id']} ● P{row['priority']} {kind}{row['title']}"


def tree(rows: list[Json], values: dict[str, Any]) -> list[str]:
    """Issues under their parents, then totals."""
    if not rows:
        return ["No issues found."]
    here = {row["id"] for row in rows}
    below: dict[str, list[Json]] = {}
    for row in rows:
        parent = row.get("parent", "")
        below.setdefault(parent if parent in here else "", []).append(row)
    lines: list[str] = []
    todo = [("", row) for row in reversed(below.get("", ()))]
    met = set[str]()
    while todo:
        indent, row = todo.pop()
        met.add(row["id"])
        lines.append(f"{indent}{line(row)}")
        if values.get("long") and row.get("description"):
            lines += [f"{indent}    {each}" for each in row["description"].split("\n")]
        deeper = f"{indent}  "
        todo += [(deeper, r) for r in reversed(below.get(row["id"], ())) if r["id"] not in met]
    lines += [line(row) for row in rows if row["id"] not in met]
    counts = [f"{sum(r['status'] == s for r in rows)} {s}" for s in ICONS]
    shown = ", ".join(each.replace("_", " ") for each in counts if not each.startswith("0 "))
    return [*lines, "", f"Total: {len(rows)} issues ({shown})"]


def flat(rows: list[Json], issues: Issues) -> list[str]:
    """One line each: `○ ID [● P2] [type] @who [labels] - TITLE (blocked by: …)`."""
    lines = []
    for row in rows:
        item = issues.desk.resolve(issues.items, row["id"])
        who = f" @{row['assignee']}" if row.get("assignee") else ""
        labels = f" [{', '.join(row['labels'])}]" if row.get("labels") else ""
        by = ", ".join(map(issues.id, issues.blockers(item)))
        blocked = f" (blocked by: {by})" if by else ""
        icon = ICONS.get(row["status"], "○")
        head = f"{icon} {row['id']} [● P{row['priority']}] [{row['issue_type']}]"
        lines.append(f"{head}{who}{labels} - {row['title']}{blocked}")
    return lines


def ready(rows: list[Json]) -> list[str]:
    """Ready work, numbered."""
    if not rows:
        return ["✨ No ready work found"]
    lines = [
        f"{n}. [P{r['priority']}] [{r['issue_type']}] {r['id']}: {r['title']}"
        for n, r in enumerate(rows, 1)
    ]
    return [f"📋 Ready work ({len(rows)} issues with no active blockers):", "", *lines]


def blocked(rows: list[Json]) -> list[str]:
    """Blocked issues, and by what."""
    if not rows:
        return ["✨ No blocked issues"]
    lines = [f"🚫 Blocked issues ({len(rows)}):", ""]
    for row in rows:
        lines.append(f"[P{row['priority']}] {row['id']}: {row['title']}")
        lines.append(f"  Blocked by {row['blocked_by_count']}: {', '.join(row['blocked_by'])}")
    return lines


def page(row: Json) -> list[str]:
    """Everything about an issue."""
    icon = ICONS.get(row["status"], "○")
    state = f"[● P{row['priority']} · {row['status'].upper()}]"
    lines = [f"{icon} {row['id']} · {row['title']}   {state}"]
    facts = [f"Type: {row['issue_type']}"]
    facts += [f"Assignee: {row['assignee']}"] if row.get("assignee") else []
    facts += [f"Created by: {row['created_by']}"] if row.get("created_by") else []
    lines.append(" · ".join(facts))
    lines.append(f"Created: {row['created_at'][:10]} · Updated: {row['updated_at'][:10]}")
    if row["status"] == "closed":
        lines.append(f"Closed: {row['closed_at'][:10]} · Close reason: {row['close_reason']}")
    if row.get("labels"):
        lines.append(f"Labels: {', '.join(row['labels'])}")
    for title, name in (
        ("DESCRIPTION", "description"),
        ("DESIGN", "design"),
        ("ACCEPTANCE CRITERIA", "acceptance_criteria"),
        ("NOTES", "notes"),
    ):
        if row.get(name):
            lines += ["", title, *row[name].split("\n")]
    if row.get("metadata"):
        lines += ["", "METADATA", *(f"  {k}: {v}" for k, v in row["metadata"].items())]
    for title, name in (("DEPENDS ON", "dependencies"), ("BLOCKS", "dependents")):
        if row.get(name):
            arrow = "→" if name == "dependencies" else "←"
            lines += ["", title]
            lines += [f"  {arrow} {line(each)} ({each['dependency_type']})" for each in row[name]]
    if row.get("comments"):
        lines += ["", "COMMENTS", *comments(row["comments"])]
    return [*lines, ""]


def links(rows: list[Json]) -> list[str]:
    """Linked issues."""
    return [f"  {line(r)} via {r['dependency_type']}" for r in rows] or ["No dependencies"]


def comments(rows: list[Json]) -> list[str]:
    """Comments."""
    if not rows:
        return ["No comments"]
    lines = []
    for row in rows:
        first, *others = row["text"].split("\n")
        lines.append(f"  {row['created_at']} {row['author']}: {first}")
        lines += [f"    {each}" for each in others]
    return lines


def epics(rows: list[Json]) -> list[str]:
    """Epics with how far they are."""
    lines = []
    for row in rows:
        closed, total = row["closed_children"], row["total_children"]
        share = f"{closed}/{total} children closed"
        note = " · eligible for closure" if row["eligible_for_close"] else ""
        lines.append(f"{line(row['epic'])}: {share}{note}")
    return lines or ["No open epics found"]


def summary(counts: Json) -> list[str]:
    """Statistics."""
    names = (name for name in counts if name != "average_lead_time_hours")
    rows = [f"  {name.replace('_', ' ').capitalize()}: {counts[name]}" for name in names]
    return ["📊 Issue Database Status", "", *rows]
