"""The whole shop at a moment: what coord-top and coord-web show. It only reads.

    reader = Reader(store)          one per thread: its views are SQLite connections
    reader.shop()                   a `Shop`: the state now; reads what is new
    reader.shop(at)                 the state at a time, from the same events as `--at` of the tools
    reader.events(at, count)        the newest events up to a time
    reader.sentence(event)          an event in words, as `ev tail` prints it at a terminal
    reader.marks(begin, end)        what mattered when, as of the last shop: for a slider
    reader.density(begin, end, n)   about how much was written when
    News(store, reader.end())       a descriptor that wakes when an event is written, and the events

What it guarantees:

1. `shop(at)` is what a fold of all events with `ts <= at` gives, whatever order they arrived in. Of
   a session its last sign of life is found by time: a chain whose clock was set back without a new
   replica id may differ.
2. After the first call it costs the new events, the entities that changed since `at`, and the
   answer; `shop(news=events)` looks only at what these events concern. No list has more than
   `build.MOST` rows, one of work items `build.WORK`; `Shop.cut` names those that would have.
3. Whether a process held its lock, and the last sync, are known only now: for a time before, both
   are unknown. Leases of scope `local` go back as far as the store keeps live events.
4. Nothing raises for what an event says. A store that cannot be read raises a Fault or OSError.
5. Texts are as others wrote them: escape them where you show them (`coord_kernel.cli.escape`).
"""

from coord_shop.model import GROUPS, Shop, needs
from coord_shop.news import News
from coord_shop.reader import Reader

__all__ = ["GROUPS", "News", "Reader", "Shop", "needs"]
