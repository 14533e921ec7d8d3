"""The number of each event in the order in which this store got them, for readers that say "after".

    number = epoch * 10**9 + n        n = 1, 2, 3 …

1. What a reader has not seen yet has a greater number than all it has seen. (Events that came
   between two looks are numbered by event_id: nobody can tell which was first.)
2. Numbers are given when somebody asks, and kept. If they are lost, or the journal is another one
   than was numbered, all are given again, in another epoch: an old number is not valid in that.
3. They mean nothing in another store, and are never sent.
"""

from __future__ import annotations

from coord_envelope.errors import BadData, TryAgain
from coord_kernel.views.database import Derived

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from coord_envelope.event import Event
    from coord_kernel.store.directory import Store
    from coord_kernel.views.fill import Located

EPOCH = 1_000_000_000
"""Numbers in an epoch."""
EPOCHS = 8_999_999
"""So that a number is less than 2**53: every reader of JSON represents it exactly."""
PAGE = 500
_AFTER = f"""SELECT arrival.n, id, stream, first, offset FROM arrival JOIN segment ON no = segment
             WHERE arrival.n > ? ORDER BY arrival.n LIMIT {PAGE}"""


class Arrivals(Derived):
    """The durable events of a store, numbered."""

    lasting = True
    tables = f"""
    CREATE TABLE arrival (n INTEGER PRIMARY KEY, id TEXT UNIQUE, segment INTEGER, offset INTEGER);
    CREATE TABLE epoch AS SELECT abs(random() % {EPOCHS}) + 1 AS number;
    """

    def __init__(self, store: Store) -> None:
        # A copy of the store gives other numbers from here on.
        super().__init__(store, "arrivals", f"1 {store.identity()}")
        self._base = 0

    def refresh(self) -> Arrivals:
        """Number what is new. Raises TryAgain if that cannot be kept."""
        super().refresh()
        if self._layers != [self._disk]:
            raise TryAgain(
                "cannot number the events now", todo="is .coord/local writable, the disk full?"
            )
        ((epoch,),) = self.query("SELECT number FROM epoch")
        self._base = epoch * EPOCH
        return self

    def add(self, db: sqlite3.Connection, located: Iterator[Located]) -> None:
        rows = [(event["event_id"], segment, offset) for event, segment, offset in located]
        # IGNORE: the same event may stand in two streams, a writer's and its fork's.
        sql = "INSERT OR IGNORE INTO arrival (id, segment, offset) VALUES (?, ?, ?)"
        db.executemany(sql, rows)

    def last(self) -> int:
        """The greatest number."""
        ((n,),) = self.query("SELECT ifnull(max(n), 0) FROM arrival")
        return self._base + int(n)

    def of(self, event: Event) -> int:
        """The number of an event. Raises BadData for a live one, which has none."""
        for (n,) in self.query("SELECT n FROM arrival WHERE id = ?", event.id):
            return self._base + int(n)
        raise BadData("a live event has no number", where=event.id)

    def after(self, number: int = 0) -> Iterator[tuple[int, Event]]:
        """The events with a greater number, and theirs, in order. 0: all.

        Raises BadData if it is a number of another epoch.
        """
        if number and not self._base <= number <= self.last():
            raise BadData(
                f"not a $pos of this store: {number}: it is of another epoch, or of another store",
                todo="use a $pos that --pos prints now, or read everything again",
            )
        n = max(0, number - self._base)
        while rows := self.query(_AFTER, n):
            for n, event_id, stream, first, offset in rows:
                stored = self.read(stream, first, offset)
                if stored and stored.event.id == event_id:  # else its line was damaged since
                    stored.event.stream = stream.partition("/")[2]
                    yield self._base + n, stored.event
