"""One sync: look at the remote, fetch, take in, settle claims, publish. Each step can be cut off and done again.

The store's lock is never held while the network is waited for, only the sync's own (`local/sync.lock`).
"""

from __future__ import annotations

import contextlib
import os
import time

from coord_envelope import append, claims, codec, world
from coord_envelope.errors import TryAgain, Unreachable
from coord_envelope.stream import Stream
from coord_envelope.sync import arbiter, publish, settings, tree
from coord_envelope.sync.git import jitter
from coord_envelope.sync.intake import Held, Intake, newest
from coord_envelope.sync.wire import Wire
from coord_envelope.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord_envelope.codec import Json
    from coord_envelope.journal import Journal
    from coord_envelope.sync.settings import Remote

    Wishes = list[tuple[str, Json]]  # each an event for the arbiter's stream, and the id of what it confirms
    Settle = Callable[[], Wishes]

BUDGET_S = 60.0
SILENT_MS = 30 * 86_400_000
"""After this long without an event a replica's ref may be taken over."""
TRIES = 12
"""Times that a sync is beaten to the arbiter before it says so."""


class Exchange:
    """A sync of a store with a remote, and what became of it."""

    def __init__(
        self, journal: Journal, remote: Remote, seconds: float = BUDGET_S, settle: Settle | None = None
    ) -> None:
        """`settle` may wish for more than claims: it is asked when everything fetched was taken in."""
        self.journal, self.store, self.remote, self._settle = journal, journal.store, remote, settle
        self.wire = Wire(journal.store, remote, seconds)
        self._arbiter = f"{remote.namespace}/arbiter"
        self.received, self.sent = dict[str, int](), 0
        """Lines that came in, by writer, and lines that the remote has of us now and had not."""
        self.confirmed: list[str] = []
        self.conceded: list[str] = []
        self.odd: list[str] = []
        """What was not as it should be, in sentences."""

    def run(self) -> None:
        """Exchange everything, and settle this store's claims.

        Raises Unreachable if the remote cannot be reached or refuses; what came in by then is kept. Raises TryAgain
        if another sync of this store holds its lock all the time, or others were always faster at the arbiter.
        """
        with self._locked():
            for attempt in range(TRIES):
                time.sleep(min(jitter(attempt), max(self.wire.git.left(), 0)) if attempt else 0)
                if self._once():
                    return
        raise TryAgain(f"others were faster {TRIES} times", where=self.remote.name, todo="try again")

    def repair(self) -> bool:
        """Make one arbiter of two histories of it: theirs goes on, and both are its past. Was there anything to do?

        What only ours had confirmed is tentative again; the next sync confirms it anew, or concedes it.
        """
        with self._locked():
            theirs, ours = self._fetched().get(self._arbiter, ""), self.wire.seen().get(self._arbiter, "")
            if self.wire.descends(theirs, ours) or self.wire.descends(ours, theirs):
                return False
            repo = self.wire.objects()
            both = arbiter.united(repo, theirs, ours)
            if not self.wire.push({self._arbiter: both}, {self._arbiter: theirs}):
                raise TryAgain("the arbiter moved meanwhile", where=self.remote.name, todo="try again")
            self.wire.note({self._arbiter: both})
            return True

    def archive(self) -> list[str]:
        """Take over what replicas hold that were silent for 30 days, and delete their refs; which those were.

        Ours holds it all before theirs go, each from the tip that was read only. Who comes back pushes anew.
        """
        with self._locked():
            refs, replica, repo = self._fetched(), self._replica(), self.wire.objects()
            own, since = self._own(replica), world.now_ms() - SILENT_MS
            silent = {ref: oid for ref, oid in refs.items() if ref not in (own, self._arbiter)}
            silent = {ref: oid for ref, oid in silent.items() if newest(repo, tree.holding(repo, oid)) < since}
            rest = {ref: oid for ref, oid in refs.items() if ref not in silent}
            commits = self._commit(rest, own, replica) if silent else {}
            if self.wire.push(commits, {}) != commits.keys():
                raise Unreachable("the remote refuses what this store has", where=self.remote.name)
            gone = self.wire.push(dict.fromkeys(silent, ""), silent)
            self.wire.note(commits)
            return sorted(self._name(ref) for ref in gone)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        os.close(self.store.open("local", "sync.lock", flags=os.O_RDWR | os.O_CREAT))
        lock = FileLock(os.path.join(self.store.path, "local", "sync.lock"), mode=0o600)
        try:
            lock.acquire(timeout=max(self.wire.git.left(), 0))
        except Timeout:
            raise TryAgain("another sync of this store is at work", todo="try again, or --budget SECONDS") from None
        try:
            self.wire.git.sweep()
            yield
        finally:
            lock.release()

    def _once(self) -> bool:
        """All steps. False if another moved the arbiter meanwhile."""
        refs = self._fetched()
        tip = self._sound(refs)
        wishes = self._settled() + (self._settle() if self._settle else []) if tip is not None else []
        replica = self._replica()
        own = self._own(replica)
        end, last = self.journal.end(live=False), settings.last(self.store)
        quiet = (refs, end, self.remote.name) == (last["refs"], last["end"], last["remote"])
        commits = {} if quiet else self._commit(refs, own, replica)
        olds: dict[str, str] = {}
        if wishes and tip is not None:
            commits[self._arbiter] = self._extended(tip, wishes)
            olds[self._arbiter] = tip
        try:
            moved = self.wire.push(commits, olds)
        except Unreachable:
            if wishes and self.wire.git.left() > 1:
                return False  # the reply was lost: what became of it stands there
            raise
        if self._arbiter in moved:
            self._take({self._arbiter: commits[self._arbiter]})
            self.confirmed += [claim for claim, _ in wishes]
        self.wire.note({ref: commit for ref, commit in commits.items() if ref in moved})
        if own in commits.keys() - moved:
            if self.wire.look().get(own) != refs.get(own):
                return False  # a push of a sync that was killed arrived only now
            what = "the remote refuses what this store has"
            raise Unreachable(what, where=self.remote.name, todo="may you push there? what it has was taken in")
        self._remember(refs | {ref: commits[ref] for ref in moved}, end)
        return commits.keys() == moved

    # ---- in

    def _fetched(self) -> dict[str, str]:
        """The remote's refs, after what is new in them was taken in."""
        refs, seen = self.wire.look(), self.wire.seen()
        new = [ref for ref, oid in refs.items() if seen.get(ref) != oid]
        if new:
            refs |= self.wire.fetch(new)
            self._take({ref: refs[ref] for ref in new})
        return refs

    def _take(self, refs: dict[str, str]) -> None:
        repo, held, own = self.wire.objects(), Held(self.store), self._replica()
        intake = Intake(self.store, held, lambda name: name.partition("!")[0].endswith(f"~{own}"))
        for ref, tip in sorted(refs.items()):
            holding, name = tree.holding(repo, tip), self._name(ref)
            self.odd += [f"{name}: {path or 'its tip'} {why}, not taken" for path, why in holding.refused.items()]
            intake.take({path: oid for path, (oid, _) in holding.files.items()}, lambda oid: tree.read(repo, oid), name)
        intake.finish()
        held.save()
        self.odd += intake.odd
        for writer, lines in intake.sources.items():
            self.received[writer] = self.received.get(writer, 0) + lines
        before = self.wire.seen().get(self._arbiter, "")
        self.wire.note(
            {ref: tip for ref, tip in refs.items() if ref != self._arbiter or self.wire.descends(tip, before)}
        )

    def _replica(self) -> str:
        with self.store.lock():
            return self.store.replica()

    # ---- claims

    def _sound(self, refs: dict[str, str]) -> str | None:
        """The arbiter's tip, to build on ("" where there never was one); None if nothing may be confirmed now."""
        seen, found = self.wire.seen().get(self._arbiter, ""), refs.get(self._arbiter, "")
        if found == seen or (found and self.wire.descends(found, seen)):
            return found
        if self.wire.descends(seen, found):  # it is gone, or was put back: what we saw of it stands
            self.odd.append("the arbiter was gone or put back: it is given what was confirmed")
            return seen if self.wire.push({self._arbiter: seen}, {self._arbiter: found}) else None
        self.odd.append("the arbiter has two histories, so nothing is confirmed; `ev sync --repair-arbiter`")
        return None

    def _settled(self) -> Wishes:
        """Decide each tentative claim of this store: concede it here, or give the event that would confirm it."""
        view = View(self.store, claims).refresh()
        wishes: dict[str, tuple[str, Json]] = {}
        for replica in self.store.replicas():
            for value, entity in list(view.find("tentative", f"{replica} ", f"{replica}!")):
                claim, state = value.partition(" ")[2], view.get(entity) or claims.nothing()
                verdict = claims.verdict(state, claim)
                if verdict == "confirm":  # one of an entity; the next is judged when that is confirmed
                    wishes.setdefault(entity, (claim, arbiter.confirmation(entity, claim, state)))
                elif verdict == "concede":
                    by = state["claims"][claim]
                    actor = {"agent_id": by["agent"]} | ({"session_id": by["session"]} if by["session"] else {})
                    append.append(self.store, actor, [arbiter.concession(entity, claim, state)], self.journal.index)
                    self.conceded.append(claim)
        return list(wishes.values())

    def _extended(self, tip: str, wishes: Wishes) -> str:
        try:
            return arbiter.extended(self.store, self.wire.objects(), tip, [draft for _, draft in wishes])
        except (ValueError, IndexError) as reason:
            what = f"the arbiter cannot be read: {reason}"
            raise Unreachable(what, where=self.remote.name, todo="put back the ref it was before") from None

    # ---- out

    def _commit(self, refs: dict[str, str], own: str, replica: str) -> dict[str, str]:
        """The commit of our ref, if it must move."""
        for name in self.store.listdir("journal"):
            if name.endswith(f"~{replica}"):
                _make_durable(Stream(self.store, "journal", name))
        repo, tip, held = self.wire.objects(), refs.get(own), Held(self.store)
        others = {self._name(ref): tree.holding(repo, oid) for ref, oid in refs.items() if ref != own}
        before = tree.holding(repo, tip) if tip else tree.Holding()
        files = publish.files(self.store, repo, held, replica, others, before)
        held.save()
        root = tree.write_tree(repo, files)
        if root == before.root or not (files or tip):
            return {}
        self.sent += publish.lines(repo, files, before)
        return {own: tree.write_commit(repo, root, [tip] if tip else [], f"coord: {replica}")}

    def _own(self, replica: str) -> str:
        return self.remote.own or f"{self.remote.namespace}/replica/{replica}"

    def _name(self, ref: str) -> str:
        return ref.removeprefix(f"{self.remote.namespace}/").removeprefix("replica/")

    def _remember(self, refs: dict[str, str], end: Json) -> None:
        """What the remote holds now, and how far the journal went when it was read: for `--status`, and to be quiet."""
        at = world.format_ts(world.now_ms())
        done = {"remote": self.remote.name, "ts": at, "end": end, "refs": refs}
        self.store.save(codec.dumps(done), "local", "synced")


def _make_durable(stream: Stream) -> None:
    stream.segment = max(stream.segments(), default=0)
    if stream.segment:
        stream.make_durable()


def sync(
    journal: Journal, asked: str | None = None, seconds: float = BUDGET_S, settle: Settle | None = None
) -> Exchange:
    """Sync with the remote that was asked for, and remember it; else with the configured one.

    Raises Unreachable if there is none, and as `Exchange.run`.
    """
    name = settings.required(journal.store, asked)
    found = Exchange(journal, settings.remote(journal.store, name), seconds, settle)
    if asked:
        settings.remember(journal.store, asked)
    found.run()
    return found
