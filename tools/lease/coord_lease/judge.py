"""Which leases of scope `remote` are over."""

from __future__ import annotations

from coord_envelope import world
from coord_lease import confirmed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_kernel.sync.ask import Clock
    from coord_lease.fold import Lease


class Judge:
    """Which leases are over: by the clock of the arbiter's server, or else by this machine's."""

    def __init__(self) -> None:
        self.timed = False
        """Has the arbiter's place a clock?"""
        self._elapsed: dict[str, int] = {}

    def ask(self, clock: Clock, claims: Sequence[str]) -> None:
        """How long ago were these confirmed?"""
        elapsed = clock.elapsed(claims)
        self.timed, self._elapsed = elapsed is not None, elapsed or {}

    def over(self, lease: Lease) -> bool:
        """Is it to get its end? If this machine's clock judges it, it ends without an event."""
        return bool(lease.get("timed")) and self.left_ms(lease) <= 0

    def left_ms(self, lease: Lease) -> int:
        """How long others must wait for it."""
        if self.timed and lease.get("timed"):
            return 1 + lease["ttl_ms"] - self._elapsed.get(lease["by"], 0)
        margin_ms = confirmed.MARGIN_MS if lease.get("timed") else 0
        return confirmed.left_ms(lease, world.now_ms(), mine=False) + margin_ms
