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
from coord_otel import meters as metering

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel import Store
    from coord_otel.meters import Meters
    from coord_otel.spans import Open

LARGEST = 64 << 20
PLACE = ("local", "otel")


class State:
    """Read when it is made, saved at each step."""

    def __init__(self, store: Store, target: str, now: int) -> None:
        """`target` is what it is exported to. Raises BadData."""
        digest = hashlib.blake2b(target.encode(), digest_size=8).hexdigest()
        self._store, self._name = store, f"{digest}.json"
        self.cursor, self.until, self.done = Cursor({}), Cursor({}), list[str]()
        self.count, self.exported, self.begun = 0, 0, now
        self.open: Open = {}
        self.meters: Meters = {}
        data = store.load(*PLACE, self._name, most=LARGEST)
        if data is not None:
            self._load(data)

    def _load(self, data: bytes) -> None:
        with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
            fields = codec.loads(data)
            _check(fields)
            self.cursor, self.until = Cursor(fields["cursor"]), Cursor(fields["until"])
            self.done, self.count = list(fields["done"]), int(fields["count"])
            self.exported, self.begun = int(fields["exported"]), int(fields["begun"])
            self.open, self.meters = dict(fields["open"]), dict(fields["meters"])
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

    def acknowledged(self) -> bool:
        """Was anything exported, or passed over? A first try that failed has done neither."""
        return bool(self.exported or self.done or self.cursor)

    def skip(self, until: Cursor) -> None:
        """Nothing up to there is exported."""
        self.cursor, self.count = until, 0
        self.save()

    def begin(self, until: Cursor, count: int) -> None:
        """A batch of `count` events up to `until` is being exported."""
        self.until, self.count, self.done = until, count, []
        self.save()

    def end(self, opened: Open, meters: Meters) -> None:
        """It is exported; this is open, and counted, behind it."""
        self.cursor, self.exported = self.until, self.exported + self.count
        self.open, self.meters, self.done, self.count = opened, meters, [], 0
        self.save()


def _check(fields: Json) -> None:
    """Raises ValueError, TypeError, KeyError, AttributeError unless all of it can be used."""
    for name in ("cursor", "until"):
        _need(all(type(seq) is int for seq in fields[name].values()))
    _need(set(fields["done"]) <= {"logs", "traces", "metrics"})
    _need(
        all(
            type(fields[name]) is int and fields[name] >= 0
            for name in ("count", "exported", "begun")
        )
    )
    for claim in fields["open"].values():
        _need(all(isinstance(claim[name], str) for name in ("kind", "about", "name", "trace")))
        _need(type(claim["ms"]) is int and isinstance(claim["attributes"], dict))
        bytes.fromhex(claim["trace"] + (claim["parent"] or ""))
    for metric, series in fields["meters"].items():
        bounds = None if metric in metering.COUNTERS else metering.HISTOGRAMS[metric][2]
        for key, numbers in series.items():
            _need(isinstance(codec.loads(key.encode()), dict))
            _need(isinstance(numbers["n"], int | float))
            if bounds is not None:
                _need(isinstance(numbers["sum"], int | float))
                _need(len(numbers["buckets"]) == len(bounds) + 1)
                _need(all(type(count) is int for count in numbers["buckets"]))


def _need(valid: bool) -> None:
    if not valid:
        raise ValueError
