"""What a person reads: the title and the text of a notification. Pure."""

from __future__ import annotations

import re
from collections import Counter

from coord_envelope import ids
from coord_kernel.cli.escape import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope import Event
    from coord_envelope.codec import Json

TITLE, TEXT, LINES = 180, 4_000, 20
"""Most characters of a title and of a text, and most lines of a summary."""
_MENTION = re.compile(r"(?<!\w)@(?=\S)|<(?=[@!#])")


def written(project: str, notices: Sequence[Json], event: Event | None) -> tuple[str, str]:
    """Title and text of a send; `event` is that of a single notice."""
    if len(notices) == 1:
        (notice,) = notices
        body = event["body"] if event else {}
        said = body.get("text") or body.get("desc")
        lines = [_lines(said)] if isinstance(said, str) and said.strip() else []
        lines.append(f"{project}: ev show {ids.short('ev', notice['id'])}")
        return _cut(_quiet(visible(notice["subject"])), TITLE), "\n\n".join(lines)
    counts = Counter(_quiet(visible(notice["subject"])) for notice in notices)
    lines = [
        f"{subject} ({count:,} times)" if count > 1 else subject
        for subject, count in counts.most_common(LINES)
    ]
    if len(counts) > LINES:
        lines.append(f"and {len(counts) - LINES:,} others")
    first, last = notices[0]["ts"], notices[-1]["ts"]
    lines.append(f"\n{first} to {last}")
    return f"{project}: {len(notices):,} notices", "\n".join(lines)


def _lines(text: str) -> str:
    """Without control characters, but with its lines."""
    shown = "\n".join(visible(line.rstrip("\r")) for line in text[: TEXT + 1].split("\n"))
    return _cut(_quiet(shown.strip()), TEXT)


def _quiet(text: str) -> str:
    """Text in which no chat finds a mention: `@everyone`, `<@1>`, `<!channel>`; with U+200B."""
    return _MENTION.sub("\\g<0>\u200b", text)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
