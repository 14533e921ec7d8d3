"""Two stores on one disk, made equal without a remote between them."""

from __future__ import annotations

from coord_kernel.sync import publish
from coord_kernel.sync.held import Held
from coord_kernel.sync.intake import Intake, Source
from coord_kernel.sync.layout import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.store.directory import Store


def union(one: Store, other: Store) -> tuple[int, int, list[str]]:
    """Give both what either has: lines that `one` received, lines that `other` did, warnings."""
    received, warnings = _taken(one, other)
    sent, more = _taken(other, one)
    return received, sent, warnings + more


def _taken(to: Store, source: Store) -> tuple[int, list[str]]:
    there, held = Held(source), Held(to)
    paths = {oid: path for path in publish.paths(source) if (oid := there.oid(path))}

    def read(oid: str, most: int) -> bytes:
        path = paths[oid]
        return whole(source.load(*path.split("/"), most=most) or b"", path)

    intake = Intake(to, held)
    intake.take(Source(source.path, {path: oid for oid, path in paths.items()}, read))
    intake.finish()
    return sum(intake.sources.values()), [*intake.warnings, *intake.early.values()]
