"""How a person sees leases: lines of a list, and a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord_kernel.cli import words
from coord_kernel.cli.terminal import Page, age_ms, ago, joined

if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call


def rows(items: list[Json], _: int) -> list[dict[str, str]] | None:
    """Lines of a list; None for what are not leases."""
    if not all("lease_id" in item and "resources" in item for item in items):
        return None
    return [
        {
            "id": item["id"],
            "status": item["status"],
            "holder": words.who(item["holder"]),
            "left": _left(item),
            "token": str(item.get("token", "")),
            "resources": words.line(joined(item["resources"])),
        }
        for item in items
    ]


def _left(item: Json) -> str:
    left = item.get("left_ms")
    return age_ms(left) if isinstance(left, int) else ""


def page(item: Json, _: Call) -> Page:
    """A lease: what it covers, who holds it, and until when."""
    facts = [
        ("holder", words.who(item["holder"])),
        ("session", item.get("session")),
        ("since", item.get("since") and ago(item["since"])),
        ("time left", _left(item)),
        ("mode", {"x": "exclusive", "s": "shared"}.get(item.get("mode", ""))),
        ("scope", item.get("scope")),
        ("token", item.get("token")),
        ("reason", item.get("reason") or item.get("why")),
    ]
    return {
        "title": joined(item["resources"]),
        "state": [item["status"], item["id"]],
        "facts": facts,
    }
