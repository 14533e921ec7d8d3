"""What the refs of a remote hold, kept from sync to sync: only the tree of a new tip is read.

A manifest is of a commit, so it never changes. Without this, a sync reads four objects of each ref
that others have, however few of them have moved: with a thousand replicas that is most of it.
"""

from __future__ import annotations

from coord_envelope import codec
from coord_envelope.platform import suppress
from coord_kernel.sync import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store
    from coord_kernel.sync.objects import Objects
    from coord_kernel.sync.tree import Manifest

_PLACE = (".git", "manifests")


class Manifests:
    """The files of each tip (path → blob id), as of the last `save` and of what was read since."""

    def __init__(self, store: Store) -> None:
        self._store, self._new = store, False
        self._known: Json = {}
        with suppress(ValueError, OSError):
            saved = codec.loads(store.load(*_PLACE, most=1 << 28) or b"{}")
            self._known = saved if isinstance(saved, dict) else {}

    def note(self, tip: str, manifest: Manifest) -> None:
        """This tip was read."""
        self._known[tip], self._new = manifest.files, True

    def files(self, objects: Objects, tip: str) -> dict[str, str]:
        """The files of a tip. Raises DamagedError."""
        known = self._known.get(tip)
        if not isinstance(known, dict):
            self.note(tip, tree.manifest(objects, tip))
            return self.files(objects, tip)
        return known

    def save(self, tips: Collection[str]) -> None:
        """Keep those of these tips, if there are new ones. It costs only time if they are lost."""
        if self._new:
            kept = {tip: self._known[tip] for tip in tips if tip in self._known}
            with suppress(OSError):  # as what is in its place: a directory
                self._store.save(codec.dumps(kept), *_PLACE, durable=False)
            self._new = False
