"""What is wanted, and the one interface of every scope: `local` is local.py, `git` is remote.py."""

from __future__ import annotations

from coord_envelope import ids
from coord_envelope.errors import No

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Protocol

    from coord_envelope import Event
    from coord_lease.fold import Lease, Row

    class Scope(Protocol):
        """Leases as far as this scope reaches.

        An id is a full one, a short one, or a unique ending. Each method raises No if the lease is
        not known, not held or not held by the caller, Usage if an id is ambiguous.
        """

        name: str
        level: str
        usual_ttl: str
        seldom_ns: int
        """The longest time without a renewal, however long the time to live, so that a theft is
        soon noticed."""

        def acquire(self, wanted: Wanted, steal: str | None = None) -> Event: ...
        def renew(
            self, text: str, ttl_ms: int | None = None, wait_s: float | None = None
        ) -> Event: ...
        def release(self, text: str, reason: str) -> Event: ...
        def lose(self, lease_id: str, reason: str) -> None: ...
        def known(self, text: str) -> Lease: ...
        def held(self, resources: Sequence[str] = ()) -> Iterable[Lease]: ...
        def row(self, lease: Lease) -> Row: ...
        def mine(self, lease: Lease) -> bool: ...
        def began(self, event: Event) -> int: ...


LONGEST_MS = 7 * 24 * 60 * 60 * 1000
"""As long as live events are kept."""


class Wanted:
    """A lease to acquire: resources in stored form, `x` or `s`, milliseconds, the holder's pin."""

    __slots__ = ("mode", "pin", "resources", "ttl_ms")

    def __init__(
        self, resources: Sequence[str], mode: str, ttl_ms: int, pin: str | None = None
    ) -> None:
        self.resources, self.mode, self.ttl_ms, self.pin = resources, mode, ttl_ms, pin


class TakenError(No):
    """A resource is held. `until` is the boot-clock time at which to try again."""

    code = "held"

    def __init__(
        self, blockers: Sequence[Lease], wanted: Wanted, left_ms: int, until: int, steal: str
    ) -> None:
        """`left_ms` is the time left of the first of the leases in the way."""
        first = blockers[0]
        more = f", and {len(blockers) - 1} more in the way" if len(blockers) > 1 else ""
        lease = f"{ids.short('ls', first['lease_id'])}{more}"
        what = f"is held by {first['holder']} for {max(0, left_ms) // 1000} s more ({lease})"
        where = " ".join(wanted.resources)
        super().__init__(what, where=where, todo=f"wait with --wait, or `{steal}`")
        self.pins = [pin for state in blockers if (pin := state.get("pin"))]
        self.until = until
