"""Options of coord-otel that go together."""

from __future__ import annotations

from coord_kernel.cli.groups import Group


class First(Group):
    """Where the first export begins."""

    all_: bool = False
    now: bool = False


class Looks(Group):
    """Only look."""

    dry_run: bool = False
    status: bool = False
