"""The files that this store holds, by the ids that git gives their bytes. For remotes of git refs.

A file is read only when its inode says that it has changed: its size, or its change time. (The size
alone is not enough: a file restored from a backup may have grown to the same size.)
"""

from __future__ import annotations

import os

from coord_envelope import codec
from coord_envelope.platform import suppress
from coord_kernel.store import disk
from coord_kernel.sync import layout, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store

_PLACE = (".git", "held")
"""Beside the tips that were taken in: a journal restored from a backup disagrees with both."""


class Held:
    """The blob ids of the files held, as of the last `save` and of what has changed since."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: Json = {}
        """Path → [size, change time in ns, blob id]."""
        self._rewritten = False
        with suppress(ValueError):
            saved = codec.loads(store.load(*_PLACE, most=1 << 26) or b"{}")
            self._known = saved if isinstance(saved, dict) else {}

    def oid(self, path: str) -> str | None:
        """The blob id of the file's whole lines; None if there is no such file, or it is too large.

        Raises OSError if it cannot be read: taken for absent, it would vanish from the remote.
        """
        try:
            fd = self._store.open(*path.split("/"))
        except (FileNotFoundError, disk.IrregularError):
            return None
        try:
            info = os.fstat(fd)
            if info.st_size > layout.limit(path):
                return None
            key = [info.st_size, info.st_ctime_ns]
            known = self._known.get(path)
            if isinstance(known, list) and known[:2] == key:
                return str(known[2])
            data = os.pread(fd, info.st_size, 0)
        finally:
            os.close(fd)
        if (
            isinstance(known, list)
            and tree.blob_id(layout.whole(data[: known[0]], path)) != known[2]
        ):
            self._rewritten = True
        oid = tree.blob_id(layout.whole(data, path))
        self._known[path] = [*key, oid]
        return oid

    def lost(self, paths: Iterable[str]) -> bool:
        """Is less here than there was, if these paths are all? Then the journal was restored."""
        here = {path for path in paths if self.oid(path)}
        return self._rewritten or not here >= self._known.keys()

    def save(self) -> None:
        """Remember the ids for the next sync. It costs only time if they are lost."""
        self._store.save(codec.dumps(self._known), *_PLACE)
