"""Scope `local`: leases among the processes of one store.

A lease's window is the time from its acquisition to its end or expiry, whichever is first, by the
boot clock that the events carry. Windows of conflicting leases never overlap, and tokens rise in
their order, because every decision is one transaction:

1. take the store's lock
2. bring the view up to date: nobody else can add an event now
3. read the boot clock: the same instant ends one lease and begins another
4. look at each lease that overlaps: its time is over or its holder dead (it gets its
   `lease.expired`), it is shared with us, it is stolen from (its `lease.lost`), or it is in the way
5. if one is in the way, write nothing; otherwise the ends and our `lease.acquired`, all or none,
   with a token greater than any before
6. release the lock; only then remove the pins of the leases that ended
"""

from __future__ import annotations

from coord_envelope import world
from coord_envelope.errors import No
from coord_envelope.event import SELF
from coord_kernel.journal import live
from coord_kernel.rules import holder
from coord_kernel.store import machine
from coord_lease import fold, pin
from coord_lease.leases import Leases
from coord_lease.scope import TakenError, not_held, refuse_lost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Store
    from coord_kernel.cli.call import Call
    from coord_kernel.journal.transaction import Transaction
    from coord_lease.fold import Lease, Row
    from coord_lease.scope import Wanted

RESERVED = 1000
"""How many tokens one durable write allows."""


class Local:
    """The leases of a store, for the agent of a call."""

    name, level, usual_ttl = "local", "local", "60s"
    seldom_ns = 20_000_000_000

    def __init__(self, call: Call) -> None:
        self._call = call
        self._store: Store = call.journal.store
        self._leases = Leases(self._store)

    def acquire(self, wanted: Wanted, steal: str | None = None) -> Event:
        """The `lease.acquired`, all resources or none. A reason to `steal` ends leases in the way.

        Raises TakenError: nothing was changed.
        """
        with self._transaction() as t:
            self._leases.refresh()
            now = machine.boot_ns()
            conflicts = list(self._conflicts(wanted, now))
            if not steal:
                self._refuse_taken([lease for lease, over in conflicts if not over], wanted, now)
            for lease, over in conflicts:
                stolen = f"stolen by {self._me()}: {steal}"[:500]
                t.add(_end(lease, "expired" if over else "lost", over or stolen, now))
            acquired = t.add(self._acquired(wanted, now))
            self._leases.forget_old(now)
        for lease, _ in conflicts:
            if name := lease["pin"]:
                pin.remove(self._store, name)
        if not self._leases.durable:
            live.prune(self._store, acquired["writer"], lambda: self._needed(acquired, now))
        return acquired.annotated(level=self.level)

    def renew(
        self,
        text: str,
        ttl_ms: int | None = None,
        wait_s: float | None = None,
        resume: bool = False,
    ) -> Event:
        """The `lease.renewed`: its time begins again. Raises No if the caller does not hold it."""
        with self._transaction(wait_s) as t:
            lease, now = self._own(text, resume)
            refuse_lost(lease, fold.status_of(lease, now))
            body = {"ttl_ms": ttl_ms or lease["ttl_ms"], "token": lease["token"], **_when(now)}
            if not self.mine(lease):
                body["resume"] = True
            refs = {"lease_id": lease["lease_id"]}
            renewed = t.add({"type": "lease.renewed", "refs": refs, "body": body})
        return renewed.annotated(level=self.level)

    def release(self, text: str, reason: str, resume: bool = False) -> Event:
        """The `lease.released`; again for a lease that was released.

        Raises No if it was lost, or is held by another.
        """
        with self._transaction() as t:
            lease, now = self._own(text, resume)
            if lease.get("ended") != "released":
                refuse_lost(lease, fold.status_of(lease, now))
            released = t.add(_end(lease, "released", reason, now))
        return released.annotated(level=self.level)

    def lose(self, lease_id: str, reason: str) -> None:
        """Write that the holder could not keep it, unless that was written."""
        with self._transaction() as t:
            lease, now = self._own(lease_id)
            if lease.get("ended") != "lost":
                t.add(_end(lease, "lost", reason, now))

    def known(self, text: str) -> Lease:
        """The state of a lease that is held, or was within the hour."""
        self._leases.refresh()
        return self._named(text, machine.boot_ns())

    def held(self, resources: Sequence[str] = ()) -> Iterator[Lease]:
        """The leases that are held now: of these resources, if there are any.

        Without those whose holder is known to be dead.
        """
        leases, now = self._leases.refresh(), machine.boot_ns()
        states = leases.overlapping(resources) if resources else leases.running(now)
        return (lease for lease in states if not self._over(lease, now))

    def row(self, lease: Lease) -> Row:
        """What `ls` and `show` print of it."""
        return fold.row(lease, machine.boot_ns())

    def mine(self, lease: Lease) -> bool:
        """Is it held by the caller?"""
        return holder.same(self._call.actor(), lease["agent"], lease["session"])

    def began(self, event: Event) -> int:
        """The boot-clock time of its `lease.acquired` or `lease.renewed`."""
        return int(event["body"]["boot_ns"])

    def _transaction(self, wait_s: float | None = None) -> Transaction:
        if self._leases.durable:
            self._leases.mirror()
        self._leases.refresh()  # a long way to go is gone before the lock is taken
        return self._call.journal.transaction(
            self._call.actor(), live=not self._leases.durable, wait_s=wait_s
        )

    def _conflicts(self, wanted: Wanted, now: int) -> Iterator[tuple[Lease, str | None]]:
        """The leases that cannot be held beside this one, each with why it is over, if it is."""
        for lease in self._leases.overlapping(wanted.resources):
            over = self._over(lease, now)
            if over or not lease["mode"] == wanted.mode == "s":
                yield lease, over

    def _over(self, lease: Lease, now: int) -> str | None:
        """Why it is held no more, though no event ended it."""
        if not fold.held(lease, now):
            return "its time was over"
        if (name := lease["pin"]) and pin.dropped(self._store, name):
            return "its holder died"
        return None

    def _named(self, text: str, now: int) -> Lease:
        lease = self._leases.named(text, now)
        if lease is None:
            what = "no such lease; leases are forgotten an hour after their end"
            raise No(what, where=text, code="not_found")
        return lease

    def _own(self, text: str, resume: bool = False) -> tuple[Lease, int]:
        """A lease of the caller's as it is now, and the boot-clock time.

        With `resume` also one of another session of the caller's.
        """
        self._leases.refresh()
        now = machine.boot_ns()
        lease = self._named(text, now)
        if not (self.mine(lease) or (resume and lease["agent"] == self._me())):
            raise not_held(self._call.actor(), lease)
        return lease, now

    def _acquired(self, wanted: Wanted, now: int) -> Json:
        body = {
            "resources": wanted.resources,
            "mode": wanted.mode,
            "ttl_ms": wanted.ttl_ms,
            "scope": "local",
            "token": self._token(),
            "holder": self._me(),
            **_when(now),
            **({"pin": wanted.pin} if wanted.pin else {}),
            **({"reason": wanted.reason} if wanted.reason else {}),
        }
        return {"type": "lease.acquired", "refs": {"lease_id": SELF}, "body": body}

    def _token(self) -> int:
        """One more than any before.

        A durable number ahead of all tokens survives a power loss, and the loss of the streams. The
        first token of a boot begins behind it; so does a token smaller than undamaged streams
        would give. If a backup was put back, nobody knows how many tokens were given since: the
        store has another replica id then, and goes on from the time in ms, as tokens are given
        more slowly.
        """
        saved = (self._store.load("local", "lease-token") or b"").decode("ascii", "replace")
        whose, _, number = saved.partition(" ")
        replica = self._store.replica()
        top = int(number) if number.strip().isdecimal() and len(number) < 19 else 0
        ours, token = f"boot={machine.boot_id()},{replica}", self._leases.token() + 1
        if whose != ours or token <= top - RESERVED:
            token = max(token, top + 1)
        before = whose.partition(",")[2]
        if before and before != replica:
            token = max(token, world.now_ms())
        if token > top:
            self._store.save(f"{ours} {token + RESERVED}\n".encode(), "local", "lease-token")
        return token

    def _needed(self, acquired: Event, now: int) -> int:
        """The first seq in its stream of a lease that is not over; its own has the greatest."""
        writer = acquired["writer"]
        seqs = (lease["seq"] for lease in self._leases.running(now) if lease["stream"] == writer)
        return min(seqs, default=int(acquired["seq"]))

    def _refuse_taken(self, blockers: Sequence[Lease], wanted: Wanted, now: int) -> None:
        if blockers:
            left = (fold.over_at(blockers[0]) - now) // 1_000_000
            until = min(map(fold.over_at, blockers))
            raise TakenError(blockers, wanted, left, until, self._call.actor())

    def _me(self) -> str:
        return str(self._call.actor()["agent_id"])


def _end(lease: Lease, how: str, reason: str, now: int) -> Json:
    body = {"token": lease["token"], "reason": reason, **_when(now)}
    return {"type": f"lease.{how}", "refs": {"lease_id": lease["lease_id"]}, "body": body}


def _when(now: int) -> Json:
    return {"boot": machine.boot_id(), "boot_ns": now}
