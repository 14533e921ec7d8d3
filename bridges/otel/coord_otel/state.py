"""How far a journal was exported, in a file of the store, so that a restart goes on there.

    cursor, until     what was exported; what is being exported, and may be in part
    done              the signals of that which the collector has acknowledged
    open, meters      what is open, and was counted, behind the cursor

A batch is what is between the two cursors, however often it is read again, so a signal that was
acknowledged is never sent again.
"""

from __future__ import annotations

import hashlib

from coord_envelope import BadData, Cursor, codec
from coord_envelope.platform import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel import Store
    from coord_otel.meters import Meters
    from coord_otel.spans import Open

LARGEST = 64 << 20
PLACE = ("local", "otel")


class State:
    """It is new as long as `saved` is False."""

    def __init__(self, store: Store, target: str, now: int) -> None:
        """`target` is what it is exported to. Raises BadData."""
        digest = hashlib.blake2b(target.encode(), digest_size=8).hexdigest()
        self._store, self._name = store, f"{digest}.json"
        self.cursor, self.until, self.done = Cursor({}), Cursor({}), list[str]()
        self.count, self.exported, self.begun, self.saved = 0, 0, now, False
        self.open: Open = {}
        self.meters: Meters = {}
        data = store.load(*PLACE, self._name, most=LARGEST)
        if data is not None:
            self._load(data)

    def _load(self, data: bytes) -> None:
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            fields = codec.loads(data)
            self.cursor, self.until = Cursor(fields["cursor"]), Cursor(fields["until"])
            self.done, self.count = list(fields["done"]), int(fields["count"])
            self.exported, self.begun = int(fields["exported"]), int(fields["begun"])
            self.open, self.meters = dict(fields["open"]), dict(fields["meters"])
            self.saved = True
            return
        where = f"{'/'.join(PLACE)}/{self._name}"
        raise BadData("not a valid state", where=where, todo="delete it to start over")

    def save(self) -> None:
        """Durably: after a crash the file holds this state or the one before."""
        fields: Json = {
            "cursor": self.cursor,
            "until": self.until,
            "done": self.done,
            "count": self.count,
            "exported": self.exported,
            "begun": self.begun,
            "open": self.open,
            "meters": self.meters,
        }
        self._store.save(codec.dumps(fields) + b"\n", *PLACE, self._name)
        self.saved = True

    def begin(self, until: Cursor, count: int) -> None:
        """A batch of `count` events up to `until` is being exported."""
        self.until, self.count, self.done = until, count, []
        self.save()

    def end(self, opened: Open, meters: Meters) -> None:
        """It is exported; this is open, and counted, behind it."""
        self.cursor, self.exported = self.until, self.exported + self.count
        self.open, self.meters, self.done, self.count = opened, meters, [], 0
        self.save()
