"""ev redact: make every reader print a tombstone in place of an event."""

from __future__ import annotations

from coord_envelope import BadData, No

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_ev import options as o
    from coord_kernel.cli.call import Call

MOST = 200
"""Bytes of a reason."""


def redact(call: Call, id_: o.Id, reason: o.Reason) -> None:
    """Hide the content of an event.

    Readers then print a tombstone in its place: who redacted it, when, and why. The bytes stay in
    the journal of every store that has them, so change any secret that was in it.
    """
    from coord_kernel.rules import claims
    from coord_kernel.streams import redaction  # not needed by ev's other commands
    from coord_kernel.views import shown

    if len(reason.encode("utf-8", "surrogateescape")) > MOST:
        raise BadData(f"longer than {MOST} bytes", where="--reason")
    index = call.journal.index.refresh()
    full = index.resolve(id_)
    place = index.by_id(full) if full else None
    if place is None:
        raise No("no such event", where=id_, code="not_found")
    if claims.is_arbiter(place.event["writer"]):
        raise No("an arbiter's event cannot be redacted; it only records claims", where=id_)
    known = index.by_key(redaction.TYPE, place.event.id)
    if known and known.event["body"].get("reason") != reason:
        by = known.event["actor"]["agent_id"]
        what = f"redacted by {by} at {known.event['ts']}, for another reason"
        raise BadData(what, where=id_, todo="a redaction is never changed")
    body = {"target": place.event.id, "h": redaction.digest(place.event.raw), "reason": reason}
    call.append([{"type": redaction.TYPE, "idempotency_key": place.event.id, "body": body}])
    shown.purge(call.journal.store)
