"""How a person sees a queue: lines of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord_envelope import world
from coord_kernel.cli import words
from coord_kernel.cli.terminal import age_ms

if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.cli.terminal import Page


def rows(items: list[Json], now_ms: int) -> list[dict[str, str]] | None:
    """Lines of a list; None for what are not requests."""
    if not all("request_id" in item and "branch" in item for item in items):
        return None
    return [
        {
            "id": item["id"],
            "status": item["status"],
            "p": str(item["priority"]),
            "branch": words.line(item["branch"]),
            "by": words.who(item["by"]),
            "age": age_ms(now_ms - world.parse_ts(item.get("ended") or item["ts"])),
            "why": words.line(item.get("name") or item.get("why", "")),
            "title": words.line(item["title"]),
        }
        for item in items
    ]


def page(_item: Json, _call: Call) -> Page | None:
    """There is none."""
    return None
