"""Beads: its records as items, and items as its records. Pure."""

from __future__ import annotations

import re

from coord_envelope import BadData, codec
from coord_wk.foreign import Foreign, cut, given, label, name_of, odd_labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope.codec import Json

NAMES = {
    "alias": "id",
    "title": "title",
    "desc": "description",
    "kind": "issue_type",
    "priority": "priority",
    "labels": "labels",
}
CLOSED = {"closed": "done", "tombstone": "cancelled"}
HELD = ("blocked", "deferred", "pinned")
"""By hand: beads shows none of these as ready. (What is blocked by something is so here without a hold.)"""
OPEN = ("open", "in_progress", "hooked")
BLOCKS = ("blocks", "conditional-blocks", "waits-for")
RELATIONS = dict.fromkeys(BLOCKS, "blocked_by") | {
    "parent-child": "parent",
    "discovered-from": "discovered_from",
    "duplicates": "duplicate_of",
    **dict.fromkeys(("related", "relates-to", "supersedes", "replies-to", "tracks", "caused-by"), "relates_to"),
    **dict.fromkeys(("authored-by", "assigned-to", "approves", "attests", "validates", "until"), "relates_to"),
}
BACK = {"blocked_by": "blocks", "discovered_from": "discovered-from", "duplicate_of": "duplicates"}
FIELDS = frozenset(
    [
        "id",
        "title",
        "description",
        "design",
        "acceptance_criteria",
        "notes",
        "status",
        "priority",
        "issue_type",
        "assignee",
        "owner",
        "created_at",
        "created_by",
        "updated_at",
        "closed_at",
        "close_reason",
        "closed_by_session",
        "due_at",
        "defer_until",
        "estimated_minutes",
        "external_ref",
        "source_repo",
        "source_system",
        "content_hash",
        "labels",
        "dependencies",
        "comments",
        "deleted_at",
        "deleted_by",
        "delete_reason",
        "original_type",
        "compaction_level",
        "compacted_at",
        "compacted_at_commit",
        "original_size",
        "sender",
        "ephemeral",
        "pinned",
        "is_template",
        "await_type",
        "await_id",
        "timeout",
        "waiters",
        "bonded_from",
        "creator",
        "quality_score",
        "crystallizes",
        "holder",
        "hook_bead",
        "role_bead",
        "agent_state",
        "last_activity",
        "role_type",
        "rig",
        "mol_type",
        "work_type",
        "event_kind",
        "actor",
        "target",
        "payload",
        "metadata",
    ]
)

ALSO = {"tags": "labels", "depends_on": "dependencies", "closed_reason": "close_reason"}
"""As other dialects call them."""


def read(files: Iterable[tuple[str, bytes]]) -> Iterator[Foreign | BadData]:
    """The records of JSONL files (name, content); of a line that is none, why."""
    for name, content in files:
        for number, raw in enumerate(content.split(b"\n"), 1):
            if raw.strip():
                yield _line(raw, f"{name} line {number}")


def _line(raw: bytes, where: str) -> Foreign | BadData:
    try:
        found, mended = codec.loads(raw), ""
    except ValueError as reason:
        try:
            found, mended = codec.loads(_ESCAPE.sub(_literal, raw)), str(reason)
        except ValueError:
            return BadData(f"not JSON: {reason}", where, todo="mend the line and import it again")
    if not isinstance(found, dict):
        return BadData("not a JSON object", where)
    one = item(found, where)
    if mended:
        one.line = raw.decode()
        one.reports.append(f"not JSON: {mended}; the backslash is taken for itself, the line is kept")
    return one


_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


def _literal(found: re.Match[bytes]) -> bytes:
    return found[0] if found[1] in b'"\\/bfnrtu' else b"\\" + found[0]


def item(record: Json, where: str = "") -> Foreign:
    """What the record says, in our words."""
    labels = record.get("labels", record.get("tags"))
    words = given(
        record.get("title"), record.get("description"), record.get("issue_type"), record.get("priority"), labels
    )
    one = Foreign("beads", name_of(record.get("id")), where, record, NAMES, words)
    _look(one)
    one.comments = _comments(record.get("comments"))
    one.edges = list(_edges(one)) if one.name else []
    status = record.get("status", "open")
    if status in HELD:
        waits = any(relation == "blocked_by" for _, relation, _ in one.edges)
        one.given |= {} if status == "blocked" and waits else {"hold": f"{status} in beads"}
    elif isinstance(status, str) and status in CLOSED:
        one.closed = {"resolution": CLOSED[status], **_reason(record)}
    elif status not in OPEN:
        one.reports.append(f"status {status!r} is unknown, taken for open")
    return one


def _look(one: Foreign) -> None:
    record = one.record
    if one.name is None:
        one.reports.append("has no id: it gets no alias, and nothing can depend on it")
    for name in record:
        if name not in FIELDS:
            one.notes.append(f"field {name!r} is {f'taken for {ALSO[name]}' if name in ALSO else 'unknown'}, kept")
    if "issue_type" in record and record["issue_type"] != one.given.get("kind"):
        one.notes.append(f"type {record['issue_type']!r} is none of ours, taken for task, kept")
    one.notes += odd_labels(record.get("labels", record.get("tags")))
    if "priority" in record and "priority" not in one.given:
        one.notes.append("priority is no number from 0 to 4, taken for 2, kept")


def _reason(record: Json) -> Json:
    for name in ("close_reason", "closed_reason", "delete_reason"):
        if isinstance(record.get(name), str) and record[name]:
            return {"note": cut(record[name], 4 * 1024)}
    return {}


def _comments(found: object) -> list[Json]:
    """Bodies of comments. Where all fit, each has its record, and the item's need not hold them."""
    some = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    some = [one for one in some if isinstance(one.get("text"), str)]
    whole = some == found and all(len(codec.dumps(one)) < 32 * 1024 for one in some)
    return [_comment(one, n, whole) for n, one in enumerate(some)]


def _comment(one: Json, n: int, whole: bool) -> Json:
    record = {"record": {name: what for name, what in one.items() if name != "text"}} if whole else {}
    text = cut(one["text"], 32 * 1024)
    text = text if len(codec.dumps(text)) < 48 * 1024 else cut(text, 8_000)
    return {"text": text, "origin": {"from": "beads", "comment": n, **record}}


def _edges(one: Foreign) -> Iterator[tuple[str, str, str]]:
    parents = 0
    for kind, to in links(one.record):
        relation = RELATIONS.get(kind, "relates_to")
        if kind not in RELATIONS:
            one.reports.append(f"dependency {kind!r} is unknown, taken for relates_to")
        parents += relation == "parent"
        if relation == "parent" and parents > 1:
            one.reports.append(f"{to} is a second parent, taken for relates_to")
            relation = "relates_to"
        yield one.name or "", relation, to


def links(record: Json) -> Iterator[tuple[str, str]]:
    """(its word for the relation, id) of what the record depends on."""
    yield from filter(None, map(_link, _listed(record)))


def _listed(record: Json) -> list[object]:
    found = (record.get(name) for name in ("dependencies", "depends_on"))
    return [one for some in found if isinstance(some, list) for one in some]


def _link(one: object) -> tuple[str, str] | None:
    if isinstance(one, str):
        return "blocks", one
    if isinstance(one, dict) and isinstance(one.get("depends_on_id"), str):
        return str(one.get("type", "blocks")), one["depends_on_id"]
    return None


def changed(record: Json, now: Json) -> Json:
    """The record, with what is not as it said when it came. `now` is as `transfer` describes an item."""
    then = item(record)
    words = then.given
    new: Json = {}
    for ours, theirs in list(NAMES.items())[1:]:
        if ours in now and not codec.same(_plain(ours, now[ours]), _plain(ours, words.get(ours))):
            new |= _new_labels(record, now[ours] or []) if ours == "labels" else {theirs: now[ours]}
    was = "closed" if then.closed else "blocked" if "hold" in words else "open"
    if now["status"] != was and now["status"] != record.get("status"):
        new |= {"status": now["status"], **dict.fromkeys(("closed_at", "close_reason", "closed_reason")), **now["when"]}
    if now["assignee"]:
        new["assignee"] = now["assignee"]
    new |= _new_links(record, then, now)
    if now["said"]:
        old = record.get("comments")
        new["comments"] = [*(old if isinstance(old, list) else ()), *now["said"]]
    if not new:
        return record
    merged = record | new | {"updated_at": now["updated_at"]}
    return {name: what for name, what in merged.items() if name not in new or what is not None}


def _plain(name: str, value: object) -> object:
    if name == "labels":
        return sorted(set(value)) if isinstance(value, list) else []
    return {"kind": "task", "priority": 2, "desc": ""}.get(name) if value is None else value


def _new_labels(record: Json, now: list[str]) -> Json:
    name = "tags" if "tags" in record and "labels" not in record else "labels"
    old = record.get(name)
    kept = [one for one in old if not label(one) or label(one) in now] if isinstance(old, list) else []
    return {name: [*kept, *(one for one in now if one not in map(label, kept))]}


def _new_links(record: Json, then: Foreign, now: Json) -> Json:
    """Dependencies without those that were taken away here, and with those that were made here."""
    had = [(relation, to) for _, relation, to in then.edges]
    gone = {one for one in had if _ever(one, now) and one not in now["deps"]}
    more = [one for one in now["deps"] if one not in had]
    if not gone and not more:
        return {}
    linked = iter(had)
    kept = [one for one in _listed(record) if not (_link(one) and next(linked) in gone)]
    new = [one if isinstance(one, dict) else {"depends_on_id": one, "type": "blocks"} for one in kept]
    made = [
        {"depends_on_id": to, "type": BACK.get(relation, "related")} for relation, to in more if relation != "parent"
    ]
    made += [{"depends_on_id": to, "type": "parent-child"} for relation, to in more if relation == "parent"]
    made = [{"issue_id": now["alias"], **one} for one in made]
    return {"dependencies": [*new, *made], **({"depends_on": None} if "depends_on" in record else {})}


def _ever(link: tuple[str, str], now: Json) -> bool:
    """Was it taken over when the record came? (What was not in its file was not.)"""
    return link in now["ever"] or (link[0] == "parent" and ("parent", "") in now["ever"])


def made_here(now: Json) -> Json:
    """The record of an item that did not come from beads."""
    words = {theirs: now[ours] for ours, theirs in NAMES.items() if ours in now}
    base = {**words, "status": "open", "created_at": now["created_at"], "created_by": now["created_by"]}
    record = changed(base, now) | {"updated_at": now["updated_at"]}
    return {name: what for name, what in record.items() if what not in (None, [], "")}
