"""The times of a schedule: of an interval or a cron expression. Pure.

The times of an interval are the multiples of it since 1970: every copy of a file has the same. A
time with jitter is fired up to so much later, but before the next one; how much follows from the
name and the time.
"""

from __future__ import annotations

import hashlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

    from coord_envelope.codec import Json

MOST_MISSED = 1_000
"""So many missed times are counted."""


class Schedule:
    """One schedule of a file."""

    __slots__ = ("body", "cron", "every", "jitter", "name", "zone", "zoned")

    def __init__(self, name: str) -> None:
        self.name, self.every, self.cron, self.jitter = name, 0, "", 0
        self.zone = "UTC"
        self.zoned: tzinfo | None = None
        self.body: Json = {}

    @property
    def spec(self) -> str:
        """How it is written, as far as its times depend on that."""
        when = f"every {self.every}ms" if self.every else f"cron {self.cron} {self.zone}"
        return f"{when} jitter {self.jitter}ms"

    def last(self, now: int) -> int:
        """The last time up to now, in Unix milliseconds; 0 if there is none."""
        if self.every:
            return now - now % self.every
        return self._cron(now + 1, reverse=True)

    def after(self, at: int) -> int:
        """The first time after this one; 0 if there is none."""
        return at - at % self.every + self.every if self.every else self._cron(at)

    def due(self, at: int) -> int:
        """When a time is fired."""
        if not self.jitter:
            return at
        digest = hashlib.sha256(f"{self.name} {at}".encode()).digest()
        most = min(self.jitter, (self.after(at) or at + self.jitter) - at)
        return at + int.from_bytes(digest[:6], "big") % max(most, 1)

    def times(self, at: int) -> Iterator[int]:
        """The times after this one."""
        while at := self.after(at):
            yield at

    def _cron(self, at: int, reverse: bool = False) -> int:
        from datetime import UTC, datetime  # 2 ms

        from cronsim import CronSim  # 25 ms

        start = datetime.fromtimestamp(-(-at // 1000) if reverse else at // 1000, UTC)
        try:
            found = next(CronSim(self.cron, start.astimezone(self.zoned or UTC), reverse), None)
        except (OverflowError, ValueError, OSError):
            return 0
        return int(found.timestamp()) * 1000 if found else 0
