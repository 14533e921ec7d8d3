"""What a person does for the remote now and then: repair the arbiter, archive inactive replicas."""

from __future__ import annotations

from coord_envelope import world
from coord_envelope.errors import TryAgain
from coord_kernel.sync import plan, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.sync.exchange import Exchange

INACTIVE_MS = 30 * 86_400_000
"""A replica that has pushed nothing for this long may be archived."""


def repair(exchange: Exchange) -> bool:
    """Merge two diverged histories of the arbiter. Was there anything to do?

    The remote's continues, and both are in its past. What only ours had confirmed is tentative
    again: the next sync confirms it again, or concedes it.
    """
    refs = exchange.refs
    with exchange.locked():
        arbiter = refs.arbiter(refs.fetch(), confirms=False)
        step = plan.repair(arbiter)
        if step.mend and not refs.mend(step, arbiter):
            raise TryAgain(
                "the arbiter has moved meanwhile", where=exchange.remote.name, todo="try again"
            )
        return bool(step.mend)


def archive(exchange: Exchange) -> list[str]:
    """Take over what inactive replicas gave, and delete their refs; the names of these.

    This store's ref holds all of it before theirs are deleted, each from the tip that was read
    only. A replica that comes back pushes again.
    """
    refs = exchange.refs
    with exchange.locked():
        tips, kept = refs.fetch(), (refs.own(), refs.arbiter_ref)
        written = {
            ref: tree.written_ms(refs.objects, tip) for ref, tip in tips.items() if ref not in kept
        }
        step = plan.archive(tips, kept, written, world.now_ms() - INACTIVE_MS)
        if not step.delete:
            return []
        stay = {ref: tip for ref, tip in tips.items() if ref not in step.delete}
        commits = refs.contents(stay)
        if refs.publish(commits, step) != commits.keys():
            raise TryAgain(
                "this store's ref has moved meanwhile", where=exchange.remote.name, todo="try again"
            )
        return refs.delete(step)
