"""Scope `local`: leases among the processes of one store. Every decision is made under the store's lock.

A lease's *window* is from the boot-clock time of its event to its end or expiry, whichever is first. The same instant
ends the one and begins the other, so windows of conflicting leases never overlap, and tokens rise in their order.
"""

from __future__ import annotations

from coord_envelope import ids
from coord_envelope.errors import No
from coord_envelope.event import SELF
from coord_kernel.journal import append, live
from coord_kernel.store import machine
from coord_kernel.store.directory import LOCK_WAIT_S
from coord_lease import fold, pin
from coord_lease.scope import TakenError
from coord_lease.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Store
    from coord_kernel.cli.call import Call
    from coord_kernel.views.index import Index
    from coord_lease.scope import Wanted

TYPES = ("lease.acquired", "lease.renewed", *fold.ENDS)
RESERVED = 1000
"""How many tokens one durable write allows."""


class Local:
    """The leases of a store, for one who acts on it."""

    name, level, usual_ttl = "local", "local", "60s"
    seldom_ns = 20_000_000_000

    def __init__(self, call: Call) -> None:
        self._call = call
        self._store: Store = call.journal.store
        self._durable = _mirrored(self._store)
        self._table = Table(self._store, self._durable)

    def acquire(self, wanted: Wanted, steal: str | None = None) -> Event:
        """The `lease.acquired`, all resources or none. With a reason to `steal`, whoever is in the way loses.

        Raises TakenError: nothing was changed.
        """
        gone: list[Json] = []

        def decide() -> list[Json]:
            table, now = self._table.refresh(keep=True), machine.boot_ns()
            drafts, blockers = [], []
            for state in table.overlapping(wanted.resources):
                reason = self._over(state, now)
                if reason:
                    drafts.append(_end(state, "expired", reason, now))
                elif state["mode"] == wanted.mode == "s":
                    continue
                elif steal:
                    drafts.append(
                        _end(state, "lost", f"stolen by {self._me()}: {steal}"[:500], now)
                    )
                else:
                    blockers.append(state)
                gone.append(state)
            if blockers:
                left = (fold.over_at(blockers[0]) - now) // 1_000_000
                until = min(map(fold.over_at, blockers))
                raise TakenError(blockers, wanted, left, until, "lease steal --reason WHY")
            return [*drafts, self._acquired(wanted, now)]

        *_, made = self._append(decide)
        for state in gone:
            if state["pin"]:
                pin.remove(self._store, state["pin"])
        if not self._durable:
            live.prune(self._store, made["writer"], lambda: self._needed(made))
        return made.annotated(level=self.level)

    def renew(self, text: str, ttl_ms: int | None = None, wait_s: float = LOCK_WAIT_S) -> Event:
        """The `lease.renewed`: its time begins anew. Raises No if it is not held, or not by who acts."""

        def decide() -> list[Json]:
            state, now = self._own(text), machine.boot_ns()
            self._refuse_lost(state, now)
            body = {"ttl_ms": ttl_ms or state["ttl_ms"], "token": state["token"], **_when(now)}
            return [
                {"type": "lease.renewed", "refs": {"lease_id": state["lease_id"]}, "body": body}
            ]

        return self._append(decide, wait_s)[0].annotated(level=self.level)

    def release(self, text: str, reason: str) -> Event:
        """The `lease.released`; again for one that was released. Raises No if it was lost, or is not of who acts."""

        def decide() -> list[Json]:
            state, now = self._own(text), machine.boot_ns()
            if state.get("ended") != "released":
                self._refuse_lost(state, now)
            return [_end(state, "released", reason, now)]

        return self._append(decide)[0].annotated(level=self.level)

    def lose(self, lease_id: str, reason: str) -> None:
        """Say that the holder could not keep it, unless that was said."""

        def decide() -> list[Json]:
            state = self._own(lease_id)
            return (
                []
                if state.get("ended") == "lost"
                else [_end(state, "lost", reason, machine.boot_ns())]
            )

        self._append(decide)

    def known(self, text: str) -> Json:
        """The state of a lease, held or lately over, by its id or short id. Raises No, Usage."""
        return _found(self._table.refresh(), text)

    def held(self, resources: Sequence[str] = ()) -> Iterator[Json]:
        """The leases that are held now, by a living holder as far as that can be told; of these resources, if any."""
        table, now = self._table.refresh(), machine.boot_ns()
        states = table.overlapping(resources) if resources else table.open_ones()
        return (state for state in states if not self._over(state, now))

    def row(self, state: Json) -> Json:
        """What `ls` and `show` print of it."""
        return fold.row(state, machine.boot_ns())

    def mine(self, state: Json) -> bool:
        """Is it held by this session of this agent?"""
        actor = self._call.actor()
        return bool(
            (state["agent"], state["session"]) == (actor["agent_id"], actor.get("session_id"))
        )

    def began(self, event: Event) -> int:
        """The boot-clock time of its `lease.acquired` or `lease.renewed`."""
        return int(event["body"]["boot_ns"])

    def _over(self, state: Json, now: int) -> str | None:
        """Why it is held no more, though no event ended it."""
        if not fold.held(state, now):
            return "its time was over"
        return (
            "its holder died" if state["pin"] and pin.dropped(self._store, state["pin"]) else None
        )

    def _own(self, text: str) -> Json:
        state = _found(self._table.refresh(keep=True), text)
        if not self.mine(state):
            session = f" (session {state['session']})" if state["session"] else ""
            raise No(
                f"is held by {state['holder']}{session}, not by you",
                where=ids.short("ls", state["lease_id"]),
            )
        return state

    def _refuse_lost(self, state: Json, now: int) -> None:
        if not fold.held(state, now):
            how, why = state.get("ended", "expired"), state.get("why")
            told = f": {why}" if why else ""
            raise No(
                f"is {how}{told}",
                where=ids.short("ls", state["lease_id"]),
                todo="acquire it anew, and look what was done meanwhile",
            )

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
        }
        return {"type": "lease.acquired", "refs": {"lease_id": SELF}, "body": body}

    def _token(self) -> int:
        """One more than any before. A durable number ahead of them survives a power loss, and the loss of the streams.

        The first token of a boot begins behind it; so does one that is less than streams that are whole would give.
        """
        boot, _, saved = (
            (self._store.load("local", "lease-token") or b"")
            .decode("ascii", "replace")
            .partition(" ")
        )
        top = int(saved) if saved.strip().isdecimal() and len(saved) < 19 else 0
        token = self._table.token + 1
        if boot != f"boot={machine.boot_id()}" or token <= top - RESERVED:
            token = max(token, top + 1)
        if token > top:
            self._store.save(
                f"boot={machine.boot_id()} {token + RESERVED}\n".encode(), "local", "lease-token"
            )
        return token

    def _needed(self, made: Event) -> int:
        """The first seq in its stream of a lease that is not over; its own has the greatest token."""
        ours = (
            int(state["seq"])
            for state in self._table.open_ones()
            if state["stream"] == made["writer"]
        )
        return min(ours, default=int(made["seq"]))

    def _me(self) -> str:
        return str(self._call.actor()["agent_id"])

    def _append(self, decide: live.Decide, wait_s: float = LOCK_WAIT_S) -> list[Event]:
        if not self._durable:
            return live.append(self._store, self._call.actor(), decide, wait_s)

        def under_lock(_: Index) -> Sequence[Json]:
            return list(decide())

        return append.append(self._store, self._call.actor(), under_lock, self._call.journal.index)


def _found(table: Table, text: str) -> Json:
    state = table.resolve(text)
    if state is None:
        raise No("no such lease; one that ended an hour ago is forgotten", where=text)
    return state


def _end(state: Json, how: str, reason: str, now: int) -> Json:
    body = {"token": state["token"], "reason": reason, **_when(now)}
    return {"type": f"lease.{how}", "refs": {"lease_id": state["lease_id"]}, "body": body}


def _when(now: int) -> Json:
    return {"boot": machine.boot_id(), "boot_ns": now}


def _mirrored(store: Store) -> bool:
    """Does coord.toml keep a type of lease event in the journal? Then all go there: they are read in one piece."""
    if not store.mirrors:
        return False
    from fnmatch import fnmatchcase  # brings `re`: 8 ms, only for those who mirror

    return any(fnmatchcase(kind, glob) for glob in store.mirrors for kind in TYPES)
