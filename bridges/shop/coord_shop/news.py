"""New events as they are written, for a program with a loop of its own.

    news = News(store, after)
    loop.add_reader(news.fd, ...)     or wait for it, at most `news.pause_ms()` milliseconds
    for event in news.read(): ...

`reached` is the cursor behind what `read` gave out: save it, or send it as the id of an event, and
a follower that begins there misses nothing and sees nothing twice.
"""

from __future__ import annotations

from coord_kernel.journal.journal import Journal
from coord_kernel.streams.follow import Watcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.cursor import Cursor
    from coord_envelope.event import Event
    from coord_kernel.store.directory import Store


class News:
    """The events of a store behind a cursor. Belongs to one thread; `fd` may be polled anywhere."""

    def __init__(self, store: Store, after: Cursor) -> None:
        self._follower = Journal(store).follow(after)
        self._watcher = Watcher(store.path)
        self.fd = self._watcher.fd
        """Readable when there may be something; None if this system does not notify."""
        self.pause_ms = self._watcher.watch(self._follower.directories())
        """Look again after so many milliseconds even if `fd` says nothing."""

    @property
    def reached(self) -> Cursor:
        """The cursor behind all that was read."""
        return self._follower.reached

    def read(self) -> list[Event]:
        """What was written since, in order of event_id; may be nothing."""
        self._watcher.drain()
        self.pause_ms = self._watcher.watch(self._follower.directories())
        return list(self._follower.batch())
