"""Options that go together."""

from __future__ import annotations

from coord_kernel.cli.groups import Group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Offering(Group):
    """What an offer says beyond the title of its item."""

    reward: str | None = None
    needs: Sequence[str] | None = None
    share: Sequence[str] | None = None


class Wanted(Group):
    """Which offers are listed."""

    can: Sequence[str] | None = None
    everything: bool = False
    lines: int | None = None


class Valence(Group):
    """What one thinks of a submission, from 0 to 5."""

    quality: int | None = None
    reliability: int | None = None
    creativity: int | None = None
    note: str | None = None
