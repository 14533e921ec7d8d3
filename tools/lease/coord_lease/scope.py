"""What is wanted, and the interface of every scope: `local` is local.py, `remote` remote.py."""

from __future__ import annotations

from coord_envelope import ids
from coord_envelope.errors import No
from coord_kernel.rules import holder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Protocol

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_lease.fold import Lease, Row

    class Scope(Protocol):
        """Leases as far as this scope reaches.

        An id is a full one, a short one, or a unique ending. Each method raises No if the lease is
        not known, not held or not held by the caller, Usage if an id is ambiguous. With `resume`
        those of the caller's other sessions are the caller's; a renewal makes them so.
        """

        name: str
        level: str
        usual_ttl: str
        seldom_ns: int
        """The longest time without a renewal, however long the time to live, so that a theft is
        soon noticed."""

        def acquire(self, wanted: Wanted, steal: str | None = None) -> Event: ...
        def renew(
            self,
            text: str,
            ttl_ms: int | None = None,
            wait_s: float | None = None,
            resume: bool = False,
        ) -> Event: ...
        def release(self, text: str, reason: str, resume: bool = False) -> Event: ...
        def lose(self, lease_id: str, reason: str) -> None: ...
        def known(self, text: str) -> Lease: ...
        def held(self, resources: Sequence[str] = ()) -> Iterable[Lease]: ...
        def row(self, lease: Lease) -> Row: ...
        def mine(self, lease: Lease) -> bool: ...
        def began(self, event: Event) -> int: ...


REASON_SHOWN = 120
"""Most characters of a holder's reason in a refusal."""
LONGEST_MS = 7 * 24 * 60 * 60 * 1000
"""As long as live events are kept."""


class Wanted:
    """A lease to acquire: resources in stored form, `x` or `s`, milliseconds, the holder's pin."""

    __slots__ = ("mode", "pin", "reason", "resources", "ttl_ms")

    def __init__(
        self, resources: Sequence[str], mode: str, ttl_ms: int, reason: str | None = None
    ) -> None:
        self.resources, self.mode, self.ttl_ms, self.reason = resources, mode, ttl_ms, reason
        self.pin: str | None = None


class TakenError(No):
    """A resource is held. `until` is the boot-clock time at which to try again."""

    code = "held"

    def __init__(
        self, blockers: Sequence[Lease], wanted: Wanted, left_ms: int, until: int, actor: Json
    ) -> None:
        """`left_ms` is the time left of the first of the leases in the way; `actor` wants it."""
        first = blockers[0]
        lease = ids.short("ls", first["lease_id"])
        more = f", and {len(blockers) - 1} more in the way" if len(blockers) > 1 else ""
        left = f"for {max(0, left_ms) // 1000} s more ({lease}{more})"
        why = f": {first['reason'][:REASON_SHOWN]}" if "reason" in first else ""
        what = f"is held by {named(actor, first)} {left}{why}"
        super().__init__(what, " ".join(wanted.resources), _remedy(first, lease, actor))
        self.pins = [pin for state in blockers if (pin := state.get("pin"))]
        self.until = until


def named(actor: Json, lease: Lease) -> str:
    """Its holder, as it is named to the caller."""
    return holder.named(actor, lease["holder"], lease.get("session"))


def _remedy(lease: Lease, short: str, actor: Json) -> str:
    """What one who wants its resources may do."""
    if lease["holder"] != actor["agent_id"]:
        steal = "lease steal --scope remote" if "until" in lease else "lease steal"
        return f"wait with --wait, or `{steal} --reason WHY`"
    if lease.get("pin"):
        return "wait with --wait: a running `lease with` of yours has it"
    if holder.same(actor, lease["holder"], lease.get("session")):
        return f"`lease renew {short}` holds it longer, `lease release {short}` frees it"
    return f"`lease renew --resume {short}` takes it over"


def refuse_lost(lease: Lease, status: str) -> None:
    """Raise No if its status, as its holder must see it, is not held."""
    if status != "held":
        why = f": {lease['why']}" if lease.get("why") else ""
        raise No(
            f"is {status}{why}",
            where=ids.short("ls", lease["lease_id"]),
            todo="acquire it again, and check what changed meanwhile",
            code="not_held",
        )


def not_held(actor: Json, lease: Lease, here: bool = True) -> No:
    """Why the caller may not change it. `here`: was it acquired in this store?"""
    ours, who = lease["holder"] == actor["agent_id"], named(actor, lease)
    if not ours:
        who += ", not by you"
    return No(
        f"is held by {who if here or not ours else 'you in another copy of the store'}",
        where=ids.short("ls", lease["lease_id"]),
        todo="--resume takes it over" if ours and here else "",
        code="held",
    )
