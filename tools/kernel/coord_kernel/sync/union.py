"""Two stores on one disk, made equal without a remote between them."""

from __future__ import annotations

from coord_kernel.sync import publish, settle
from coord_kernel.sync.held import Held
from coord_kernel.sync.intake import Intake, Source
from coord_kernel.sync.layout import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.store.directory import Store


def union(one: Store, other: Store) -> tuple[int, int, list[str]]:
    """Give both what either has: lines that `one` received, lines that `other` did, warnings.

    Each signs before, if it is set to. A store that has learned that its disk was put back has
    another replica id since, and signs once more.
    """
    received, sent, warnings = 0, 0, list[str]()
    while True:
        signs = [_signed(store) for store in (one, other)]
        ids = one.replicas(), other.replicas()
        came, more = _taken(one, other)
        went, others = _taken(other, one)
        received, sent, warnings = received + came, sent + went, [*warnings, *more, *others]
        if ids == (one.replicas(), other.replicas()) or not any(signs):
            return received, sent, warnings


def _signed(store: Store) -> bool:
    """Sign what the store has written, if it is set to. Is it?"""
    signs = settle.signs(store)
    if signs:
        from coord_kernel.journal.journal import Journal
        from coord_kernel.sync.signed.sign import Signer  # only who signs

        Signer(Journal(store)).sign()
    return signs


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
