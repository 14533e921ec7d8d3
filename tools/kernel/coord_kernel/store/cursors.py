"""Named cursors: the position of a reader, kept across restarts."""

from __future__ import annotations

from coord_envelope import BadData, Cursor, Usage, codec
from coord_envelope.event import name_ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.store.directory import Store


def load(store: Store, name: str) -> Cursor:
    """The named cursor; an empty one if it was never saved.

    Raises Usage for an invalid name, BadData for an invalid file.
    """
    if not name_ok(name):
        raise Usage(f"not a valid cursor name: {name!r}", todo="use up to 63 of a-z 0-9 . _ -")
    saved = store.load("local", "cursors", name + ".json")
    try:
        vector = codec.loads(saved) if saved else {}
        return Cursor({stream: int(seq) for stream, seq in vector.items()})
    except (ValueError, TypeError, AttributeError):
        raise BadData(
            "not a valid cursor",
            where=f"local/cursors/{name}.json",
            todo="delete it to start over",
        ) from None


def save(store: Store, name: str, cursor: Cursor) -> None:
    """Save it durably: after a crash the file holds the previous cursor or this one."""
    store.save(codec.dumps(cursor) + b"\n", "local", "cursors", name + ".json")
