"""Which requests were made in this store: those of which it has a note, which no sync can bring.

The name of a writer proves nothing: everybody with push access can add lines to any stream, also to
those of this store.
"""

from __future__ import annotations

import os

from coord_envelope import codec, event
from coord_kernel.store.disk import write_all
from coord_run.logs import place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Store
    from coord_kernel.journal.transaction import Transaction
    from coord_run.types import Request

NOTE = "request"


def add(store: Store, t: Transaction, draft: Json) -> Event:
    """Add a request to a transaction. Its note is there before anybody can read the event."""
    request = t.add(draft)
    if "$dup" not in request:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        fd = store.open(*place(request.id, NOTE), flags=flags)
        try:
            write_all(fd, request.raw)
        finally:
            os.close(fd)
    return request


def is_mine(store: Store, request: Request) -> bool:
    """Was this requested in this store, by the same agent, with an equal body?"""
    raw = store.load(*place(request["id"], NOTE))
    try:
        note = event.parse(raw or b"")
    except ValueError:
        return False
    return note["actor"]["agent_id"] == request["by"] and codec.same(note["body"], request["body"])
