"""What a person does for the remote now and then: make one arbiter of two, take over the refs of the silent."""

from __future__ import annotations

from coord_envelope import world
from coord_envelope.errors import TryAgain
from coord_kernel.store import locate
from coord_kernel.sync import arbiter, tree
from coord_kernel.sync.exchange import Exchange

SILENT_MS = 30 * 86_400_000
"""After this long without a push a replica's ref may be taken over."""


class Upkeep(Exchange):
    """An exchange that does not settle or publish, but one of these."""

    def repair(self) -> bool:
        """Make one arbiter of two histories of it: theirs goes on, and both are its past. Was there anything to do?

        What only ours had confirmed is tentative again; the next sync confirms it anew, or concedes it.
        """
        with self._locked():
            locate.repository(self.store)
            theirs, ours = (
                self._fetched().get(self._arbiter, ""),
                self.wire.seen().get(self._arbiter, ""),
            )
            if self.wire.descends(theirs, ours) or self.wire.descends(ours, theirs):
                return False
            objects = self.wire.objects()
            both = (
                arbiter.united(objects, theirs, ours)
                if tree.manifest(objects, theirs).root
                else ours
            )
            if not self.wire.push({self._arbiter: both}, {self._arbiter: theirs}):
                raise TryAgain(
                    "the arbiter moved meanwhile", where=self.remote.name, todo="try again"
                )
            self.wire.note({self._arbiter: both})
            return True

    def archive(self) -> list[str]:
        """Take over what replicas hold that were silent for 30 days, and delete their refs; which those were.

        Ours holds it all before theirs go, each from the tip that was read only. Who comes back pushes anew.
        """
        with self._locked():
            refs, objects = self._fetched(), self.wire.objects()
            own, since = self._own(), world.now_ms() - SILENT_MS
            silent = {ref: oid for ref, oid in refs.items() if ref not in (own, self._arbiter)}
            silent = {
                ref: oid for ref, oid in silent.items() if tree.written_ms(objects, oid) < since
            }
            rest = {ref: oid for ref, oid in refs.items() if ref not in silent}
            commits = self._commit(objects, rest, own, self._replica()) if silent else {}
            if self._pushed(refs, commits, {}) != commits.keys():
                raise TryAgain("our ref moved meanwhile", where=self.remote.name, todo="try again")
            return sorted(
                self._name(ref) for ref in self.wire.push(dict.fromkeys(silent, ""), silent)
            )
