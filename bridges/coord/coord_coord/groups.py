"""Options of coord's commands that go together."""

from __future__ import annotations

from coord_kernel.cli.groups import Group


class Changing(Group):
    """How files are changed, or not."""

    yes: bool = False
    undo: bool = False
    dry_run: bool = False
    check: bool = False
