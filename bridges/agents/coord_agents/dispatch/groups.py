"""Options of coord-dispatch's commands that go together."""

from __future__ import annotations

from coord_kernel.cli.groups import Group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Limits(Group):
    """What may be started, over coord.toml."""

    preset: Sequence[str] | None = None
    max_: int | None = None
    delay: str | None = None
