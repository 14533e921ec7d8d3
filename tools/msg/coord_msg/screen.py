"""How a person sees mail: lines of a list, and a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord_envelope import Event, ids, world
from coord_kernel.cli import words
from coord_kernel.cli.terminal import Page, age_ms, ago, joined
from coord_msg.fold import SEVERITIES

if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call


def rows(items: list[Json], now_ms: int) -> list[dict[str, str]] | None:
    """Lines of a list; None for what are not messages."""
    if not all("msg_id" in item and "from" in item for item in items):
        return None
    return [
        {
            "id": item["id"],
            "status": item["status"],
            "from": words.who(item["from"]),
            "to": joined(map(words.who, item["to"])),
            "age": age_ms(now_ms - world.parse_ts(item["ts"])),
            **({"trust": item["trust"]} if "trust" in item else {}),
            "subject": words.line(item["subject"]),
        }
        for item in items
    ]


def page(item: Json, call: Call) -> Page | None:
    """A message: from whom, to whom, its text, and who has it; None for another event."""
    if "$trust" not in item:
        return None
    body: Json = item.get("$body") or item["body"]
    attached = (str(blob.get("name", "?")) for blob in body.get("attach") or () if blob)
    facts = [
        ("from", words.who(item["actor"]["agent_id"])),
        ("to", joined(map(words.who, item.get("to") or ()))),
        ("sent", ago(item["ts"])),
        ("severity", body.get("severity") if body.get("severity") in SEVERITIES else ""),
        (
            "about",
            ids.short("wk", item["refs"]["work_id"]) if "work_id" in item.get("refs", ()) else "",
        ),
        *words.answering(item, ids.short("wk", item["event_id"])),
        ("waits for", joined(map(words.who, item.get("$waits_for", ())))),
        ("read by", joined(map(words.who, item.get("$read_by", ())))),
        ("held by", words.who(item.get("$holder", ""))),
        ("attached", joined(attached)),
        ("trust", "" if item.get("$trust") in ("self", "store") else item.get("$trust")),
    ]
    return {
        "title": str(body.get("subject") or _subject(item, call)),
        "state": [item.get("$status", ""), ids.short("msg", item["event_id"])],
        "facts": facts,
        "lines": "".join(words.asked(body)),
    }


def _subject(event: Json, call: Call) -> str:
    """What mail without a subject is about: what happened."""
    if event["type"] == "msg.sent" or not isinstance(event, Event):
        return "(no subject)"
    return words.sentence(event, call.out)
