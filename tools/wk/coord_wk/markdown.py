"""Work items as Markdown files, for people and diffs. Pure: the same item is the same bytes."""

from __future__ import annotations

import json
import unicodedata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    Detail = Mapping[str, Any]  # an item's, any part of it

HEAD = (
    *("id", "work_id", "status", "priority", "kind", "title"),
    *("owner", "assignee", "parent", "labels", "deps"),
    *("blockers", "hold", "defer_until", "fields", "artifacts", "closed", "created", "last"),
)
"""The fields of the front matter, in order."""


def file_name(short: str, first_title: str) -> str:
    """`wk-xxxxxxxx-its-title.md`, by the title it was created with, so that the name stays."""
    plain = unicodedata.normalize("NFKD", first_title).encode("ascii", "ignore").decode().lower()
    words = "".join(char if char.isalnum() else " " for char in plain).split()
    return f"{short}-{'-'.join(words)[:60].strip('-')}".rstrip("-") + ".md"


def text(detail: Detail) -> str:
    """Front matter (each value is JSON, which YAML reads), the description, the comments."""
    return "\n".join(_lines(detail))


def _lines(detail: Detail) -> Iterator[str]:
    yield "---"
    for name in HEAD:
        if name in detail:
            yield f"{name}: {json.dumps(detail[name], ensure_ascii=False)}"
    yield "---"
    yield from ("", f"# {' '.join(str(detail['title']).split())}")
    if detail.get("desc"):
        yield from ("", str(detail["desc"]).rstrip("\n"))
    if detail.get("comments"):
        yield from ("", "## Comments")
    for comment in detail.get("comments", ()):
        yield from ("", f"### {comment['by']}, {comment['ts']}", "", comment["text"].rstrip("\n"))
    yield ""
