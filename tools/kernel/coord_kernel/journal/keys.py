"""Idempotency keys: a (type, key) has one event, for ever, in the whole project."""

from __future__ import annotations

import os

from coord_envelope import codec, event, world
from coord_envelope.codec import Json
from coord_envelope.errors import BadData
from coord_envelope.event import Event
from coord_kernel.store import disk
from coord_kernel.streams.changes import MANY
from coord_kernel.streams.stream import streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from coord_kernel.store.directory import Store
    from coord_kernel.views.fill import Stored
    from coord_kernel.views.index import Index


def keyed(drafts: Sequence[Json]) -> bool:
    """Does any of these drafts have a key?"""
    return any("idempotency_key" in draft for draft in drafts)


MOST = 50_000
"""Keys of this process in memory, with their lines."""


class Keys:
    """The keys of the store and of a transaction: (type, key) → its first event.

    Where many keyed events come in several transactions, the index need not take in those of one
    before the next: they are in memory. That holds as long as no other process has written, in
    this stream or another.
    """

    def __init__(self, store: Store, index: Callable[[], Index]) -> None:
        self._store = store
        self._get_index = index  # most transactions have no key, and load none
        self._index: Index | None = None
        self._checked = False
        self._place = "", 0
        self._others: dict[str, int] | None = None
        """Where the own stream and the others ended when the index and the batch had all keys."""
        self._batch: dict[tuple[str, str], Event | bytes] = {}
        self._vouched: list[Stored] = []

    def prepare(self) -> None:
        """Read what may take long, before the store's lock is taken."""
        if self._index is None:
            self._index = self._get_index().refresh()

    def begin(self, stream: str, seq: int) -> None:
        """A transaction begins that continues the stream behind this seq."""
        self._checked, self._vouched = False, []
        if self._place != (stream, seq):
            self._place, self._others = (stream, seq), None

    def end(self, stream: str, seq: int) -> None:
        """Its events were written, up to this seq."""
        self._place = stream, seq

    def forget(self) -> None:
        """It failed: what was remembered of it may not be there."""
        self._others = None
        self._batch.clear()

    def first(self, draft: Json) -> Event | None:
        """The first event with the draft's key, if any. Raises BadData if its content differs.

        Times that were given relative to now are not compared: the first event decided them.
        """
        key = draft.get("idempotency_key")
        if key is None:
            return None
        index = self._refreshed()
        first = self._batch.get((draft["type"], key)) or self._stored(index, draft["type"], key)
        if first is None:
            return None
        if isinstance(first, bytes):
            first = event.parse(first)
        same = _settled(event.filled(draft, first.id), first)
        for name, absent in (("body", {}), ("refs", {}), ("to", [])):
            if not codec.same(first.get(name, absent), same.get(name, absent)):
                what = f"idempotency key {key!r} was used for another {draft['type']}, {first.id}"
                raise BadData(what, todo="use a new key", code="duplicate")
        return first

    def _stored(self, index: Index, kind: str, key: str) -> Event | None:
        stored = index.by_key(kind, key)
        if stored is None:
            return None
        self._vouched.append(stored)
        return stored.event

    def _refreshed(self, many: bool = False) -> Index:
        """The index, which has all keys with the batch. `many`: look whether it has already."""
        if not self._checked:  # once: what is added from here on is in the batch
            others = self._ends() if many else None
            if others is None or others != self._others or len(self._batch) > MOST:
                self._batch.clear()
                self._index = self._get_index().refresh()
            self._others, self._checked = others, True
        assert self._index
        return self._index

    def _ends(self) -> dict[str, int] | None:
        """How long the streams of other writers are; None if there are many."""
        others = [stream for stream in streams(self._store) if stream.path != self._place[0]]
        return {stream.path: stream.size() for stream in others} if len(others) < MANY else None

    def free(self, pairs: Sequence[tuple[str, str]]) -> bool:
        """Has each of these (type, key) no event, nor another of them?"""
        wanted = set(pairs)
        fresh = len(wanted) == len(pairs) and self._batch.keys().isdisjoint(wanted)
        return fresh and not self._refreshed(many=True).has_any(pairs)

    def remember_all(self, pairs: Sequence[tuple[str, str]], rows: Sequence[bytes]) -> None:
        """Events with these keys were added to the transaction, as lines."""
        self._batch.update(zip(pairs, rows, strict=True))

    def remember(self, new: Event) -> None:
        """The event was added to the transaction."""
        if "idempotency_key" in new:
            self._batch[new["type"], new["idempotency_key"]] = new

    def vouch(self, event: Event) -> None:
        """An answer stands for this stored event: `make_durable` includes it."""
        stored = self._get_index().refresh().by_id(event.id)
        self._vouched += [stored] if stored else []

    def make_durable(self, store: Store) -> None:
        """Put on the disk the events that `$dup` answers stand for, before they are given."""
        make_durable(store, self._vouched)


def _settled(value: Any, first: Any) -> Any:
    """The value of a draft, with the first event's time wherever it has one from now."""
    if isinstance(value, dict) and isinstance(first, dict):
        return {name: _settled(part, first.get(name)) for name, part in value.items()}
    return first if isinstance(value, world.Relative) and isinstance(first, str) else value


def make_durable(store: Store, places: Sequence[Stored]) -> None:
    """Put stored events on the disk: their writer may have died before its fdatasync.

    Or the fdatasync may have failed: so each line is written again over itself, which makes its
    page dirty again.
    """
    for file, group in _by_file(places):
        fd = store.open(*file, flags=os.O_RDWR)
        try:
            for place in group:
                os.pwrite(fd, place.event.raw, place.offset)
            disk.fdatasync(fd)
        finally:
            os.close(fd)
        store.sync_directory(*file[:-1])


def _by_file(places: Sequence[Stored]) -> Iterator[tuple[tuple[str, ...], list[Stored]]]:
    for file in {place.file for place in places}:
        yield file, [place for place in places if place.file == file]
