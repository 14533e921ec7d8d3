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
        *(
            "type",
            "id",
            "title",
            "kind",
            "status",
            "priority",
            "version",
            "labels",
            "dependencies",
            "created_at",
        ),
        *(
            "updated_at",
            "closed_at",
            "close_reason",
            "assignee",
            "created_by",
            "parent_id",
            "child_order_hints",
        ),
        *("due_date", "deferred_until", "spec_path", "external_issue_url", "extensions", "(text)"),
    )
)
"""The text below the front matter is the record's `(text)`."""


class _Loader(yaml.SafeLoader):
    """As YAML 1.2 has it: `no` is a text, `010` too, and a time stays as it is written."""


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
    """The records of Markdown files (name, content); of a file that is none, why."""
    found = [_file(*one) for one in files]
    waiting = {
        src
        for one in found
        if isinstance(one, Foreign)
        for src, rel, _ in one.edges
        if rel == "blocked_by"
    }
    for one in found:
        if (
            isinstance(one, Foreign)
            and one.name in waiting
            and one.record.get("status") == "blocked"
        ):
            del one.given["hold"]  # it is blocked without
        yield one


def _file(name: str, content: bytes) -> Foreign | BadData:
    try:
        return item(_record(content), name)
    except ValueError as reason:
        return BadData(str(reason), name)


def _record(content: bytes) -> Json:
    """Raises ValueError with the reason it is none."""
    lines = content.decode().split("\n")
    marks = [number for number, line in enumerate(lines) if line.rstrip() == "---"]
    if len(marks) < 2 or marks[0] != 0:
        raise ValueError("has no front matter between two lines of ---")
    try:
        record = yaml.load("\n".join(lines[1 : marks[1]]), _Loader)
    except (yaml.YAMLError, RecursionError) as reason:
        raise ValueError(
            f"its front matter is no YAML: {' '.join(str(reason).split())[:200]}"
        ) from None
    if not isinstance(record, dict):
        raise ValueError("its front matter is no mapping")
    record = {str(name): what for name, what in record.items()} | {
        "(text)": "\n".join(lines[marks[1] + 1 :])
    }
    try:
        return codec.loads(codec.dumps(record))  # type: ignore[no-any-return]
    except (TypeError, RecursionError):
        raise ValueError("its front matter has what JSON has not") from None


def item(record: Json, where: str = "") -> Foreign:
    """What the record says, in our words."""
    words = (record.get(name) for name in ("title", "(text)", "kind", "priority", "labels"))
    one = Foreign("tbd", foreign.name_of(record.get("id")), where, record, foreign.given(*words))
    one.notes += [f"field {brief(name)} is unknown, kept" for name in record if name not in FIELDS]
    foreign.warnings(one, "kind", record.get("labels"))
    _status(one)
    foreign.defer(one, "deferred_until")
    one.edges = list(_edges(one)) if one.name else []
    return one


def _status(one: Foreign) -> None:
    status, reason = one.record.get("status", "open"), one.record.get("close_reason")
    if status == "closed":
        one.closed = {
            "resolution": "done",
            **({"note": cut(reason, 4 * 1024)} if isinstance(reason, str) else {}),
        }
    elif status in HELD:
        one.given["hold"] = f"{status} in tbd"
    elif status == "in_progress":
        one.notes.append("status in_progress: nobody holds it here, so it is open")
    elif status != "open":
        one.reports.append(f"status {brief(status)} is unknown, taken for open")


def _edges(one: Foreign) -> Iterator[tuple[str, str, str]]:
    """A dependency there names what waits, not what is waited on."""
    name, parent, deps = one.name or "", one.record.get("parent_id"), one.record.get("dependencies")
    if isinstance(parent, str):
        yield name, "parent", parent
    for dep in deps if isinstance(deps, list) else ():
        if not isinstance(dep, dict) or not isinstance(dep.get("target"), str):
            continue
        if dep.get("type") == "blocks":
            yield dep["target"], "blocked_by", name
            continue
        one.reports.append(f"dependency {brief(dep.get('type'))} is unknown, taken for relates_to")
        yield name, "relates_to", dep["target"]
