"""Rows for a model: short ids, and only the fields it can use. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NotRequired, TypedDict

from coord_envelope.event import shown_address
from coord_envelope.ids import short

Json = dict[str, Any]
ROOM = 12_000
"""Most characters of an answer with many rows; it is cut between two rows."""
TEXT = 32_768
"""Most characters of the text of a message."""
_LISTED = (
    "id",
    "status",
    "priority",
    "title",
    "kind",
    "owner",
    "assignee",
    "parent",
    "labels",
    "blockers",
    "held_by",
    "options",
    "answer",
)
_ABOUT = {
    "work": ("wk", "work_id"),
    "lease": ("ls", "lease_id"),
    "run": ("run", "run_id"),
    "msg": ("msg", "msg_id"),
}
"""By namespace of an event's type, its entity: the prefix of the id, and the field in `refs`."""
_OMITTED = ("run_id", "request", "attempts", "status_code", "stdout", "stderr")


class Page(TypedDict):
    """Rows, and if there are more of them, how to get the rest."""

    rows: list[Json]
    more: NotRequired[str]


def item(row: Json) -> Json:
    """A work item in a list."""
    return {
        name: row[name] for name in _LISTED if row.get(name) is not None and row[name] != "task"
    }


def whole(row: Json) -> Json:
    """A work item in full, with as many of its newest comments as fit.

    Of its claim the time and strength, and the session, if there is one: the owner has a field.
    """
    fields = {
        name: value
        for name, value in row.items()
        if value is not None and name != "work_id" and (name, value) != ("kind", "task")
    }
    claim = fields.pop("claim", None)
    if claim:
        known = {"since": claim["ts"], "session": claim.get("session")}
        fields |= {name: value for name, value in known.items() if value}
    for name in ("created", "last"):
        if name in fields:
            fields[name] = {part: fields[name][part] for part in ("by", "ts")}
    comments = fields.get("comments", [])
    if not comments:
        return fields
    rest = f"wk show {row['id']} prints the older comments, too"
    page = fitted(reversed(comments), len(comments), rest)
    fields["comments"] = page["rows"][::-1]
    return fields | {"more": page["more"]} if "more" in page else fields


def job(row: Json) -> Json:
    """A job: its status, and the end of its output."""
    fields = {
        name: value for name, value in row.items() if value is not None and name not in _OMITTED
    }
    tails = {name: (row.get(name) or {}).get("tail") for name in ("stdout", "stderr")}
    return fields | {name: tail for name, tail in tails.items() if tail}


def written(event: Json) -> Json:
    """An event that was written, or was there already (`dup`), and the id of its entity."""
    prefix, name = _ABOUT.get(event["type"].partition(".")[0], ("", ""))
    entity = event["event_id"] if event["type"] == "msg.sent" else event.get("refs", {}).get(name)
    row = {"id": short(prefix, entity) if entity else event["event_id"], "type": event["type"]}
    optional = {"key": "idempotency_key", "level": "$level", "token": "$token", "dup": "$dup"}
    return row | {
        field: event[name] for field, name in optional.items() if event.get(name) is not None
    }


def lease(event: Json) -> Json:
    """A lease that was acquired or renewed."""
    body = event["body"]
    fields = {name: body[name] for name in ("resources", "token", "ttl_ms") if name in body}
    return written(event) | fields


def held(row: Json) -> Json:
    """A lease in a list."""
    return {name: value for name, value in row.items() if name != "lease_id"}


def message(event: Json) -> Json:
    """A message. Its content was written by another."""
    body, refs = event.get("$body") or event["body"], event.get("refs", {})
    row: Json = {
        "id": short("msg", event["event_id"]),
        "from": shown_address(event["actor"]["agent_id"]),
        "ts": event["ts"],
    }
    if event["type"] != "msg.sent":
        return row | {"type": event["type"], "body": body, "trust": event.get("$trust")}
    thread, work = refs.get("thread_id"), refs.get("work_id")
    row |= {name: body[name] for name in ("subject", "text", "attach", "blob") if name in body}
    text = row.get("text")
    if isinstance(text, str) and len(text) > TEXT:
        row |= {"text": text[:TEXT], "more": f"msg show {row['id']} --text"}
    row |= {"thread": short("msg", thread)} if thread not in (None, event["event_id"]) else {}
    row |= {"work": short("wk", work)} if work else {}
    return row | {"trust": event.get("$trust")}


def event(line: Json) -> Json:
    """An event of the journal. Its content may have been written by another."""
    row = {
        "id": line["event_id"],
        "ts": line["ts"],
        "type": line["type"],
        "by": line["actor"]["agent_id"],
    }
    return row | {name: line[name] for name in ("refs", "to", "cause", "body") if line.get(name)}


def fitted(rows: Iterable[Json], most: int, rest: str) -> Page:
    """The first rows: at most `most`, and as many as fit; `rest` says how to get the others.

    The first row is always there, however long.
    """
    page: Page = {"rows": []}
    room = ROOM
    for row in rows:
        room -= len(json.dumps(row, ensure_ascii=False))
        if len(page["rows"]) == most or (page["rows"] and room < 0):
            page["more"] = rest
            break
        page["rows"].append(row)
    return page
