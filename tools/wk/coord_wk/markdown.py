"""Work items as Markdown files, one each, for people and diffs. Pure: the same item is the same bytes."""

from __future__ import annotations

import json
import unicodedata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json

HEAD = (
    "id",
    "work_id",
    "status",
    "priority",
    "kind",
    "title",
    "owner",
    "assignee",
    "parent",
    "labels",
    "deps",
)
MORE = ("blockers", "hold", "defer_until", "fields", "artifacts", "closed", "created", "last")


def file_name(row: Json, first_title: str) -> str:
    """`wk-xxxxxxxx-its-title.md`: of the title it was made with, so that the name stays."""
    plain = unicodedata.normalize("NFKD", first_title).encode("ascii", "ignore").decode().lower()
    words = "".join(char if char.isalnum() else " " for char in plain).split()
    return "-".join([row["id"], *"-".join(words)[:60].strip("-").split("-")]).rstrip("-") + ".md"


def text(detail: Json) -> str:
    """Front matter (each value is JSON, which YAML reads), the description, the comments."""
    return "\n".join(_lines(detail))


def _lines(detail: Json) -> Iterator[str]:
    yield "---"
    for name in (*HEAD, *MORE):
        if name in detail:
            yield f"{name}: {json.dumps(detail[name], ensure_ascii=False)}"
    yield "---"
    yield from ("", f"# {' '.join(str(detail['title']).split())}")
    if detail.get("desc"):
        yield from ("", str(detail["desc"]).rstrip("\n"))
    if detail.get("comments"):
        yield from ("", "## Comments")
    for one in detail.get("comments", ()):
        yield from ("", f"### {one['by']}, {one['ts']}", "", one["text"].rstrip("\n"))
    yield ""
