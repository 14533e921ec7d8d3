"""Scope `git`: leases among all stores that sync with one remote.

Its arbiter decides, by compare-and-swap. To acquire, renew or steal is one sync:

1. take in all that the remote has
2. decide: if another's lease is in the way, give up; otherwise write the claim here, once, and ask
   for its confirmation, which goes to the arbiter's stream with this sync
3. the arbiter's stream moved meanwhile: from 1 again
4. read what the arbiter has: only a confirmed lease is held

So a lease that was granted, a renewal and a theft are in one order, and whoever adds to it has seen
all before it. A token is greater than the number of all events before it in that order, so tokens
rise.
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
from coord_lease.scope import LONGEST_MS, TakenError, not_held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.sync.settle import Settle
    from coord_lease.fold import Lease, Row
    from coord_lease.scope import Wanted

SHORTEST_MS = 10 * 60 * 1000
BUDGET_S = 20.0
"""How long a command waits for the remote."""
AGAIN_NS = 10_000_000_000
"""How often a waiting command asks the remote."""


class Remote:
    """The leases that the remote's arbiter has confirmed, for the agent of a call."""

    name, level, usual_ttl = "git", "confirmed", "10m"
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
        _long_enough(wanted.ttl_ms)
        claim: list[Event] = []
        blockers: list[Lease] = []

        def settle() -> list[tuple[str, Json]]:
            if claim and confirmed.confirmed(self._state(claim[0].id)):
                return []  # the answer was lost
            blockers[:] = self._in_the_way(wanted)
            if blockers and not steal:
                self._give_up(claim, f"conceded to {blockers[0]['holder']}")
                return []
            if not claim:
                claim.append(self._begin(self._acquired(wanted)))
            lost = [(lease["lease_id"], self._stolen(lease, steal or "")) for lease in blockers]
            terms = {"resources": wanted.resources, "mode": wanted.mode, "ttl_ms": wanted.ttl_ms}
            until = world.parse_ts(claim[0]["ts"]) + wanted.ttl_ms
            won = {"n": self._token(), **terms, "until_ms": until}
            return [*lost, (claim[0].id, self._confirmation(claim[0], claim[0].id, won))]

        try:
            warnings = self._ask(settle, BUDGET_S)
        except (Fault, OSError):
            self._give_up(claim, "not confirmed")
            raise
        state = self._state(claim[0].id) if claim else {}
        if claim and confirmed.left_ms(state, world.now_ms(), mine=True) > 0:
            return claim[0].annotated(level=self.level, token=state["token"])
        self._give_up(claim, "not confirmed")
        if blockers and not steal:
            raise self._taken(blockers, wanted)
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
        _long_enough(ttl_ms or SHORTEST_MS)
        renewed: list[Event] = []
        lease_id = self._held(text, resume)["lease_id"]

        def settle() -> list[tuple[str, Json]]:
            lease = self._held(lease_id, resume)
            if renewed and lease["by"] == renewed[0].id:
                return []  # the answer was lost
            ttl, token = ttl_ms or lease["ttl_ms"], lease["token"]
            if not renewed:
                body = {"ttl_ms": ttl, "token": token, "scope": self.name}
                refs = {"lease_id": lease_id}
                draft = {"type": "lease.renewed", "refs": refs, "body": body}
                renewed.append(self._begin(draft))
            until = max(lease["until"], world.parse_ts(renewed[0]["ts"]) + ttl)
            terms = {"resources": lease["resources"], "mode": lease["mode"], "ttl_ms": ttl}
            won = {"n": token, **terms, "until_ms": until}
            if not self.mine(lease):
                won["session"] = self._call.actor().get("session_id", "")
            return [(lease_id, self._confirmation(renewed[0], lease_id, won))]

        warnings = self._ask(settle, BUDGET_S if wait_s is None else min(wait_s, BUDGET_S))
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
        if confirmed.status(lease, world.now_ms(), mine=True) != "tentative":
            _refuse_lost(lease)
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
        now = world.now_ms()
        for lease in self._unexpired(now):
            wanted = not resources or resource.any_overlap(lease["resources"], resources)
            if wanted and confirmed.left_ms(lease, now, self._ours(lease)) > 0:
                yield lease

    def row(self, lease: Lease) -> Row:
        """What `ls` and `show` print of it."""
        return confirmed.row(lease, world.now_ms(), self._ours(lease))

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
        _refuse_lost(lease)
        return lease

    def _unexpired(self, now: int) -> Iterator[Lease]:
        """Confirmed leases that are not over, as others must see it, in order of their ids."""
        view = self._view.refresh()
        unexpired = view.find("until", confirmed.moment(now - confirmed.MARGIN_MS + 1))
        for lease_id in sorted(lease_id for _, lease_id in unexpired):
            yield view.get(lease_id)

    def _in_the_way(self, wanted: Wanted) -> list[Lease]:
        return [
            lease
            for lease in self._unexpired(world.now_ms())
            if "x" in (lease["mode"], wanted.mode)
            and resource.any_overlap(lease["resources"], wanted.resources)
        ]

    def _taken(self, blockers: Sequence[Lease], wanted: Wanted) -> TakenError:
        left = [confirmed.left_ms(lease, world.now_ms(), mine=False) for lease in blockers]
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

    def _ask(self, settle: Settle | None, seconds: float) -> list[str]:
        """Sync with the arbiter, and print its warnings, which are returned. Raises its Fault."""
        from coord_kernel.sync.ask import ask  # subprocess, filelock: only to use the network

        _, warnings = ask(self._call.journal, (), settle, seconds)
        for warning in warnings:
            self._call.warn(warning)
        return warnings


def _unconfirmed(warnings: Sequence[str], where: str) -> Unreachable:
    return Unreachable(warnings[0] if warnings else "the remote confirmed nothing", where)


def _refuse_lost(lease: Lease) -> None:
    status = confirmed.status(lease, world.now_ms(), mine=True)
    if status != "held":
        why = f": {lease['why']}" if lease.get("why") else ""
        raise No(
            f"is {status}{why}",
            where=ids.short("ls", lease["lease_id"]),
            todo="acquire it again, and check what changed meanwhile",
            code="not_held",
        )


def _end(lease: Lease, how: str, reason: str) -> Json:
    body = {"token": lease.get("token", 0), "reason": reason, "scope": "git"}
    return {"type": f"lease.{how}", "refs": {"lease_id": lease["lease_id"]}, "body": body}


def _long_enough(ttl_ms: int) -> None:
    if ttl_ms < SHORTEST_MS:
        what = f"a lease of scope git lasts at least {SHORTEST_MS // 60_000}m, as clocks differ"
        raise Usage(what, where="--ttl", todo=f"--ttl {Remote.usual_ttl}, or --scope local")
