"""Scope `remote`: leases among all stores that sync with one remote.

Its arbiter decides, by compare-and-swap. To acquire, renew or steal is one sync:

1. take in all that the remote has
2. decide: if another's lease is in the way, give up; otherwise write the claim here, once, and ask
   for its confirmation, which goes to the arbiter's stream with this sync
3. the arbiter's stream moved meanwhile: from 1 again
4. read what the arbiter has: only a confirmed lease is held

So a lease that was granted, a renewal and a theft are in one order, and whoever adds to it has seen
all before it. A token is greater than the number of all events before it in that order, so tokens
rise.

Where the arbiter lives at a live remote, its server's clock judges which leases are over (see
`confirmed`), and they may be short. A lease that it judges over gets its `lease.expired` from
whoever acquires next, in the same step: so either a renewal or the end comes first.
"""

from __future__ import annotations

from coord_envelope import ids, world
from coord_envelope.errors import Fault, No, Unreachable, Usage
from coord_envelope.event import SELF
from coord_kernel.rules import claims, holder
from coord_kernel.store import machine
from coord_kernel.streams.stream import streams
from coord_kernel.views import resolve
from coord_kernel.views.view import View
from coord_lease import confirmed, resource
from coord_lease.judge import Judge
from coord_lease.scope import LONGEST_MS, TakenError, not_held, refuse_lost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.sync.ask import Clock
    from coord_kernel.sync.settle import Settle
    from coord_lease.fold import Lease, Row
    from coord_lease.scope import Wanted

SHORTEST_MS = 10 * 60 * 1000
SHORTEST_TIMED_MS = 5_000
"""Where the clock of the arbiter's server decides."""
_MOST_ENDED = 100
"""Leases that one acquisition ends, of those that nobody has wanted since they were over."""
BUDGET_S = 20.0
"""How long a command waits for the remote."""
AGAIN_NS = 10_000_000_000
"""How often a waiting command asks the remote."""


class Remote:
    """The leases that the remote's arbiter has confirmed, for the agent of a call."""

    name, level, usual_ttl = confirmed.SCOPE, "confirmed", "10m"
    seldom_ns = LONGEST_MS * 1_000_000

    def __init__(self, call: Call) -> None:
        self._call, self._store = call, call.journal.store
        self._view = View(self._store, confirmed)
        self._began = 0

    def acquire(self, wanted: Wanted, steal: str | None = None) -> Event:
        """The `lease.acquired`, confirmed: all or none. A reason to `steal` ends leases in the way.

        Raises TakenError, or Unreachable: nothing is held; but if the answer was lost, others may
        believe so until they hear of the release.
        """
        self._check(wanted.ttl_ms)
        claim: list[Event] = []
        blockers: list[Lease] = []
        clock, judge = _clock(), Judge()

        def settle() -> list[tuple[str, Json]]:
            self._look(clock, judge, wanted.ttl_ms)
            if claim and confirmed.confirmed(self._state(claim[0].id)):
                return []  # the answer was lost
            running = list(self._running())
            over = [lease for lease in running if judge.over(lease)]
            blockers[:] = self._in_the_way(wanted, running, over)
            if blockers and not steal:
                self._give_up(claim, f"conceded to {blockers[0]['holder']}")
                return []
            if not claim:
                claim.append(self._begin(self._acquired(wanted)))
            ends = [(lease["lease_id"], self._expired(lease)) for lease in over[:_MOST_ENDED]]
            ends += [(lease["lease_id"], self._stolen(lease, steal or "")) for lease in blockers]
            terms = {"resources": wanted.resources, "mode": wanted.mode, "ttl_ms": wanted.ttl_ms}
            until = world.parse_ts(claim[0]["ts"]) + wanted.ttl_ms
            won = {"n": self._token(), **terms, "until_ms": until, **self._counted(judge)}
            return [*ends, (claim[0].id, self._confirmation(claim[0], claim[0].id, won))]

        try:
            warnings = self._ask(settle, BUDGET_S, clock)
        except (Fault, OSError):
            self._give_up(claim, "not confirmed")
            raise
        state = self._state(claim[0].id) if claim else {}
        if claim and self._left_ms(state, mine=True) > 0:
            return claim[0].annotated(level=self.level, token=state["token"])
        self._give_up(claim, "not confirmed")
        if blockers and not steal:
            raise self._taken(blockers, wanted, judge)
        raise _unconfirmed(warnings, " ".join(wanted.resources))

    def renew(
        self,
        text: str,
        ttl_ms: int | None = None,
        wait_s: float | None = None,
        resume: bool = False,
    ) -> Event:
        """The `lease.renewed`, confirmed: its time begins again, and never ends sooner than before.

        Raises No if the caller does not hold it. Raises Unreachable: it ends as it would have.
        """
        self._check(ttl_ms or SHORTEST_MS)
        renewed: list[Event] = []
        lease_id = self._held(text, resume)["lease_id"]
        clock, judge = _clock(), Judge()

        def settle() -> list[tuple[str, Json]]:
            self._look(clock, judge, ttl_ms or SHORTEST_MS)
            lease = self._held(lease_id, resume)
            if renewed and lease["by"] == renewed[0].id:
                return []  # the answer was lost
            ttl, token = ttl_ms or lease["ttl_ms"], lease["token"]
            if not renewed:
                body = {"ttl_ms": ttl, "token": token, "scope": self.name}
                refs = {"lease_id": lease_id}
                draft = {"type": "lease.renewed", "refs": refs, "body": body}
                renewed.append(self._begin(draft))
            at = world.parse_ts(renewed[0]["ts"])
            until = max(lease["until"], at + ttl)
            if judge.timed:
                ttl = min(until - at, LONGEST_MS)
            terms = {"resources": lease["resources"], "mode": lease["mode"], "ttl_ms": ttl}
            won = {"n": token, **terms, "until_ms": until, **self._counted(judge)}
            if not self.mine(lease):
                won["session"] = self._call.actor().get("session_id", "")
            return [(lease_id, self._confirmation(renewed[0], lease_id, won))]

        seconds = BUDGET_S if wait_s is None else min(wait_s, BUDGET_S)
        warnings = self._ask(settle, seconds, clock)
        if not renewed or self._state(lease_id).get("by") != renewed[0].id:
            raise _unconfirmed(warnings, ids.short("ls", lease_id))
        return renewed[0].annotated(level=self.level, token=renewed[0]["body"]["token"])

    def release(self, text: str, reason: str, resume: bool = False) -> Event:
        """The `lease.released`; the first one, for a lease that was released.

        Raises No if it was lost, or is held by another. If the remote cannot be reached, others
        learn of it with a later sync.
        """
        lease = self._own(text, resume)
        if lease.get("ended") == "released" and (first := self._call.event(lease["ended_by"])):
            return first.annotated(dup=True)
        if self._status(lease) != "tentative":
            refuse_lost(lease, self._status(lease))
        released = self._append(_end(lease, "released", reason))
        self._publish()
        return released.annotated(level=self.level)

    def lose(self, lease_id: str, reason: str) -> None:
        """Write that the holder could not keep it, unless its end was written."""
        lease = self._own(lease_id)
        if "ended" not in lease:
            self._append(_end(lease, "lost", reason))
            self._publish()

    def known(self, text: str) -> Lease:
        """The state of a lease, as far as this store has heard."""
        view = self._view.refresh()
        lease_id = resolve.only(text, resolve.candidates(view, text, ("ls",)))
        if lease_id is None:
            raise No("no such lease", where=text, code="not_found")
        return self._state(lease_id)

    def held(self, resources: Sequence[str] = ()) -> Iterator[Lease]:
        """The leases that are held now, as far as this store has heard.

        The caller's own, and those of others with a margin.
        """
        for lease in self._running():
            wanted = not resources or resource.any_overlap(lease["resources"], resources)
            if wanted and self._left_ms(lease, self._ours(lease)) > 0:
                yield lease

    def row(self, lease: Lease) -> Row:
        """What `ls` and `show` print of it."""
        return confirmed.row(lease, self._left_ms(lease, self._ours(lease)))

    def mine(self, lease: Lease) -> bool:
        """Is it held by the caller, in this store?"""
        ours = holder.same(self._call.actor(), lease["holder"], lease.get("session"))
        return ours and self._is_here(lease)

    def _is_here(self, lease: Lease) -> bool:
        return lease.get("replica") in self._store.replicas()

    def began(self, _: Event) -> int:
        """The boot-clock time from which the latest time to live counts."""
        return self._began

    def _ours(self, lease: Lease) -> bool:
        try:
            return self.mine(lease)
        except Usage:  # reading needs no agent name
            return False

    def _state(self, lease_id: str) -> Lease:
        state: Lease | None = self._view.refresh().get(lease_id)
        return state or {}

    def _own(self, text: str, resume: bool = False) -> Lease:
        lease = self.known(text)
        ours = resume and lease["holder"] == self._me() and self._is_here(lease)
        if not (ours or self.mine(lease)):
            raise not_held(self._call.actor(), lease, self._is_here(lease))
        return lease

    def _held(self, text: str, resume: bool = False) -> Lease:
        lease = self._own(text, resume)
        refuse_lost(lease, self._status(lease))
        return lease

    def _left_ms(self, lease: Lease, mine: bool) -> int:
        """How long it is held, as its holder must see it, or as another must."""
        if mine and lease.get("timed"):
            return confirmed.counted_ms(lease, machine.boot_id(), machine.boot_ns())
        return confirmed.left_ms(lease, world.now_ms(), mine)

    def _status(self, lease: Lease) -> str:
        """As its holder must see it. If the arbiter's clock ends it, it is held until then."""
        if lease.get("timed") and "ended" not in lease:
            return "held"
        return confirmed.status(lease, self._left_ms(lease, mine=True))

    def _running(self) -> Iterator[Lease]:
        """Confirmed leases that may not be over, as others must see it, in order of their ids."""
        view, now = self._view.refresh(), world.now_ms()
        unexpired = view.find("until", confirmed.moment(now - confirmed.MARGIN_MS + 1))
        running = {lease_id for _, lease_id in unexpired}
        running.update(lease_id for _, lease_id in view.find("timed"))
        for lease_id in sorted(running):
            yield view.get(lease_id)

    def _look(self, clock: Clock, judge: Judge, ttl_ms: int) -> None:
        """Ask how long ago the running leases were confirmed; before they are looked at.

        Raises Usage if the arbiter has moved to where leases must be longer.
        """
        timed = [lease["by"] for lease in self._running() if lease.get("timed")]
        judge.ask(clock, timed)
        if not judge.timed:
            _check_long(ttl_ms)

    def _counted(self, judge: Judge) -> Json:
        """Fields of a confirmation that says from when its holder counts."""
        if not judge.timed:
            return {}
        boot = {"boot": machine.boot_id(), "boot_ns": self._began}
        return {"clock": confirmed.CLOCK, **boot}

    @staticmethod
    def _in_the_way(wanted: Wanted, running: Sequence[Lease], over: Sequence[Lease]) -> list[Lease]:
        return [
            lease
            for lease in running
            if lease not in over
            and "x" in (lease["mode"], wanted.mode)
            and resource.any_overlap(lease["resources"], wanted.resources)
        ]

    def _taken(self, blockers: Sequence[Lease], wanted: Wanted, judge: Judge) -> TakenError:
        left = [judge.left_ms(lease) for lease in blockers]
        until = machine.boot_ns() + min(AGAIN_NS, min(left) * 1_000_000)
        return TakenError(blockers, wanted, left[0], until, self._call.actor())

    def _acquired(self, wanted: Wanted) -> Json:
        body = {
            "resources": wanted.resources,
            "mode": wanted.mode,
            "ttl_ms": wanted.ttl_ms,
            "scope": self.name,
            "token": 0,
            "holder": self._me(),
            **({"reason": wanted.reason} if wanted.reason else {}),
        }
        return {"type": "lease.acquired", "refs": {"lease_id": SELF}, "body": body}

    def _confirmation(self, claim: Event, lease_id: str, won: Json) -> Json:
        """`won`: the token `n`, what is held, and until when."""
        body = {
            "claim": claim.id,
            "n": won.pop("n"),
            "agent_id": self._me(),
            "scope": self.name,
            **won,
        }
        refs = {"lease_id": lease_id}
        return {"type": "lease.confirmed", "refs": refs, "base": [claim.id], "body": body}

    def _expired(self, lease: Lease) -> Json:
        """The end of a lease whose time is over, for the arbiter's stream."""
        draft = _end(lease, "expired", "its time was over")
        draft["body"]["agent_id"] = self._me()
        return draft

    def _stolen(self, lease: Lease, why: str) -> Json:
        """The end of a stolen lease, for the arbiter's stream: both are one push."""
        draft = _end(lease, "lost", f"stolen by {self._me()}: {why}"[:500])
        draft["body"]["agent_id"] = self._me()
        return draft

    def _token(self) -> int:
        # The sum: an arbiter that was taken by force has a stream that begins with 1 again.
        lasts = (stream.last() for stream in streams(self._store) if claims.is_arbiter(stream.name))
        return 1 + sum(int(last["seq"]) for last in lasts if last)

    def _me(self) -> str:
        return str(self._call.actor()["agent_id"])

    def _begin(self, draft: Json) -> Event:
        self._began = machine.boot_ns()
        return self._append(draft)

    def _append(self, draft: Json) -> Event:
        return self._call.journal.append(self._call.actor(), [draft])[0]

    def _give_up(self, claim: list[Event], reason: str) -> None:
        while claim:
            self._append(_end({"lease_id": claim.pop().id}, "released", reason))

    def _publish(self) -> None:
        try:
            self._ask(None, BUDGET_S)
        except (Fault, OSError) as fault:
            self._call.warn(f"others learn of the end with a later sync: {fault}")

    def _check(self, ttl_ms: int) -> None:
        """Raises Usage if the time to live is too short for where the arbiter lives."""
        from coord_kernel.sync import seat as seats

        if not seats.has_clock(self._store):
            _check_long(ttl_ms)
        elif ttl_ms < SHORTEST_TIMED_MS:
            what = f"a lease of scope remote lasts at least {SHORTEST_TIMED_MS // 1000}s"
            raise Usage(what, where="--ttl", todo="--ttl 5s, or --scope local")

    def _ask(self, settle: Settle | None, seconds: float, clock: Clock | None = None) -> list[str]:
        """Sync with the arbiter, and print its warnings, which are returned. Raises its Fault."""
        from coord_kernel.sync.ask import ask  # 5 ms: only to use the network

        _, warnings = ask(self._call.journal, (), settle, seconds, clock)
        for warning in warnings:
            self._call.warn(warning)
        return warnings


def _clock() -> Clock:
    from coord_kernel.sync.ask import Clock

    return Clock()


def _unconfirmed(warnings: Sequence[str], where: str) -> Unreachable:
    return Unreachable(warnings[0] if warnings else "the remote confirmed nothing", where)


def _end(lease: Lease, how: str, reason: str) -> Json:
    body = {"token": lease.get("token", 0), "reason": reason, "scope": confirmed.SCOPE}
    return {"type": f"lease.{how}", "refs": {"lease_id": lease["lease_id"]}, "body": body}


def _check_long(ttl_ms: int) -> None:
    if ttl_ms < SHORTEST_MS:
        what = (
            f"with the arbiter in git, a lease lasts at least {SHORTEST_MS // 60_000}m, "
            "as clocks differ"
        )
        raise Usage(what, where="--ttl", todo=f"--ttl {Remote.usual_ttl}, or --scope local")
