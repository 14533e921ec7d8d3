"""A remote of git refs: what its refs hold is taken in, what this store gives is pushed.

What `exchange` asks of a remote, in the order of a round:

    fetch      look at the refs; take in those that are new
    arbiter    the arbiter's ref, against the tip of it seen here
    mend       give the arbiter what it has lost
    publish    push this store's ref, and confirmations by compare-and-swap
"""

from __future__ import annotations

from functools import partial

from coord_envelope.errors import Unreachable
from coord_envelope.platform import suppress
from coord_kernel.store import init
from coord_kernel.sync import arbiter as commits
from coord_kernel.sync import plan, publish, tree
from coord_kernel.sync.contents import Contents
from coord_kernel.sync.git import DamagedError
from coord_kernel.sync.held import Held
from coord_kernel.sync.intake import Intake, Source
from coord_kernel.sync.manifests import Manifests
from coord_kernel.sync.wire import Wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store
    from coord_kernel.sync.arbiter import Added
    from coord_kernel.sync.objects import Objects
    from coord_kernel.sync.plan import Arbiter, Plan, Tips
    from coord_kernel.sync.remote import Remote

_HIDDEN = ("fetch first", "stale info", "non-fast-forward", "already exists", "hidden ref")


class Refs:
    """The refs of one remote, for one sync of so many seconds."""

    objects: Objects
    """The objects that are here since the last fetch."""

    def __init__(self, store: Store, remote: Remote, seconds: float) -> None:
        self._store, self._remote, self.wire = store, remote, Wire(store, remote, seconds)
        self.arbiter_ref = f"{remote.namespace}/arbiter"
        self._manifests = Manifests(store)
        self.received = dict[str, int]()
        """Lines that arrived, by writer."""
        self.sent = 0
        """Lines that this store gave and the remote did not have."""
        self.warnings: list[str] = []
        self.refused: Tips = {}
        """Refs that could not be moved, and their tips then."""
        self._split = False
        """Has the place that is pushed to another arbiter than the place that is read?"""
        self.added: Added | None = None
        """What `extended` has added to the arbiter."""
        self.unread = False
        """Was the arbiter pushed, and could then not be read?"""

    def own(self) -> str:
        """The ref that this store pushes."""
        return self._remote.own or f"{self._remote.namespace}/replica/{self._replica()}"

    def left(self) -> float:
        """Seconds left of the budget."""
        return self.wire.git.left()

    def open(self) -> None:
        """Make sure that the store has a repository. Under the sync's lock."""
        self.wire.git.sweep()
        init.repository(self._store)

    def mended(self, fault: Unreachable) -> bool:
        """Was the store's own repository at fault, and is it mended now? Then try again."""
        if isinstance(fault, DamagedError):
            self.wire.anew()
        elif not self.wire.mended():
            return False
        self.warnings.append("the store's own repository was damaged and has been repaired")
        return True

    # ---- in

    def fetch(self) -> Tips:
        """Take in what is new on the remote; its refs, with the tips that were taken in."""
        tips, seen, held = self._look(), self.wire.seen(), Held(self._store)
        new = plan.fetches(tips, seen, held.lost(publish.paths(self._store)))
        fetched = self._fetched(new) if new else {}
        self.objects = self.wire.objects()
        self._take(fetched, held)
        known = seen | fetched  # a ref that cannot be fetched is as it was seen before
        return {ref: known[ref] for ref in tips if ref in known}

    def _look(self) -> Tips:
        """The remote's refs. This store's own ref is as it is where it is pushed to."""
        tips, own = self.wire.look(), self.own()
        if self._remote.split:
            pushed = self.wire.look(pushed=True)
            self._split = pushed.get(self.arbiter_ref) != tips.get(self.arbiter_ref)
            tips.pop(own, None)
            tips |= {ref: tip for ref, tip in pushed.items() if ref == own}
        return tips

    def _fetched(self, refs: list[str]) -> Tips:
        """The tips of these refs, fetched; a bad ref does not hold up the others.

        Raises Unreachable if the remote is at fault, or this store's own ref cannot be fetched.
        """
        own = self.own() if self._remote.split else ""
        if own not in refs:
            with suppress(Unreachable):
                return self.wire.fetch(refs)
        fetched: Tips = {}
        for ref in refs:
            try:
                fetched |= self.wire.fetch([ref], pushed=ref == own)
            except Unreachable as fault:
                if ref == self.own():
                    raise  # a push that does not continue it would be refused
                self.warnings.append(f"{self.name(ref)}: cannot be fetched ({fault.what}); ignored")
        self.wire.look()
        if len(fetched) < len(refs) and not self.wire.sound():
            raise DamagedError("the store's own repository is damaged")
        return fetched

    def _take(self, tips: Tips, held: Held) -> None:
        if not tips:
            return
        intake, taken, seen = Intake(self._store, held), dict[str, str](), self.wire.seen()
        manifests = {ref: tree.manifest(self.objects, tip) for ref, tip in sorted(tips.items())}
        for ref, manifest in manifests.items():
            self._manifests.note(tips[ref], manifest)
            self.warnings += manifest.report(self.name(ref))
            if ref == self.own() and manifest.root is None:
                with self._store.lock():  # a push cannot continue it, and is never forced
                    self._store.renew_replica()
            if ref != self.arbiter_ref or (
                manifest.root and self.wire.descends(tips[ref], seen.get(ref, ""))
            ):
                taken[ref] = tips[ref]
        read = partial(tree.read, self.objects)
        todo, lines = list(manifests), -1
        while todo and lines < sum(intake.sources.values()):
            lines = sum(intake.sources.values())
            for ref in todo:
                files = manifests[ref].files
                size = partial(self.wire.size, files.values())
                intake.take(Source(self.name(ref), files, read, size))
            # What arrived early from one ref may follow what another one holds.
            todo = [ref for ref in todo if self.name(ref) in intake.early]
        intake.finish()
        held.save()
        self.warnings += [*intake.early.values(), *intake.warnings]
        for writer, count in intake.sources.items():
            self.received[writer] = self.received.get(writer, 0) + count
        self.wire.note({ref: tip for ref, tip in taken.items() if ref not in todo})

    # ---- the arbiter

    def arbiter(self, tips: Tips, confirms: bool) -> Arbiter:
        """The arbiter's ref. `lacks` is looked up only if the plan depends on it."""
        ref = self.arbiter_ref
        tip, seen = tips.get(ref, ""), self.wire.seen().get(ref, "")
        ahead = tip == seen or self.wire.descends(tip, seen)
        behind = not ahead and self.wire.descends(seen, tip)
        look = not behind and (confirms or not ahead)
        self._missing = commits.missing(self._store, self.objects, tip) if look else {}
        return {
            "ref": ref,
            "tip": tip,
            "seen": seen,
            "split": self._split,
            "ahead": ahead,
            "behind": behind,
            "lacks": bool(self._missing),
        }

    def mend(self, step: Plan, arbiter: Arbiter) -> bool:
        """Give the arbiter what the plan says. False: it has moved meanwhile.

        Raises Unreachable if it could not be moved from the same tip twice.
        """
        ref, tip, commit = arbiter["ref"], arbiter["tip"], arbiter["seen"]
        if step.mend == "tip":
            self.warnings.append("the arbiter was gone or put back; its confirmations are restored")
        elif step.mend == "lines":
            commit = commits.restored(self.objects, tip, self._missing)
        elif tree.manifest(self.objects, tip).root:
            commit = commits.merged(self.objects, tip, commit)
        return ref in self._push({ref: commit}, step)

    # ---- out

    def extended(self, tip: str, drafts: Sequence[Json], new: bool = False) -> Tips:
        """The arbiter's commit with these events more; `new`: in a new stream.

        Raises ValueError or IndexError if it cannot be continued.
        """
        commit, self.added = commits.extended(self._store, self.objects, tip, drafts, new)
        return {self.arbiter_ref: commit}

    def contents(self, tips: Tips) -> Tips:
        """The commit of this store's ref, if the ref must move; `tips` are those that stay."""
        own, replica = self.own(), self._replica()
        publish.make_durable(self._store, replica)
        tip, held = tips.get(own), Held(self._store)
        others = {
            self.name(ref): self._manifests.files(self.objects, oid)
            for ref, oid in tips.items()
            if ref != own
        }
        self._manifests.save(tips.values())
        before = tree.manifest(self.objects, tip) if tip else tree.Manifest()
        contents = Contents(self._store, self.objects, held, replica)
        files = contents.files(others, before)
        held.save()
        root = tree.write_tree(self.objects, files)
        if root == before.root or not (files or tip):
            return {}
        self.sent += contents.lines(files, before)
        parents = [tip] if tip else []
        return {own: tree.write_commit(self.objects, root, parents, f"coord: {replica}")}

    def publish(self, commits: Tips, step: Plan) -> set[str]:
        """Push these commits; the refs that were moved. What the arbiter has now is taken in.

        Raises Unreachable if a ref could not be moved from the same tip twice, or no answer came.
        """
        moved, ref = self._push(commits, step), self.arbiter_ref
        if ref in moved and self._shown(commits[ref], step.push[ref]):
            self._take({ref: commits[ref]}, Held(self._store))
        else:
            moved.discard(ref)
        return moved

    def _shown(self, commit: str, before: str) -> bool:
        """Is the commit that was pushed to the arbiter what the remote shows?

        It is if it replaced the tip that was read at the same URL. If others have moved the arbiter
        on meanwhile, the next round shows it.
        """
        if before and not self._remote.split:
            return True
        tip = self.wire.look().get(self.arbiter_ref, "")
        self.unread = tip == before
        return tip == commit

    def delete(self, step: Plan) -> list[str]:
        """Delete refs, each from its tip only; the names of those that are gone."""
        gone = self.wire.push(dict.fromkeys(step.delete, ""), step.delete)
        return sorted(map(self.name, gone))

    def _push(self, commits: Tips, step: Plan) -> set[str]:
        # Our own ref's commit has the tip as its parent: a push that is not forced compares.
        swap = {self.arbiter_ref: step.push.get(self.arbiter_ref, "")}
        moved = self.wire.push(commits, swap if self.arbiter_ref in commits else {})
        # The arbiter's tip is noted when it was taken in.
        self.wire.note({ref: commits[ref] for ref in moved if ref != self.arbiter_ref})
        for ref in commits.keys() - moved:
            tip = step.push.get(ref, "")
            if self.refused.get(ref) == tip:
                raise self._refusal(ref)
            self.refused[ref] = tip
        return moved

    def _refusal(self, ref: str) -> Unreachable:
        """The Fault for a ref that could not be moved from the same tip twice."""
        why, more = self.wire.refusals.get(ref, ("", ""))
        what, todo = f"the remote refuses {ref}", "check that you may push there"
        if any(mark in why for mark in _HIDDEN):
            what = f"the remote does not show {ref} as it is"
            todo = "is it hidden from fetches (transfer.hideRefs), or a mirror that lags behind?"
        elif "missing necessary objects" in why:
            broken = more.partition("bad object ")[2] or "the ref that `git fsck` finds there"
            todo = f"delete {broken}, `git push {self._remote.name} :REF`"
        details = [text for text in (why, more) if text and text not in what]
        what += f" ({'; '.join(details)})" if details else ""
        todo += "; what the remote has was taken in"
        return Unreachable(what, where=self._remote.name, todo=todo)

    def name(self, ref: str) -> str:
        """What a ref is called in messages: the replica id, or `arbiter`."""
        return ref.removeprefix(f"{self._remote.namespace}/").removeprefix("replica/")

    def _replica(self) -> str:
        with self._store.lock():
            return self._store.replica()
