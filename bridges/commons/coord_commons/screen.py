"""How a person sees a commons: lines of lists. All texts are of others, and may be hostile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord_commons.market import DIMENSIONS
from coord_envelope import world
from coord_kernel.cli import words
from coord_kernel.cli.terminal import age_ms

if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.cli.terminal import Page, Said


def rows(items: list[Json], now_ms: int) -> list[dict[str, str]] | None:
    """Lines of a list; None for what this bridge does not print."""
    if items and all("town" in item and "by" in item and "digest" in item for item in items):
        return _members(items)
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


def _members(items: list[Json]) -> list[dict[str, str]]:
    """The keys, and the digest of the file: both in full, since a person compares them."""
    named = {item["key"]: words.who(item["town"]) for item in items}
    lines = [
        {
            "town": words.who(item["town"]),
            "status": item["status"],
            "by": named.get(item["by"], item["by"]),
            "fingerprint": item["key"],
        }
        for item in items
    ]
    file = {"town": "(file)", "status": "", "by": "", "fingerprint": items[0]["digest"]}
    return [*lines, file]


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
    (("commons", "town", "path"), _commons),
)


def page(item: Json, _call: Call) -> Page | None:
    """An offer; None for what is not one."""
    if "submissions" not in item:
        return None
    said: list[Said] = []
    for each in item["submissions"]:
        text = "\n".join([*each["evidence"], each.get("note", ""), each.get("why", "")]).strip()
        said.append({**_by(each), "what": f"submitted, {each['status']}", "text": text})
    for each in item["stamps"]:
        values = ", ".join(f"{name} {each[name]}" for name in DIMENSIONS)
        said.append({**_by(each), "what": f"stamp: {values}", "text": each.get("note", "")})
    said += [
        {**_by(each), "what": f"stamp refused: {each['why']}", "text": ""}
        for each in item.get("refused", ())
    ]
    shared = item.get("shared", {})
    return {
        "title": words.line(item["title"]),
        "state": [item["status"]],
        "facts": [
            ("id", item["id"]),
            ("by", f"{words.who(item['by'])} {item['key']}"),
            ("taken by", words.who(item.get("taken_by", ""))),
            ("needs", words.line(" ".join(item["needs"]))),
            ("reward", words.line(item.get("reward", ""))),
            *((name, words.line(str(shared[name]))) for name in shared),
        ],
        "said": sorted(said, key=lambda each: each["ts"]),
    }


def _by(each: Json) -> Said:
    return {"ts": each["ts"], "by": each["by"], "what": "", "text": ""}
