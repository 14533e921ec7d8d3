"""Beads: its records as items, and items as its records. Pure."""

from __future__ import annotations

import re
from collections import Counter

from coord_envelope import BadData, codec
from coord_kernel.cli.stdin import LONGEST
from coord_wk import foreign
from coord_wk.foreign import Foreign, brief, cut, label

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
"""By hand: beads shows none of these as ready. (What is blocked by something is so here without a hold.)"""
BEGUN = ("in_progress", "hooked")
BLOCKS = ("blocks", "conditional-blocks", "waits-for")
RELATIONS = dict.fromkeys(BLOCKS, "blocked_by") | {
    "parent-child": "parent",
    "discovered-from": "discovered_from",
    "duplicates": "duplicate_of",
    "supersedes": "supersedes",
    **dict.fromkeys(
        ("related", "relates-to", "replies-to", "tracks", "caused-by", "until"), "relates_to"
    ),
    **dict.fromkeys(
        ("authored-by", "assigned-to", "approves", "attests", "validates"), "relates_to"
    ),
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
        *(
            "id",
            "title",
            "description",
            "design",
            "acceptance_criteria",
            "notes",
            "status",
            "priority",
            "issue_type",
        ),
        *(
            "assignee",
            "owner",
            "created_at",
            "created_by",
            "updated_at",
            "closed_at",
            "close_reason",
            "due_at",
        ),
        *(
            "closed_by_session",
            "defer_until",
            "estimated_minutes",
            "external_ref",
            "source_repo",
            "source_system",
        ),
        *(
            "content_hash",
            "labels",
            "dependencies",
            "comments",
            "deleted_at",
            "deleted_by",
            "delete_reason",
        ),
        *(
            "original_type",
            "compaction_level",
            "compacted_at",
            "compacted_at_commit",
            "original_size",
            "sender",
        ),
        *(
            "ephemeral",
            "pinned",
            "is_template",
            "await_type",
            "await_id",
            "timeout",
            "waiters",
            "bonded_from",
        ),
        *(
            "creator",
            "quality_score",
            "crystallizes",
            "holder",
            "hook_bead",
            "role_bead",
            "agent_state",
            "rig",
        ),
        *(
            "last_activity",
            "role_type",
            "mol_type",
            "work_type",
            "event_kind",
            "actor",
            "target",
            "payload",
        ),
        "metadata",
    )
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
    if len(raw) > LONGEST:
        return BadData(f"longer than {LONGEST:,} bytes", where)
    try:
        found, mended = codec.loads(raw), ""
    except ValueError as reason:
        try:
            found, mended = codec.loads(_ESCAPE.sub(_literal, raw)), str(reason)
        except ValueError:
            return BadData(f"not JSON: {reason}", where, todo="mend the line and import it again")
    if not isinstance(found, dict):
        return BadData("not a JSON object", where)
    if not {"title", "status"} & found.keys():
        return BadData("has neither title nor status: this is no issue of beads", where)
    one = item(found, where)
    if mended:
        one.reports.append(f"not JSON: {mended}; the backslash is taken for itself")
    return one


_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


def _literal(found: re.Match[bytes]) -> bytes:
    return found[0] if found[1] in b'"\\/bfnrtu' else b"\\" + found[0]


def item(record: Json, where: str = "") -> Foreign:
    """What the record says, in our words."""
    labels = record.get("labels", record.get("tags"))
    title, desc, kind, priority = (
        record.get(name) for name in ("title", "description", "issue_type", "priority")
    )
    words = foreign.given(title, desc, kind, priority, labels)
    one = Foreign("beads", foreign.name_of(record.get("id")), where, record, words)
    if one.name is None:
        one.reports.append("has no id: it gets no alias, and nothing can depend on it")
    for name in record:
        if name not in FIELDS:
            one.notes.append(
                f"field {brief(name)} is {f'taken for {ALSO[name]}' if name in ALSO else 'unknown'}, kept"
            )
    foreign.warnings(one, "issue_type", labels)
    foreign.defer(one, "defer_until")
    one.comments = _comments(one)
    one.edges = list(_edges(one)) if one.name else []
    _status(one)
    return one


def _status(one: Foreign) -> None:
    status = one.record.get("status", "open")
    if status in HELD:
        waits = any(relation == "blocked_by" for _, relation, _ in one.edges)
        one.given |= {} if status == "blocked" and waits else {"hold": f"{status} in beads"}
    elif isinstance(status, str) and status in CLOSED:
        one.closed = {"resolution": CLOSED[status], **_reason(one.record)}
    elif status in BEGUN:
        one.notes.append(f"status {status}: nobody holds it here, so it is open")
    elif status != "open":
        one.reports.append(f"status {brief(status)} is unknown, taken for open")


def _reason(record: Json) -> Json:
    for name in ("close_reason", "closed_reason", "delete_reason"):
        if isinstance(record.get(name), str) and record[name]:
            return {"note": cut(record[name], 4 * 1024)}
    return {}


def _comments(one: Foreign) -> list[str]:
    found = one.record.get("comments")
    some = (
        [said.get("text") if isinstance(said, dict) else None for said in found]
        if isinstance(found, list)
        else []
    )
    if found and not all(isinstance(text, str) for text in some or [None]):
        one.reports.append("has comments that are no comments, kept")
    return [cut(text, 8_000) for text in some if isinstance(text, str)]


def _edges(one: Foreign) -> Iterator[tuple[str, str, str]]:
    parents = 0
    for kind, to in filter(None, map(_link, _listed(one.record))):
        relation = RELATIONS.get(kind, "relates_to")
        if kind not in RELATIONS:
            one.reports.append(f"dependency {brief(kind)} is unknown, taken for relates_to")
        parents += relation == "parent"
        if relation == "parent" and parents > 1:
            one.reports.append(f"{brief(to)} is a second parent, taken for relates_to")
            relation = "relates_to"
        yield one.name or "", relation, to


def _listed(record: Json) -> list[object]:
    found = (record.get(name) for name in ("dependencies", "depends_on"))
    return [one for some in found if isinstance(some, list) for one in some]


def _link(one: object) -> tuple[str, str] | None:
    """(its word for the relation, id) of what the record depends on."""
    if isinstance(one, str):
        return "blocks", one
    if isinstance(one, dict) and isinstance(one.get("depends_on_id"), str):
        return str(one.get("type", "blocks")), one["depends_on_id"]
    return None


def changed(then: Foreign, now: Json) -> Json:
    """The record, with what is not as it says. `now` is as `transfer` describes an item."""
    record, new = then.record, dict[str, object]()
    for ours, theirs in NAMES.items():
        if not codec.same(_plain(ours, now[ours]), _plain(ours, then.given.get(ours))):
            new |= _new_labels(record, now[ours] or []) if ours == "labels" else {theirs: now[ours]}
    was = "closed" if then.closed else "blocked" if "hold" in then.given else "open"
    if now["status"] not in (was, record.get("status")):
        new |= {
            "status": now["status"],
            **dict.fromkeys(("closed_at", "close_reason", "closed_reason")),
            **now["when"],
        }
    if now["assignee"]:
        new["assignee"] = now["assignee"]
    new |= _new_links(then, now)
    if said := list(_said_here(then, now)):
        old = record.get("comments")
        new["comments"] = [*(old if isinstance(old, list) else ()), *said]
    if not new:
        return record
    merged = record | new | {"updated_at": now["updated_at"]}
    return {name: what for name, what in merged.items() if name not in new or what is not None}


def _plain(name: str, value: object) -> object:
    if name == "labels":
        return sorted(set(value)) if isinstance(value, list) else []
    return {"kind": "task", "priority": 2}.get(name) if value is None else value


def _new_labels(record: Json, now: list[str]) -> Json:
    name = "tags" if "tags" in record and "labels" not in record else "labels"
    old = record.get(name)
    kept = (
        [one for one in old if not label(one) or label(one) in now] if isinstance(old, list) else []
    )
    return {name: [*kept, *(one for one in now if one not in map(label, kept))]}


def _new_links(then: Foreign, now: Json) -> Json:
    """Dependencies without those that were taken away here, and with those that were made here."""
    had = [(relation, to) for _, relation, to in then.edges]
    gone = {one for one in had if _ever(one, now) and one not in now["deps"]}
    more = [one for one in now["deps"] if one not in had]
    if not gone and not more:
        return {}
    linked = iter(had)
    kept = [one for one in _listed(then.record) if not (_link(one) and next(linked) in gone)]
    new = [
        one if isinstance(one, dict) else {"depends_on_id": one, "type": "blocks"} for one in kept
    ]
    made = [
        {"issue_id": now["alias"], "depends_on_id": to, "type": BACK.get(relation, "related")}
        for relation, to in more
    ]
    return {
        "dependencies": [*new, *made],
        **({"depends_on": None} if "depends_on" in then.record else {}),
    }


def _ever(link: tuple[str, str], now: Json) -> bool:
    """Was it taken over when the record came? (What is not here was not.)"""
    return link in now["ever"] or (link[0] == "parent" and ("parent", "") in now["ever"])


def _said_here(then: Foreign, now: Json) -> Iterator[Json]:
    there = Counter(then.comments)
    for one in now["said"]:
        there[one["text"]] -= 1
        if there[one["text"]] < 0:
            yield one


def made_here(now: Json) -> Json:
    """The record of an item that did not come from beads."""
    words = {theirs: now[ours] for ours, theirs in NAMES.items()}
    base = {"id": now["alias"], **words, "status": "open", "created_at": now["created_at"]}
    record = changed(item(base | {"created_by": now["created_by"]}), now) | {
        "updated_at": now["updated_at"]
    }
    return {name: what for name, what in record.items() if what not in (None, [], "")}
