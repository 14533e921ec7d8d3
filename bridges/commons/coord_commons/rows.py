"""Offers as rows and in full. Pure."""

from __future__ import annotations

from coord_commons import fold
from coord_commons.market import DIMENSIONS
from coord_commons.records import at
from coord_envelope import ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_commons.market import Market, Offer
    from coord_commons.records import At
    from coord_envelope.codec import Json


def offer_row(offer: Offer, market: Market) -> Json:
    """An offer in a line."""
    body = offer.record["body"]
    fields = body.get("fields") if isinstance(body.get("fields"), dict) else {}
    needs = fields.get("needs", "")
    row: Json = {
        "id": ids.short("wk", offer.id),
        "work_id": offer.id,
        "status": offer.status,
        "title": _text(body.get("title")),
        "by": offer.record["by"],
        "key": offer.record["key"],
        "ts": offer.record["ts"],
        "needs": needs.split() if isinstance(needs, str) else [],
    }
    row |= {"reward": _text(fields["reward"])} if "reward" in fields else {}
    shared = {
        name.removeprefix(fold.SHARED): _text(value)
        for name, value in fields.items()
        if name.startswith(fold.SHARED)
    }
    row |= {"shared": shared} if shared else {}
    holder = offer.submission or offer.holder
    return row | ({"taken_by": holder["by"]} if holder else {})


def shown(offer: Offer, market: Market) -> Json:
    """All there is to know of an offer."""
    row = offer_row(offer, market)
    records = {at(each): each for each in market.records[offer.at]}
    row["submissions"] = [_submission(each, offer, records) for each in offer.submissions]
    row["stamps"] = [_stamp(each) for each in offer.stamps]
    refused = [{**_stamp(each), "why": why} for each, why in offer.refused]
    row |= {"refused": refused} if refused else {}
    lost = [{"claim": each["id"], "by": each["by"], "why": each["why"]} for each in offer.lost]
    return row | ({"lost": lost} if lost else {})


def _submission(record: Json, offer: Offer, records: dict[At, Json]) -> Json:
    body = record["body"]
    said = body.get("artifacts")
    named = [(str(each), record["party"]) for each in said] if isinstance(said, list) else []
    artifacts = [records[each]["body"] for each in named if each in records]
    row: Json = {"event_id": record["id"], "by": record["by"], "ts": record["ts"]}
    row["evidence"] = [f"{_text(each.get('kind'))}={_text(each.get('uri'))}" for each in artifacts]
    row |= {"note": _text(body["note"])} if "note" in body else {}
    if at(record) in offer.returned:
        why = _text(offer.returned[at(record)]["body"].get("why"))
        row |= {"status": "returned", "why": why}
    elif offer.submission and at(offer.submission) == at(record):
        row["status"] = "accepted"
    else:
        row["status"] = "waiting"
    return row


def _stamp(record: Json) -> Json:
    body = record["body"]
    row = {"event_id": record["id"], "by": record["by"], "ts": record["ts"]}
    row |= {name: body[name] for name in DIMENSIONS if type(body.get(name)) is int}
    return row | ({"note": _text(body["note"])} if "note" in body else {})


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
