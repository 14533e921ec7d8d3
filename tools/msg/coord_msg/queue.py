"""A queue: what it gives out to this consumer, and with --require confirmed to no other in any clone that asks."""

from __future__ import annotations

from itertools import islice

from coord_envelope import No, Unreachable, Usage, ids, world
from coord_kernel.rules import claims
from coord_kernel.store import locate
from coord_msg import draft, fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.views.index import Index
    from coord_msg.mail import Mail
    from coord_msg.post import Post

    Delivery = tuple[Event, str]  # the claim, and the message

FOREVER = float("inf")
SPREAD = 4
"""So many messages further than the oldest one, for each that was lost, a consumer may look."""


def firm(call: Call, require: str | None) -> bool:
    """Must the arbiter confirm what is given out? Raises Usage, and Unreachable where there is none."""
    if require not in (None, "local", "confirmed"):
        raise Usage(f"--require {require}: no such strength", todo="local or confirmed")
    if require == "confirmed" and locate.remote(call.journal.store) is None:
        raise Unreachable(
            "no remote can confirm it", todo="`ev sync --remote NAME`, or leave out --require"
        )
    return require == "confirmed"


class Queue:
    """A queue, of which several consumers each take a part: so many messages at once, and then no more until

    the last of them is acked, given back or late.
    """

    def __init__(
        self,
        call: Call,
        post: Post,
        queue: str,
        vis_ms: int | None,
        at_once: int,
        firm: bool = False,
    ) -> None:
        """With `firm` the remote's arbiter is asked to confirm each delivery, and what it does not is not given out."""
        self._call, self._post, self._queue, self._vis_ms, self._at_once = (
            call,
            post,
            queue,
            vis_ms,
            at_once,
        )
        self._firm = firm
        self.lost: No | None = None
        """What became of a message that was not confirmed, after all."""
        self._out: str | None = None
        self._wake_ms = FOREVER

    def take(self, news: Iterable[Event] | None, most: int) -> list[Event]:
        """Claim and give out what is free. Raises Unreachable: what had to be confirmed could not be."""
        for _ in news or ():
            pass  # read to its end: the next batch begins there
        passed = set[str]()
        while True:
            mail = self._post.mail()
            self._wake_ms = mail.next_ms(self._queue)
            if self._busy(mail) or not self._free(mail, 1, passed):
                return []
            taken = self._claimed(min(most, self._at_once), passed)
            given = self._confirmed(taken) if self._firm else self._noted(taken, level="local")
            if given or not self._firm or not taken:
                return given
            passed.update(message for _, message in taken)

    def _free(self, mail: Mail, most: int, passed: set[str]) -> list[Json]:
        """What can be taken, the oldest first; not those lost before, and then from a random place.

        Two clones that both went on with the next would meet there again, and the slower one lose each time.
        """
        free = (state for state in mail.queued(self._queue) if state["mail"]["id"] not in passed)
        some = list(islice(free, most + SPREAD * len(passed)))
        begin = world.entropy(1)[0] % (len(some) - most + 1) if len(some) > most else 0
        return some[begin : begin + most]

    def _claimed(self, most: int, passed: set[str]) -> list[Delivery]:
        taken: list[Json] = []

        def decide(_: Index) -> list[Json]:
            taken.extend(self._free(self._post.mail(), most, passed))
            return [self._claim(state) for state in taken]

        appended = self._call.journal.append(self._call.actor(), decide)
        self._out = taken[-1]["mail"]["id"] if taken else None
        return list(zip(appended, (state["mail"]["id"] for state in taken), strict=True))

    def _claim(self, state: Json) -> Json:
        before = fold.delivery(state)
        vis_ms = state["mail"]["vis_ms"] if self._vis_ms is None else self._vis_ms
        claim = draft.claimed(state["mail"]["id"], before["n"] + 1 if before else 1, vis_ms)
        return (
            draft.firm(claim, sorted(state.get("claims", {}))[-claims.HEADS :])
            if self._firm
            else claim
        )

    def _confirmed(self, taken: list[Delivery]) -> list[Event]:
        """Those that the arbiter confirms, and that are not done meanwhile; the others are given back."""
        from coord_kernel.sync.ask import ask  # few do, and it loads much

        reason, mail = ask(self._call.journal), self._post.mail()
        given: list[Event] = []
        vain: list[Json] = []
        for claim, message in taken:
            state = mail.state(message) or {}
            token = None if fold.processed(state) else fold.token(state, claim)
            if token:
                given += self._noted([(claim, message)], level="confirmed", token=token)
            elif claim.id not in state.get("ended", {}):
                vain.append(draft.released(claim))
        if vain:
            self._call.journal.append(self._call.actor(), vain)
        if not given:
            self.lost = self._why(taken[0][1])
            if reason:
                raise Unreachable(
                    f"is not confirmed: {reason}; it was given back", where=self.lost.where
                )
        return given

    def _why(self, message: str) -> No:
        mail = self._post.mail()
        state = mail.state(message) or {}
        now, status = fold.delivery(state), mail.status(state)
        what = f"is out with {now['agent']}" if now and status == "claimed" else f"is {status}"
        return No(what, where=ids.short("msg", message))

    def _noted(self, taken: list[Delivery], **notes: object) -> list[Event]:
        given = ((claim, self._post.event(message)) for claim, message in taken)
        return [
            one.annotated(claim=claim.id, n=claim["body"]["n"], **notes)
            for claim, one in given
            if one
        ]

    def _busy(self, mail: Mail) -> bool:
        """Is what was given out last still out with this agent?"""
        state = mail.state(self._out) if self._out else None
        if not state or mail.holder(state) != self._call.actor()["agent_id"]:
            return False
        return not fold.processed(state)

    def next_ms(self) -> float:
        return self._wake_ms
