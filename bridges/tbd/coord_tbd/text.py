"""What tbd prints for people. Pure."""

from __future__ import annotations

from coord_kernel.cli.escape import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_tbd.issue import Issues

ICONS = {"open": "○", "in_progress": "◐", "blocked": "●", "deferred": "○", "closed": "✓"}
HEAD = f"{'ID':12}{'PRI':5}{'STATUS':16}TITLE"
WORDS = ("Critical", "High", "Medium", "Low", "Lowest")
ORDER = (
    *("type", "id", "title", "kind", "status", "priority", "version", "spec_path", "assignee"),
    *("labels", "dependencies", "parent_id", "child_order_hints", "due_date", "deferred_until"),
    *("created_at", "updated_at", "closed_at", "close_reason"),
)
"""The front matter of an issue."""
PARENT_LINES = 50


def line(row: Json) -> str:
    """An issue in a table."""
    status = f"{ICONS[row['status']]} {row['status']}"
    return f"{row['id']:12}{'P' + str(row['priority']):5}{status:16}[{row['kind']}] {row['title']}"


def compact(row: Json, most: int = 1_000) -> str:
    """An issue in a sentence."""
    return f"{row['id']} {ICONS[row['status']]} {row['title'][:most]}"


def table(rows: list[Json], long: bool) -> list[str]:
    """Issues under a head."""
    lines = [HEAD]
    for row in rows:
        lines.append(line(row))
        lines += wrapped(row.get("description", "")) if long else []
    return lines


def wrapped(text: str, indent: int = 6, width: int = 80) -> list[str]:
    """At most two lines of a description."""
    lines: list[str] = []
    at = ""
    words = text.split()
    for word in words:
        if at and len(at) + 1 + len(word) > width - indent:
            lines.append(at)
            at = word
        else:
            at = f"{at} {word}".strip()
    lines += [at] if at else []
    if len(lines) > 2:
        lines = [lines[0], f"{lines[1][: width - indent - 2]}…"]
    return [" " * indent + each for each in lines]


def tree(rows: list[Json], long: bool) -> list[str]:
    """Issues under their parents."""
    here = {row["id"]: row for row in rows}
    internal = {row["internalId"]: row["id"] for row in rows}
    below: dict[str, list[Json]] = {}
    for row in rows:
        parent = str(row.get("parentId", ""))
        below.setdefault(parent if parent in here else "", []).append(row)

    def drawn(row: Json, first: str, rest: str) -> list[str]:
        status = f"{ICONS[row['status']]} {row['status']}"
        kind = f"[{row['kind']}] {row['title']}"
        lines = [f"{first}{row['id']:12}  P{row['priority']}  {status}  {kind}"]
        lines += [rest + each for each in wrapped(row.get("description", ""))] if long else []
        order = [internal.get(each) for each in row.get("child_order_hints", ())]
        parts = sorted(
            below.get(row["id"], ()),
            key=lambda part: order.index(part["id"]) if part["id"] in order else len(order),
        )
        for part in parts:
            last = part is parts[-1]
            lines += drawn(
                part, rest + ("└── " if last else "├── "), rest + ("    " if last else "│   ")
            )
        return lines

    return [each for row in below.get("", ()) for each in drawn(row, "", "")]


def page(issues: Issues, item: str) -> list[str]:
    """An issue as its file, with its dependencies as comments."""
    import yaml  # 20 ms; titles are quoted as YAML does

    issue = issues.issue(item)
    lines = ["---"]
    for name in ORDER:
        if name == "dependencies":
            lines += _directions(issues, item)
        if name not in issue:
            continue
        each = issue[name]
        if name == "priority":
            lines.append(f"priority: P{each}")
        elif name.endswith("_at") or name in ("due_date", "deferred_until"):
            lines.append(f"{name}: {each}")
        elif isinstance(each, list) and each:
            lines.append(f"{name}:")
            lines += _listed(each)
        elif isinstance(each, list):
            lines.append(f"{name}: []")
        elif isinstance(each, str):
            # YAML writes a line feed as several lines, and only the first is printed.
            quoted = yaml.safe_dump(visible(each), width=10_000, allow_unicode=True).split("\n")[0]
            lines.append(f"{name}: {_double(quoted)}")
        else:
            lines.append(f"{name}: {each}")
    lines.append("---")
    if issue.get("description"):
        lines += [*issue["description"].split("\n"), ""]
    if issue.get("notes"):
        lines += ["## Notes", "", *issue["notes"].split("\n"), ""]
    elif not issue.get("description"):
        lines.append("")
    return lines


def _directions(issues: Issues, item: str) -> list[str]:
    # tbd calls `Blocks` what an issue's own list names, and that is what waits on it.
    pairs = (("Blocks", issues.blocks(item)), ("Blocked by", issues.blocked_by(item)))
    return [f"# {word}: {', '.join(map(issues.id, others))}" for word, others in pairs if others]


def _listed(entries: list[object]) -> list[str]:
    lines = []
    for entry in entries:
        if isinstance(entry, dict):
            pairs = [f"{name}: {each}" for name, each in entry.items()]
            lines += [f"  - {pairs[0]}", *(f"    {pair}" for pair in pairs[1:])]
        else:
            lines.append(f"  - {entry}")
    return lines


def _double(quoted: str) -> str:
    """YAML's single quotes as double ones, which tbd writes."""
    if quoted[:1] == "'" and '"' not in quoted and "\\" not in quoted:
        return '"' + quoted[1:-1].replace("''", "'") + '"'
    return quoted


def stats(counts: Json) -> list[str]:
    """Statistics."""
    by = counts["byStatus"]
    lines = ["By status:"]
    lines += [f"  {ICONS[s]} {s:16}{by[s]:4}" for s in by if s != "closed"]
    lines += [f"  {'─' * 22}", f"    {'active':16}{counts['active']:4}"]
    lines += [f"  {ICONS['closed']} {'closed':16}{counts['closed']:4}", f"  {'═' * 22}"]
    lines += [f"    {'total':16}{counts['total']:4}"]
    groups: tuple[tuple[str, str, list[str]], ...] = (
        ("By kind:", "byKind", list(counts["byKindActive"])),
        ("By priority:", "byPriority", [f"P{n} ({word})" for n, word in enumerate(WORDS)]),
    )
    for title, name, words in groups:
        active, closed = counts[f"{name}Active"].values(), counts[f"{name}Closed"].values()
        lines += ["", f"{title:18}{'active':>8}{'closed':>8}{'total':>8}"]
        for word, a, c in zip(words, active, closed, strict=True):
            lines += [f"  {word:16}{a:8}{c:8}{a + c:8}"] if a + c else []
    hint = "Use 'coord status' for who does what, 'coord doctor' for health checks."
    return [*lines, "", hint]
