"""What a model is shown of an event or an item: short ids, and no field it has no use for. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from coord_envelope.ids import short

Json = dict[str, Any]
ROOM = 12_000
"""Characters of an answer that has many rows; then they are cut, between two of them."""
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
)


_ABOUT = {
    "work": ("wk", "work_id"),
    "lease": ("ls", "lease_id"),
    "run": ("run", "run_id"),
    "msg": ("msg", "msg_id"),
}
"""By the first word of an event's type, what it is about: its id's prefix, and where in `refs` it is."""
_OF_NO_USE = ("run_id", "request", "attempts", "status_code", "stdout", "stderr")


def item(row: Json) -> Json:
    """A work item in a list."""
    return {
        name: row[name] for name in _LISTED if row.get(name) is not None and row[name] != "task"
    }


def whole(row: Json) -> Json:
    """A work item with all that is known; of its comments the newest, as many as fit."""
    kept = {name: value for name, value in row.items() if value is not None and name != "work_id"}
    said = kept.get("comments", [])
    fit = fitted(reversed(said), len(said), f"wk show {row['id']} prints the older comments, too")
    return kept | {"comments": fit.pop("rows")[::-1]} | fit if said else kept


def job(row: Json) -> Json:
    """A job: how it stands, and the end of what it printed."""
    kept = {
        name: value for name, value in row.items() if value is not None and name not in _OF_NO_USE
    }
    for name in ("stdout", "stderr"):
        kept |= {name: row[name]["tail"]} if name in row and row[name].get("tail") else {}
    return kept


def written(event: Json) -> Json:
    """That an event was written, or was there already, and what it is about."""
    kind, name = _ABOUT.get(event["type"].partition(".")[0], ("", ""))
    about = event["event_id"] if event["type"] == "msg.sent" else event.get("refs", {}).get(name)
    found = {"id": short(kind, about) if about else event["event_id"], "type": event["type"]}
    notes = {"key": "idempotency_key", "level": "$level", "token": "$token", "dup": "$dup"}
    return found | {
        note: event[name] for note, name in notes.items() if event.get(name) is not None
    }


def lease(event: Json) -> Json:
    """A lease that was acquired or renewed."""
    body = event["body"]
    found = {name: body[name] for name in ("resources", "token", "ttl_ms") if name in body}
    return written(event) | found


def held(row: Json) -> Json:
    """A lease in a list."""
    return {name: value for name, value in row.items() if name != "lease_id"}


def message(event: Json) -> Json:
    """A message. What is in it, another wrote."""
    body, refs = event["body"], event.get("refs", {})
    found: Json = {
        "id": short("msg", event["event_id"]),
        "from": event["actor"]["agent_id"],
        "ts": event["ts"],
    }
    if event["type"] != "msg.sent":
        return found | {"type": event["type"], "body": body, "trust": event.get("$trust")}
    thread, work = refs.get("thread_id"), refs.get("work_id")
    found |= {name: body[name] for name in ("subject", "text", "attach", "blob") if name in body}
    found |= {"thread": short("msg", thread)} if thread not in (None, event["event_id"]) else {}
    return found | ({"work": short("wk", work)} if work else {}) | {"trust": event.get("$trust")}


def event(line: Json) -> Json:
    """An event of the journal. What is in it, another may have written."""
    kept = {
        "id": line["event_id"],
        "ts": line["ts"],
        "type": line["type"],
        "by": line["actor"]["agent_id"],
    }
    return kept | {name: line[name] for name in ("refs", "to", "cause", "body") if line.get(name)}


def fitted(rows: Iterable[Json], most: int, rest: str) -> Json:
    """The first rows, as many as were asked for and fit, and if there are more, how to get the `rest`.

    The first is always there, however long.
    """
    kept, room, more = list[Json](), ROOM, False
    for row in rows:
        room -= len(json.dumps(row, ensure_ascii=False))
        if len(kept) == most or (kept and room < 0):
            more = True
            break
        kept.append(row)
    return {"rows": kept} | ({"more": rest} if more else {})
