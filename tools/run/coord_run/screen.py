"""How a person sees jobs: lines of a list, and a page."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from coord_envelope import ids, world
from coord_kernel.cli import words
from coord_kernel.cli.terminal import Page, age_ms, ago, joined

if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call


def rows(items: list[Json], now_ms: int) -> list[dict[str, str]] | None:
    """Lines of a list; None for what are not jobs."""
    if not all("run_id" in item and "argv" in item for item in items):
        return None
    return [
        {
            "id": item["id"],
            "status": item["status"],
            "result": _result(item),
            "by": words.who(item.get("runner") or item["by"]),
            "age": age_ms(now_ms - world.parse_ts(item["ts"])),
            "command": words.line(shlex.join(map(str, item["argv"]))),
        }
        for item in items
    ]


def _result(item: Json) -> str:
    outcome, code = item.get("outcome"), item.get("code")
    return words.line(" ".join(str(part) for part in (outcome, code) if part is not None))


def page(item: Json, _: Call) -> Page:
    """A job: its command, how it ended, its attempts, and the end of what it printed."""
    took = item.get("dur_ms")
    facts = [
        ("requested", f"{ago(item['ts'])} by {words.who(item['by'])}"),
        ("result", _result(item)),
        ("took", took is not None and f"{took / 1000:.3g} s"),
        ("runner", item.get("runner") and words.who(item["runner"])),
        ("waits for", joined(ids.short("run", run) for run in item.get("waits_for", ()))),
        ("not before", item.get("not_before") and ago(item["not_before"])),
        ("reason", item.get("reason") or item.get("cancelled")),
        *((f"attempt {n['n']}", _attempt(n)) for n in item.get("attempts", ())),
    ]
    printed = "".join(_tail(name, item.get(name)) for name in ("stdout", "stderr"))
    return {
        "title": shlex.join(map(str, item["argv"])),
        "state": [item["status"], item["id"]],
        "facts": facts,
        "lines": printed,
    }


def _attempt(attempt: Json) -> str:
    started = attempt.get("started")
    parts = [
        attempt.get("runner") and f"by {words.who(attempt['runner'])}",
        attempt.get("host") and f"on {words.line(attempt['host'])}",
        isinstance(started, str) and ago(started),
        _result(attempt) or attempt.get("why"),
    ]
    return joined(part for part in parts if part)


def _tail(name: str, output: Json | None) -> str:
    text = (output or {}).get("tail") or ""
    return f"{name}\n" + "".join(f"  {line}\n" for line in text.splitlines()) if text else ""
