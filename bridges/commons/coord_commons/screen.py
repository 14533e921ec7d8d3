"""How a person sees a commons: lines of lists. All texts are of others, and may be hostile."""

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
    """Lines of a list; None for what this bridge does not print."""
    for marks, row in _ROWS:
        if all(all(mark in item for mark in marks) for item in items):
            return [row(item, now_ms) for item in items]
    return None


def _offer(item: Json, now_ms: int) -> dict[str, str]:
    return {
        "id": item["id"],
        "status": item["status"],
        "by": words.who(item["by"]),
        "taken": words.who(item.get("taken_by", "")),
        "age": age_ms(now_ms - world.parse_ts(item["ts"])),
        "needs": words.line(" ".join(item["needs"])),
        "reward": words.line(item.get("reward", "")),
        "title": words.line(item["title"]),
    }


def _reputation(item: Json, _: int) -> dict[str, str]:
    names = ("standing", "quality", "reliability", "creativity", "weight")
    return {
        "subject": words.who(item["subject"]),
        **{name: f"{item[name]:.2f}" for name in names},
        "givers": str(item["givers"]),
        "stamps": str(item["stamps"]),
    }


def _flag(item: Json, _: int) -> dict[str, str]:
    how = f"{item['ratio']:.2f}" if "ratio" in item else str(item.get("stamps", ""))
    return {
        "flag": item["flag"],
        "how": item.get("why") or how,
        "who": words.line(" ".join(map(words.who, item["who"]))),
        "evidence": " ".join(item["evidence"]),
    }


def _member(item: Json, _: int) -> dict[str, str]:
    return {
        "town": words.who(item["town"]),
        "status": item["status"],
        "fingerprint": item["key"],
        "by": item["by"],
        "digest": item["digest"],
    }


def _commons(item: Json, _: int) -> dict[str, str]:
    return {
        "commons": item["commons"],
        "town": item["town"],
        "status": words.line(item["status"]),
        "towns": str(item["towns"]),
        "remote": words.line(item["remote"]),
    }


_ROWS = (
    (("taken_by", "claim", "item_id"), _offer),
    (("work_id", "needs", "key"), _offer),
    (("subject", "standing"), _reputation),
    (("flag", "evidence"), _flag),
    (("town", "by", "digest"), _member),
    (("commons", "town", "path"), _commons),
)


def page(_item: Json, _call: Call) -> Page | None:
    """There is none: `show` is drawn as all its fields."""
    return None
