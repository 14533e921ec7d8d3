"""What is held, for programs that show it: rows as of `lease ls`, now or at a time."""

from __future__ import annotations

from coord_envelope import world
from coord_kernel.store import machine
from coord_kernel.views.view import View
from coord_lease import confirmed, elsewhere, fold, past, pin, resource
from coord_lease.leases import Leases

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_kernel.store.directory import Store
    from coord_lease.fold import Row


class Board:
    """The leases of a store. Keeps its views open, so that asking again costs what is new."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._local, self._remote = Leases(store), View(store, confirmed)

    def now(self, refresh: bool = True) -> Iterator[Row]:
        """All that is held, of either scope, and in other stores; with `refresh` reads what is new.

        How long one of scope `remote` is left is what others must see.
        """
        boot_ns, now_ms = machine.boot_ns(), world.now_ms()
        if refresh:
            self._local.refresh()
            self._remote.refresh()
        for lease in self._local.running(boot_ns):
            name = lease.get("pin")
            if fold.held(lease, boot_ns) and not (name and pin.dropped(self._store, name)):
                yield fold.row(lease, boot_ns)
        names = {name for _, name in self._remote.find("until")}
        for lease in self._remote.states(sorted(names)):
            left_ms = confirmed.left_ms(lease, now_ms, mine=False)
            if left_ms > 0 or lease.get("timed"):
                yield confirmed.row(lease, left_ms)
        yield from elsewhere.held(self._store)

    def at(self, then: str) -> Iterator[Row]:
        """What was held at a time; of scope `local` as far back as live events are kept."""
        return (row for _, row in past.held(self._store, then))


def disputed(rows: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """Pairs of different holders whose resources overlap, unless both share them.

    Such pairs are of two scopes or two stores: within one the second is refused.
    """
    for number, row in enumerate(rows):
        for other in rows[:number]:
            shared = row.get("mode") == other.get("mode") == "s"
            apart = row["holder"] != other["holder"] and not shared
            if apart and resource.any_overlap(row["resources"], other["resources"]):
                yield other, row
