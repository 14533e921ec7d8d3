"""What is derived from the events as readers see them: of a redacted one, only its tombstone.

A file that was made before a redaction holds what nobody is to read any more. It is rebuilt when it
is next asked for, and `purge` deletes it before that.
"""

from __future__ import annotations

import os

from coord_envelope import codec
from coord_envelope.platform import suppress
from coord_kernel.streams.redaction import Redactions, digest
from coord_kernel.views.database import WAIT_S, Derived

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from coord_kernel.store.directory import Store

_MARK = " shown:"
"""In the version of such a file, before the digest of the redactions that it knows."""


class Shown(Derived):
    """Derived from tombstones in place of redacted events."""

    tombstones = True
    """Is it? A subclass without the text of events need not be."""

    def __init__(self, store: Store, name: str, version: str) -> None:
        super().__init__(store, name, version)
        self._redactions = Redactions(store)
        self._unredacted = self._version

    def refresh(self) -> Self:
        if self.tombstones:
            version = f"{self._unredacted}{_mark(self._redactions.refresh())}"
            if version != self._version:
                self._version = version
                self._close()
        return super().refresh()


def _mark(redactions: Redactions) -> str:
    known = sorted(redactions.targets.items())
    return _MARK + (digest(codec.dumps(known)) if known else "")


def purge(store: Store) -> None:
    """Delete the files that were made before a redaction which this store has now.

    To be called when one may have come: by `ev redact`, and by a sync. A file that another process
    is writing all the time is left, and rebuilt when it is next asked for.
    """
    mark = _mark(Redactions(store).refresh())
    if mark != _MARK:
        for name in {
            file.partition(".")[0] for file in store.listdir("local") if ".sqlite" in file
        }:
            _Old(store, name, "").erase(mark)


class _Old(Derived):
    """A file of any version."""

    def erase(self, mark: str) -> None:
        """Delete the file and what is beside it, unless its version has no mark or this one."""
        with self._writing(WAIT_S) as ours:
            version = self._found()
            if not ours or version.endswith(mark) or (version and _MARK not in version):
                return
            for file in self._store.listdir("local"):
                if file.startswith(f"{self._name}.sqlite"):
                    with suppress(FileNotFoundError):
                        os.unlink(os.path.join(self._store.path, "local", file))

    def _found(self) -> str:
        """The version; empty if the file is being made, or damaged."""
        from coord_envelope.platform import sqlite3

        path = os.path.join(self._store.path, "local", f"{self._name}.sqlite")
        if not os.path.isfile(path):
            return ""
        db = sqlite3.connect(path, timeout=0.2)
        try:
            return str(db.execute("SELECT version FROM meta").fetchone()[0])
        except (sqlite3.Error, TypeError):
            return ""
        finally:
            db.close()
