"""What an event of a commons is known by, and what a redaction leaves of it. Pure."""

from __future__ import annotations

from coord_commons import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope.codec import Json

    At = tuple[str, str]
    """What an event is known by: its id, and its party."""

TEXTS = ("title", "note", "why", "uri", "fields")
"""What a redaction empties."""


def at(record: Json) -> At:
    """What an event is known by."""
    return record["id"], record["party"]


def names(record: Json, field: str) -> At:
    """The event of the same party that an event names."""
    return str(record["body"].get(field)), record["party"]


def redact(rows: Sequence[Json]) -> None:
    """Empty the texts of what its own party has redacted."""
    redacted = {names(row, "target") for row in rows if row["type"] == fold.REDACTED and row["key"]}
    for row in rows:
        if redacted and row["key"] and at(row) in redacted:
            row["body"] = {name: row["body"][name] for name in row["body"] if name not in TEXTS}
