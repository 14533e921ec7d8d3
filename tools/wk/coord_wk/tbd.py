"""tbd: its Markdown files with YAML front matter as items. Pure."""

from __future__ import annotations

import re

import yaml

from coord_envelope import BadData, codec
from coord_wk import foreign
from coord_wk.foreign import Foreign, brief, cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope.codec import Json

HELD = ("blocked", "deferred")
FIELDS = frozenset(
    (
        *("type", "id", "title", "kind", "status", "priority", "version", "labels"),
        *("dependencies", "created_at", "updated_at", "closed_at", "close_reason", "assignee"),
        *("created_by", "parent_id", "child_order_hints", "due_date", "deferred_until"),
        *("spec_path", "external_issue_url", "extensions", "(text)"),
    )
)
"""The text below the front matter is the record's `(text)`."""


class _Loader(yaml.SafeLoader):
    """YAML 1.2: `no` and `010` are text, and times stay as they are written."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"-?(?:0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?[0-9]+\.[0-9]+(?:[eE][-+]?[0-9]+)?", list("-0123456789")),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first
    )


def read(files: Iterable[tuple[str, bytes]]) -> Iterator[Foreign | BadData]:
    """The issues in Markdown files (name, content); the reason for a file without one."""
    results = [_file(*file) for file in files]
    issues = [result for result in results if isinstance(result, Foreign)]
    edges = (edge for issue in issues for edge in issue.edges)
    waiting = {src for src, relation, _ in edges if relation == "blocked_by"}
    for issue in issues:
        if issue.name in waiting and issue.record.get("status") == "blocked":
            del issue.words["hold"]  # its dependencies block it
    yield from results


def _file(name: str, content: bytes) -> Foreign | BadData:
    try:
        return item(_record(content), name)
    except ValueError as reason:
        return BadData(str(reason), name)


def _record(content: bytes) -> Json:
    """The record in a file. Raises ValueError."""
    lines = content.decode().split("\n")
    marks = [number for number, line in enumerate(lines) if line.rstrip() == "---"]
    if len(marks) < 2 or marks[0] != 0:
        raise ValueError("no front matter between two lines of ---")
    try:
        head = yaml.load("\n".join(lines[1 : marks[1]]), _Loader)
    except (yaml.YAMLError, RecursionError) as reason:
        what = " ".join(str(reason).split())[:200]
        raise ValueError(f"front matter is not YAML: {what}") from None
    if not isinstance(head, dict):
        raise ValueError("front matter is not a mapping")
    record = {str(name): value for name, value in head.items()}
    record["(text)"] = "\n".join(lines[marks[1] + 1 :])
    try:
        return codec.loads(codec.dumps(record))  # type: ignore[no-any-return]
    except (TypeError, RecursionError):
        raise ValueError("front matter has values that JSON cannot represent") from None


def item(record: Json, where: str = "") -> Foreign:
    """The issue of a record."""
    values = (record.get(name) for name in ("title", "(text)", "kind", "priority", "labels"))
    name, words = foreign.name_of(record.get("id")), foreign.words(*values)
    issue = Foreign("tbd", name, where, record, words)
    issue.notes += [
        f"unknown field {brief(field)}, kept" for field in record if field not in FIELDS
    ]
    foreign.note_differences(issue, "kind", record.get("labels"))
    _take_status(issue)
    foreign.defer(issue, "deferred_until")
    issue.edges = list(_edges(issue)) if issue.name else []
    return issue


def _take_status(issue: Foreign) -> None:
    status, reason = issue.record.get("status", "open"), issue.record.get("close_reason")
    if status == "closed":
        note = {"note": cut(reason, 4 * 1024)} if isinstance(reason, str) else {}
        issue.closed = {"resolution": "done", **note}
    elif status in HELD:
        issue.words["hold"] = f"{status} in tbd"
    elif status == "in_progress":
        issue.notes.append("status in_progress: nobody holds it here, so it is open")
    elif status != "open":
        issue.reports.append(f"unknown status {brief(status)}, imported as open")


def _edges(issue: Foreign) -> Iterator[tuple[str, str, str]]:
    """A dependency of tbd names the issue that waits, not the one it waits on."""
    name, record = issue.name or "", issue.record
    parent, deps = record.get("parent_id"), record.get("dependencies")
    if isinstance(parent, str):
        yield name, "parent", parent
    for dep in deps if isinstance(deps, list) else ():
        if not isinstance(dep, dict) or not isinstance(dep.get("target"), str):
            continue
        if dep.get("type") == "blocks":
            yield dep["target"], "blocked_by", name
            continue
        kind = brief(dep.get("type"))
        issue.reports.append(f"unknown dependency {kind}, imported as relates_to")
        yield name, "relates_to", dep["target"]
