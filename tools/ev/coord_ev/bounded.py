"""What an event's content decides is done in a child: a failure names how to look into it."""

from __future__ import annotations

from coord_kernel.proc.bounded import bounded as in_child
from coord_kernel.proc.bounded import described

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_kernel.proc.bounded import Value

__all__ = ["TODO", "bounded", "described"]

TODO = "see `ev consume --dry-run`"


def bounded(make: Callable[[], Value], where: str) -> Value:
    """What `make` returns. Raises its DiskFault; BadData for anything else, and for too much."""
    return in_child(make, where, TODO)
