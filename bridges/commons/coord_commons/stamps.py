"""The commands about stamps: stamp, reputation, fraud."""

from __future__ import annotations

from coord_commons import draft
from coord_commons import groups as g
from coord_commons.market import DIMENSIONS
from coord_commons.work import opened, text, which
from coord_envelope.errors import No, Refused, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_commons import options as o
    from coord_kernel.cli.call import Call


def stamp(call: Call, valence: g.Valence, id_: o.Id, commons: o.Commons = None) -> None:
    """Say how good an accepted submission is.

    In three dimensions, from 0 to 5. Once for each offer, and never your own: neither under another
    name nor with another key of yours. Stamping the same again prints the first; `withdraw STAMP`
    takes it back.
    """
    values = {name: getattr(valence, name) for name in DIMENSIONS}
    missing = [f"--{name}" for name, value in values.items() if value is None]
    if missing:
        raise Usage(f"{' '.join(missing)} missing", todo="from 0 to 5 each")
    note = text(valence.note, "--note") if valence.note else ""
    mine = opened(call, commons)
    mine.sync()
    market = mine.market()
    offer = which(call, mine, market, id_)
    if not offer.submission:
        raise No(f"nothing was accepted: it is {offer.status}", where=id_, code="wrong_state")
    party = mine.mine(market)
    if offer.submission["party"] == party:
        raise Refused("is your own submission", where=id_)
    body = draft.stamped(offer, values, note)["body"]
    for record in offer.stamps:
        if record["party"] == party:
            found = mine.written(record["id"])
            if found["body"] != body:
                todo = f"`coord-commons withdraw {record['id']}` first"
                raise No("was stamped by you already", where=id_, todo=todo)
            call.put([found.annotated(dup=True)])
            return
    mine.room(market, "stamps", id_)
    with mine.transaction() as t:
        done = t.add(draft.stamped(offer, values, note))
    mine.give()
    call.put([done])


def reputation(
    call: Call, subject: o.Subject = None, at: o.At = None, commons: o.Commons = None
) -> None:
    """Show the reputation of each town, or of one.

    SUBJECT is a town, or the fingerprint of a key. Each dimension is a mean of what other towns
    have stamped, weighted by their own standing: from 0 to 5, near 0 without anybody of weight.
    """
    mine = opened(call, commons)
    market, rows = mine.reputations(call.moment(at) if at else "")
    party = market.parties.named(subject) if subject else None
    if subject and party is None:
        raise No("no such town", where=subject, code="not_found")
    order = sorted(rows, key=lambda each: (-rows[each]["standing"], each))
    call.put(
        {"subject": each, "keys": market.parties.keys[each], **rows[each]}
        for each in order
        if party in (None, each)
    )


def fraud(call: Call, at: o.At = None, commons: o.Commons = None) -> None:
    """Show stamps that look arranged, with the evidence.

    Uniform stamps of one giver, towns that stamp each other, bursts, and stamps that do not count.
    What is shown changes nothing: a person looks at it.
    """
    mine = opened(call, commons)
    call.put(mine.flags(call.moment(at) if at else ""))
