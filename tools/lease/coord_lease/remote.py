"""Scope `git`: leases among all stores that sync with one remote. Its arbiter decides, by compare-and-swap.

    acquire, renew, steal = one sync, in which, when all that the remote has was taken in:
        nobody else's is in the way ──▶ write it here, and wish for its confirmation
        the arbiter moved meanwhile ──▶ look again, decide again

So a lease that was granted, a renewal and a theft are one order, and who adds to it has seen all before it. A token is
greater than the number of all events before it in that order, so tokens rise.
"""

from __future__ import annotations

from coord_envelope import ids, world
from coord_envelope.errors import Fault, No, Unreachable, Usage
from coord_envelope.event import SELF
from coord_kernel.cli import complaints
from coord_kernel.rules import claims
from coord_kernel.store import machine
from coord_kernel.streams.stream import streams
from coord_kernel.views.view import View
from coord_lease import confirmed, resource
from coord_lease.scope import LONGEST_MS, TakenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_lease.scope import Wanted

    Settle = Callable[[], list[tuple[str, Json]]]

SHORTEST_MS = 10 * 60 * 1000
BUDGET_S = 20.0
"""As long as a command may wait for the remote."""
AGAIN_NS = 10_000_000_000
"""Who waits asks the remote this often."""


class Remote:
    """The leases that the remote's arbiter has confirmed, for one who acts on a store."""

    name, level, usual_ttl = "git", "confirmed", "10m"
    seldom_ns = LONGEST_MS * 1_000_000

    def __init__(self, call: Call) -> None:
        self._call, self._store = call, call.journal.store
        self._view = View(self._store, confirmed)
        self._began = 0

    def acquire(self, wanted: Wanted, steal: str | None = None) -> Event:
        """The `lease.acquired`, confirmed: all or none. With a reason to `steal`, whoever is in the way loses.

        Raises TakenError, or Unreachable: nothing is held, but if the answer was lost the others may believe so until
        they hear of the release.
        """
        _long_enough(wanted.ttl_ms)
        made: list[Event] = []
        blockers: list[Json] = []

        def settle() -> list[tuple[str, Json]]:
            if made and confirmed.confirmed(self._state(made[0].id)):  # the answer to that was lost
                return []
            blockers[:] = self._in_the_way(wanted)
            if blockers and not steal:
                self._give_up(made, f"conceded to {blockers[0]['holder']}")
                return []
            if not made:
                made.append(self._begin(self._acquired(wanted)))
            lost = [(state["lease_id"], self._robbed(state, steal or "")) for state in blockers]
            said = {"resources": wanted.resources, "mode": wanted.mode, "ttl_ms": wanted.ttl_ms}
            until = world.parse_ts(made[0]["ts"]) + wanted.ttl_ms
            return [
                *lost,
                (made[0].id, self._confirmation(made[0], made[0].id, self._token(), until, said)),
            ]

        try:
            odd = self._sync(settle, BUDGET_S)
        except (Fault, OSError):
            self._give_up(made, "not confirmed")
            raise
        state = self._state(made[0].id) if made else {}
        if made and confirmed.left_ms(state, world.now_ms(), mine=True) > 0:
            return made[0].annotated(level=self.level, token=state["token"])
        self._give_up(made, "not confirmed")
        if blockers and not steal:
            raise self._taken(blockers, wanted)
        raise Unreachable(
            odd[0] if odd else "the remote confirmed nothing", " ".join(wanted.resources)
        )

    def renew(self, text: str, ttl_ms: int | None = None, wait_s: float = BUDGET_S) -> Event:
        """The `lease.renewed`, confirmed: its time begins anew, but never ends before it would have.

        Raises No if it is not held, or not by who acts. Raises Unreachable: it ends when it would have.
        """
        _long_enough(ttl_ms or SHORTEST_MS)
        made: list[Event] = []
        lease_id = self._held(text)["lease_id"]

        def settle() -> list[tuple[str, Json]]:
            state = self._held(lease_id)
            if made and state["by"] == made[0].id:  # the answer to that was lost
                return []
            ttl = ttl_ms or state["ttl_ms"]
            if not made:
                body = {"ttl_ms": ttl, "token": state["token"], "scope": self.name}
                made.append(
                    self._begin(
                        {"type": "lease.renewed", "refs": {"lease_id": lease_id}, "body": body}
                    )
                )
            until = max(state["until"], world.parse_ts(made[0]["ts"]) + ttl)
            said = {"resources": state["resources"], "mode": state["mode"], "ttl_ms": ttl}
            return [(lease_id, self._confirmation(made[0], lease_id, state["token"], until, said))]

        odd = self._sync(settle, min(wait_s, BUDGET_S))
        if not made or self._state(lease_id)["by"] != made[0].id:
            raise Unreachable(
                odd[0] if odd else "the remote confirmed nothing", ids.short("ls", lease_id)
            )
        return made[0].annotated(level=self.level, token=made[0]["body"]["token"])

    def release(self, text: str, reason: str) -> Event:
        """The `lease.released`; that which there is for one that was released. Raises No if it was lost, or another's.

        Where the remote cannot be reached, others learn of it with a later sync.
        """
        state = self._own(text)
        if state.get("ended") == "released" and (first := self._call.event(state["ended_by"])):
            return first.annotated(dup=True)
        if confirmed.status(state, world.now_ms(), mine=True) != "tentative":
            self._refuse_lost(state)
        made = self._append(_end(state, "released", reason))
        self._publish()
        return made.annotated(level=self.level)

    def lose(self, lease_id: str, reason: str) -> None:
        """Say that the holder could not keep it, unless its end was said."""
        state = self._own(lease_id)
        if "ended" not in state:
            self._append(_end(state, "lost", reason))
            self._publish()

    def known(self, text: str) -> Json:
        """The state of a lease, by its id or short id. Raises No, Usage."""
        view, ending = self._view.refresh(), text.removeprefix("ls-").upper()
        sound = len(ending) >= 4 and ending.isascii() and not ending.strip(ids.CROCKFORD)
        found = (
            [lease_id for _, lease_id in view.find("end", ending[::-1], ending[::-1] + "~")]
            if sound
            else []
        )
        if len(found) > 1:
            raise Usage(
                f"is ambiguous: {' '.join(sorted(found)[:9])}",
                where=text,
                todo="give more characters",
            )
        if not found:
            raise No("no such lease", where=text)
        return self._state(found[0])

    def held(self, resources: Sequence[str] = ()) -> Iterator[Json]:
        """The leases that are held now as far as this store has heard: one's own, and those of others with a margin."""
        now = world.now_ms()
        for state in self._unexpired(now):
            wanted = not resources or _overlap(state["resources"], resources)
            if wanted and confirmed.left_ms(state, now, self._ours(state)) > 0:
                yield state

    def row(self, state: Json) -> Json:
        """What `ls` and `show` print of it."""
        return confirmed.row(state, world.now_ms(), self._ours(state))

    def mine(self, state: Json) -> bool:
        """Is it held by this session of this agent, in this store?"""
        actor = self._call.actor()
        ours = (state["holder"], state["session"]) == (actor["agent_id"], actor.get("session_id"))
        return ours and state["replica"] in self._store.replicas()

    def began(self, _: Event) -> int:
        """The boot-clock time when the time to live began that was given last."""
        return self._began

    def _ours(self, state: Json) -> bool:
        try:
            return self.mine(state)
        except Usage:  # a reader need not say who it is
            return False

    def _state(self, lease_id: str) -> Json:
        return self._view.refresh().get(lease_id) or confirmed.nothing()

    def _own(self, text: str) -> Json:
        state = self.known(text)
        if not self.mine(state):
            session = f" (session {state['session']})" if state["session"] else ""
            raise No(
                f"is held by {state['holder']}{session}, not by you here",
                where=ids.short("ls", state["lease_id"]),
            )
        return state

    def _held(self, text: str) -> Json:
        state = self._own(text)
        self._refuse_lost(state)
        return state

    def _refuse_lost(self, state: Json) -> None:
        how = confirmed.status(state, world.now_ms(), mine=True)
        if how != "held":
            told = f": {state['why']}" if state.get("why") else ""
            raise No(
                f"is {how}{told}",
                where=ids.short("ls", state["lease_id"]),
                todo="acquire it anew, and look what was done meanwhile",
            )

    def _unexpired(self, now: int) -> Iterator[Json]:
        """What is confirmed and not over, as others must see it, in order of ids. Costs what there is of these."""
        view = self._view.refresh()
        found = view.find("until", confirmed.moment(now - confirmed.MARGIN_MS + 1))
        for lease_id in sorted(lease_id for _, lease_id in found):
            yield view.get(lease_id) or confirmed.nothing()

    def _in_the_way(self, wanted: Wanted) -> list[Json]:
        return [
            state
            for state in self._unexpired(world.now_ms())
            if "x" in (state["mode"], wanted.mode)
            and _overlap(state["resources"], wanted.resources)
        ]

    def _taken(self, blockers: Sequence[Json], wanted: Wanted) -> TakenError:
        left = [confirmed.left_ms(state, world.now_ms(), mine=False) for state in blockers]
        until = machine.boot_ns() + min(AGAIN_NS, min(left) * 1_000_000)
        return TakenError(blockers, wanted, left[0], until, "lease steal --scope git --reason WHY")

    def _acquired(self, wanted: Wanted) -> Json:
        said = {
            "resources": wanted.resources,
            "mode": wanted.mode,
            "ttl_ms": wanted.ttl_ms,
            "scope": self.name,
        }
        body = {**said, "token": 0, "holder": self._me()}
        return {"type": "lease.acquired", "refs": {"lease_id": SELF}, "body": body}

    def _confirmation(
        self, claim: Event, lease_id: str, token: int, until: int, said: Json
    ) -> Json:
        body = {
            "claim": claim.id,
            "n": token,
            "agent_id": self._me(),
            "scope": self.name,
            **said,
            "until_ms": until,
        }
        return {
            "type": "lease.confirmed",
            "refs": {"lease_id": lease_id},
            "base": [claim.id],
            "body": body,
        }

    def _robbed(self, state: Json, why: str) -> Json:
        """The arbiter's word that the lease is over, which counts if the thief's is confirmed: both are one push."""
        draft = _end(state, "lost", f"stolen by {self._me()}: {why}"[:500])
        draft["body"]["agent_id"] = self._me()
        return draft

    def _token(self) -> int:
        lasts = (one.last() for one in streams(self._store) if claims.is_arbiter(one.name))
        return 1 + max((int(last["seq"]) for last in lasts if last), default=0)

    def _me(self) -> str:
        return str(self._call.actor()["agent_id"])

    def _begin(self, draft: Json) -> Event:
        self._began = machine.boot_ns()
        return self._append(draft)

    def _append(self, draft: Json) -> Event:
        return self._call.journal.append(self._call.actor(), [draft])[0]

    def _give_up(self, made: list[Event], reason: str) -> None:
        while made:
            lease = made.pop()
            self._append(_end({"lease_id": lease.id, "token": None}, "released", reason))

    def _publish(self) -> None:
        try:
            self._sync(None, BUDGET_S)
        except Fault as fault:
            complaints.warn(f"others learn of the end with a later sync: {fault}")

    def _sync(self, settle: Settle | None, seconds: float) -> list[str]:
        """Sync with the configured remote; what was odd."""
        from coord_kernel.sync.exchange import (
            sync,  # subprocess, filelock: only for who needs the network
        )

        odd = sync(self._call.journal, seconds=seconds, settle=settle).warnings
        for line in odd:
            complaints.warn(line)
        return odd


def _overlap(some: Sequence[str], others: Sequence[str]) -> bool:
    return any(resource.overlap(one, other) for one in some for other in others)


def _end(state: Json, how: str, reason: str) -> Json:
    body = {"token": state["token"] or 0, "reason": reason, "scope": "git"}
    return {"type": f"lease.{how}", "refs": {"lease_id": state["lease_id"]}, "body": body}


def _long_enough(ttl_ms: int) -> None:
    if ttl_ms < SHORTEST_MS:
        what = f"a lease of scope git lives {SHORTEST_MS // 60_000} m at least, for clocks differ"
        raise Usage(what, where="--ttl", todo=f"--ttl {Remote.usual_ttl}, or --scope local")
