"""Beads: its records as items, and items as its records. Pure.

An item that was imported goes back as the record it came from, with only these differences:

    1. A field that has another value here than the record gave the item is replaced.
    2. The status is replaced if the item is open, held, active or closed and the record says
       otherwise.
    3. Labels, dependencies and comments that were added here are added, and those that were removed
       here are removed; those that were never imported stay.
    4. If anything differs, `updated_at` is the time of the item's last event.

A record that has a `_type` and is not an issue, such as a memory, becomes a closed item of that
kind: its key is the title, its value the description.
"""

from __future__ import annotations

import re
from collections import Counter

from coord_envelope import BadData, codec
from coord_kernel.cli import stdin
from coord_wk import foreign
from coord_wk.draft import label_ok
from coord_wk.foreign import Foreign, brief, cut, spelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope.codec import Json

NAMES = {
    "title": "title",
    "desc": "description",
    "kind": "issue_type",
    "priority": "priority",
    "defer_until": "defer_until",
    "labels": "labels",
}
CLOSED = {"closed": "done", "tombstone": "cancelled"}
HELD = ("blocked", "deferred", "pinned")
"""Set by hand; beads does not list these as ready. (A blocked one with a blocker needs no hold.)"""
BEGUN = ("in_progress", "hooked")
BLOCKS = ("blocks", "conditional-blocks", "waits-for")
RELATED = (
    *("related", "relates-to", "replies-to", "tracks", "caused-by", "until"),
    *("authored-by", "assigned-to", "approves", "attests", "validates"),
)
RELATIONS = {
    **dict.fromkeys(BLOCKS, "blocked_by"),
    **dict.fromkeys(RELATED, "relates_to"),
    "parent-child": "parent",
    "discovered-from": "discovered_from",
    "duplicates": "duplicate_of",
    "supersedes": "supersedes",
}
BACK = {
    "blocked_by": "blocks",
    "parent": "parent-child",
    "discovered_from": "discovered-from",
    "duplicate_of": "duplicates",
    "supersedes": "supersedes",
}
FIELDS = frozenset(
    (
        *("id", "title", "description", "design", "acceptance_criteria", "notes", "status"),
        *("priority", "issue_type", "assignee", "owner", "created_at", "created_by"),
        *("updated_at", "closed_at", "close_reason", "due_at", "closed_by_session"),
        *("defer_until", "estimated_minutes", "external_ref", "source_repo", "source_system"),
        *("content_hash", "labels", "dependencies", "comments", "deleted_at", "deleted_by"),
        *("delete_reason", "original_type", "compaction_level", "compacted_at"),
        *("compacted_at_commit", "original_size", "sender", "ephemeral", "pinned"),
        *("is_template", "await_type", "await_id", "timeout", "waiters", "bonded_from"),
        *("creator", "quality_score", "crystallizes", "holder", "hook_bead", "role_bead"),
        *("agent_state", "rig", "last_activity", "role_type", "mol_type", "work_type"),
        *("event_kind", "actor", "target", "payload", "metadata"),
    )
)
ALSO = {"tags": "labels", "depends_on": "dependencies", "closed_reason": "close_reason"}
"""Names in other dialects."""


def read(files: Iterable[tuple[str, bytes]]) -> Iterator[Foreign | BadData]:
    """The issues in JSONL files (name, content); the reason for a line without one."""
    for name, content in files:
        try:
            for batch in stdin.numbered(content.split(b"\n")):
                for number, raw in batch:
                    yield _line(raw, f"{name} line {number}")
        except BadData as fault:
            fault.where = f"{name} {fault.where}"
            yield fault


def _line(raw: bytes, where: str) -> Foreign | BadData:
    if len(raw) > stdin.LONGEST:
        return BadData(f"longer than {stdin.LONGEST:,} bytes", where)
    try:
        record, error = codec.loads(raw), ""
    except ValueError as reason:
        try:
            record, error = codec.loads(_ESCAPE.sub(_literal, raw)), str(reason)
        except ValueError:
            todo = "correct the line and import it again"
            return BadData(f"not JSON: {reason}", where, todo=todo)
    if not isinstance(record, dict):
        return BadData("not a JSON object", where)
    if not {"title", "status"} & record.keys() and not _is_note(record):
        return BadData("neither title nor status: not an issue of beads", where)
    issue = item(record, where)
    if error:
        issue.reports.append(f"not JSON: {error}; backslash read literally")
    return issue


_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


def _literal(match: re.Match[bytes]) -> bytes:
    return match[0] if match[1] in b'"\\/bfnrtu' else b"\\" + match[0]


def item(record: Json, where: str = "") -> Foreign:
    """The issue of a record."""
    if _is_note(record):
        return _note(record, where)
    labels = record.get("labels", record.get("tags"))
    title, desc, kind, priority = map(
        record.get, ("title", "description", "issue_type", "priority")
    )
    name = foreign.name_of(record.get("id"))
    words = foreign.words(title, desc, kind, priority, labels)
    issue = Foreign("beads", name, where, record, words)
    if name is None:
        issue.reports.append("no id: it gets no alias, and nothing can depend on it")
    for field in record:
        if field in ALSO:
            issue.notes.append(f"field {brief(field)} imported as {ALSO[field]}, kept")
        elif field not in FIELDS:
            issue.notes.append(f"unknown field {brief(field)}, kept")
    foreign.note_differences(issue, "issue_type", labels)
    foreign.assign(issue)
    foreign.defer(issue, "defer_until")
    issue.comments = _comments(issue)
    issue.edges = list(_edges(issue)) if name else []
    _take_status(issue)
    return issue


def _is_note(record: Json) -> bool:
    return isinstance(record.get("_type"), str) and not {"title", "status"} & record.keys()


def _note(record: Json, where: str) -> Foreign:
    kind, key, value = map(record.get, ("_type", "key", "value"))
    words = foreign.words(key, value, kind, None, None)
    name = foreign.name_of(f"{kind}:{key}") if isinstance(key, str) else None
    return Foreign("beads", name, where, record, words, closed={"resolution": "done"})


def _take_status(issue: Foreign) -> None:
    status = issue.record.get("status", "open")
    if status in HELD:
        waits = any(relation == "blocked_by" for _, relation, _ in issue.edges)
        if status != "blocked" or not waits:
            issue.words["hold"] = f"{status} in beads"
    elif isinstance(status, str) and status in CLOSED:
        issue.closed = {"resolution": CLOSED[status], **_reason(issue.record)}
    elif status in BEGUN:
        issue.notes.append(f"status {status}: nobody holds it here, so it is open")
    elif status != "open":
        issue.notes.append(f"unknown status {brief(status)}, imported as open")


def _reason(record: Json) -> Json:
    for name in ("close_reason", "closed_reason", "delete_reason"):
        if isinstance(record.get(name), str) and record[name]:
            return {"note": cut(record[name], 4 * 1024)}
    return {}


def _comments(issue: Foreign) -> list[str]:
    comments = issue.record.get("comments")
    listed = comments if isinstance(comments, list) else []
    texts = [comment.get("text") if isinstance(comment, dict) else None for comment in listed]
    valid = [text for text in texts if isinstance(text, str)]
    if comments and (len(valid) < len(texts) or not texts):
        issue.reports.append("comments without text, kept")
    return [cut(text, 8_000) for text in valid]


def _edges(issue: Foreign) -> Iterator[tuple[str, str, str]]:
    parents = 0
    for kind, to in filter(None, map(_link, _listed(issue.record))):
        relation = RELATIONS.get(kind, "relates_to")
        if kind not in RELATIONS:
            issue.notes.append(f"unknown dependency {brief(kind)}, imported as relates_to")
        parents += relation == "parent"
        if relation == "parent" and parents > 1:
            issue.reports.append(f"second parent {brief(to)}, imported as relates_to")
            relation = "relates_to"
        yield issue.name or "", relation, to


def _listed(record: Json) -> list[object]:
    lists = (record.get(name) for name in ("dependencies", "depends_on"))
    return [entry for entries in lists if isinstance(entries, list) for entry in entries]


def _link(entry: object) -> tuple[str, str] | None:
    """(beads' relation, id) of an entry among the dependencies of a record."""
    if isinstance(entry, str):
        return "blocks", entry
    if isinstance(entry, dict) and isinstance(entry.get("depends_on_id"), str):
        return str(entry.get("type", "blocks")), entry["depends_on_id"]
    return None


def changed(then: Foreign, now: Json) -> Json:
    """The record with the differences above. `now` is the item as `transfer` describes it."""
    record, new = then.record, dict[str, object]()
    if _is_note(record):
        same = now["desc"] == then.words.get("desc")
        return record if same else record | {"value": now["desc"]}
    for ours, theirs in NAMES.items():
        if not codec.same(_plain(ours, now[ours]), _plain(ours, then.words.get(ours))):
            new |= _new_labels(record, now) if ours == "labels" else {theirs: now[ours]}
    was = "closed" if then.closed else "blocked" if "hold" in then.words else "open"
    if now["status"] not in (was, record.get("status")):
        ended = dict.fromkeys(("closed_at", "close_reason", "closed_reason"))
        new |= {"status": now["status"], **ended, **now["when"]}
    if now["assignee"] != then.words.get("assignee"):
        new["assignee"] = now["assignee"] and now["assignee"].removeprefix("agent:")
    new |= _new_links(then, now)
    if comments := list(_new_comments(then, now)):
        old = record.get("comments")
        new["comments"] = [*(old if isinstance(old, list) else ()), *comments]
    if not new:
        return record
    merged = record | new | {"updated_at": now["updated_at"]}
    return {name: value for name, value in merged.items() if name not in new or value is not None}


def _plain(name: str, value: object) -> object:
    if name == "labels":
        return sorted(set(value)) if isinstance(value, list) else []
    return {"kind": "task", "priority": 2}.get(name) if value is None else value


def _new_labels(record: Json, now: Json) -> Json:
    name = "tags" if "tags" in record and "labels" not in record else "labels"
    old = record[name] if isinstance(record.get(name), list) else []
    here = {each: spelled(each, now["state"]) for each in filter(label_ok, old)}
    kept = [each for each in old if not label_ok(each) or here[each] in now["labels"]]
    there = {here.get(each) for each in kept if isinstance(each, str)}
    return {name: [*kept, *(each for each in now["labels"] if each not in there)]}


def _new_links(then: Foreign, now: Json) -> Json:
    """The dependencies without those that were removed here, and with those that were added here.

    A dependency that was never here, because its end was not, was not removed.
    """
    had = [(relation, to) for _, relation, to in then.edges]
    moved = ("parent", "") in now["ever"]  # it has had a parent here
    ever = (link for link in had if link in now["ever"] or (moved and link[0] == "parent"))
    gone = {link for link in ever if link not in now["deps"]}
    more = [link for link in now["deps"] if link not in had]
    if not gone and not more:
        return {}
    links = iter(had)
    kept = [entry for entry in _listed(then.record) if not (_link(entry) and next(links) in gone)]
    entries = [
        entry if isinstance(entry, dict) else {"depends_on_id": entry, "type": "blocks"}
        for entry in kept
    ]
    entries += [
        {"issue_id": now["alias"], "depends_on_id": to, "type": BACK.get(relation, "related")}
        for relation, to in more
    ]
    dialect = {"depends_on": None} if "depends_on" in then.record else {}
    return {"dependencies": entries, **dialect}


def _new_comments(then: Foreign, now: Json) -> Iterator[Json]:
    there = Counter(then.comments)
    for comment in now["comments"]:
        there[comment["text"]] -= 1
        if there[comment["text"]] < 0:
            yield comment


def created_here(now: Json) -> Json:
    """The record of an item that did not come from beads."""
    words = {theirs: now[ours] for ours, theirs in NAMES.items()}
    created = {name: now[name] for name in ("created_at", "created_by")}
    base = {"id": now["alias"], **words, "status": "open", **created}
    record = changed(item(base), now) | {"updated_at": now["updated_at"]}
    return {name: value for name, value in record.items() if value not in (None, [], "")}
