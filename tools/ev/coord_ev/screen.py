"""How a person sees an event: all of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from coord_kernel.cli import words
from coord_kernel.cli.terminal import Page, ago, joined

if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call

_HEAD = ("event_id", "type", "ts", "project", "writer", "seq", "actor", "to", "body")


def rows(_: list[Json], __: int) -> None:
    """Fields as they are."""
    return


def page(item: Json, call: Call) -> Page | None:
    """An event: what it says, from whom, and its body; None for what is not an event."""
    if not all(name in item for name in _HEAD if name != "to"):
        return None
    rest = {name: value for name, value in item.items() if name not in _HEAD}
    facts = [
        ("by", words.who(item["actor"]["agent_id"])),
        ("session", item["actor"].get("session_id")),
        ("to", joined(map(words.who, item.get("to") or ()))),
        ("written", f"{item['ts']}, {ago(item['ts'])}"),
        ("stream", f"{item['writer']}, number {item['seq']}"),
        ("project", item["project"]),
        *((name.lstrip("$"), _json(value)) for name, value in rest.items()),
    ]
    return {
        "title": item["type"],
        "state": [item["event_id"]],
        "facts": facts,
        "lines": json.dumps(item["body"], ensure_ascii=False, indent=2),
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
