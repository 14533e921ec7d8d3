"""What the events of a commons mean: whose an offer is, what was accepted, what counts. Pure.

What no key of the commons has signed means nothing. A party is one town (`towns`), whatever its
keys and names.

1. An offer is its author's party's. Only that party withdraws it, returns and accepts. If two have
   given offers one id, these are two: what others write about one names whose it is (`offerer`).
2. Whose it is: the confirmed claims in the arbiter's order. That is where they stand in its stream,
   whatever numbers they have. Of several streams that comes first whose lines the parties with the
   most seed have signed, and a fork comes last. A claim counts if nobody has the offer then: no
   claim before it, or that one was given back by its own party, or is over quota. What others
   write (a steal, a close, a release) changes nothing.
3. A submission counts if its party's claim counts, and the offer is not its own. Its evidence is
   what its own party has added. An event names another by its id, and means that of the party
   which it can be about: a copy under that id, by another party, is another event.
4. An offer is accepted by the first close as done, of its owner, that names a submission that
   counts. It is withdrawn if its owner has closed it otherwise.
5. A stamp counts if
   a. its three values are whole numbers from 0 to 5,
   b. it is about an offer that was accepted before, and about who had submitted,
   c. its party is not the subject's,
   d. it is the first of its party about this offer, those that its party has withdrawn left out.
6. Quotas (`quota`): over it, and for ever, is an offer or a claim of a party that had so many open
   when it was made, and a stamp after so many of the same day. An offer over it is never taken.
7. Who redacts an event of their own party empties its texts. Nothing else of it goes, and nothing
   of another party's: what was accepted, and every stamp, stays what it is.

What is refused stays visible, with the reason.
"""

from __future__ import annotations

from math import fsum

from coord_commons import fold, quota
from coord_commons.records import at, names, redact
from coord_commons.towns import Parties

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from coord_commons.records import At
    from coord_envelope.codec import Json

OFFERS = 100
"""Open offers of a party."""
CLAIMS = 50
"""Offers that a party has taken, and not yet submitted or given back."""
STAMPS = 100
"""Stamps of a party in a day, UTC."""
DIMENSIONS = ("quality", "reliability", "creativity")
HIGHEST = 5
UNSIGNED = "unsigned"


class Offer:
    """An offer, and what was decided about it."""

    def __init__(self, record: Json, party: str) -> None:
        self.id: str = record["id"]
        self.record, self.party = record, party
        self.at = self.id, party
        self.over_quota = False
        self.claims: list[Json] = []
        """Those that count, in order. The last one has the offer, if it is not in `ended`."""
        self.lost: list[Json] = []
        """Confirmed claims on what another party had."""
        self.ended: dict[At, str] = {}
        """Claim → the event that gave it back."""
        self.submissions: list[Json] = []
        self.returned: dict[At, Json] = {}
        """Submission → the last return."""
        self.accepted: Json | None = None
        self.submission: Json | None = None
        """That was accepted."""
        self.withdrawn: Json | None = None
        self.stamps: list[Json] = []
        self.refused: list[tuple[Json, str]] = []
        """Stamps that do not count, and forged ones; each with the reason."""

    def refuse(self) -> None:
        """It is over the quota of its party: nobody takes it, and nothing of it is accepted."""
        self.over_quota = True
        self.lost += [{**claim, "why": "over quota"} for claim in self.claims]
        self.claims, self.submissions, self.returned = [], [], {}
        self.accepted = self.submission = None

    @property
    def holder(self) -> Json | None:
        """The claim that has the offer."""
        last = self.claims[-1] if self.claims else None
        return None if last is None or at(last) in self.ended or self.over else last

    @property
    def over(self) -> str:
        """The event that ended it; "": it is open."""
        end = self.accepted or self.withdrawn
        return str(end["id"]) if end else ""

    @property
    def waiting(self) -> Json | None:
        """The submission that the owner is to look at."""
        holder, last = self.holder, self.submissions[-1] if self.submissions else None
        mine = holder and last and names(last, "claim") == at(holder)
        return last if last and mine and at(last) not in self.returned else None

    @property
    def status(self) -> str:
        """accepted, withdrawn, submitted, taken, over quota or wanted."""
        if self.accepted:
            return "accepted"
        if self.withdrawn:
            return "withdrawn"
        if self.holder:
            return "submitted" if self.waiting else "taken"
        return "over quota" if self.over_quota else "wanted"


class Market:
    """All offers of a commons."""

    def __init__(self, text: str, states: Iterable[fold.State], then: str = "") -> None:
        """`text`: the allowed_signers file; `then`: the time up to which events count."""
        known = [_then(state, then) for state in states]
        rows = [record for records in known for record in records]
        self.parties = Parties(text, ((row["key"], row["by"]) for row in rows if row["key"]))
        for row in rows:
            row["party"] = self.parties.of(row["key"])
        redact(rows)
        self._streams = self._ranked(rows)
        self.offers: dict[At, Offer] = {}
        """By id and party."""
        self.records: dict[At, list[Json]] = {}
        """Of each offer the events about it, in order."""
        self._nowhere: list[tuple[Json, str]] = []
        for records in known:
            made = [each for each in records if each["type"] == "work.created" and each["key"]]
            for record in made:
                offer = Offer(record, record["party"])
                if offer.at not in self.offers:
                    self.offers[offer.at] = offer
                    self.records[offer.at] = list(self._about(offer, records))
            parties = {record["party"] for record in made}
            self._nowhere += [
                (record, "of no offer" if record["key"] else UNSIGNED)
                for record in records
                if record["type"] == "commons.stamped" and self._offerer(record) not in parties
            ]
        self.offers = dict(sorted(self.offers.items()))
        self._decide()

    def _offerer(self, record: Json) -> str:
        return self.parties.of(str(record["body"].get("offerer", "")))

    def _about(self, offer: Offer, records: Iterable[Json]) -> Iterator[Json]:
        """What is about this offer, and not about another party's with the same id."""
        for record in records:
            said = record["type"] == "work.claimed" or record["type"].startswith("commons.")
            if not said or self._offerer(record) == offer.party:
                yield record

    def _ranked(self, rows: Iterable[Json]) -> dict[str, int]:
        """The arbiter's streams, each with its place among them."""
        signed: dict[str, set[str]] = {}
        for row in rows:
            for stream in row["arbiter"] if row["key"] else ():
                signed.setdefault(stream, set()).add(row["party"])
        seeds = self.parties.seeds() if len(signed) > 1 else {}
        weight = {name: fsum(seeds.get(party, 0) for party in signed[name]) for name in signed}
        order = sorted(signed, key=lambda name: ("!" in name, -weight[name], name))
        return {name: place for place, name in enumerate(order)}

    def _decide(self) -> None:
        confirmed = {offer.at: self._confirmed(offer) for offer in self.offers.values()}
        for offer in self.offers.values():
            self._end(offer, confirmed[offer.at])
        taken = list(self._taken(confirmed))
        over = quota.beyond(taken, CLAIMS)
        for offer in self.offers.values():
            self._take(offer, confirmed[offer.at], over)
            self._submitted(offer)
            self._close(offer)
        given = [(each.party, each.id, [(each.id, each.over)]) for each in self.offers.values()]
        beyond = quota.beyond(given, OFFERS)
        for offer in self.offers.values():
            if offer.at in beyond:
                offer.refuse()
        self._open = {"offers": (given, beyond, OFFERS), "claims": (taken, over, CLAIMS)}
        for offer in self.offers.values():
            self._stamped(offer)
        self._limit_stamps()

    # ---- claims

    def _signed(self, offer: Offer, kind: str) -> list[Json]:
        records = self.records[offer.at]
        return [each for each in records if each["type"] == kind and each["key"]]

    def _confirmed(self, offer: Offer) -> list[Json]:
        """Its confirmed claims, in the arbiter's order."""
        claims: dict[At, Json] = {}
        for each in self._signed(offer, "work.claimed"):
            claims.setdefault(at(each), each)
        found: dict[At, tuple[int, int, str]] = {}
        for record in self._signed(offer, "work.confirmed"):
            claim = claims.get(names(record, "claim"))
            if claim and claim["by"] == record["by"] and record["arbiter"]:
                places = ((self._streams[name], seq) for name, seq in record["arbiter"].items())
                place = *min(places), record["id"]
                found[at(claim)] = min(found.get(at(claim), place), place)
        return [claims[each] for each in sorted(found, key=found.__getitem__)]

    def _end(self, offer: Offer, confirmed: Sequence[Json]) -> None:
        """Which claims their own party gave back."""
        known = {at(claim) for claim in confirmed}
        for kind in ("work.released", "work.conceded"):
            for record in self._signed(offer, kind):
                if (claim := names(record, "claim")) in known:
                    offer.ended[claim] = min(offer.ended.get(claim, record["id"]), record["id"])

    def _taken(self, confirmed: Mapping[At, Sequence[Json]]) -> Iterator[quota.Span]:
        """When each claim is open. What was submitted and returned is open again."""
        for place, claims in confirmed.items():
            offer = self.offers[place]
            owner = [each for each in self.records[place] if each["party"] == offer.party]
            closed = [each["id"] for each in owner if each["type"] == "work.closed"]
            submitted = self._signed(offer, "commons.submitted")
            for claim in claims:
                done = [each["id"] for each in submitted if names(each, "claim") == at(claim)]
                again = [
                    each["id"]
                    for each in owner
                    if each["type"] == "commons.returned"
                    and str(each["body"].get("submission")) in done
                ]
                ends = [offer.ended[at(claim)]] if at(claim) in offer.ended else []
                end = min(ends + closed, default="")
                yield claim["party"], claim["id"], quota.times(claim["id"], done, again, end)

    def _take(self, offer: Offer, confirmed: Iterable[Json], over: set[At]) -> None:
        for claim in confirmed:
            last = offer.claims[-1] if offer.claims else None
            if at(claim) in over:
                offer.lost.append({**claim, "why": "over quota"})
            elif last is None or at(last) in offer.ended or last["party"] == claim["party"]:
                offer.claims.append(claim)
            else:
                offer.lost.append({**claim, "why": "was taken"})

    # ---- submissions

    def _submitted(self, offer: Offer) -> None:
        claims = [at(claim) for claim in offer.claims]
        for record in self._signed(offer, "commons.submitted"):
            if names(record, "claim") in claims and record["party"] != offer.party:
                offer.submissions.append(record)
        known = self._submissions(offer)
        for record in self._signed(offer, "commons.returned"):
            submission = known.get(str(record["body"].get("submission")))
            if submission and record["party"] == offer.party:
                offer.returned[at(submission)] = record

    @staticmethod
    def _submissions(offer: Offer) -> dict[str, Json]:
        """By id: of several parties' that of the latest claim, as the others had it no longer."""
        claims = {at(claim): n for n, claim in enumerate(offer.claims)}
        order = sorted(offer.submissions, key=lambda each: claims[names(each, "claim")])
        return {each["id"]: each for each in order}

    def _close(self, offer: Offer) -> None:
        submissions = self._submissions(offer)
        for record in self._signed(offer, "work.closed"):
            if record["party"] != offer.party:
                continue
            submission = submissions.get(str(record["body"].get("submission")))
            if record["body"].get("resolution") != "done":
                offer.withdrawn = offer.withdrawn or record
            elif submission and submission["id"] < record["id"] and not offer.accepted:
                offer.accepted, offer.submission = record, submission

    # ---- stamps

    def _stamped(self, offer: Offer) -> None:
        withdrawn = {
            names(each, "stamp") for each in self._signed(offer, "commons.stamp.withdrawn")
        }
        records = self.records[offer.at]
        signed = {each["id"] for each in records if each["key"]}
        givers = set[str]()
        for record in records:
            if record["type"] != "commons.stamped":
                continue
            if not record["key"]:
                if record["id"] not in signed:  # else it is a copy of one
                    offer.refused.append((record, UNSIGNED))
                continue
            party = record["party"]
            if at(record) in withdrawn:
                continue
            why = self._why_not(offer, record) or ("repeated" if party in givers else "")
            if why:
                offer.refused.append((record, why))
            else:
                givers.add(party)
                offer.stamps.append(record)

    def _why_not(self, offer: Offer, record: Json) -> str:
        body = record["body"]
        values = [body.get(name) for name in DIMENSIONS]
        if not all(type(value) is int and 0 <= value <= HIGHEST for value in values):
            return "malformed"
        accepted, submission = offer.accepted, offer.submission
        if not accepted or not submission or record["id"] < accepted["id"]:
            return "not accepted"
        if record["party"] == submission["party"]:
            return "self"
        return "" if body.get("subject") == submission["by"] else "of another subject"

    def _limit_stamps(self) -> None:
        rows = [(record, offer) for offer in self.offers.values() for record in offer.stamps]
        counts: dict[tuple[str, str], int] = {}
        for record, offer in sorted(rows, key=lambda row: str(row[0]["id"])):
            day = record["party"], str(record["ts"])[:10]
            counts[day] = counts.get(day, 0) + 1
            if counts[day] > STAMPS:
                offer.stamps.remove(record)
                offer.refused.append((record, "over quota"))

    # ---- questions

    def with_id(self, work: str) -> list[Offer]:
        """The offers with this id: several, if towns have copied it."""
        return [offer for offer in self.offers.values() if offer.id == work]

    def meant(self, offers: Sequence[Offer], mine: str, town: str = "") -> Sequence[Offer]:
        """Which of these with one id a town means: as it says, its own, or what it has taken."""
        if town:
            return [offer for offer in offers if offer.party == self.parties.named(town)]
        own = [offer for offer in offers if offer.party == mine]
        taken = [each for each in offers if mine in {claim["party"] for claim in each.claims}]
        return own or taken or offers

    def stamped(self, stamp: str, party: str) -> tuple[Offer, Json] | None:
        """The stamp with an id, also a refused one: of several that of this party."""
        found = [
            (offer, row)
            for offer in self.offers.values()
            for row in (*offer.stamps, *(row for row, _ in offer.refused))
            if row["id"] == stamp
        ]
        return min(found, key=lambda each: each[1]["party"] != party, default=None)

    def full(self, party: str, what: str, day: str = "") -> str:
        """Why one more of a party's would be over quota; "": it would not.

        `what`: offers, claims or stamps; these of a day, as `2026-01-31`.
        """
        if what == "stamps":
            given = [row for who, _, row in self.stamps() if who == party]
            count, most = sum(str(row["ts"])[:10] == day for row in given), STAMPS
        else:
            spans, over, most = self._open[what]
            count = quota.still(spans, over, party)
        return f"{count} {what} of {most}" if count >= most else ""

    def stamps(self) -> Iterator[tuple[str, str, Json]]:
        """(giver, subject, stamp) of those that count, oldest first."""
        rows = [
            (record["party"], offer.submission["party"], record)
            for offer in self.offers.values()
            for record in offer.stamps
            if offer.submission
        ]
        yield from sorted(rows, key=lambda row: str(row[2]["id"]))

    def refused(self) -> Iterator[tuple[Json, str]]:
        """The stamps that do not count, oldest first, each with the reason."""
        rows = [row for offer in self.offers.values() for row in offer.refused] + self._nowhere
        yield from sorted(rows, key=lambda row: (str(row[0]["id"]), str(row[0]["key"])))


def _then(state: Mapping[str, Json], then: str) -> list[Json]:
    """The records up to a time, in order."""
    rows = sorted(state.values(), key=lambda record: (record["id"], record["key"]))
    return [{**row} for row in rows if not then or row["ts"] <= then]
