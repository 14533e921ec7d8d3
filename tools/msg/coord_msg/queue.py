"""A queue: what it delivers to this consumer.

`take` works in these steps:

    1. Look without the lock. If this consumer still holds what it took last, or nothing can be
       taken, stop: the caller waits for news, or until the first hiding is over.
    2. Take the lock and look again. Claim the oldest messages that can be taken, as many as were
       asked for. Under the lock no other consumer of this store can claim them.
    3. Without `--require confirmed`, deliver them: other stores may deliver them, too.
    4. With it, sync once for all these claims. The arbiter confirms or refuses each one.
    5. Deliver what is confirmed and was not done elsewhere meanwhile. Release the other claims
       that the sync did not concede itself: a released claim is not a delivery.
    6. If nothing is left, the others were faster. Go back to 1, pass over these messages, and begin
       at a random one: consumers that both went on with the next would meet there again.
    7. If the arbiter could not be asked, raise Unreachable; everything was released.

A consumer that dies between 2 and 5 holds its claims until their visibility is over; a claim that
asks for confirmation is settled by the store's next sync.
"""

from __future__ import annotations

from itertools import islice

from coord_envelope import No, Unreachable, Usage, ids, world
from coord_kernel.rules import claims
from coord_kernel.store import locate
from coord_msg import draft, fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_msg import groups as g
    from coord_msg.fold import MessageState
    from coord_msg.mail import Mail
    from coord_msg.post import Post

    Claimed = tuple[Event, str]  # the claim's event, and the id of the message

FOREVER = float("inf")
SPREAD = 4
"""How many more messages to choose from, for each message lost to another consumer."""


class Queue:
    """A queue that several consumers share.

    This one takes at most `at_once` messages, and no more until the last of them is acked, given
    back, or late.
    """

    def __init__(
        self, call: Call, post: Post, name: str, options: g.FromQueue, at_once: int
    ) -> None:
        """`name` is the queue's address. Raises Usage, and Unreachable if no remote can confirm."""
        self._call, self._post, self._name, self.at_once = call, post, name, at_once
        vis = options.visibility
        self._vis_ms = None if vis is None else call.span(vis, "--visibility")
        self._confirm = _must_be_confirmed(call, options.require)
        self.wanted: Callable[[Event], bool] | None = None
        """Which messages to take; None: all."""
        self.lost: No | None = None
        """Why a message was not delivered after all."""
        self._newest: str | None = None  # the last message it took
        self._wake_ms = FOREVER

    def take(self, news: Iterable[Event] | None, most: int) -> list[Event]:
        """Claim what can be taken, and return the messages with their annotations.

        Raises Unreachable if the arbiter was needed and could not be asked.
        """
        for _ in news or ():
            pass  # read to its end: the next batch begins there
        lost = set[str]()
        while True:
            mail = self._post.mail()
            self._wake_ms = mail.next_ms(self._name)
            if self._busy(mail) or not self._free(mail, 1, lost):
                return []
            claimed = self._claim(min(most, self.at_once), lost)
            if not claimed or not self._confirm:
                return self._delivered(claimed, level="local")
            confirmed = self._confirmed(claimed)
            if confirmed:
                return confirmed
            lost.update(message for _, message in claimed)

    def next_ms(self) -> float:
        """How many ms from now it is worth looking again without news."""
        return self._wake_ms

    def _busy(self, mail: Mail) -> bool:
        """Does this agent still hold the last message it took?"""
        state = mail.state(self._newest) if self._newest else None
        if not state or mail.holder(state) != self._call.actor()["agent_id"]:
            return False
        return not fold.processed(state)

    def _free(self, mail: Mail, most: int, lost: set[str]) -> list[MessageState]:
        """What can be taken, oldest first; after a loss from a random place on."""
        free = (state for state in mail.queued(self._name) if state["mail"]["id"] not in lost)
        if self.wanted:
            free = (state for state in free if any(map(self.wanted, self._post.events([state]))))
        states = list(islice(free, most + SPREAD * len(lost)))
        begin = world.entropy(1)[0] % (len(states) - most + 1) if len(states) > most else 0
        return states[begin : begin + most]

    def _claim(self, most: int, lost: set[str]) -> list[Claimed]:
        with self._call.transaction() as t:
            free = self._free(self._post.mail(), most, lost)
            claimed = [(t.add(self._draft(state)), state["mail"]["id"]) for state in free]
        self._newest = claimed[-1][1] if claimed else None
        return claimed

    def _draft(self, state: MessageState) -> Json:
        before = fold.delivery(state)
        vis_ms = state["mail"]["vis_ms"] if self._vis_ms is None else self._vis_ms
        claim = draft.claimed(state["mail"]["id"], before["n"] + 1 if before else 1, vis_ms)
        known = sorted(state.get("claims", {}))[-claims.HEADS :]
        return draft.to_confirm(claim, known) if self._confirm else claim

    def _confirmed(self, claimed: list[Claimed]) -> list[Event]:
        """The messages that are not done and whose claims the arbiter confirms.

        Releases the other claims.
        """
        from coord_kernel.sync.ask import ask  # few consumers need it, and it loads much

        verdicts, warnings = ask(self._call.journal, [claim for claim, _ in claimed])
        for warning in warnings:
            self._call.warn(warning)
        mail = self._post.mail()
        delivered: list[Event] = []
        unused: list[Json] = []
        for (claim, message), verdict in zip(claimed, verdicts, strict=True):
            state = mail.state(message)
            useful = state and not fold.processed(state) and not fold.contested(state, claim)
            if useful and verdict.level == "confirmed":
                delivered += self._delivered(
                    [(claim, message)], level="confirmed", token=verdict.token
                )
            elif not state or claim.id not in state.get("ended", {}):
                unused.append(draft.released(claim))
        if unused:
            self._call.journal.append(self._call.actor(), unused)
        if not delivered:
            self.lost = self._reason(claimed[0][1])
            why = next((v.why for v in verdicts if v.level == "tentative" and v.why), None)
            if why:
                what = f"not confirmed: {why}; the message was released"
                raise Unreachable(what, where=self.lost.where)
        return delivered

    def _reason(self, message: str) -> No:
        mail = self._post.mail()
        state = mail.state(message)
        status = mail.status(state) if state else "missing"
        claim = fold.delivery(state) if state else None
        what = f"claimed by {claim['agent']}" if claim and status == "claimed" else f"is {status}"
        return No(what, where=ids.short("msg", message), code="held")

    def _delivered(self, claimed: list[Claimed], **annotations: object) -> list[Event]:
        events = ((claim, self._post.event(message)) for claim, message in claimed)
        return [
            event.annotated(claim=claim.id, n=claim["body"]["n"], **annotations)
            for claim, event in events
            if event
        ]


def _must_be_confirmed(call: Call, require: str | None) -> bool:
    if require not in (None, "local", "confirmed"):
        raise Usage(f"not a valid level: {require}", todo="use --require local or confirmed")
    if require == "confirmed" and locate.remote(call.journal.store) is None:
        raise Unreachable(
            "no remote to confirm the claim",
            todo="run `ev sync --remote NAME`, or leave out --require",
        )
    return require == "confirmed"
