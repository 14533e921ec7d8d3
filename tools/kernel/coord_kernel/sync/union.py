"""Two stores on one disk, made equal without a remote between them."""

from __future__ import annotations

from coord_kernel.sync import publish
from coord_kernel.sync.held import Held
from coord_kernel.sync.intake import Intake, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.store.directory import Store


def union(one: Store, other: Store) -> tuple[int, int, list[str]]:
    """Both have what either had: lines that came to `one`, lines that came to `other`, and what was odd."""
    came, odd = _taken(one, other)
    went, odder = _taken(other, one)
    return came, went, odd + odder


def _taken(to: Store, source: Store) -> tuple[int, list[str]]:
    there, held = Held(source), Held(to)
    paths = {oid: path for path in publish.paths(source) if (oid := there.oid(path))}

    def read(oid: str, most: int) -> bytes:
        path = paths[oid]
        return whole(source.load(*path.split("/"), most=most) or b"", path)

    intake = Intake(to, held)
    intake.take({path: oid for oid, path in paths.items()}, read, source.path)
    intake.finish()
    return sum(intake.sources.values()), [*intake.warnings, *intake.early.values()]
