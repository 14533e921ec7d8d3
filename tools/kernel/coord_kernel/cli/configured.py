"""The budgets of a project as coord.toml has them now. Loads little where there are none."""

from __future__ import annotations

import os

from coord_envelope.errors import BadData
from coord_envelope.platform import suppress
from coord_kernel.cli import complaints
from coord_kernel.store import locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.rules.budget import Budget
    from coord_kernel.store.directory import Store


class Configured:
    """The budgets, for who stays up.

    A file that has become wrong is reported once, and the budgets stay what they were.
    """

    def __init__(self, store: Store) -> None:
        """Raises BadData."""
        self._store = store
        self._seen = self._stamp()
        self._budgets = self._read()

    def now(self) -> list[Budget]:
        """The budgets; read again if the file is another."""
        seen = self._stamp()
        if seen != self._seen:
            self._seen = seen
            try:
                self._budgets = self._read()
            except BadData as fault:
                complaints.complain(fault)
        return self._budgets

    def _read(self) -> list[Budget]:
        if not locate.section(self._store, "budgets"):
            return []
        from coord_kernel.cli.budgets import configured  # 5 ms, for those who have budgets

        return configured(self._store)

    def _stamp(self) -> object:
        with suppress(OSError):
            found = os.stat(os.path.join(locate.root(self._store.path), "coord.toml"))
            return found.st_mtime_ns, found.st_size, found.st_ino
        return None
