"""How a person sees work items: lines of a list, and a page."""

from __future__ import annotations

import contextlib
import json
import subprocess
from typing import TYPE_CHECKING

from coord_envelope import ids, world
from coord_kernel.cli import words
from coord_kernel.cli.terminal import Page, Said, age_ms, ago, joined, reference
from coord_wk.questions import history
from coord_wk.work import Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_wk.items import Items

HISTORY = 10
"""Most events on a page; `wk log` has all."""
MAIL = 20
"""Most messages on a page; `msg ls --all --work ID` has all."""


def rows(items: list[Json], now_ms: int) -> list[dict[str, str]] | None:
    """Lines of a list; None for what are not items, such as counts."""
    if not all("work_id" in item and "title" in item for item in items):
        return None
    branches = _branches([item.get("depth", 0) for item in items])
    lines = [_row(item, branch, now_ms) for item, branch in zip(items, branches, strict=True)]
    if any("session" in item for item in items):
        for line, item in zip(lines, items, strict=True):
            line["session"] = words.line(item.get("session", ""))
            line["title"] = line.pop("title")  # stays the last
    if any("options" in item for item in items):
        for line, item in zip(lines, items, strict=True):
            line["answer"] = _answer(item)
            line["title"] = line.pop("title")  # stays the last
    return lines


def _row(item: Json, branch: str, now_ms: int) -> dict[str, str]:
    labels = f"  [{joined(item['labels'])}]" if item.get("labels") else ""
    waits = [*item.get("blockers", ()), *item.get("held_by", ())]
    why = [_short(other) for other in waits if other != item["work_id"]]
    why += [f"hold: {words.line(item['hold'])}"] if item.get("hold") else []
    owner, assignee = words.who(item.get("owner", "")), words.who(item.get("assignee", ""))
    return {
        "id": item["id"],
        "status": item["status"],
        "p": str(item["priority"]),
        "owner": owner or (assignee and f"({assignee})"),
        "age": _age(item["work_id"], now_ms),
        **({"health": item["health"]} if "health" in item else {}),
        **({"waits on": " ".join(why)} if why else {}),
        **({"trust": item["trust"]} if "trust" in item else {}),
        "title": branch + words.line(f"{item['title']}{labels}"),
    }


def _answer(question: Json) -> str:
    """What was answered, or else what may be; empty for another item."""
    if "options" not in question:
        return ""
    return words.line(question.get("answer") or f"{' | '.join(question['options'])} ?")


def _asked(item: Json) -> Iterator[tuple[str, str]]:
    """The facts of a question."""
    if "options" not in item:
        return
    yield "asked", joined(map(words.who, item["asked"]))
    by = f" by {words.who(item['answered_by'])}" if "answered_by" in item else ""
    yield "answer", f"{_answer(item)}{by}"
    if "until" in item:
        yield "until", f"{item['until']}, then {words.line(item['on_timeout'])}"
    if about := item.get("about"):
        yield "about", words.line(about.get("file") or about.get("work") or about["digest"])


def _age(item: str, now_ms: int) -> str:
    return age_ms(now_ms - (ids.stamp_of(item) >> 16)) if ids.valid(item) else "?"


def _branches(depths: list[int]) -> list[str]:
    """The lines of a tree before each of its nodes, given their depths in order."""
    drawn, below = [""] * len(depths), set[int]()
    for at in range(len(depths) - 1, -1, -1):  # from the last: what comes below a node is known
        depth = depths[at]
        if depth:
            bars = "".join("│  " if level in below else "   " for level in range(1, depth))
            drawn[at] = bars + ("├─ " if depth in below else "└─ ")
        below = {level for level in below if level < depth} | {depth}
    return drawn


def page(item: Json, call: Call) -> Page:
    """All of an item: facts, description, what was said, what happened."""
    items = Work(call).items()
    claim, closed = item.get("claim"), item.get("closed")
    created = item["created"]
    facts = [
        ("owner", claim and f"{words.who(claim['agent'])}, since {ago(claim['ts'])}"),
        ("claim", claim and joined([f"token {claim['gen']}", item.get("level", "local")])),
        *_asked(item),
        ("assigned to", words.who(item.get("assignee") or "")),
        ("created", f"{ago(created['ts'])} by {words.who(created['by'])}{_trust(created)}"),
        ("closed", closed and f"{ago(closed['ts'])} by {words.who(closed['by'])}"),
        ("labels", joined(item.get("labels", ()))),
        ("on hold", item.get("hold")),
        ("deferred to", item.get("defer_until")),
        ("part of", item.get("parent") and _named(items, item["parent"])),
        *((dep["rel"].replace("_", " "), _named(items, dep["to"])) for dep in item.get("deps", ())),
        ("progress", _progress(item)),
        *(("part", _named(items, part)) for part in item.get("children", ())),
        *((name, words.line(value)) for name, value in item.get("fields", {}).items()),
        *(
            ("conflict", f"{name}: {joined(lost)}")
            for name, lost in item.get("conflicts", {}).items()
        ),
        ("imported", item.get("imported") and words.line(item["imported"])),
    ]
    return {
        "title": item["title"],
        "state": [item["status"], item["kind"], f"P{item['priority']}", item["id"]],
        "facts": facts,
        "text": item.get("desc", ""),
        "said": sorted([*_said(item), *_mail(item["work_id"])], key=lambda said: said["ts"]),
        "happened": [
            (event["ts"], words.happened(event))
            for event in history(call, items, item["work_id"], HISTORY)
            if event["ts"] <= item["last"]["ts"]  # with --at: not what came later
        ],
    }


def _progress(item: Json) -> str:
    counted = item.get("progress")
    return f"{counted['closed']} of {counted['of']} closed" if counted else ""


def _trust(fields: Json) -> str:
    return f", {fields['trust']}" if "trust" in fields else ""


def _said(item: Json) -> Iterator[Said]:
    for comment in item.get("comments", ()):
        by = comment["by"]
        what = "unsigned" if "trust" in comment else ""
        yield {"ts": comment["ts"], "by": by, "what": what, "text": comment["text"]}
    for artifact in item.get("artifacts", ()):
        # The state keeps what was added, not by whom; the id says when.
        added = artifact["artifact_id"]
        ts = world.format_ts(ids.stamp_of(added) >> 16) if ids.valid(added) else ""
        about = (str(artifact[name]) for name in ("kind", "name", "uri") if artifact.get(name))
        yield {"ts": ts, "by": "", "what": f"result: {' '.join(about)}", "text": ""}
    closed = item.get("closed")
    if closed and closed.get("note"):
        yield {"ts": closed["ts"], "by": closed["by"], "what": "closed it", "text": closed["note"]}


def _mail(item: str) -> Iterator[Said]:
    """What was sent about an item. Only msg knows mail, so it is asked, as a person would."""
    messages = _printed("msg", "ls", "--all", "--work", item, f"-n{MAIL}", "-o", "id")
    for line in _printed("msg", "show", *messages, "-o", "jsonl") if messages else ():
        event = json.loads(line)
        if event["type"] != "msg.sent":
            continue  # of the item itself: told among what happened
        body = event.get("$body") or event["body"]
        to = " ".join(map(words.who, event.get("to") or ()))
        what = f"to {to}: {body.get('subject', event['type'])}"
        text = str(body.get("text", ""))
        yield {"ts": event["ts"], "by": event["actor"]["agent_id"], "what": what, "text": text}


def _printed(*command: str) -> list[str]:
    with contextlib.suppress(OSError):  # without msg a page has no mail
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return ended.stdout.decode("utf-8", "replace").split("\n")[:-1]
    return []


def _short(item: str) -> str:
    return ids.short("wk", item) if ids.valid(item) else item


def _named(items: Items, item: str) -> str:
    """An item by its short id, its status and its title."""
    return reference(_short(item), *_told(items, item))


def _told(items: Items, item: str) -> tuple[str, str]:
    if items.state(item) is None:
        return "unknown here", ""
    row = items.row(item)
    return row["status"], row["title"]
