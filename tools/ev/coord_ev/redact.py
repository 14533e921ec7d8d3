"""ev redact: print a tombstone in place of an event, from here on and wherever this comes."""

from __future__ import annotations

from coord_envelope import BadData, No
from coord_kernel.rules import claims
from coord_kernel.streams.redaction import TYPE, digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_ev import options as o
    from coord_kernel.cli.call import Call

MOST = 200
"""Bytes of a reason."""


def redact(call: Call, id_: o.Id, reason: o.Reason) -> None:
    """Hide what an event says.

    Readers then print a tombstone in its place: who, when, and why it was redacted. The bytes stay in the journal
    of every store that has it: whatever secret was in it must be changed.
    """
    if len(reason.encode("utf-8", "surrogateescape")) > MOST:
        raise BadData(f"longer than {MOST} bytes", where="--reason")
    index = call.journal.index.refresh()
    full = index.resolve(id_)
    place = index.by_id(full) if full else None
    if place is None:
        raise No("no such event", where=id_)
    if claims.is_arbiter(place.event["writer"]):
        raise No("is the arbiter's, and says only who holds what", where=id_)
    body = {"target": place.event.id, "h": digest(place.event.raw), "reason": reason}
    call.put(
        call.journal.append(
            call.actor(), [{"type": TYPE, "idempotency_key": place.event.id, "body": body}]
        )
    )
