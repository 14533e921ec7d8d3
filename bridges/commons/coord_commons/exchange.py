"""What a town does in a commons: read it, write to it, and have the arbiter decide.

with commons.transaction() as t:  durable here
    t.add(…)
commons.give()                    signed, judged, given; what came is taken in
"""

from __future__ import annotations

from coord_commons import draft, fold, fraud, standing, towns
from coord_commons.market import Market
from coord_commons.place import Place
from coord_envelope import world
from coord_envelope.errors import No, Refused, TryAgain, Unreachable, Usage
from coord_kernel.cli.complaints import warn
from coord_kernel.rules import claims
from coord_kernel.streams.trusted import Trusted
from coord_kernel.sync import remotes
from coord_kernel.sync.ask import ask
from coord_kernel.sync.signed.judge import judge
from coord_kernel.sync.signed.sign import Signer
from coord_kernel.views.entities import Entities
from coord_kernel.views.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Any, ClassVar

    from coord_commons.market import Offer
    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_kernel.journal.transaction import Transaction
    from coord_kernel.rules.claims import ClaimsState
    from coord_kernel.store.directory import Store
    from coord_kernel.streams.stream import Stream


_ROOM = {
    "offers": "withdraw one",
    "claims": "submit one, or withdraw it",
    "stamps": "stamp it tomorrow",
}


class Offers(View):
    """The offers of a commons: of each event the view knows who has signed it.

    Also of this store's own: they are taken in when they were signed. So all towns see the same.
    The fold sees also what was redacted: what that does depends on who did it (`market`).
    """

    commutes = True

    def __init__(self, store: Store) -> None:
        super().__init__(store, fold)
        self._signed = Trusted(store)
        self._names: dict[str, str] = {}

    def _judged(self) -> str:
        known = super()._judged()
        return f"{known} keys:{len(self._signed.refresh().keys)}"

    def _chosen(self, known: Collection[str], names: Collection[str] | None) -> list[Stream]:
        chosen = super()._chosen(known, names)
        for stream in chosen:
            stream.end = self._signed.reach(stream.name)
        return chosen

    def _shown(self, event: Event) -> Event:
        key = self._signed.key(event) or ""
        if key not in self._names:
            self._names[key] = towns.fingerprint(key) if key else ""
        return event.annotated(key=self._names[key])


class _Claimed(Entities):
    fold: ClassVar[Any] = claims


class Commons:
    """A commons, for one command."""

    def __init__(self, place: Place) -> None:
        self.place, self.journal, self.store = place, place.journal, place.store
        self._view: Offers | None = None

    # ---- reading

    def view(self) -> Offers:
        """What is here. Raises Refused if no signers were agreed to."""
        if not self.store.signers():
            what = "you have not agreed to who may write as whom"
            raise Refused(what, where=self.place.name, todo="see `coord-commons trust`")
        if self._view is None:
            self._view = Offers(self.store)
        return self._view.refresh()

    def market(self, then: str = "") -> Market:
        """All offers, by the events up to a time."""
        view = self.view()
        return Market(self.place.agreed, view.states(list(view.entities())), then)

    def proposal(self) -> towns.Proposal:
        """The signers that one may agree to: those of the file, and whom they have admitted."""
        return towns.proposal(self.place.proposed, self._admitted())

    def _admitted(self) -> Iterator[Json]:
        trusted = Trusted(self.store).refresh()
        for event in self.journal.replay():
            if event["type"] == "commons.admitted":
                key = towns.fingerprint(trusted.key(event) or "")
                yield {"id": event.id, "key": key, "body": event["body"]}

    def claims(self, work: str) -> ClaimsState:
        """The claims on an offer, as the arbiter's rules see them."""
        entities = _Claimed.current(View(self.store, claims))
        return entities.state(f"work {work}") or claims.nothing()

    def offer(self, text: str, market: Market) -> Offer:
        """The offer with an id, `ID` or `ID@TOWN`. Raises No, Usage."""
        work, _, town = text.partition("@")
        known = market.with_id(self.resolve(work))
        found = market.meant(known, self.mine(market), town)
        if not found:
            raise No("no such offer", where=text, todo="see `coord-commons wanted --all`")
        if len(found) > 1:
            names = [offer.party.removeprefix("agent:") for offer in found]
            todo = " or ".join(f"{work}@{name}" for name in names)
            raise Usage("several towns have an offer with this id", where=text, todo=todo)
        return found[0]

    def written(self, at: str) -> Event:
        """An event of this town's, by its id: another town's may have the same."""
        trusted = Trusted(self.store).refresh()
        place = self.journal.index.refresh().by_id(at)
        if place and trusted.own(place.event.stream, place.event["seq"]):
            return place.event
        own = (each for each in self.journal.replay() if each.id == at)
        return next(each for each in own if trusted.own(each.stream, each["seq"]))

    def resolve(self, text: str) -> str:
        """The full id for a short one; the text itself if there is none."""
        return self.journal.index.refresh().resolve(text) or text

    def fingerprint(self) -> str:
        """That of this town's key, as the signers have it. Raises Refused if there is no key."""
        return towns.fingerprint(Signer(self.journal).root())

    def admitted(self) -> bool:
        """Is this town's key one of the signers that were agreed to?"""
        known = {member.fingerprint for member in towns.members(self.place.agreed)}
        return self.fingerprint() in known

    def mine(self, market: Market) -> str:
        """This town's party."""
        return market.parties.of(self.fingerprint())

    # ---- writing

    def transaction(self) -> Transaction:
        """A transaction as this town. Raises Refused: nobody would believe it."""
        if not self.admitted():
            todo = "have a town of the commons admit it, and see `coord-commons trust`"
            raise Refused("your key was not admitted", where=self.place.name, todo=todo)
        return self.journal.transaction(self.place.actor)

    def give(self, quiet: bool = False) -> str:
        """Sign what was written, have it judged, and exchange with the remote; why it could not.

        What was written is durable, and given by the next command: that is a warning.
        """
        Signer(self.journal).sign()
        self._tell(judge(self.store))
        try:
            self.sync()
        except (Unreachable, TryAgain) as fault:
            if not quiet:
                warn(f"{self.place.name}: not given yet: {fault}")
            return str(fault)
        return ""

    def sync(self, remote: str | None = None) -> Json:
        """Exchange with the remote, all of it. Raises Fault."""
        rounds = remotes.sync(self.journal, remote)
        self._tell([*rounds.warnings, *judge(self.store)])  # also what it has signed itself
        row: Json = {"commons": self.place.name, "received": sum(rounds.received.values())}
        return row | {"sent": rounds.sent}

    @staticmethod
    def _tell(lines: Collection[str]) -> None:
        for line in lines:
            warn(line)

    def take(self, text: str, may: Callable[[Offer, Market], None]) -> tuple[Offer, Json]:
        """Claim an offer, confirmed by the arbiter. `may` raises if it is not to be.

        What this town has already is its own. Raises No if another has it, and Unreachable if the
        arbiter cannot be asked: then the claim is given back.
        """
        self.sync()
        market = self.market()
        offer = self.offer(text, market)
        if held := self._held(offer, market, text):
            return offer, held
        may(offer, market)
        self.room(market, "claims", text)
        with self.transaction() as t:
            state = self.claims(offer.id)
            claim = t.add(draft.claimed(offer, state, claims.owner(state) is not None))
        (verdict,), warnings = ask(self.journal, [claim])
        self._tell(warnings)
        if verdict.level == "tentative":
            self._release(offer, claim)
            what = f"is not confirmed: {verdict.why}; the claim was given back"
            raise Unreachable(what, where=text, todo="take it again later")
        self.give()
        offer = self.offer(text, market := self.market())
        holder = offer.holder
        if not holder or holder["party"] != self.mine(market):
            self._release(offer, claim)  # else it would hold the offer when that is free again
        if held := self._held(offer, market, text):
            return offer, held
        raise No("was not taken: your claim does not count", where=text, code="held")

    def _release(self, offer: Offer, claim: Event) -> None:
        state = self.claims(offer.id)
        if not claims.over(state, claim.id):
            with self.transaction() as t:
                t.add(draft.released(offer, state, claim.id))
            self.give(quiet=True)

    def room(self, market: Market, what: str, where: str) -> None:
        """Raises No if one more of this town's (stamps: of today) would not count."""
        today = world.format_ts(world.now_ms())[:10]
        if full := market.full(self.mine(market), what, today):
            raise No(f"over quota: you have {full}", where=where, todo=_ROOM[what])

    def _held(self, offer: Offer, market: Market, text: str) -> Json | None:
        """This town's claim of it; None if it is free. Raises No."""
        if offer.over:
            raise No(f"is {offer.status}", where=text, code="closed")
        holder = offer.holder
        if holder is None:
            return None
        if holder["party"] == self.mine(market):
            return holder
        raise No(f"was taken by {holder['by']}", where=text, code="held")

    # ---- stamps

    def reputations(self, then: str = "") -> tuple[Market, dict[str, Json]]:
        """Of each party, at a time."""
        market = self.market(then)
        return market, standing.reputations(market.parties.seeds(), market.stamps())

    def flags(self, then: str = "") -> list[Json]:
        """What looks arranged, at a time."""
        market = self.market(then)
        return fraud.flags(list(market.stamps()), market.refused())
