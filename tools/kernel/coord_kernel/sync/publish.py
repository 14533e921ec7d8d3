"""What this store gives: its own streams, and every file it holds that nobody else does."""

from __future__ import annotations

import contextlib

from coord_kernel.streams.stream import SUFFIX, Stream
from coord_kernel.sync import tree
from coord_kernel.sync.intake import Held, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from git.db import GitDB

    from coord_kernel.store.directory import Store
    from coord_kernel.sync.tree import Manifest


def files(
    store: Store,
    objects: GitDB,
    held: Held,
    replica: str,
    others: dict[str, Manifest],
    before: Manifest,
) -> dict[str, tuple[int, str]]:
    """What is to be in this replica's ref, as `tree.write_tree` takes it; its blobs are written.

    `others` are the holdings of all other refs by replica (`arbiter` is one), `before` is what our ref holds: what
    of that is not ours to know (a later version's) is carried over.
    """
    found = dict(before.others)
    for path in paths(store):
        oid = held.oid(path)
        if oid and not _given(path, oid, replica, others):
            found[path] = tree.regular(_stored(store, objects, path, oid))
    return found


def lines(objects: GitDB, files: dict[str, tuple[int, str]], before: Manifest) -> int:
    """How many lines of events these are more than before. Reads only what has changed."""
    count = 0
    for path, (_, oid) in files.items():
        old = before.files.get(path)
        if old != oid and tree.JOURNAL.fullmatch(path):
            count += tree.read(objects, oid).count(b"\n")
            with contextlib.suppress(ValueError):
                count -= tree.read(objects, old).count(b"\n") if old else 0
    return count


def paths(store: Store) -> Iterator[str]:
    """What a store has to give: its segments and blobs."""
    for name in store.listdir("journal"):
        for file in store.listdir("journal", name):
            path = f"journal/{name}/{file}"
            if file.endswith(SUFFIX) and tree.JOURNAL.fullmatch(path):
                yield path
    for group in store.listdir("blobs", "sha256"):
        for file in store.listdir("blobs", "sha256", group):
            path = f"blobs/sha256/{group}/{file}"
            if tree.BLOB.fullmatch(path):
                yield path


def make_durable(store: Store, replica: str) -> None:
    """Write the replica's own streams to the disk: who has given away what a power loss takes here has forked."""
    for name in store.listdir("journal"):
        if name.endswith(f"~{replica}"):
            stream = Stream(store, "journal", name)
            stream.segment = max(stream.segments(), default=0)
            if stream.segment:
                stream.make_durable()


def _given(path: str, oid: str, replica: str, others: dict[str, Manifest]) -> bool:
    """Does another ref hold it, on whom it is to do so: its author's, or a smaller replica's than ours?

    Not any: two that hold what is nobody's would each leave it to the other, and it would be gone.
    """
    author = path.split("/")[1].partition("!")[0].rpartition("~")[2]
    if author == replica:
        return False
    by = {name for name, one in others.items() if one.files.get(path) == oid}
    return author in by or "arbiter" in by or any(name < replica for name in by)


def _stored(store: Store, objects: GitDB, path: str, oid: str) -> str:
    if objects.has_object(bytes.fromhex(oid)):
        return oid
    data = store.load(*path.split("/"), most=tree.SEGMENT_BYTES) or b""
    return tree.write(objects, "blob", whole(data, path))
