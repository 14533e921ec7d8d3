"""The leases of scope `local`, as a view of the live streams of a store."""

from __future__ import annotations

from coord_kernel.store import machine
from coord_kernel.streams.stream import streams
from coord_kernel.views import resolve
from coord_kernel.views.view import View
from coord_lease import fold, resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from coord_kernel import Store
    from coord_kernel.streams.stream import Stream
    from coord_lease.fold import Lease

TYPES = (*fold.BEGINS, *fold.ENDS)
_MIRRORED = ("local", "leases-mirrored")
"""A file that exists if a lease event may be in the journal."""
REMEMBERED_NS = 60 * 60 * 1_000_000_000
"""How long after its end a lease can be shown."""


class Leases(View):
    """Every lease of this boot that was not over an hour ago."""

    commutes = True
    tombstones = False  # a redacted event does not free what its lease holds

    def __init__(self, store: Store) -> None:
        super().__init__(store, fold.Fold(machine.boot_id()))
        self.durable = _mirrored(store)
        """Are lease events written to the durable streams, because coord.toml says so?"""

    def streams(self, known: Collection[str]) -> list[Stream]:
        """The live streams; and this store's durable ones, if leases are or ever were mirrored."""
        durable = (
            self.durable
            or any(name.startswith("journal/") for name in known)
            or self._store.load(*_MIRRORED) is not None
        )
        ours = self._store.all_replicas()
        return [
            stream
            for stream in streams(self._store, live=True)
            if (durable or stream.kind == "live")
            and stream.name.partition("~")[2].removesuffix("+live") in ours
        ]

    def mirror(self) -> None:
        """Have the durable streams read from now on, also when coord.toml mirrors no more."""
        if self._store.load(*_MIRRORED) is None:
            self._store.save(b"", *_MIRRORED)

    def token(self) -> int:
        """The greatest fencing token in the streams; 0 if there is none."""
        greatest = self.last("token")
        return int(greatest[0]) if greatest else 0

    def named(self, text: str, now: int) -> Lease | None:
        """The lease that a full or short id, or a unique ending, names.

        Raises Usage if it is ambiguous.
        """
        lease_id = resolve.only(text, resolve.candidates(self, text, ("ls",)))
        state: Lease | None = self.get(lease_id) if lease_id else None
        return state if state and fold.over_at(state) >= now - REMEMBERED_NS else None

    def running(self, now: int) -> list[Lease]:
        """Leases whose time is not over, in order of their ids."""
        return self._states(lease_id for _, lease_id in self.find("over", fold.moment(now + 1)))

    def overlapping(self, resources: Sequence[str]) -> list[Lease]:
        """Leases that no event has ended and that overlap with these resources.

        In order of their ids; the time of some may be over.
        """
        near = set[str]()
        for wanted in resources:
            keys, (begin, end) = resource.near(wanted)
            for key in keys:
                near.update(lease_id for _, lease_id in self.find("key", key, key + "\0"))
            if begin:
                near.update(lease_id for _, lease_id in self.find("key", begin, end))
        return [
            state
            for state in self._states(near)
            if resource.any_overlap(state["resources"], resources)
        ]

    def forget_old(self, now: int) -> None:
        """Drop leases that were over an hour ago, except the one with the greatest token."""
        newest = self.last("token")
        over = self.find("over", "", fold.moment(now - REMEMBERED_NS))
        old = [lease_id for _, lease_id in over if newest and lease_id != newest[1]]
        if old:
            self.forget(old)

    def _states(self, lease_ids: Iterable[str]) -> list[Lease]:
        return [state for state in self.states(sorted(lease_ids)) if fold.open_(state)]


def _mirrored(store: Store) -> bool:
    """Does coord.toml keep any type of lease event in the journal?

    Then all go there: they are read in one piece.
    """
    if not store.mirrors:
        return False
    from fnmatch import fnmatchcase  # loads `re`, 8 ms: only for stores that mirror

    return any(fnmatchcase(kind, glob) for glob in store.mirrors for kind in TYPES)
