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
    from collections.abc import Collection
    from typing import Self

    from coord_envelope.event import Event
    from coord_kernel.store.directory import Store
    from coord_kernel.streams.stream import Stream
    from coord_kernel.streams.trusted import Trusted

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
        self._trusted: Trusted | None = None
        """Who has signed what; None: this store knows no signers."""

    def refresh(self) -> Self:
        if self.tombstones:
            judged, mark = self._judged(), _mark(self._redactions.refresh())
            version = f"{self._unredacted}{judged}{mark}"
            if version != self._version:
                self._version = version
                self._close()
        return super().refresh()

    def _judged(self) -> str:
        """What was judged otherwise before makes another file."""
        if not self._store.signers():
            self._trusted = None
            return ""
        if not self._trusted:
            from coord_kernel.streams.trusted import Trusted  # only with signers

            self._trusted = Trusted(self._store)
        return f" era:{self._trusted.refresh().era}"

    def _chosen(self, known: Collection[str], names: Collection[str] | None) -> list[Stream]:
        chosen = super()._chosen(known, names)
        if self._trusted:
            for stream in chosen:
                stream.end = self._trusted.end(stream)
        return chosen

    def _shown(self, event: Event) -> Event:
        """The event as a fold sees it: redacted, or without effect if nobody has signed it."""
        event = self._redactions.apply(event)
        return self._trusted.shown(event) if self._trusted else event

    def _all_shown(self, events: list[Event]) -> list[Event]:
        """The events of one entity as its fold sees them."""
        shown = list(map(self._shown, events))
        if not self._trusted:
            return shown
        from coord_kernel.rules.trust import believed

        return believed(shown)


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
