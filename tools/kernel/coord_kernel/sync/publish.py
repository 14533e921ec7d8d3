"""What a store has to give, with any remote: its segments and blobs, made durable first."""

from __future__ import annotations

from coord_kernel.streams.stream import Stream
from coord_kernel.sync import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_kernel.store.directory import Store


def paths(store: Store) -> Iterator[str]:
    """The segments and blobs, as paths below the store."""
    for name in store.listdir("journal"):
        for file in store.listdir("journal", name):
            path = f"journal/{name}/{file}"
            if layout.segment(path):
                yield path
    for group in store.listdir("blobs", "sha256"):
        for file in store.listdir("blobs", "sha256", group):
            path = f"blobs/sha256/{group}/{file}"
            if layout.is_blob(path):
                yield path


def make_durable(store: Store, replica: str) -> None:
    """Write the replica's own streams to the disk.

    A store that gave away what a power loss then takes from it has a fork of its own stream.
    """
    for name in store.listdir("journal"):
        if name.endswith(f"~{replica}"):
            stream = Stream(store, "journal", name)
            stream.segment = max(stream.segments(), default=0)
            if stream.segment:
                stream.make_durable()
