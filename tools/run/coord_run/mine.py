"""Which requests were made in this store: those of which it has a note of its own, that no sync can bring.

The name of a writer proves nothing: who can push can add lines to any stream, also to this store's.
"""

from __future__ import annotations

import os

from coord_envelope import codec, event
from coord_kernel.store.disk import write_all
from coord_run.logs import place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Store
    from coord_kernel.journal.append import Witness

NOTE = "request"


def witness(store: Store) -> Witness:
    """What notes the requests that are about to be written."""

    def note(events: Sequence[Event]) -> None:
        for one in events:
            if one["type"] == "run.requested":
                fd = store.open(*place(one.id, NOTE), flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                try:
                    write_all(fd, one.raw)
                finally:
                    os.close(fd)

    return note


def is_mine(store: Store, request: Json) -> bool:
    """Was this requested here, by the same agent, word for word?"""
    raw = store.load(*place(request["id"], NOTE))
    try:
        noted = event.parse(raw or b"")
    except ValueError:
        return False
    return noted["actor"]["agent_id"] == request["by"] and codec.same(
        noted["body"], request["body"]
    )
