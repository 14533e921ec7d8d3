"""Leases of scope `local` in other stores, as their live events say: to look at, not to decide by.

They come through a live remote. Each store decides about its own; time is the wall clock here.
"""

from __future__ import annotations

from coord_envelope import world
from coord_kernel.streams import stream as streams
from coord_kernel.streams.stream import Stream
from coord_lease import fold, resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from coord_envelope.event import Event
    from coord_kernel.store.directory import Store
    from coord_lease.fold import Lease, Row


def held(store: Store, wanted: Sequence[str] = ()) -> Iterator[Row]:
    """Rows of the leases that are held in other stores now: of these resources, if any."""
    names = [name for name in store.listdir("live") if "~" in name]
    own = store.all_replicas() if names else frozenset()
    for name in names:
        replica = name.rpartition("~")[2].removesuffix("+live")
        if replica not in own:
            for lease in running(streams.events(Stream(store, "live", name)), world.now_ms()):
                if not wanted or resource.any_overlap(lease["resources"], wanted):
                    yield {
                        **fold.head(lease, "held"),
                        **fold.terms(lease),
                        "scope": "local",
                        "replica": replica,
                        "left_ms": lease["until"] - world.now_ms(),
                    }


def running(events: Iterable[Event], now_ms: int) -> Iterator[Lease]:
    """Of one writer's events, the leases that are held at this time. Pure and total."""
    leases: dict[str, Lease] = {}
    for event in events:
        lease_id = fold.about(event)
        if lease_id and (event["type"] == "lease.acquired" or lease_id in leases):
            lease = leases[lease_id] = fold.step(leases.get(lease_id), event)
            if lease.get("by") == event.id:
                lease["until"] = world.parse_ts(event["ts"]) + lease["ttl_ms"]
    return (lease for lease in leases.values() if fold.open_(lease) and lease["until"] > now_ms)
