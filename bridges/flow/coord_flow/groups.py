"""Options of coord-flow's commands that go together."""

from __future__ import annotations

from coord_kernel.cli.groups import Group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Variables(Group):
    """What a formula is cooked with."""

    var: Sequence[str] | None = None
    preset: str | None = None


class Pouring(Group):
    """How a formula is poured."""

    var: Sequence[str] | None = None
    preset: str | None = None
    key: str | None = None
    wisp: bool = False
    parent: str | None = None
