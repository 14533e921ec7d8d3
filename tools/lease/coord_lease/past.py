"""The leases that were held at a time.

Of scope `local` as far back as this store keeps live events; a lease then counts as held from its
acquisition or renewal for its time to live, by the clock that wrote the event.
"""

from __future__ import annotations

from coord_envelope import world
from coord_kernel.streams import stream
from coord_kernel.streams.merge import merge
from coord_kernel.views.past import Past
from coord_kernel.views.view import View
from coord_lease import confirmed, elsewhere, fold
from coord_lease.leases import Leases

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_kernel.store.directory import Store
    from coord_lease.fold import Lease, Row


def held(store: Store, then: str) -> Iterator[tuple[Lease, Row]]:
    """The leases that were held at a time, each with its row: as others saw them."""
    then_ms = world.parse_ts(then)
    events = merge(map(stream.events, Leases(store).streams(())))
    for lease in elsewhere.running((event for event in events if event["ts"] <= then), then_ms):
        row: Row = {**fold.head(lease, "held"), **fold.terms(lease), "scope": "local"}
        yield lease, row | {"left_ms": lease["until"] - then_ms}
    past = Past(View(store, confirmed).refresh(), confirmed, then)
    running = {name for _, name in past.find("until", confirmed.moment(then_ms))}
    running.update(name for _, name in past.find("timed"))
    for lease in map(past.get, sorted(running)):
        left_ms = confirmed.left_ms(lease, then_ms, mine=True)
        if left_ms > 0 or lease.get("timed"):
            yield lease, confirmed.row(lease, left_ms)
