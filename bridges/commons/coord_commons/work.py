"""The commands about offers: offer, wanted, show, take, submit, accept, return, withdraw."""

from __future__ import annotations

from coord_commons import draft, place
from coord_commons import groups as g
from coord_commons.exchange import Commons
from coord_commons.fold import LONGEST
from coord_commons.here import Here
from coord_commons.rows import offer_row, shown
from coord_envelope.errors import BadData, No, Refused, Unreachable, Usage
from coord_envelope.platform import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_commons import options as o
    from coord_commons.market import Market, Offer
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call

ARTIFACTS = ("commit", "branch", "pr", "diff", "log", "file", "url", "trace")


def opened(call: Call, name: str | None) -> Commons:
    """The commons that a command is about; ids are printed as they are short there."""
    from coord_kernel.views import resolve

    commons = Commons(place.Place(place.chosen(name)))
    count = commons.journal.index.refresh().ending_so

    def short(prefix: str, entity: str) -> str:
        return resolve.short(prefix, entity, count)

    call.out.short = short  # type: ignore[method-assign]
    return commons


def offer(call: Call, said: g.Offering, id_: o.Id, commons: o.Commons = None) -> None:
    """Offer an item of this repository to the commons.

    Its title is shown to all towns, and what --share names; nothing else of it. Offering it again
    prints the first offer, unless that was withdrawn.
    """
    mine = opened(call, commons)
    here = Here(call, mine.place.name)
    item, title, fields = here.offered(id_, said.share or ())
    fields |= {"reward": text(said.reward, "--reward")} if said.reward else {}
    fields |= {"needs": " ".join(map(_capability, said.needs))} if said.needs else {}
    before, market = here.offer_of(id_), mine.market()
    known = market.with_id(before)
    own = [each for each in known if each.party == mine.mine(market)]
    if known and not own:
        raise No(f"stands for an offer of {known[0].party}", where=id_, code="wrong_state")
    ended = any(each.withdrawn for each in own)
    event = draft.offered(title, item, before if ended else "", fields)
    first = mine.journal.index.refresh().by_key("work.created", event["idempotency_key"])
    if first and first.event["body"] != event["body"]:
        todo = f"`coord-commons withdraw {id_}`, and offer it again"
        raise No("was offered otherwise", where=id_, todo=todo, code="wrong_state")
    if not first:
        mine.room(market, "offers", id_)
    with mine.transaction() as t:
        made = t.add(event)
    here.link(item, made.id)
    mine.give()
    call.put([made])


def _capability(name: str) -> str:
    if not name or name.split() != [name] or len(name) > 100:
        raise Usage(f"not a capability: {name!r}", where="--needs", todo="use one word")
    return name


def text(words: str, where: str) -> str:
    """A note of a person. Raises BadData."""
    if len(words) > LONGEST or not words.strip():
        raise BadData(f"not a text of at most {LONGEST:,} characters", where=where)
    return words


def wanted(call: Call, listed: g.Wanted, at: o.At = None, commons: o.Commons = None) -> None:
    """List the offers that nobody has taken.

    With --can only those that need nothing else. With --all also those that were taken, are over,
    or are over the quota of their town.
    """
    mine = opened(call, commons)
    market = mine.market(call.moment(at) if at else "")
    rows = [offer_row(each, market) for each in market.offers.values()]
    rows = [row for row in rows if listed.everything or row["status"] == "wanted"]
    if listed.can:
        able = {word for name in listed.can for word in name.split()}
        rows = [row for row in rows if set(row["needs"]) <= able]
    call.put(rows[: listed.lines])


def show(call: Call, id_: o.Id, at: o.At = None, commons: o.Commons = None) -> None:
    """Show an offer, its submissions and its stamps."""
    mine = opened(call, commons)
    market = mine.market(call.moment(at) if at else "")
    call.put([shown(which(call, mine, market, id_), market)])


def which(call: Call, mine: Commons, market: Market, text: str) -> Offer:
    """The offer with an id, or that an item of this repository stands for. Raises No, Usage."""
    with suppress(Unreachable):  # no store here
        item, at, town = text.partition("@")
        if known := Here(call, mine.place.name).offer_of(item):
            return mine.offer(f"{known}{at}{town}", market)
    return mine.offer(text, market)


def take(call: Call, id_: o.Id, commons: o.Commons = None) -> None:
    """Take an offer: nobody else has it then.

    The commons' arbiter confirms it: of several who take it at once one wins, and the others exit 1
    and learn who. An item of this repository stands for it. For an agent a person is asked first,
    unless the key that offers is among [commons] trusted: status 75 until the answer is there.
    """
    mine = opened(call, commons)
    here = Here(call, mine.place.name)

    def may(offer: Offer, market: Market) -> None:
        if offer.party == mine.mine(market):
            raise No("is your own offer", where=id_, code="wrong_state")
        if offer.status == "over quota":
            raise No("is over the quota of its town", where=id_, code="wrong_state")
        here.allowed(offer, mine.place.trusted)

    taken, claim = mine.take(id_, may)
    item = here.mirror(taken)
    call.put([{**offer_row(taken, mine.market()), "claim": claim["id"], "item_id": item}])


def submit(
    call: Call,
    id_: o.Id,
    evidence: o.Evidence = None,
    note: o.Note = None,
    commons: o.Commons = None,
) -> None:
    """Submit what you did on an offer.

    ARTIFACT is KIND=URI, such as commit=1a2b3c4 or url=https://…; a URI alone is a url.
    Submitting the same again prints the first.
    """
    mine = opened(call, commons)
    artifacts = [_artifact(text) for text in evidence or ()]
    if not artifacts:
        raise Usage("--evidence is missing", todo="--evidence commit=1a2b3c4")
    note = text(note, "--note") if note else ""
    mine.sync()
    market = mine.market()
    offer = which(call, mine, market, id_)
    holder = offer.holder
    if not holder or holder["party"] != mine.mine(market):
        who = f"was taken by {holder['by']}" if holder else f"is {offer.status}"
        raise No(f"you have not taken it: it {who}", where=id_, code="not_held")
    if known := _same(mine, offer, artifacts, note):
        call.put([known])
        return
    with mine.transaction() as t:
        added = [t.add(draft.artifact(offer, kind, uri)).id for kind, uri in artifacts]
        done = t.add(draft.submitted(offer, holder["id"], added, note))
    mine.give()
    call.put([done])


def _same(mine: Commons, offer: Offer, artifacts: Sequence[tuple[str, str]], note: str) -> Json:
    """The last submission, if it says the same and was not returned; empty otherwise."""
    last = offer.waiting
    if not last or last["body"].get("note", "") != note:
        return {}
    added = [mine.written(str(at))["body"] for at in last["body"].get("artifacts", ())]
    known = [(each["kind"], each["uri"]) for each in added]
    return mine.written(last["id"]).annotated(dup=True) if known == list(artifacts) else {}


def _artifact(text: str) -> tuple[str, str]:
    kind, equals, uri = text.partition("=")
    if not equals or kind not in ARTIFACTS:
        kind, uri = "url", text
    if not uri.strip() or len(uri) > LONGEST:
        raise BadData("not KIND=URI", where=f"--evidence {text[:80]}", todo=" ".join(ARTIFACTS))
    return kind, uri


def accept(call: Call, id_: o.Id, note: o.Note = None, commons: o.Commons = None) -> None:
    """Accept what was submitted for your offer.

    The offer is done then, and the item of this repository that it was made of is closed. Now
    others may say how good it is: see stamp.
    """
    mine = opened(call, commons)
    offer, _ = _own(call, mine, id_)
    submission = offer.waiting
    if offer.accepted:
        call.put([mine.written(offer.accepted["id"]).annotated(dup=True)])
    elif submission is None:
        what = f"nothing was submitted: it is {offer.status}"
        raise No(what, where=id_, code="wrong_state")
    else:
        with mine.transaction() as t:
            state = mine.claims(offer.id)
            event = draft.closed(offer, state, submission["id"], note or "")
            done = t.add(event | {"to": [submission["by"]]})
        mine.give()
        call.put([done])
    by = (offer.submission or submission or {}).get("by", "")
    _close_here(call, mine, offer, "done", f"accepted from {by} in the commons {mine.place.name}")


def _own(call: Call, mine: Commons, text: str) -> tuple[Offer, Market]:
    """An offer of this town. Raises No, Refused."""
    mine.sync()
    market = mine.market()
    offer = which(call, mine, market, text)
    if offer.party != mine.mine(market):
        raise Refused(f"is an offer of {offer.record['by']}", where=text)
    return offer, market


def _close_here(call: Call, mine: Commons, offer: Offer, how: str, note: str) -> None:
    with suppress(Unreachable):  # no store here
        Here(call, mine.place.name).close(offer.id, how, note)


def return_(call: Call, id_: o.Id, why: o.Why = None, commons: o.Commons = None) -> None:
    """Return what was submitted for your offer.

    Who has taken it still has it, and may submit again; --why is mail to them.
    """
    if not why:
        raise Usage("--why is missing", todo="say what is to be changed")
    mine = opened(call, commons)
    offer, _ = _own(call, mine, id_)
    submission = offer.waiting
    if submission is None:
        what = f"nothing was submitted: it is {offer.status}"
        raise No(what, where=id_, code="wrong_state")
    with mine.transaction() as t:
        event = draft.returned(offer, submission["id"], text(why, "--why"))
        done = t.add(event | {"to": [submission["by"]]})
    mine.give()
    call.put([done])


def withdraw(call: Call, id_: o.Id, commons: o.Commons = None) -> None:
    """Withdraw an offer, a claim or a stamp.

    Of your own offer: nobody can take or submit it any more. Of another town's offer: you give it
    back. A stamp is named by its own id.
    """
    mine = opened(call, commons)
    mine.sync()
    market = mine.market()
    party = mine.mine(market)
    stamp = mine.resolve(id_)
    if known := market.stamped(stamp, party):
        _unstamp(call, mine, party, *known)
        return
    offer = which(call, mine, market, id_)
    if offer.over:
        raise No(f"is {offer.status}", where=id_, code="closed")
    holder = offer.holder
    if offer.party != party and (not holder or holder["party"] != party):
        raise Refused("is neither your offer nor taken by you", where=id_)
    with mine.transaction() as t:
        state = mine.claims(offer.id)
        if offer.party == party:
            done = t.add(draft.closed(offer, state, "", ""))
        else:
            assert holder
            done = t.add(draft.released(offer, state, holder["id"]))
    mine.give()
    call.put([done])
    if offer.party != party:
        _close_here(call, mine, offer, "cancelled", "given back to the commons")


def _unstamp(call: Call, mine: Commons, party: str, offer: Offer, record: Json) -> None:
    if record["party"] != party:
        raise Refused(f"is a stamp of {record['by']}", where=record["id"])
    with mine.transaction() as t:
        done = t.add(draft.unstamped(offer, record["id"]))
    mine.give()
    call.put([done])
