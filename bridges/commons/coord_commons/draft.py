"""The events that are written to a commons. Pure."""

from __future__ import annotations

from hashlib import sha256

from coord_commons import fold
from coord_envelope import SELF
from coord_kernel.rules import claims

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_commons.market import Offer
    from coord_envelope.codec import Json
    from coord_kernel.rules.claims import ClaimsState


def admitted(town: str, key: str, by: str) -> Json:
    """A town's key is to be one of the commons'; `by`: the fingerprint of the key that says so."""
    body = {"town": town, "key": key, **({"by": by} if by else {})}
    return {"type": "commons.admitted", "body": body}


def offered(title: str, item: str, before: str, fields: Json) -> Json:
    """An offer of an item; `before`: the offer of it that was withdrawn.

    Its key names the item by a digest: what it is called here is nobody else's.
    """
    body: Json = {"title": title, "kind": fold.KIND}
    body |= {"fields": fields} if fields else {}
    key = f"offer:{sha256(f'{item}:{before}'.encode()).hexdigest()}"
    return {"type": "work.created", "refs": {"work_id": SELF}, "body": body, "idempotency_key": key}


def _about(kind: str, offer: Offer, body: Json) -> Json:
    body = {"work": offer.id, "offerer": offer.record["key"], **body}
    return {"type": kind, "refs": {"work_id": offer.id}, "body": body}


def claimed(offer: Offer, state: ClaimsState, steal: bool) -> Json:
    """A claim of an offer. It names whose the offer is."""
    body: Json = {"gen": claims.next_gen(state), "offerer": offer.record["key"]}
    body |= {"steal": True, "reason": "that claim does not count"} if steal else {}
    return _work("claimed", offer, state, body)


def released(offer: Offer, state: ClaimsState, claim: str) -> Json:
    """The end of a claim, by whose it is."""
    return _work("released", offer, state, {"claim": claim, "reason": "released"})


def closed(offer: Offer, state: ClaimsState, submission: str, note: str) -> Json:
    """The end of an offer: with a submission it is accepted, without one withdrawn."""
    body: Json = {"resolution": "done" if submission else "cancelled"}
    body |= {"submission": submission} if submission else {}
    body |= {"note": note} if note else {}
    return _work("closed", offer, state, body)


def _work(verb: str, offer: Offer, state: ClaimsState, body: Json) -> Json:
    refs = {"work_id": offer.id}
    return {"type": f"work.{verb}", "refs": refs, "base": claims.base(state), "body": body}


def artifact(offer: Offer, kind: str, uri: str) -> Json:
    """A piece of evidence."""
    body = {"kind": kind, "uri": uri, "on": offer.id}
    return {"type": "artifact.added", "refs": {"work_id": offer.id}, "body": body}


def submitted(offer: Offer, claim: str, artifacts: Sequence[str], note: str) -> Json:
    """That the work of a claim is done; `artifacts`: the events that show it."""
    body: Json = {"claim": claim, "artifacts": list(artifacts)}
    return _about("commons.submitted", offer, body | ({"note": note} if note else {}))


def returned(offer: Offer, submission: str, why: str) -> Json:
    """That a submission is not accepted as it is."""
    return _about("commons.returned", offer, {"submission": submission, "why": why})


def stamped(offer: Offer, values: Json, note: str) -> Json:
    """What one thinks of an accepted submission."""
    assert offer.submission
    body: Json = {"subject": offer.submission["by"], **values}
    return _about("commons.stamped", offer, body | ({"note": note} if note else {}))


def unstamped(offer: Offer, stamp: str) -> Json:
    """That a stamp is taken back by who gave it."""
    return _about("commons.stamp.withdrawn", offer, {"stamp": stamp})
