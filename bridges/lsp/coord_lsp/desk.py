"""What an editor shows, given the leases, items and jobs. Pure.

Titles, names and reasons are other people's text: it is shown as plain text, in one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from lsprotocol import types as lsp

from coord_lease.fold import Held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_lease.fold import Row

Json = dict[str, Any]
ID = re.compile(r"\bwk-[0-9a-hjkmnp-tv-z]{4,8}\b")
"""A short id of an item in a text."""
SOURCE = "coord"
LONGEST = 200
"""Characters of other people's text in one place."""
KEPT = 1_000
"""Lines of a document in which hints are shown."""


class Span(NamedTuple):
    """Where an id stands, in UTF-16 units as the protocol counts by default."""

    line: int
    begin: int
    end: int
    text: str

    @property
    def range(self) -> lsp.Range:
        return lsp.Range(lsp.Position(self.line, self.begin), lsp.Position(self.line, self.end))


def others(held: Held, path: str, me: str) -> list[Row]:
    """Leases of others on a file, as `lease ls` prints them."""
    return [lease for lease in held.of_file(path) if lease["holder"] != me]


def diagnostics(leases: Iterable[Row], first_line: int) -> list[lsp.Diagnostic]:
    """A warning at the first line, of `first_line` units, for each lease of another."""
    whole = lsp.Range(lsp.Position(0, 0), lsp.Position(0, first_line))
    return [
        lsp.Diagnostic(
            range=whole,
            message=notice(lease),
            severity=lsp.DiagnosticSeverity.Warning,
            code="held",
            source=SOURCE,
            data={"holder": lease["holder"]},
        )
        for lease in leases
    ]


def notice(lease: Row) -> str:
    """Who holds it, since when, for what."""
    names = plain(" ".join(lease["resources"]))
    shared = "shares" if lease.get("mode") == "s" else "holds"
    why = f", for: {plain(lease['reason'])}" if lease.get("reason") else ""
    return f"{plain(lease['holder'])} {shared} {names} since {clock(lease['since'])}{why}"


def plain(text: str) -> str:
    """One line without control characters, cut."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def clock(ts: str) -> str:
    """A time of an event as a clock of this machine shows it."""
    return datetime.fromisoformat(ts).astimezone().strftime("%H:%M")


def units(text: str) -> int:
    """The length of a text in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def spans(lines: Iterable[str]) -> Iterator[Span]:
    """The ids in a document."""
    for number, line in enumerate(lines):
        for match in ID.finditer(line) if "wk-" in line else ():
            begin = units(line[: match.start()])
            yield Span(number, begin, begin + len(match[0]), match[0])


def hints(
    found: Iterable[Span], items: dict[str, Json], begin: int, end: int
) -> list[lsp.InlayHint]:
    """Behind each id of these lines its state and title."""
    shown = []
    for span in found:
        item = items.get(span.text)
        if item and begin <= span.line <= end:
            label = f"{item['status']}: {plain(item['title'])}"
            position = lsp.Position(span.line, span.end)
            shown.append(lsp.InlayHint(position=position, label=label, padding_left=True))
    return shown


def hover(item: Json) -> str:
    """What is known of an item, as plain text: at most one line for each fact."""
    facts = {
        item["id"]: item["title"],
        item["status"]: f"priority {item['priority']}",
        "owner:": item.get("owner"),
        "assignee:": item.get("assignee"),
        "labels:": " ".join(item.get("labels", ())),
        "blockers:": " ".join(item.get("blockers", ())),
    }
    return "\n".join(f"{name} {plain(str(fact))}" for name, fact in facts.items() if fact)


def completions(items: Iterable[Json]) -> list[lsp.CompletionItem]:
    """Ids of items, found by title, too."""
    return [
        lsp.CompletionItem(
            label=item["id"],
            kind=lsp.CompletionItemKind.Reference,
            detail=f"{item['status']}: {plain(item['title'])}",
            filter_text=f"{item['id']} {plain(item['title'])}",
            insert_text=item["id"],
        )
        for item in items
    ]


def matching(items: Iterable[Json], query: str) -> list[Json]:
    """Items whose id or title has every word of the query."""
    words = query.casefold().split()
    return [
        item
        for item in items
        if all(word in f"{item['id']} {item['title']}".casefold() for word in words)
    ]


def actions(path: str, held: Held, me: str, found: Iterable[str]) -> list[lsp.Command]:
    """What can be done with a file, and with the items named in the selected lines."""
    holders = {lease["holder"] for lease in held.of_file(path)}
    shown = [command("Release this file", "coord.release", path)] if me in holders else []
    shown += [] if holders else [command("Acquire this file", "coord.acquire", path)]
    shown += [
        command(f"Ask {plain(holder)} for this file", "coord.ask", path, holder)
        for holder in sorted(holders - {me})
    ]
    return shown + [command(f"Open {name}", "coord.open", name) for name in dict.fromkeys(found)]


def command(title: str, name: str, *arguments: str) -> lsp.Command:
    return lsp.Command(title, name, arguments=list(arguments))


def about(job: Json, path: str) -> bool:
    """Does a running job's command name this file?"""
    return job.get("status") == "running" and path in map(str, job.get("argv") or ())
