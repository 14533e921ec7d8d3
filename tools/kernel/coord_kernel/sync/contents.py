"""What this store's own ref holds: its own streams, and each other file that nobody else gives."""

from __future__ import annotations

from coord_envelope.platform import suppress
from coord_kernel.sync import layout, publish, tree
from coord_kernel.sync.layout import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.store.directory import Store
    from coord_kernel.sync.held import Held
    from coord_kernel.sync.objects import Objects
    from coord_kernel.sync.tree import Manifest


class Contents:
    """The files of a replica's ref."""

    def __init__(self, store: Store, objects: Objects, held: Held, replica: str) -> None:
        self._store, self._objects, self._held, self._replica = store, objects, held, replica

    def files(
        self, others: dict[str, dict[str, str]], before: Manifest
    ) -> dict[str, tuple[int, str]]:
        """What the ref is to hold, as `tree.write_tree` takes it; its blobs are written.

        `others` are the files of all other refs by replica (the arbiter's is `arbiter`),
        `before` is what the ref holds now. What a later version put there is kept.
        """
        files = dict(before.others)
        for path in publish.paths(self._store):
            oid = self._held.oid(path)
            if oid and not self._given(path, oid, others):
                files[path] = tree.regular(self._stored(path, oid, before))
        return files

    def lines(self, files: dict[str, tuple[int, str]], before: Manifest) -> int:
        """How many more lines of events these files have than before. Reads only what changed."""
        count = 0
        for path, (_, oid) in files.items():
            old = before.files.get(path)
            if old != oid and layout.segment(path):
                count += tree.read(self._objects, oid).count(b"\n")
                with suppress(ValueError):
                    count -= tree.read(self._objects, old).count(b"\n") if old else 0
        return count

    def _given(self, path: str, oid: str, others: dict[str, dict[str, str]]) -> bool:
        """Does a ref hold the file whose task it is: its author's, or a smaller replica's?

        Not any ref: two stores that hold a file of neither would each leave it to the other.
        """
        author = path.split("/")[1].partition("!")[0].rpartition("~")[2]
        if author == self._replica:
            return False
        by = {name for name, files in others.items() if files.get(path) == oid}
        return author in by or "arbiter" in by or any(name < self._replica for name in by)

    def _stored(self, path: str, oid: str, before: Manifest) -> str:
        # What is new is written without a look at packs, which loads 60 modules.
        if before.files.get(path) == oid and self._objects.has(oid):
            return oid
        data = self._store.load(*path.split("/"), most=layout.SEGMENT_BYTES) or b""
        return tree.write(self._objects, "blob", whole(data, path))
