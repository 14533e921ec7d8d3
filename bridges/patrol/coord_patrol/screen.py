"""How a person sees alerts: lines of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord_envelope import world
from coord_kernel.cli import words
from coord_kernel.cli.terminal import age_ms, joined

if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.cli.terminal import Page


def rows(items: list[Json], now_ms: int) -> list[dict[str, str]] | None:
    """Lines of a list; None for what are not alerts."""
    if not all("fingerprint" in item and "episode" in item for item in items):
        return None
    return [
        {
            "alert": words.line(item["fingerprint"]),
            "severity": item["severity"],
            "now": _now(item),
            "count": f"{item['count']:,}",
            "last": age_ms(now_ms - world.parse_ts(item["last"])),
            "notified": joined(map(words.who, item.get("notified", ()))),
            "subject": words.line(item.get("subject", "")),
        }
        for item in items
    ]


def _now(item: Json) -> str:
    if "resolved" in item:
        return "resolved"
    if "acked_by" in item:
        return f"taken by {words.who(item['acked_by'])}"
    return str(item.get("level", "waits"))


def page(_item: Json, _call: Call) -> Page | None:
    """There is none."""
    return None
