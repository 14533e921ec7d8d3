"""coord.toml: a project's settings, in the root of the repository or beside the store.

project = "web"             the project's name; by default that of the usual remote at `ev init`
mirror = ["lease.*"]        types to write to the journal instead of the live streams
[patrol] stalled = "15m"    when a silent session is which: see coord-patrol(8)
[escalation] person = "human:ada"   who gets mail about alerts: see coord-patrol(8)
[wk] one_claim = true       an agent holds one work item at a time
[sync] remote = "origin"    the remote of `ev sync`, and its refs: once the user agreed (`consent`)
"""

from __future__ import annotations

import os

from coord_envelope.errors import BadData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.store.directory import Store

CONFIG = "coord.toml"
KEYS = ("mirror", "project")
TABLES = (
    *("agents", "beads", "budgets", "commons", "dispatch", "escalation", "github", "land"),
    *("patrol", "sync", "tbd", "wk"),
)
"""What a file may have at its top: commands pass over what they do not know."""


class Config:
    """The settings in a project's root directory. Raises as `toml.load`.

    With the project's store they are not parsed again until the file changes.
    """

    def __init__(self, root: str, store: Store | None = None) -> None:
        self._root, self.path = root, os.path.join(root, CONFIG)
        self._settings: dict[str, object] = {}
        if os.path.lexists(self.path):
            from coord_kernel.store import toml

            found = toml.load_kept(self.path, store) if store else toml.load(self.path)
            self._settings = found or {}

    def project(self, recorded: str = "") -> str:
        """The project's slug: `project`, or what the store recorded, or else the root's name."""
        name = self._settings.get("project")
        if name is not None and not isinstance(name, str):
            raise self._fault("project is not a string")
        return slug(name or recorded or os.path.basename(self._root).removesuffix(".git"))

    def mirrors(self) -> tuple[str, ...]:
        """`mirror`: globs of the live types that are written to the journal instead."""
        globs = self._settings.get("mirror", [])
        if not isinstance(globs, list) or not all(isinstance(glob, str) for glob in globs):
            raise self._fault("mirror is not a list of strings", ': mirror = ["lease.*"]')
        return tuple(globs)

    def section(self, name: str) -> dict[str, object]:
        """A table; empty if it is missing."""
        table = self._settings.get(name, {})
        if not isinstance(table, dict):
            raise self._fault(f"{name} is not a table", f": [{name}]")
        return table

    def unknown(self) -> list[str]:
        """The keys and tables that nothing reads."""
        return sorted(self._settings.keys() - {*KEYS, *TABLES})

    def _fault(self, reason: str, example: str = "") -> BadData:
        return BadData(reason, where=self.path, todo=f"correct the file{example}")


def slug(text: str) -> str:
    """Lower case, at most 64 of `a-z 0-9 . _ -`; `project` if nothing remains."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in text.lower())
    return kept.strip("._-")[:64] or "project"
