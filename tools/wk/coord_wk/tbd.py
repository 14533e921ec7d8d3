"""tbd: its Markdown files with YAML front matter as items, and items as its files. Pure.

An item that was imported goes back as the record it came from, with only these differences:

    1. A field that has another value here than the record gave the item is replaced.
    2. The status is replaced if the item is open, held, active or closed and the record says
       otherwise.
    3. Labels and dependencies that were added here are added, those removed here are removed.
    4. If anything differs, `version` is one more, and `updated_at` the time of the last event.

What tbd has no field for is in `extensions.coord`.
"""

from __future__ import annotations

import re

import yaml

from coord_envelope import BadData, codec, world
from coord_wk import draft, fold, foreign
from coord_wk.foreign import Foreign, brief, cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope.codec import Json
    from coord_wk.registers import State

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


class _Dumper(yaml.SafeDumper):
    """As tbd writes: lists are indented, and what is not plainly text stands in quotes."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def choose_scalar_style(self) -> str:
        style, event = super().choose_scalar_style(), self.event
        assert isinstance(event, yaml.ScalarEvent)
        text = event.value if event.implicit[1] else ""  # else a number, true or null
        if style != "'" and (not text or _PLAIN.match(text)):
            return style
        return "'" if '"' in text and "'" not in text else '"'


_PLAIN = re.compile(r"[^\W\d_]|\d{4}-\d\d-\d\dT")


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
    lines = content.decode("utf-8-sig").split("\n")
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
    title, kind, priority, labels = map(record.get, ("title", "kind", "priority", "labels"))
    text = str(record.get("(text)", "")).rstrip("\n")
    name, words = (
        foreign.name_of(record.get("id")),
        foreign.words(title, text, kind, priority, labels),
    )
    issue = Foreign("tbd", name, where, record, words)
    issue.notes += [
        f"unknown field {brief(field)}, kept" for field in record if field not in FIELDS
    ]
    foreign.note_differences(issue, "kind", record.get("labels"))
    _take_status(issue)
    foreign.assign(issue)
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
        issue.notes.append(f"unknown status {brief(status)}, imported as open")


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
        issue.notes.append(f"unknown dependency {kind}, imported as relates_to")
        yield name, "relates_to", dep["target"]


# ---- and back

KINDS = ("bug", "feature", "task", "epic", "chore")
NAMES = {
    "title": "title",
    "desc": "(text)",
    "kind": "kind",
    "priority": "priority",
    "labels": "labels",
    "defer_until": "deferred_until",
}
ORDER = (
    *("type", "id", "title", "kind", "status", "priority", "version", "spec_path", "assignee"),
    *("labels", "dependencies", "parent_id", "child_order_hints", "due_date", "deferred_until"),
    *("created_by", "created_at", "updated_at", "closed_at", "close_reason", "extensions"),
)
_NAME = re.compile(r"is-[0-9a-z]{26}")


def name(state: State | None, item: str) -> str:
    """An item's id in tbd: the one it came with, or its own."""
    alias = fold.value(state, "fields.alias") if state else None
    known = isinstance(alias, str) and _NAME.fullmatch(alias)
    return str(alias) if known else f"is-{item.lower()}"


def changed(record: Json, now: Json) -> Json:
    """The record with the differences above. `now` is the item as `transfer` describes it."""
    then, new = item(record), dict[str, object]()
    foreign.as_it_was(then, now["state"])
    for ours, theirs in NAMES.items():
        if not codec.same(_plain(ours, now[ours]), _plain(ours, then.words.get(ours))):
            new[theirs] = f"{now[ours] or ''}\n" if ours == "desc" else now[ours]
    was = "closed" if then.closed else "blocked" if "hold" in then.words else "open"
    kept = now["waits"] and record.get("status") == "blocked"
    if now["status"] not in (was, record.get("status")) and not kept:
        new |= {"status": now["status"], "closed_at": None, "close_reason": None, **now["when"]}
    if now["assignee"] != then.words.get("assignee"):
        new["assignee"] = now["assignee"] and now["assignee"].removeprefix("agent:")
    if now["parent"] != record.get("parent_id") and ("parent", "") in now["ever"]:
        new["parent_id"] = now["parent"]
    new |= _blocks(record, now["blocks"]) | _extended(record, {"comments": now["comments"]})
    if not new:
        return record
    version = record.get("version")
    new |= {"version": version + 1 if type(version) is int else 1, "updated_at": now["updated_at"]}
    merged = record | new
    return {name: value for name, value in merged.items() if name not in new or value is not None}


def _plain(name: str, value: object) -> object:
    if name == "desc":
        return str(value or "").rstrip("\n")
    if name == "labels":
        return sorted(set(value)) if isinstance(value, list) else []
    return {"kind": "task", "priority": 2}.get(name) if value is None else value


def _blocks(record: Json, blocks: dict[str, bool]) -> Json:
    """The dependencies, if some were added or removed here: id → does it wait on the item?"""
    entries = record.get("dependencies")
    old = entries if isinstance(entries, list) else []
    targets = [entry.get("target") if isinstance(entry, dict) else None for entry in old]
    kept = [entry for entry, to in zip(old, targets, strict=True) if blocks.get(str(to), True)]
    more = [to for to, waits in blocks.items() if waits and to not in targets]
    if len(kept) == len(old) and not more:
        return {}
    return {"dependencies": [*kept, *({"type": "blocks", "target": to} for to in more)]}


def _extended(record: Json, more: Json) -> Json:
    """The extensions, if there is more in ours than the record has."""
    ours = {name: value for name, value in more.items() if value}
    extensions = record.get("extensions")
    old = extensions if isinstance(extensions, dict) else {}
    same = not ours or codec.same(old.get("coord"), ours)
    return {} if same else {"extensions": {**old, "coord": ours}}


def created_here(now: Json) -> Json:
    """The record of an item that did not come from tbd."""
    there, kind = now["imported"], now["kind"] if now["kind"] in KINDS else "task"
    deferred = now["kind"] in draft.NOT_WORK and now["status"] == "open"
    more = {
        "alias": now["fields"].get("alias"),
        "kind": now["kind"] if kind != now["kind"] else None,
        "deps": [dep for dep in now["deps"] if dep[0] not in ("parent", "blocked_by")],
        "fields": {name: value for name, value in now["fields"].items() if name != "alias"},
        "comments": now["comments"],
        "imported": there,
    }
    record = {
        **{theirs: now[ours] for ours, theirs in NAMES.items()},
        "type": "is",
        "id": now["id"],
        "version": 1,
        "kind": kind,
        "status": "deferred" if deferred else now["status"],
        "assignee": now["assignee"] and now["assignee"].removeprefix("agent:"),
        "parent_id": now["parent"],
        "created_by": there.get("created_by", now["created_by"]),
        "created_at": _time(there.get("created_at")) or now["created_at"],
        "updated_at": now["updated_at"],
        **now["when"],
        **_blocks({}, now["blocks"]),
        **_extended({}, more),
    }
    return {name: value for name, value in record.items() if value is not None} | {
        "dependencies": record.get("dependencies", [])
    }


def _time(text: object) -> str | None:
    try:
        return world.format_ts(world.parse_ts(text))  # type: ignore[arg-type]
    except (ValueError, OverflowError, TypeError, AttributeError):
        return None


def content(record: Json) -> bytes:
    """A record as the file that tbd makes of it."""
    order = sorted(record.keys() - {"(text)"}, key=lambda name: (_place(name), name))
    head = {name: record[name] for name in order}
    lines = yaml.dump(head, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 30)
    text = record.get("(text)") or ""
    return f"---\n{lines}---\n{text}".encode() + (b"" if text.endswith("\n") or not text else b"\n")


def _place(name: str) -> int:
    return ORDER.index(name) if name in ORDER else len(ORDER)


def mapping(names: Iterable[str], old: bytes) -> bytes:
    """The file of tbd's short ids: `old`, and those of ours that it does not have.

    Of what came from tbd only tbd knows the short id.
    """
    known, ours = old.decode("utf-8", "replace"), sorted(name[3:] for name in names)
    more = "".join(f'"{ulid[-8:]}": {ulid}\n' for ulid in ours if ulid not in known)
    return old + (b"\n" if old and not old.endswith(b"\n") else b"") + more.encode()
