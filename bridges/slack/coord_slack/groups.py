"""Options of coord-slack that go together."""

from __future__ import annotations

from coord_kernel.cli.groups import Group


class Looks(Group):
    """Only look."""

    dry_run: bool = False
    status: bool = False
