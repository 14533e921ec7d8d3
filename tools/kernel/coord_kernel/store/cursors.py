"""Named cursors: how far a reader came, kept over restarts."""

from __future__ import annotations

from coord_envelope import BadData, Cursor, Usage, codec
from coord_envelope.event import name_ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.store.directory import Store


def load(store: Store, name: str) -> Cursor:
    """The named cursor; an empty one if it was never saved. Raises Usage on a bad name, BadData on a bad file."""
    if not name_ok(name):
        raise Usage(f"{name!r} is no cursor name", todo="use a-z 0-9 . _ -, up to 63")
    saved = store.load("local", "cursors", name + ".json")
    try:
        vector = codec.loads(saved) if saved else {}
        return Cursor({stream: int(seq) for stream, seq in vector.items()})
    except (ValueError, TypeError, AttributeError):
        raise BadData(
            "is no cursor", where=f"local/cursors/{name}.json", todo="delete it to begin anew"
        ) from None


def save(store: Store, name: str, cursor: Cursor) -> None:
    """Save it durably: after a crash it is the old one or this one."""
    store.save(codec.dumps(cursor) + b"\n", "local", "cursors", name + ".json")
