"""Idempotency keys: (type, key) has one event, for ever, in the whole project."""

from __future__ import annotations

import os

from coord_envelope import codec, event
from coord_envelope.codec import Json
from coord_envelope.errors import BadData
from coord_envelope.event import Event
from coord_kernel.store import disk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_kernel.store.directory import Store
    from coord_kernel.views.fill import Place
    from coord_kernel.views.index import Index


def keyed(drafts: Sequence[Json]) -> bool:
    """Does any of these drafts have a key?"""
    return any("idempotency_key" in draft for draft in drafts)


class Keys:
    """Idempotency keys of the store and of this batch: (type, key) → its first event."""

    def __init__(self, index: Index) -> None:
        self._index, self._fresh = index, False
        self._batch: dict[tuple[str, str], Event] = {}
        self._vouched: list[Place] = []

    def first(self, draft: Json) -> Event | None:
        """The event that has this draft's key. Raises BadData if it says something else."""
        key = draft.get("idempotency_key")
        if key is None:
            return None
        found = self._batch.get((draft["type"], key))
        if found is None:
            if not self._fresh:  # once: what is added from here on is in the batch
                self._index.refresh()
                self._fresh = True
            place = self._index.by_key(draft["type"], key)
            if place is None:
                return None
            found = place.event
            self._vouched.append(place)
        said = event.filled(draft, found.id)
        same = all(
            codec.same(found.get(name, empty), value)
            for name, empty, value in (
                ("body", {}, said.get("body", {})),
                ("refs", {}, said.get("refs", {})),
                ("to", [], said.get("to", [])),
            )
        )
        if not same:
            what = f"idempotency key {key!r} was used for another {draft['type']}, {found.id}"
            raise BadData(what, todo="use a new key")
        return found

    def remember(self, written: Event) -> None:
        if "idempotency_key" in written:
            self._batch[written["type"], written["idempotency_key"]] = written

    def vouch(self, place: Place) -> None:
        """An answer stands for the event there, as that of a key does."""
        self._vouched.append(place)

    def make_durable(self, store: Store) -> None:
        """What a `$dup` answer vouches for is on the disk first."""
        make_durable(store, self._vouched)


def make_durable(store: Store, places: Sequence[Place]) -> None:
    """Put on the disk what may not be there: its writer may have died before its fdatasync.

    Or that may have failed: so each line is written again over itself, which makes its page dirty again.
    """
    for file, standing in _by_file(places):
        fd = store.open(*file, flags=os.O_RDWR)
        try:
            for place in standing:
                os.pwrite(fd, place.event.raw, place.offset)
            disk.fdatasync(fd)
        finally:
            os.close(fd)
        store.sync_directory(*file[:-1])


def _by_file(places: Sequence[Place]) -> Iterator[tuple[tuple[str, ...], list[Place]]]:
    for file in {place.file for place in places}:
        yield file, [place for place in places if place.file == file]
